"""The order in which the nodes change over to another keypair; the nodes' side is tests/line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import pytest

from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.cluster import Result
from cloudmesh_cluster.model.errors import NodeError
from cloudmesh_cluster.model.keys import KeyPair
from cloudmesh_cluster.model.names import Outcome
from cloudmesh_cluster.steps.rekey import rekeyed

ACCESS = Access(tuple(Target(f"demo-{one}", "", "debian", ()) for one in ("master", "worker1")))
KEYS = KeyPair("public", "the private one")


@dataclass
class Fleet:
    """Nodes that do what they are told, but for the troubles given by phase and node."""

    troubles: Mapping[tuple[str, str], Outcome] = field(default_factory=dict)
    phases: list[str] = field(default_factory=list)

    def run(
        self,
        targets: Iterable[Target],
        command: str | tuple[str, ...],
        *,
        stdin: bytes | Mapping[str, bytes] = b"",
        timeout: float,
        answered: Callable[[str, Outcome], None] | None = None,
        encoding: str = "utf-8",
    ) -> dict[str, Outcome]:
        assert "private one" not in str(command)
        phase = command[-1]
        assert stdin == (b"the private one" if phase == "accept" else b"")
        self.phases.append(phase)
        done = Result(0, "")
        return {one.name: self.troubles.get((phase, one.name), done) for one in targets}


class Progress:
    """Nobody listens."""

    def stage(self, name: str, done: int = 0, total: int = 0) -> None: ...

    def note(self, line: str) -> None: ...


def test_no_node_uses_a_key_before_all_take_it_and_none_drops_one_that_is_used() -> None:
    fleet = Fleet()

    rekeyed(ACCESS, fleet, KEYS, Progress())

    assert fleet.phases == ["accept", "use", "drop"]


def test_a_node_that_does_not_take_the_key_stops_all_before_they_change_over() -> None:
    fleet = Fleet(
        {
            ("accept", "demo-master"): Result(1, "", "No space left on device\n"),
            ("accept", "demo-worker1"): NodeError("demo-worker1: connection refused"),
        }
    )

    with pytest.raises(NodeError) as raised:
        rekeyed(ACCESS, fleet, KEYS, Progress())

    assert fleet.phases == ["accept"]
    assert raised.value.problem.splitlines() == [
        "demo-master did not accept the nodes' new key: No space left on device",
        "demo-worker1: connection refused",
    ]
    assert raised.value.code == "ssh-unreachable"
