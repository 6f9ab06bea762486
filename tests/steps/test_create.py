"""Create's worst moments that no running cloud gives on demand; the rest is tests/line."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from cloudmesh_cluster.model.access import Access
from cloudmesh_cluster.model.cluster import MASTER, WORKER, Event, Resource, Stack, StackRequest
from cloudmesh_cluster.model.demand import SERVERS, Needs, Quota
from cloudmesh_cluster.model.errors import (
    ClusterError,
    ExitStatus,
    NameTaken,
    NoAnswer,
    StackNotFound,
)
from cloudmesh_cluster.model.keys import KeyPair
from cloudmesh_cluster.model.marks import Mark, Thing
from cloudmesh_cluster.model.offer import Chosen, Flavor, Image
from cloudmesh_cluster.model.plan import planned
from cloudmesh_cluster.steps.create import CreateFailed, Order, Outside, create
from cloudmesh_cluster.steps.preflight import DoesNotFit

SERVER = Resource(
    "demo-master", "OS::Nova::Server", "CREATE_FAILED", "No valid host", "server-1", "s1"
)
FAILED = Stack("s1", "demo", "CREATE_FAILED", "Resource CREATE failed")
ORDER = Order(
    request=StackRequest("demo", "", {}, {}, ("cm-cluster", "cm-cluster-id=1"), 30),
    unique_tag="cm-cluster-id=1",
    servers=2,
    keypair=KeyPair("public", "private"),
    node_keypair=KeyPair("public", "private"),
    checks=(),
    late_scripts={},
    told={},
)

SMALL = Flavor("f1", "small", 512, 1, 4)
NEEDS = Needs(
    plan=planned("demo", product="plain", workers=1, makes_network=False, floating=False),
    chosen=Chosen(Image("i1", "debian-12", 0, 2), {MASTER: SMALL, WORKER: SMALL}),
    master_user_data=0,
    worker_user_data=0,
)


@dataclass
class Clock:
    """Time that passes only by sleeping."""

    at: float = 0.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += max(seconds, 0.01)


@dataclass
class Heat:
    """Heat whose stack has failed; what else it does is given, and anything else raises."""

    creates: Callable[[], str] = lambda: "s1"
    looks: Callable[[], Stack] = lambda: FAILED
    listed: tuple[Stack, ...] = ()
    counts: Callable[[], tuple[Resource, ...]] = lambda: (SERVER,)
    deletes: list[str] = field(default_factory=list)
    fate: str = ""  # how a deletion ends; empty: the stack is gone

    def create(self, request: StackRequest) -> str:
        return self.creates()

    def status(self, stack_id: str) -> Stack:
        if not self.deletes:
            return self.looks()
        if not self.fate:
            raise StackNotFound("gone")
        return replace(FAILED, status=self.fate)

    def stacks(self, *, tags: str | None = None) -> tuple[Stack, ...]:
        assert tags == ORDER.unique_tag
        return self.listed

    def resources(self, stack_id: str) -> tuple[Resource, ...]:
        return self.counts()

    def events(self, stack_id: str, *, after: str = "") -> tuple[Event, ...]:
        return ()

    def delete(self, stack_id: str) -> None:
        self.deletes.append(stack_id)

    def stack(self, name_or_id: str) -> Stack:
        raise NotImplementedError

    def signals(self, stack_id: str, handle: str) -> Mapping[str, Mapping[str, Any]]:
        raise NotImplementedError


@dataclass
class Compute:
    """The cloud's other services."""

    leaves: tuple[str, ...] = ()
    has: Mapping[str, Quota] | None = None
    strays: tuple[Thing, ...] = ()
    removed: list[str] = field(default_factory=list)

    def servers(self, ids: Collection[str]) -> tuple[()]:
        return ()

    def console(self, server_id: str, lines: int = 60) -> str:
        return "the console"

    def left(self, ids: Collection[str]) -> tuple[str, ...]:
        assert "server-1" in ids
        return self.leaves

    def things(self) -> tuple[Thing, ...]:
        return tuple(one for one in self.strays if one.id not in self.removed)

    def remove(self, thing: Thing, networks: Collection[str]) -> None:
        self.removed.append(thing.id)

    def images(self) -> tuple[()]:
        raise NotImplementedError

    def flavors(self) -> tuple[()]:
        raise NotImplementedError

    def networks(self) -> tuple[()]:
        raise NotImplementedError

    def external_network_of(self, network_id: str) -> str | None:
        raise NotImplementedError

    def external_networks_of(self, network_id: str) -> tuple[()]:
        raise NotImplementedError

    def quotas(self) -> Mapping[str, Quota]:
        assert self.has is not None, "nobody was to ask for quotas"
        return self.has


@dataclass
class Workspace:
    """A folder that is remembered, not written."""

    folder: Path = Path("/nowhere")
    record: Mapping[str, str] = field(default_factory=dict)
    forgotten: bool = False
    full: bool = False
    saved: list[str] = field(default_factory=list)

    def save_keypair(self, keypair: KeyPair) -> None:
        self.saved.append("keypair")

    def save_order(self, order: Mapping[str, Any]) -> None:
        self.saved.append("order")

    def save_access(self, access: Access) -> None: ...

    def timeline(self) -> str:
        return ""

    def save_timeline(self, timeline: str) -> None:
        self.saved.append("timeline")

    def save_record(self, parts: Mapping[str, str]) -> Path:
        if self.full:
            raise ClusterError("no space left on device")
        self.record = parts
        return self.folder / "records" / "1"

    def forget(self) -> None:
        self.forgotten = True


class Progress:
    """Nobody listens."""

    def stage(self, name: str, done: int = 0, total: int = 0) -> None: ...

    def note(self, line: str) -> None: ...


