"""What is said of nodes that do not become ready, and which of them is to blame."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from cloudmesh_cluster.model.cluster import Node, Resource, Stack
from cloudmesh_cluster.model.offer import Server
from cloudmesh_cluster.steps.follow import (
    LAST_HOPE,
    SILENCE,
    BootFailed,
    NodeFailed,
    Seen,
    ServersDown,
    Watch,
    blamed,
    nodes_ready,
    plain,
    stack_made,
)
from cloudmesh_cluster.steps.wait import TimedOut

from .test_create import Clock, Progress, no_fleet

NODES = (Node("demo-master", "master", "10.0.0.1"), Node("demo-worker1", "worker", "10.0.0.2"))
HANDLE = Resource("handle", "OS::Heat::WaitConditionHandle", "CREATE_COMPLETE", "", "h", "s")


def told(node: str, phase: str, status: int = 0, reason: str = "") -> dict[str, Any]:
    return {"node": node, "phase": phase, "exit": status, "reason": reason, "login": "debian",
            "host_key": "ssh-ed25519 AAAA", "at": 1}  # fmt: skip


@dataclass(frozen=True)
class Heat:
    """Heat that has these signals."""

    signalled: tuple[Mapping[str, Any], ...]

    def signals(self, stack_id: str, handle: str) -> dict[str, Mapping[str, Any]]:
        return {str(number): one for number, one in enumerate(self.signalled)}


class Compute:
    """Consoles that end with a panic."""

    def console(self, server_id: str, lines: int = 60) -> str:
        return "booting\nKernel panic\n\n"

    def servers(self, ids: Collection[str]) -> tuple[Server, ...]:
        return ()


@dataclass
class Wired:
    """Counts how often it was told that all are wired."""

    times: int = 0

    def __call__(self) -> None:
        self.times += 1


@dataclass
class Ready:
    """One call of nodes_ready, 50 seconds at most unless told otherwise."""

    signalled: tuple[Mapping[str, Any], ...]
    compute: Compute = field(default_factory=Compute)
    deadline: float = 50
    wired: Wired = field(default_factory=Wired)
    clock: Clock = field(default_factory=Clock)
    seen: Seen = field(default_factory=lambda: Seen("s", resources=(HANDLE,), nodes=NODES))

    def wait(self) -> None:
        doors: Any = (Heat(self.signalled), self.compute)
        watch = Watch(*doors, no_fleet, self.clock, Progress(), deadline=self.deadline)
        nodes_ready(watch, self.seen, self.wired)


def all_of(*phases: str) -> tuple[dict[str, Any], ...]:
    return tuple(told(node.name, phase) for node in NODES for phase in phases)


def test_nodes_that_passed_every_phase_are_ready() -> None:
    ready = Ready(all_of("booted", "wired", "finished"))
    ready.wait()
    assert ready.wired.times == 1


def test_a_node_that_never_booted_is_blamed_and_not_those_that_waited_for_it() -> None:
    waited = told("demo-worker1", "wired", 75, "not wired in time")

    with pytest.raises(NodeFailed) as failed:
        Ready((told("demo-worker1", "booted"), waited)).wait()

    first, *_ = failed.value.problem.splitlines()
    assert first == "demo-master never reported that it has booted in the time there was"
    assert "demo-master: its console ends: Kernel panic" in failed.value.problem


def test_a_script_that_fails_ends_the_wait_at_once() -> None:
    signals = (*all_of("booted", "wired"), told("demo-worker1", "finished", 7, "role script"))

    with pytest.raises(NodeFailed, match="demo-worker1: role script ended with exit status 7"):
        Ready(signals).wait()


def test_a_script_that_does_not_end_is_named_at_the_deadline() -> None:
    signals = (*all_of("booted", "wired"), told("demo-master", "finished"))

    with pytest.raises(TimedOut, match="demo-worker1 has not ended its scripts"):
        Ready(signals).wait()


def test_signals_that_are_no_reports_are_passed_over() -> None:
    nonsense: tuple[Any, ...] = ({}, {"node": 3}, {**told("demo-master", "booted"), "exit": "x"})

    with pytest.raises(TimedOut, match="never reported that it has booted"):
        Ready(nonsense).wait()


class Off(Compute):
    """Nova, to which a worker is off."""

    def servers(self, ids: Collection[str]) -> tuple[Server, ...]:
        return (Server("w", "demo-worker1", "SHUTOFF"), Server("m", "demo-master", "ACTIVE"))


def test_a_server_that_went_off_is_not_waited_for_until_the_deadline() -> None:
    ready = Ready((), Off(), deadline=1800)

    with pytest.raises(ServersDown, match="demo-worker1: SHUTOFF") as failed:
        ready.wait()

    assert SILENCE < ready.clock.at < SILENCE + 30
    assert blamed(ready.seen, failed.value) == ("demo-worker1",)


class WithoutCloudInit(Compute):
    """Consoles of nodes whose disk was full; the words are those of Debian 12."""

    def console(self, server_id: str, lines: int = 60) -> str:
        return "booting\r\n[FAILED] Failed to start cloud-init.service …t job.\r\n[  OK  ] x"


def test_a_node_whose_cloud_init_failed_is_not_waited_for_until_the_deadline() -> None:
    ready = Ready((), WithoutCloudInit(), deadline=1800)

    with pytest.raises(BootFailed, match="demo-master: it failed to start cloud-init") as failed:
        ready.wait()

    assert LAST_HOPE <= ready.clock.at < LAST_HOPE + 30
    assert blamed(ready.seen, failed.value) == ("demo-master", "demo-worker1")


@dataclass
class Slow:
    """Heat that lists resources for four seconds and has made the stack after a minute."""

    clock: Clock
    asked: int = 0
    listed: list[float] = field(default_factory=list)

    def status(self, stack_id: str) -> Stack:
        self.asked += 1
        word = "CREATE_COMPLETE" if self.clock.at >= 60 else "CREATE_IN_PROGRESS"
        return Stack("s", "demo", word)

    def resources(self, stack_id: str) -> tuple[Resource, ...]:
        self.listed.append(self.clock.at)
        self.clock.sleep(4)
        return ()

    def stack(self, name_or_id: str) -> Stack:
        lines = "\n".join(f"{node.address} {node.name} {node.role}" for node in NODES)
        return Stack("s", "demo", "CREATE_COMPLETE", outputs={"hosts": lines})


def test_a_stack_is_asked_for_often_and_its_resources_are_where_that_takes_heat_long() -> None:
    clock = Clock()
    heat = Slow(clock)
    doors: Any = (heat, Compute())
    seen = Seen("s")

    stack_made(Watch(*doors, no_fleet, clock, Progress(), deadline=99), seen, len(NODES))

    assert [node.name for node in seen.nodes] == [node.name for node in NODES]
    assert heat.asked > 50
    assert len(heat.listed) == 4
    assert heat.listed[-1] <= 61  # what there is at the end is seen in any case


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            'ResourceInError: resources.a-master: Went to status ERROR due to "Message: No valid '
            'host was found. There are not enough hosts available., Code: 500"',
            "No valid host was found. There are not enough hosts available.",
        ),
        (
            "Forbidden: resources.a-worker1: Quota exceeded for instances (HTTP 403) "
            "(Request-ID: req-0a1b)",
            "Quota exceeded for instances",
        ),
        ("Resource CREATE failed", "Resource CREATE failed"),
    ],
)
def test_reasons_are_told_without_their_wrapping(reason: str, words: str) -> None:
    assert plain(reason) == words
