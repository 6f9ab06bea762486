"""What is told before anything is touched."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from cloudmesh_cluster.model import demand
from cloudmesh_cluster.model.cluster import MASTER, WORKER
from cloudmesh_cluster.model.demand import Needs, Quota
from cloudmesh_cluster.model.errors import ClusterError, NameTaken
from cloudmesh_cluster.model.offer import Chosen, Flavor, Image, Network
from cloudmesh_cluster.model.plan import planned
from cloudmesh_cluster.steps.preflight import DoesNotFit, Forecast, forecast, insist

SMALL = Flavor("f1", "small", 512, 1, 4)
LAN = Network("n1", "lan", external=False, shared=False)
NEEDS = Needs(
    plan=planned("demo", product="plain", workers=3, makes_network=False, floating=True),
    chosen=Chosen(Image("i1", "debian-12", 0, 2), {MASTER: SMALL, WORKER: SMALL}, LAN, "n3"),
    master_user_data=12_000,
    worker_user_data=14_000,
)
ROUTE_ASKED = replace(NEEDS, chosen=replace(NEEDS.chosen, route_asked=True))


@dataclass(frozen=True)
class Cloud:
    """A cloud with these quotas and routers; it can do nothing else."""

    has: dict[str, Quota] = field(default_factory=dict)
    routed: tuple[str, ...] | None = None

    def quotas(self) -> dict[str, Quota]:
        return self.has

    def external_networks_of(self, network_id: str) -> tuple[str, ...]:
        assert network_id == "n1"
        assert self.routed is not None, "nobody was to ask for a router"
        return self.routed


def told(needs: Needs, cloud: Cloud, *, taken: ClusterError | None = None) -> Forecast:
    return forecast(needs, cast(Any, cloud), taken=taken)


def test_all_problems_are_told_at_once_each_with_its_next_step() -> None:
    tiny = replace(
        ROUTE_ASKED,
        chosen=replace(ROUTE_ASKED.chosen, image=Image("i1", "debian-12", 4096, 2)),
    )
    cloud = Cloud({demand.SERVERS: Quota(3, 1), demand.FLOATING: Quota(1, 1)}, routed=())

    found = told(tiny, cloud, taken=NameTaken("there is a cluster demo already", "Delete it."))

    whats = ["name", "flavor small", "network lan", demand.SERVERS, demand.FLOATING]
    assert [one.what for one in found.problems] == whats
    assert all(one.next_step for one in found.problems)


def test_a_create_that_cannot_fit_says_how_many_could() -> None:
    with pytest.raises(DoesNotFit) as caught:
        insist("demo", NEEDS, cast(Any, Cloud({demand.SERVERS: Quota(3, 1)})))

    assert caught.value.problem.splitlines()[:2] == [
        "demo cannot be made: 1 problem:",
        "  servers: 4 needed, 2 left (quota 3, 1 used)",
    ]
    assert "at most 1 worker; one more would be short of servers." in caught.value.next_step
    assert caught.value.exit_status == 1


def test_a_cloud_that_tells_nothing_stops_nothing() -> None:
    insist("demo", NEEDS, cast(Any, Cloud()))

    found = told(NEEDS, Cloud())
    assert {row.state for row in found.rows if row.what not in demand.FIXED} == {"unknown"}
    assert "at most 3796 workers" in found.answer


@pytest.mark.parametrize(
    ("routed", "problem"), [(("n3",), False), (("n9", "n3"), False), (("n9",), True), ((), True)]
)
def test_a_floating_ip_needs_a_router_to_the_network_that_was_named(
    routed: tuple[str, ...], problem: bool
) -> None:
    found = told(ROUTE_ASKED, Cloud(routed=routed))
    assert [one.what for one in found.problems] == ["network lan"] * problem


def test_the_routers_of_a_shared_network_may_be_hidden_from_us() -> None:
    shared = replace(ROUTE_ASKED.chosen, network=replace(LAN, shared=True))
    assert told(replace(ROUTE_ASKED, chosen=shared), Cloud()).problems == ()
