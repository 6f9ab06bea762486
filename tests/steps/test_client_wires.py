"""A create in which no node sees all others, so that the client wires them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.cluster import ROLES, Resource, Result, Stack, StackRequest
from cloudmesh_cluster.model.names import Outcome
from cloudmesh_cluster.render import Scripts
from cloudmesh_cluster.steps import follow
from cloudmesh_cluster.steps.create import Created, CreateFailed, Outside, Rescue, create

from .test_create import ORDER, Clock, Progress, Workspace
from .test_create import Compute as Services
from .test_follow import told

NAMES = ("demo-master", "demo-worker1", "demo-worker2")
HOSTS = "".join(f"10.0.0.{place} {name} {name[5:]}\n" for place, name in enumerate(NAMES))
LARGE = replace(
    ORDER,
    servers=3,
    wired_by_client=True,
    scripts={role: Scripts(role=b"echo " + role.encode()) for role in ROLES},
)


@dataclass
class Nodes:
    """Nodes that do what they are told, and what they were told, in order."""

    troubles: Mapping[str, Mapping[str, Outcome]] = field(default_factory=dict)  # by what, node
    did: list[str] = field(default_factory=list)
    took: dict[str, bytes | Mapping[str, bytes]] = field(default_factory=dict)

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
        words = " ".join(command) if isinstance(command, tuple) else command
        known = ("accept", "use", "drop", "prepare 2", "/wire")
        what = next((one for one in known if words.endswith(one)), "logs")
        self.did.append(what)
        self.took[what] = stdin
        troubles = self.troubles.get(what, {})
        return {one.name: troubles.get(one.name, Result(0, "", "")) for one in targets}


@dataclass
class Heat:
    """Heat that has made all nodes, which wait to be wired by somebody."""

    nodes: Nodes
    gone: bool = False

    def create(self, request: StackRequest) -> str:
        return "s1"

    def stack(self, name_or_id: str) -> Stack:
        return Stack("s1", "demo", "CREATE_COMPLETE", outputs={"hosts": HOSTS})

    def status(self, stack_id: str) -> Stack:
        return Stack("s1", "demo", "DELETE_COMPLETE" if self.gone else "CREATE_COMPLETE")

    def resources(self, stack_id: str) -> tuple[Resource, ...]:
        made = "CREATE_COMPLETE"
        return (
            Resource("handle", "OS::Heat::WaitConditionHandle", made, "", "h", "s1"),
            *(Resource(name, "OS::Nova::Server", made, "", "server-1", "s1") for name in NAMES),
        )

    def signals(self, stack_id: str, handle: str) -> Mapping[str, Mapping[str, Any]]:
        phases = ("booted", "wired", "finished") if "/wire" in self.nodes.did else ("booted",)
        return {f"{name}.{one}": told(name, one) for name in NAMES for one in phases}

    def events(self, stack_id: str, *, after: str = "") -> tuple[()]:
        return ()

    def delete(self, stack_id: str) -> None:
        self.gone = True


class Folder(Workspace):
    """A workspace that keeps the roles' scripts, too."""

    def save_applied(self, scripts: Mapping[str, bytes]) -> None:
        self.saved.append("applied")


@pytest.fixture(autouse=True)
def no_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verification is told elsewhere."""
    monkeypatch.setattr("cloudmesh_cluster.steps.create.verdicts_of", lambda *_, **__: ())


def made(nodes: Nodes, rescue: Rescue | None = None) -> Created:
    """What create gives."""

    @contextmanager
    def connects(access: Access) -> Iterator[Nodes]:
        yield nodes

    doors: Any = (Heat(nodes), Services(), Folder(saved=[]), connects, Clock(), Progress())
    return create(LARGE, Outside(*doors), rescue)


def test_the_client_brings_keys_and_scripts_before_the_nodes_may_run_them() -> None:
    nodes = Nodes()

    found = made(nodes)

    assert nodes.did == ["accept", "use", "drop", "prepare 2", "/wire"]
    assert list(found.stages) == ["stack", "booted", "wired", "finished", "verified"]
    packed = nodes.took["prepare 2"]
    assert isinstance(packed, Mapping)
    assert packed["demo-worker1"] == LARGE.scripts["worker"].packed()
    assert b"10.0.0.2 demo-worker2 worker2" in bytes(str(nodes.took["/wire"]), "ascii")


def test_a_node_that_cannot_be_wired_is_told_and_all_is_taken_back() -> None:
    deaf = Nodes({"/wire": {"demo-worker2": Result(1, "", "no space left")}})

    with pytest.raises(CreateFailed, match="demo-worker2: no space left") as caught:
        made(deaf)

    assert "The stack has been deleted" in caught.value.next_step


def test_whoever_rescues_the_others_is_told_which_nodes_could_not_be_wired() -> None:
    deaf = Nodes({"/wire": {"demo-worker2": Result(1, "", "no space left")}})
    blamed: list[tuple[str, ...]] = []

    def rescue(seen: follow.Seen, failed: Any) -> None:
        blamed.append(tuple(failed))

    with pytest.raises(CreateFailed):
        made(deaf, rescue)

    assert blamed == [("demo-worker2",)]
