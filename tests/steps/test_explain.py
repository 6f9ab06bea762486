"""Looking at a cluster whose nodes need not, or cannot, be asked; the rest is tests/line."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from cloudmesh_cluster.model.causes import cause
from cloudmesh_cluster.model.cluster import Resource, Stack
from cloudmesh_cluster.model.offer import Server
from cloudmesh_cluster.steps.explain import Outside, facts

NAMES = ("demo-master", "demo-worker1")


@dataclass
class Cloud:
    """A stack's servers by Nova's status; one that is gone has none."""

    states: Mapping[str, str]

    def resources(self, stack_id: str) -> tuple[Resource, ...]:
        return tuple(
            Resource(name, "OS::Nova::Server", "CREATE_COMPLETE", "", f"id-{name}", stack_id)
            for name in NAMES
        )

    def servers(self, ids: Collection[str]) -> tuple[Server, ...]:
        assert set(ids) == {f"id-{name}" for name in NAMES}
        return tuple(
            Server(f"id-{name}", name, status, fault="it broke" if status == "ERROR" else "")
            for name, status in self.states.items()
        )


class Progress:
    """Nobody listens."""

    def stage(self, name: str, done: int = 0, total: int = 0) -> None: ...

    def note(self, line: str) -> None: ...


def nobody(*_: Any) -> Any:
    raise AssertionError("no node was to be asked")


def found(states: Mapping[str, str], status: str = "CREATE_COMPLETE", access: Any = None) -> Any:
    """The cause that is found."""
    cloud: Any = Cloud(states)
    clock: Any = None
    outside = Outside(cloud, cloud, nobody, clock, Progress())
    return cause(facts(Stack("s", "demo", status), access, nobody, outside))


UP = dict.fromkeys(NAMES, "ACTIVE")


@pytest.mark.parametrize(
    ("states", "status", "code", "verdict"),
    [
        (UP, "CREATE_IN_PROGRESS", "busy", "demo: "),
        (UP, "CREATE_COMPLETE", "no-key", "demo: "),
        ({**UP, "demo-worker1": "SHUTOFF"}, "CREATE_COMPLETE", "stopped", "demo-worker1: "),
        ({**UP, "demo-master": "ERROR"}, "UPDATE_COMPLETE", "server-error", "demo-master: "),
        ({"demo-master": "ACTIVE"}, "CREATE_COMPLETE", "node-gone", "demo-worker1: "),
    ],
    ids=["busy", "no key", "stopped", "error", "gone"],
)
def test_what_the_cloud_tells_needs_no_node(
    states: Mapping[str, str], status: str, code: str, verdict: str
) -> None:
    told = found(states, status)

    assert told.code == code
    assert told.verdict.startswith(verdict)


def test_novas_words_are_the_evidence() -> None:
    assert "demo-master: Nova: it broke" in found({**UP, "demo-master": "ERROR"}).evidence
