"""A node that cannot be reached, and what the cloud knows of its server."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.cluster import Result
from cloudmesh_cluster.model.errors import CloudError, ClusterError, NoCluster, NodeError
from cloudmesh_cluster.model.names import Outcome, cause
from cloudmesh_cluster.shell import finding, reaching
from cloudmesh_cluster.shell.environment import Environment

NAMES = ("demo-master", "demo-worker1", "demo-worker2")
ACCESS = Access(tuple(Target(name, "192.0.2.1", "root", ("key",)) for name in NAMES))


@dataclass
class Ssh:
    """Nodes of which some cannot be reached, each with its trouble."""

    troubles: Mapping[str, NodeError]

    def __enter__(self) -> Ssh:
        return self

    def __exit__(self, *_: object) -> None: ...

    def run(
        self,
        targets: Iterable[Target],
        command: str | tuple[str, ...],
        *,
        answered: Callable[[str, Outcome], None],
        **_: Any,
    ) -> dict[str, Outcome]:
        found = {one.name: self.troubles.get(one.name, Result(0, "")) for one in targets}
        for name, outcome in found.items():
            answered(name, outcome)
        return found


@dataclass
class Nova:
    """What the cloud says of the servers, and how often it was asked."""

    says: Mapping[str, str] | ClusterError
    asked: list[str] = field(default_factory=list)

    def servers(self, name: str, environment: Environment) -> Mapping[str, str]:
        self.asked.append(name)
        if isinstance(self.says, ClusterError):
            raise self.says
        return self.says


def unreached(name: str, code: str = codes.SSH_UNREACHABLE) -> NodeError:
    return NodeError(f"{name}: no route to host", code=code)


def outcomes(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    troubles: Mapping[str, NodeError],
    nova: Nova,
    *,
    up: bool = True,
) -> dict[str, Outcome]:
    """What a command came to; what was told on the way is the same."""
    monkeypatch.setattr(finding, "servers", nova.servers)
    monkeypatch.setattr(Environment, "fleet", lambda *_: Ssh(troubles))
    monkeypatch.setattr(Environment, "cloud_at_hand", lambda *_: "cloud" if up else None)
    streams = io.BytesIO(), io.StringIO(), io.StringIO()
    told: dict[str, Outcome] = {}
    with reaching.fleet("demo", ACCESS, Environment({}, tmp_path, *streams)) as fleet:
        found = fleet.run(ACCESS.targets, "true", timeout=1, answered=told.__setitem__)
    assert found == told
    assert list(found) == list(NAMES)
    return found


def test_nodes_that_answer_are_no_question_for_the_cloud(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nova = Nova({})
    outcomes(monkeypatch, tmp_path, {}, nova)
    assert nova.asked == []


def test_a_stopped_cluster_is_told_with_what_starts_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nova = Nova(dict.fromkeys(NAMES, "SHUTOFF"))

    with pytest.raises(ClusterError) as caught:
        outcomes(monkeypatch, tmp_path, {one: unreached(one) for one in NAMES}, nova)

    assert str(caught.value) == (
        "demo is stopped: all its servers are SHUTOFF\nStart it: cm cluster start demo"
    )
    assert caught.value.code == codes.STOPPED


def test_each_unreached_node_tells_how_its_server_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nova = Nova({"demo-master": "ACTIVE", "demo-worker1": "SHUTOFF", "demo-worker2": "gone"})

    found = outcomes(monkeypatch, tmp_path, {one: unreached(one) for one in NAMES}, nova)

    troubles = {name: one for name, one in found.items() if isinstance(one, NodeError)}
    assert [(cause(name, one), one.code) for name, one in troubles.items()] == [
        ("no route to host", codes.SSH_UNREACHABLE),
        ("its server is SHUTOFF: cm cluster start demo", codes.STOPPED),
        ("its server is gone: cm cluster repair demo", codes.NODE_GONE),
    ]
    assert nova.asked == ["demo"]


def test_another_host_key_stays_what_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    trouble = unreached("demo-master", codes.HOST_KEY)
    nova = Nova(dict.fromkeys(NAMES, "SHUTOFF"))

    found = outcomes(monkeypatch, tmp_path, {"demo-master": trouble}, nova)

    assert found["demo-master"] is trouble
    assert nova.asked == []


@pytest.mark.parametrize("up", [True, False], ids=["silent", "down"])
def test_a_cloud_that_cannot_be_asked_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, up: bool
) -> None:
    trouble = unreached("demo-master")
    nova = Nova(CloudError("server list: no answer"))

    found = outcomes(monkeypatch, tmp_path, {"demo-master": trouble}, nova, up=up)

    assert found["demo-master"] is trouble
    assert nova.asked == (["demo"] if up else [])


def test_a_cluster_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nova = Nova(NoCluster("there is no cluster demo on cloud local"))

    with pytest.raises(NoCluster):
        outcomes(monkeypatch, tmp_path, {"demo-master": unreached("demo-master")}, nova)
