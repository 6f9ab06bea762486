"""What a cluster needs, against what a cloud has left."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloudmesh_cluster.model import demand
from cloudmesh_cluster.model.cluster import MASTER, WORKER
from cloudmesh_cluster.model.demand import Most, Needs, Quota, most_workers, problems, rows
from cloudmesh_cluster.model.offer import Chosen, Flavor, Image
from cloudmesh_cluster.model.plan import planned

IMAGE = Image("i1", "debian-12", 512, 4)
SMALL = Flavor("f1", "small", 512, 1, 4)
LARGE = Flavor("f2", "large", 2048, 4, 8)
QUOTAS = {
    demand.SERVERS: Quota(10, 2),
    demand.CORES: Quota(20, 4),
    demand.MEMORY: Quota(-1, 9999),
    demand.KEYPAIRS: Quota(100, 1),
    demand.PORTS: Quota(50, 0),
}


def needs(workers: int, *, own_network: bool = False, name: str = "demo") -> Needs:
    return Needs(
        plan=planned(
            name,
            product="plain",
            workers=workers,
            makes_network=own_network,
            floating=own_network,
        ),
        chosen=Chosen(IMAGE, {MASTER: LARGE, WORKER: SMALL}),
        master_user_data=12_000,
        worker_user_data=14_000,
        bare_user_data=13_000,
        template=5_000,
        request=20_000,
    )


def states(of: Needs, quotas: dict[str, Quota]) -> dict[str, str]:
    return {row.what: row.state for row in rows(of, quotas)}


def test_a_master_and_three_workers_of_two_flavors() -> None:
    taken = demand.demand(needs(3))

    assert taken[demand.SERVERS] == 4
    assert taken[demand.CORES] == 4 + 3
    assert taken[demand.MEMORY] == 2048 + 3 * 512
    assert taken[demand.PORTS] == 4
    assert demand.FLOATING not in taken
    assert demand.ROUTERS not in taken


def test_a_network_of_its_own_takes_a_router_and_ports_more() -> None:
    taken = demand.demand(needs(3, own_network=True))

    assert [taken[one] for one in (demand.FLOATING, demand.NETWORKS, demand.SUBNETS,
                                   demand.ROUTERS)] == [1, 1, 1, 1]  # fmt: skip
    assert taken[demand.PORTS] == 6


def test_what_is_told_unlimited_or_unknown_is_no_problem() -> None:
    found = states(needs(3), QUOTAS)

    assert found[demand.SERVERS] == "fits"
    assert found[demand.MEMORY] == "unlimited"
    assert found[demand.GROUPS] == "unknown"
    assert problems(rows(needs(3), QUOTAS)) == ()
    assert problems(rows(needs(949), {})) == ()


def test_every_shortage_is_told_with_what_is_needed_and_left() -> None:
    told = problems(rows(needs(30), QUOTAS))

    assert [one.what for one in told] == [demand.SERVERS, demand.CORES]
    assert told[0].problem == "31 needed, 8 left (quota 10, 2 used)"
    assert "fewer workers" in told[0].next_step


def test_a_quota_that_was_lowered_below_its_use_has_nothing_left() -> None:
    assert Quota(5, 9).left == 0
    assert problems(rows(needs(1), {demand.KEYPAIRS: Quota(5, 9)}))[0].problem.startswith(
        "1 needed, 0 left"
    )


def test_exactly_what_is_left_fits() -> None:
    assert states(needs(7), QUOTAS)[demand.SERVERS] == "fits"
    assert states(needs(8), QUOTAS)[demand.SERVERS] == "short"


@pytest.mark.parametrize("asked", [1, 7, 30, 949])
def test_the_most_workers_do_not_depend_on_how_many_were_asked_for(asked: int) -> None:
    most = most_workers(needs(asked), QUOTAS)

    assert most == Most(7, (demand.SERVERS,))
    assert problems(rows(needs(most.workers), QUOTAS)) == ()
    assert problems(rows(needs(most.workers + 1), QUOTAS))


def test_what_runs_out_together_is_told_together() -> None:
    quotas = {**QUOTAS, demand.CORES: Quota(11, 0)}
    assert most_workers(needs(1), quotas) == Most(7, (demand.SERVERS, demand.CORES))


def test_no_worker_fits_where_something_is_used_up() -> None:
    assert most_workers(needs(1), {demand.GROUPS: Quota(3, 3)}) == Most(0, (demand.GROUPS,))


def test_a_cloud_without_limits_is_limited_by_what_one_cluster_takes() -> None:
    assert most_workers(needs(1), {}) == Most(3796)


def test_a_long_name_takes_no_more_of_user_data_than_a_short_one() -> None:
    assert problems(rows(needs(949, name="n" * 40), {})) == ()


def test_the_last_node_s_table_of_hosts_may_limit_the_workers() -> None:
    full = replace(needs(2), bare_user_data=35_000)

    most = most_workers(full, {})
    assert 300 < most.workers < 949
    assert most.short == (demand.USER_DATA,)


def test_heat_s_resources_are_counted_for_each_root_stack() -> None:
    taken = demand.demand(needs(1500, own_network=True))

    assert taken[demand.SERVERS] == 1501
    assert 950 < taken[demand.RESOURCES] <= 1000
    assert problems(rows(needs(1500, own_network=True), {})) == ()


def test_where_no_node_wires_none_holds_a_table_of_hosts() -> None:
    assert demand.demand(needs(950))[demand.USER_DATA] == demand.encoded(14_000)


def test_a_quota_may_end_a_cluster_in_its_second_root() -> None:
    assert most_workers(needs(3), {demand.SERVERS: Quota(1200)}) == Most(1199, (demand.SERVERS,))


def test_nova_counts_user_data_after_base64() -> None:
    assert [demand.encoded(size) for size in (1, 3, 49_149)] == [4, 4, 65_532]
    largest = replace(needs(1), master_user_data=49_149, worker_user_data=0)
    assert states(largest, {})[demand.USER_DATA] == "fits"
    assert states(replace(largest, master_user_data=49_152), {})[demand.USER_DATA] == "short"


def test_heat_s_limits_are_there_without_any_cloud() -> None:
    big = replace(needs(1), template=600_000, request=2_000_000)
    assert [one.what for one in problems(rows(big, {}))] == [demand.TEMPLATE, demand.REQUEST]


@pytest.mark.parametrize(
    ("flavor", "small"),
    [
        (Flavor("f", "fits", 512, 1, 4), False),
        (Flavor("f", "little memory", 511, 1, 4), True),
        (Flavor("f", "little disk", 512, 1, 3), True),
        (Flavor("f", "the image's disk", 512, 1, 0), False),
    ],
)
def test_a_flavor_must_hold_the_image(flavor: Flavor, small: bool) -> None:
    told = demand.too_small(Chosen(IMAGE, {MASTER: LARGE, WORKER: flavor}))

    assert bool(told) is small
    assert all(flavor.name in one.what and "512 MiB" in one.problem for one in told)


def test_a_flavor_of_both_roles_is_told_once() -> None:
    tiny = Flavor("f", "tiny", 1, 1, 1)
    assert len(demand.too_small(Chosen(IMAGE, {MASTER: tiny, WORKER: tiny}))) == 1
