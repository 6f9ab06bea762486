"""How a cluster is laid out in stacks."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from cloudmesh_cluster.model.demand import resources
from cloudmesh_cluster.model.plan import (
    Plan,
    free_numbers,
    grown,
    planned,
    root_name,
    root_number,
    without,
)
from cloudmesh_cluster.model.spec import MOST_WORKERS, NAME


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


# ---- several root stacks -------------------------------------------------------------------------


def small_roots(workers: int) -> Plan:
    return planned(
        "demo",
        product="plain",
        workers=workers,
        makes_network=False,
        floating=False,
        shard_size=2,
        root_size=3,
    )


def places(plan: Plan) -> dict[str, tuple[int, str]]:
    """The root and the shard of each worker; those that stand in the first root have no shard."""
    flat = [*plan.flat_workers, *([plan.wirer] if plan.wirer else [])]
    sharded = {one.name: (shard.root, shard.name) for shard in plan.shards for one in shard.nodes}
    return {**{one.name: (1, "") for one in flat}, **sharded}


def test_what_fits_one_root_stack_is_laid_out_as_ever() -> None:
    largest = plan(949)

    assert (largest.roots, largest.further) == (1, ())
    assert largest.wirer is largest.last_worker


@pytest.mark.parametrize("workers", [950, 1500, MOST_WORKERS])
def test_more_workers_are_split_over_roots_of_which_each_is_within_heat_s_limit(
    workers: int,
) -> None:
    large = planned("demo", product="plain", workers=workers, makes_network=True, floating=True)
    sizes = Counter(root for root, _ in places(large).values())

    assert large.wirer is None
    assert len(large.workers) == workers
    assert list(sizes) == [1, *large.further] == list(range(1, large.roots + 1))
    assert max(sizes.values()) == 949
    handles = max(len(large.handles), *(len(large.handles_in(root)) for root in large.further))
    assert resources(large) + handles <= 1000


def test_shards_have_other_names_in_every_root() -> None:
    names = [shard.name for shard in plan(MOST_WORKERS).shards]
    assert len(set(names)) == len(names)


def test_no_more_nodes_signal_to_a_handle_of_a_further_root_either() -> None:
    large = plan(1500)
    signalling = Counter[tuple[int, str]]()
    for shard in large.shards:
        signalling[shard.root, large.handle_of(shard)] += len(shard.nodes)

    assert max(signalling.values()) <= 360
    assert {name for root, name in signalling if root == 2} == set(large.handles_in(2))


def test_a_cluster_that_outgrows_its_root_keeps_its_nodes_where_they_are() -> None:
    small = small_roots(3)
    large = grown(small, range(4, 9))
    before, after = places(small), places(large)

    assert {name: after[name] for name in before} == before
    assert [after[f"demo-worker{n}"][0] for n in range(4, 9)] == [2, 2, 2, 3, 3]
    assert (large.roots, large.further) == (3, (2, 3))


def test_a_new_worker_takes_the_room_that_another_has_left_in_the_first_root() -> None:
    large = without(small_roots(7), ["demo-worker2", "demo-worker5"])

    again = grown(large, free_numbers(large, 2))

    assert {one.name for one in again.workers} == {one.name for one in small_roots(7).workers}
    assert places(again)["demo-worker2"] == places(small_roots(7))["demo-worker2"]


def test_a_root_whose_workers_have_all_left_is_gone_and_may_have_been() -> None:
    large = small_roots(9)
    left = without(large, [f"demo-worker{n}" for n in (4, 5, 6)])

    assert (large.further, left.further) == ((2, 3), (3,))
    assert without(left, [f"demo-worker{n}" for n in (7, 8, 9)]).further == ()
    assert without(left, [f"demo-worker{n}" for n in (7, 8, 9)]).roots == 3


def test_a_cluster_whose_create_was_cut_off_is_laid_out_as_it_was_to_be() -> None:
    whole = small_roots(8)
    first = replace(whole, shards=whole.shards_in(1))

    assert places(grown(first, range(4, 9))) == places(whole)


def test_the_name_of_a_root_can_be_no_cluster_s() -> None:
    assert [root_name("demo", n) for n in (1, 2, 12)] == ["demo", "demo.2", "demo.12"]
    assert [root_number(name) for name in ("demo", "demo.2", "demo.12")] == [1, 2, 12]
    assert not NAME.fullmatch("demo.2")
