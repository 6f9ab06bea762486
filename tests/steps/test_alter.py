"""Moments of a change that no running cloud gives on demand; the rest is tests/line."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.cluster import (
    MASTER,
    ROLES,
    WORKER,
    Resource,
    Result,
    Stack,
    StackRequest,
)
from cloudmesh_cluster.model.keys import KeyPair
from cloudmesh_cluster.model.plan import Plan, planned, without
from cloudmesh_cluster.render import Scripts
from cloudmesh_cluster.steps.alter import DRAIN, Altered, AlterFailed, Goal, Order, altered
from cloudmesh_cluster.steps.apply import APPLY
from cloudmesh_cluster.steps.create import Outside
from cloudmesh_cluster.steps.verify import BYTES, SHELL

from . import test_create, test_follow
from .test_create import Clock, Progress

HOST_KEYS = ("ssh-ed25519 AAAA",)
PLAN = planned("demo", product="plain", workers=2, makes_network=False, floating=False)
BOOTING = "demo-worker2"
ADDRESSES = {name: f"10.0.0.{number}" for number, name in enumerate(PLAN.names)}
ROLE = {name: WORKER if WORKER in name else MASTER for name in PLAN.names}


@dataclass
class Heat:
    """Heat whose stack is whole; the last worker reports after ten seconds."""

    clock: Clock
    names: tuple[str, ...]
    updates: int = 0

    def status(self, stack_id: str) -> Stack:
        return Stack("s", "demo", "UPDATE_COMPLETE", updated=str(self.updates))

    def stack(self, name_or_id: str) -> Stack:
        hosts = [f"{ADDRESSES[one]} {one} {one.removeprefix('demo-')}" for one in self.names]
        outputs = {"hosts": "\n".join(hosts)}
        return Stack("s", "demo", "UPDATE_COMPLETE", outputs=outputs)

    def resources(self, stack_id: str) -> tuple[Resource, ...]:
        servers = [
            Resource(one, "OS::Nova::Server", "CREATE_COMPLETE", "", f"id-{one}", "s")
            for one in self.names
        ]
        return (*servers, test_follow.HANDLE)

    def signals(self, stack_id: str, handle: str) -> dict[str, Mapping[str, Any]]:
        return {"1": test_follow.told(BOOTING, "booted")} if self.clock.at >= 10 else {}

    def update(self, stack_id: str, request: StackRequest) -> None:
        self.names = tuple(str(request.parameters["names"]).split())
        self.updates += 1

    def events(self, stack_id: str, *, after: str = "") -> tuple[()]:
        return ()


@dataclass
class Workspace(test_create.Workspace):
    """Remembers whom the client can reach."""

    reached: tuple[str, ...] = ()

    def save_access(self, access: Access) -> None:
        self.reached = tuple(one.name for one in access.targets)

    def save_applied(self, scripts: Mapping[str, bytes]) -> None: ...


@dataclass
class Fleet:
    """Nodes that do as they are told; what ``drain`` comes to is given, and whose script fails."""

    drained: list[str] = field(default_factory=list)
    wired: tuple[str, ...] = ()
    drain: Result = field(default_factory=lambda: Result(0, ""))
    fails: str = ""

    def run(self, targets: Sequence[Any], command: Any, **options: Any) -> dict[str, Result]:
        if command == DRAIN:
            self.drained.append(options["stdin"].decode())
            return {one.name: self.drain for one in targets}
        if "/var/lib/cm-cluster/wire" in command:
            self.wired = tuple(one.name for one in targets)
        found = {one.name: self._result(one.name, command, options) for one in targets}
        for name, result in found.items():
            options.get("answered", lambda *_: None)(name, result)
        return found

    def _result(self, name: str, command: Any, options: Mapping[str, Any]) -> Result:
        if command == (*APPLY, "run") and name == self.fails:
            return Result(7, "", "role script ended with exit status 7")
        if command != SHELL:
            return Result(0, "")
        done = subprocess.run(SHELL, input=options["stdin"][name], capture_output=True, check=False)
        return Result(done.returncode, done.stdout.decode(BYTES))

    @contextmanager
    def __call__(self, access: Access) -> Iterator[Fleet]:
        yield self


def goal(plan: Plan) -> Goal:
    return Goal(plan, {role: Scripts() for role in ROLES}, (), {})


def known(*names: str) -> Access:
    """As the workspace has it."""
    return Access(
        tuple(
            Target(one, ADDRESSES[one], "debian", HOST_KEYS, role=ROLE[one], server=f"id-{one}")
            for one in names
        )
    )


def change(fleet: Fleet, workspace: Workspace, before: Plan, after: Plan) -> Altered:
    """The change, of a cluster whose last worker still boots when it begins."""
    clock = Clock()
    order = Order(
        name="demo",
        stack_id="s",
        before=goal(before),
        whole=goal(PLAN),
        after=goal(after),
        known=known("demo-master", "demo-worker1"),
        request=lambda plan, back: StackRequest(
            "demo", "", {}, {"names": " ".join(plan.names)}, (), 30
        ),
        drain=lambda names, back: f"{' '.join(names)} {'back' if back else 'leave'}",
        node_keypair=KeyPair("public", "private"),
        timeout_mins=10,
    )
    heat = Heat(clock, before.names)
    doors: Any = (heat, test_create.Compute(), workspace, fleet, clock, Progress())
    return altered(order, Outside(*doors))


def test_workers_leave_only_once_all_that_stay_can_be_reached() -> None:
    fleet, workspace = Fleet(), Workspace()

    done = change(fleet, workspace, PLAN, without(PLAN, ["demo-worker1"]))

    assert fleet.drained == ["demo-worker1 leave"]
    assert fleet.wired == ("demo-master", BOOTING)
    assert workspace.reached == ("demo-master", BOOTING)
    assert [one.name for one in done.nodes] == ["demo-master", BOOTING]


def test_a_worker_that_cannot_end_its_work_stays() -> None:
    fleet, workspace = Fleet(drain=Result(124, "")), Workspace()

    with pytest.raises(AlterFailed) as failed:
        change(fleet, workspace, PLAN, without(PLAN, ["demo-worker1"]))

    assert "demo-worker1 cannot leave: has not ended its work in the time" in str(failed.value)
    assert "The cluster is as it was" in str(failed.value)
    assert fleet.drained == ["demo-worker1 leave", "demo-worker1 back"]
    assert workspace.reached == PLAN.names


@pytest.mark.parametrize("drain", [Result(0, ""), Result(1, "", "it is dead")])
def test_a_worker_that_had_joined_leaves_as_workers_leave_when_the_change_fails(
    drain: Result,
) -> None:
    fleet, workspace = Fleet(fails=BOOTING, drain=drain), Workspace()

    with pytest.raises(AlterFailed) as failed:
        change(fleet, workspace, without(PLAN, [BOOTING]), PLAN)

    assert "demo-worker2: role script ended with exit status 7" in str(failed.value)
    assert "The cluster is as it was" in str(failed.value)
    assert fleet.drained == [f"{BOOTING} leave"]
    assert workspace.reached == ("demo-master", "demo-worker1")
