"""Deleting a large stack, which keeps Heat busy."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from cloudmesh_cluster.model.cluster import Resource, Stack
from cloudmesh_cluster.model.errors import NoAnswer, StackNotFound
from cloudmesh_cluster.model.marks import Mark, Thing
from cloudmesh_cluster.steps.delete import STUCK, Outside, deleted

from .test_create import Clock, Progress

SERVERS = tuple(
    Resource(f"demo-worker{n}", "OS::Nova::Server", "CREATE_COMPLETE", "", f"id{n}", "s")
    for n in range(300)
)


@dataclass
class Busy:
    """Heat that takes five minutes to delete, and has no time to list resources meanwhile."""

    clock: Clock
    listed: list[float] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)

    def status(self, stack_id: str) -> Stack:
        if self.clock.at > 300:
            raise StackNotFound("gone")
        return Stack("s", "demo", "DELETE_IN_PROGRESS")

    def resources(self, stack_id: str) -> tuple[Resource, ...]:
        self.listed.append(self.clock.at)
        if self.asked:
            self.clock.sleep(10)
            raise NoAnswer("Internal Error")
        return SERVERS

    def delete(self, stack_id: str) -> None:
        self.asked.append(self.clock.at)


@dataclass
class Compute:
    """Nothing is left; what was asked after is kept."""

    ids: set[str] = field(default_factory=set)

    def left(self, ids: Collection[str]) -> list[str]:
        self.ids |= set(ids)
        return []

    def things(self) -> tuple[()]:
        return ()


def test_a_heat_that_has_no_time_for_lists_goes_on_deleting_and_is_seldom_asked_for_them() -> None:
    heat, compute = Busy(Clock()), Compute()
    doors: Any = (heat, compute)

    deleted("s", Outside(*doors, heat.clock, Progress()))

    assert len(heat.asked) == 1
    assert len(heat.listed) < 10
    assert compute.ids == {"s", *(one.physical_id for one in SERVERS)}


@dataclass
class Killed(Busy):
    """Heat that was killed right after it was asked, and goes on when it is asked again."""

    def status(self, stack_id: str) -> Stack:
        if len(self.asked) > 1:
            raise StackNotFound("gone")
        return Stack("s", "demo", "DELETE_IN_PROGRESS")

    def resources(self, stack_id: str) -> tuple[Resource, ...]:
        return SERVERS


def test_a_heat_that_makes_no_step_any_more_is_asked_again() -> None:
    heat = Killed(Clock())
    doors: Any = (heat, Compute())

    deleted("s", Outside(*doors, heat.clock, Progress()))

    first, again = heat.asked
    assert STUCK <= again - first < 2 * STUCK


@dataclass
class Forgetful:
    """Heat that forgot a server, whose port keeps the security group from going."""

    compute: Holding
    asked: int = 0

    def status(self, stack_id: str) -> Stack:
        if self.asked and not self.compute.held:
            raise StackNotFound("gone")
        return Stack("s", "demo", "DELETE_FAILED")

    def resources(self, stack_id: str) -> tuple[Resource, ...]:
        kind = "OS::Neutron::SecurityGroup"
        return (Resource("security_group", kind, "DELETE_FAILED", "in use", "g1", "s"),)

    def delete(self, stack_id: str) -> None:
        self.asked += 1


@dataclass
class Holding(Compute):
    """The server that Heat forgot, and what Heat knows."""

    held: list[Thing] = field(
        default_factory=lambda: [
            Thing("server", "id1", "demo-worker1", Mark("demo", "s")),
            Thing("security group", "g1", "", Mark("demo", "s")),
        ]
    )
    removals: list[str] = field(default_factory=list)

    def things(self) -> tuple[Thing, ...]:  # type: ignore[override]
        return tuple(self.held)

    def remove(self, one: Thing, networks: Collection[str]) -> None:
        self.removals.append(one.id)
        self.held.clear()


def test_a_server_that_heat_forgot_does_not_keep_the_stack_from_going() -> None:
    compute = Holding()
    doors: Any = (Forgetful(compute), compute)

    deleted("s", Outside(*doors, Clock(), Progress()))

    assert compute.removals == ["id1"]
