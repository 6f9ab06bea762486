"""A Python program's cluster, from its script to its end; the command sees the same one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from cloudmesh_cluster import Cluster
from cloudmesh_cluster.model.cluster import Result
from cloudmesh_cluster.model.errors import NameTaken, NoCluster, NotFound

from .conftest import Cm

pytestmark = pytest.mark.usefixtures("cloud")

SCRIPT = "echo from Python > /srv/said\n"


@pytest.fixture(scope="module")
def place(cloud: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a program whose cluster python stands while this module's tests run."""
    home = tmp_path_factory.mktemp("python")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**cloud, "HOME": str(home)}.items():
            patch.setenv(name, value)
        Cluster("python").write("worker", SCRIPT)
        Cluster.create("python", product="plain", workers=1, set={"packages": ""})
    yield home
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**cloud, "HOME": str(home)}.items():
            patch.setenv(name, value)
        Cluster("python").delete()
        with pytest.raises(NoCluster):
            Cluster("python").nodes()


@pytest.fixture
def python(
    place: Path, cloud: Mapping[str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> Cluster:
    """That cluster; ``home`` was set for this test before, and gives way."""
    for name, value in {**cloud, "HOME": str(place)}.items():
        monkeypatch.setenv(name, value)
    return Cluster("python", quiet=True)


def test_nodes_are_those_that_the_command_shows(
    python: Cluster, place: Path, cloud: Mapping[str, str]
) -> None:
    shown = Cm(place, cloud).run("cluster", "show", "python", "--format=json").json["nodes"]
    nodes = python.nodes()
    assert [one.name for one in nodes] == ["python-master", "python-worker1"]
    assert [(one["address"], one["status"]) for one in shown] == [
        (one.address, one.status) for one in nodes
    ]


def test_a_command_runs_on_the_nodes_that_are_meant(python: Cluster) -> None:
    outcomes = python.run("cat /srv/said", role="all")
    assert {node: one.exit_status for node, one in outcomes.items() if isinstance(one, Result)} == {
        "python-master": 1,
        "python-worker1": 0,
    }
    said = python.run(script=SCRIPT.replace(" > /srv/said", ""), nodes=["worker1"])
    assert [one.stdout for one in said.values() if isinstance(one, Result)] == ["from Python\n"]
    with pytest.raises(NotFound, match="python has no node"):
        python.run("true", nodes=["worker7"])


def test_verdicts_are_given_whether_they_passed_or_not(python: Cluster, place: Path) -> None:
    assert {one.node: one.passed for one in python.test()} == {
        "python-master": True,
        "python-worker1": True,
    }
    (place / "more.yaml").write_text("- role: worker\n  file: /srv/none\n")
    found = python.test(role="worker", expect=[place / "more.yaml"])
    assert [(one.node, one.passed) for one in found] == [("python-worker1", False)]


def test_a_cluster_that_is_there_is_only_verified_and_another_shape_is_refused(
    python: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Cluster.create("python", quiet=True) == python
    with pytest.raises(NameTaken, match="with 1 worker"):
        Cluster.create("python", workers=2, quiet=True)
    assert capsys.readouterr() == ("", "")


def test_a_new_script_runs_by_an_update(python: Cluster) -> None:
    python.write("worker", SCRIPT + "echo twice >> /srv/said\n")
    python.update()
    said = python.run("cat /srv/said", role="worker")
    assert [one.stdout for one in said.values() if isinstance(one, Result)] == [
        "from Python\ntwice\n"
    ]


def test_a_timeline_tells_how_long_each_node_took(python: Cluster) -> None:
    found = python.timeline()
    assert [one.node for one in found.nodes] == ["python-master", "python-worker1"]
    for one in found.nodes:
        assert 0 < one.reached["active"] <= one.reached["verified"]


def test_a_cluster_is_stopped_and_started_again(python: Cluster) -> None:
    python.stop()
    assert {one.status for one in python.nodes()} == {"SHUTOFF"}

    verdicts = python.start()

    assert {one.node: one.passed for one in verdicts} == {
        "python-master": True,
        "python-worker1": True,
    }
    assert python.start() == ()  # nothing to do