def no_fleet(access: Access) -> Any:
    raise AssertionError("no node was to be called")


def outcome(
    heat: Heat,
    *,
    compute: Compute | None = None,
    workspace: Workspace | None = None,
    order: Order = ORDER,
) -> BaseException:
    """What create raises."""
    outside = Outside(
        heat, compute or Compute(), workspace or Workspace(), no_fleet, Clock(), Progress()
    )
    with pytest.raises(BaseException) as raised:  # noqa: PT011  KeyboardInterrupt is one
        create(order, outside)
    return raised.value


def raising(error: BaseException) -> Callable[[], Any]:
    """A function that raises it."""

    def raises() -> Any:
        raise error

    return raises


def test_a_failed_stack_is_recorded_and_deleted() -> None:
    heat, workspace = Heat(), Workspace()

    error = outcome(heat, workspace=workspace)

    assert isinstance(error, CreateFailed)
    assert error.problem == "stack demo ended CREATE_FAILED\ndemo-master: No valid host"
    assert "The stack has been deleted" in error.next_step
    assert heat.deletes == ["s1"]
    assert workspace.forgotten
    assert workspace.record["demo-master/console.log"] == "the console"
    kept = json.loads(workspace.record["error.json"])
    assert (error.code, kept["code"], kept["exit_status"]) == ("no-valid-host", "no-valid-host", 1)
    assert error.more == "cm cluster explain demo"


def test_a_cluster_that_cannot_fit_touches_nothing() -> None:
    heat = Heat(creates=raising(AssertionError("Heat was asked")))
    workspace = Workspace(saved=[])
    compute = Compute(has={SERVERS: Quota(1)})

    error = outcome(heat, compute=compute, workspace=workspace, order=replace(ORDER, needs=NEEDS))

    assert isinstance(error, DoesNotFit)
    assert "servers: 2 needed, 1 left" in error.problem
    assert (workspace.saved, workspace.forgotten, workspace.record) == ([], False, {})


def test_a_cluster_that_fits_is_asked_for() -> None:
    heat, compute = Heat(), Compute(has={SERVERS: Quota(2)})

    error = outcome(heat, compute=compute, order=replace(ORDER, needs=NEEDS))

    assert isinstance(error, CreateFailed)
    assert heat.deletes == ["s1"]


def test_what_heat_has_forgotten_is_removed_by_its_mark() -> None:
    mine, other = Thing("server", "s8", "", Mark("demo", "s1")), Thing("server", "s9", "", None)
    compute = Compute(strays=(mine, other))

    error = outcome(Heat(), compute=compute)

    assert isinstance(error, CreateFailed)
    assert "The stack has been deleted" in error.next_step
    assert compute.removed == ["s8"]


def test_a_name_that_is_taken_is_never_deleted() -> None:
    heat = Heat(creates=raising(NameTaken("demo exists")))

    assert isinstance(outcome(heat), NameTaken)
    assert heat.deletes == []


def test_a_lost_reply_is_looked_up_by_its_tag() -> None:
    heat = Heat(creates=raising(NoAnswer("lost")), listed=(FAILED,))

    error = outcome(heat)

    assert heat.deletes == ["s1"]
    assert "ended CREATE_FAILED" in str(error)


def test_a_lost_reply_without_a_stack_made_nothing() -> None:
    heat = Heat(creates=raising(NoAnswer("Heat does not answer")))

    error = outcome(heat)

    assert heat.deletes == []
    assert "Nothing was made" in str(error)


def test_an_interruption_of_the_request_itself_finds_the_stack_it_made() -> None:
    heat = Heat(creates=raising(KeyboardInterrupt()), listed=(FAILED,))

    error = outcome(heat)

    assert isinstance(error, CreateFailed)
    assert error.exit_status == ExitStatus.INTERRUPTED
    assert heat.deletes == ["s1"]


def test_a_bug_of_ours_rolls_back_too() -> None:
    heat = Heat(looks=raising(ZeroDivisionError("oops")))

    assert isinstance(outcome(heat), ZeroDivisionError)
    assert heat.deletes == ["s1"]


def test_a_full_disk_does_not_keep_us_from_rolling_back() -> None:
    heat = Heat()

    error = outcome(heat, workspace=Workspace(full=True))

    assert heat.deletes == ["s1"]
    assert "there is no record: no space left" in str(error)
    assert isinstance(error, CreateFailed)
    assert (error.code, error.more) == ("no-valid-host", "")


def test_a_deletion_that_fails_is_tried_again_and_then_named() -> None:
    heat = Heat(fate="DELETE_FAILED")

    error = outcome(heat)

    assert heat.deletes == ["s1"] * 3
    assert "demo-master: CREATE_FAILED No valid host" in str(error)
    assert "cm cluster delete demo" in str(error)


def test_what_the_stack_leaves_behind_is_named() -> None:
    error = outcome(Heat(), compute=Compute(leaves=("port p1",)))

    assert "there is left: port p1" in str(error)


def test_a_heat_that_falls_silent_for_long_ends_the_create() -> None:
    heat = Heat(looks=raising(NoAnswer("connection refused")))

    error = outcome(heat)

    assert "Heat has not answered for 120 s: connection refused" in str(error)


def test_a_second_interruption_before_heat_was_asked_still_asks_it() -> None:
    looked = 0

    def interrupted_when_deleting() -> tuple[Resource, ...]:
        nonlocal looked
        looked += 1  # the follower looks first, the record next, the deletion third
        if looked == 3:
            raise KeyboardInterrupt
        return (SERVER,)

    heat = Heat(counts=interrupted_when_deleting)

    error = outcome(heat)

    assert heat.deletes == ["s1"]
    assert "Interrupted again" in str(error)
