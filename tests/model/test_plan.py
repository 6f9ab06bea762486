"""How a cluster is laid out in stacks."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from cloudmesh_cluster.model.demand import resources
from cloudmesh_cluster.model.plan import Plan, grown, planned


def plan(workers: int) -> Plan:
    return planned("demo", product="plain", workers=workers, makes_network=False, floating=False)


def test_a_small_cluster_is_one_stack() -> None:
    small = plan(60)

    assert small.shards == ()
    assert [node.name for node in small.flat_workers] == [f"demo-worker{n}" for n in range(1, 60)]
    assert small.last_worker.name == "demo-worker60"


@pytest.mark.parametrize("workers", [1, 2, 60, 61, 62, 121, 122, 949])
def test_every_node_is_in_one_place(workers: int) -> None:
    whole = plan(workers)

    sharded = [node for shard in whole.shards for node in shard.nodes]
    places = [whole.master, *whole.flat_workers, *sharded, whole.last_worker]

    assert sorted(node.name for node in places) == sorted(node.name for node in whole.nodes)
    assert all(len(shard.nodes) <= 60 for shard in whole.shards)


def test_the_whole_tree_fits_under_the_resources_that_heat_allows() -> None:
    largest = planned("demo", product="plain", workers=949, makes_network=True, floating=True)

    assert len(largest.nodes) == 950
    # While an update runs, the handles from before are there as well.
    assert resources(largest) + len(largest.handles) <= 1000


def test_a_cluster_that_grows_keeps_its_nodes_where_they_are() -> None:
    small = plan(400)
    large = grown(small, range(401, 950))
    places = {node.name: shard.name for shard in large.shards for node in shard.nodes}

    for shard in small.shards:
        assert {places[node.name] for node in shard.nodes} == {shard.name}
    assert large.handles == plan(949).handles


def test_no_more_nodes_signal_to_a_handle_than_its_row_can_take() -> None:
    largest = plan(949)
    signalling = Counter(largest.handles[:1] * 2)  # the master and the last worker
    for shard in largest.shards:
        signalling[largest.handle_of(shard)] += len(shard.nodes)

    assert list(signalling) == list(largest.handles) == ["handle", "handle2", "handle3"]
    assert max(signalling.values()) < 400
    assert sum(signalling.values()) == 950


def test_an_update_brings_new_handles() -> None:
    updated = replace(plan(400), generation=3)
    assert updated.handles == ("handle_3", "handle2_3")
