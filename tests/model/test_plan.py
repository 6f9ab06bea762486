"""How a cluster is laid out in stacks."""

from __future__ import annotations

import pytest

from cloudmesh_cluster.model.plan import Plan, planned


def plan(workers: int) -> Plan:
    return planned("demo", product="plain", workers=workers, makes_network=False, floating=False)


def test_a_small_cluster_is_one_stack() -> None:
    small = plan(26)

    assert small.shards == ()
    assert [node.name for node in small.flat_workers] == [f"demo-worker{n}" for n in range(1, 26)]
    assert small.last_worker.name == "demo-worker26"


@pytest.mark.parametrize("workers", [1, 2, 26, 27, 28, 53, 54, 850])
def test_every_node_is_in_one_place(workers: int) -> None:
    whole = plan(workers)

    sharded = [node for shard in whole.shards for node in shard.nodes]
    places = [whole.master, *whole.flat_workers, *sharded, whole.last_worker]

    assert sorted(node.name for node in places) == sorted(node.name for node in whole.nodes)
    assert all(len(shard.nodes) <= 26 for shard in whole.shards)


def test_the_whole_tree_fits_under_the_resources_that_heat_allows() -> None:
    largest = plan(850)

    root = 20  # whatever the frame has besides nodes and shards, with room
    shards = len(largest.shards) * 3  # the shard itself, its handle, its signal
    assert root + shards + len(largest.nodes) < 1000
