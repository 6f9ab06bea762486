"""Cluster, the Python API, where it needs no cloud: what it takes, raises and says."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from cloudmesh_cluster import Cluster, ClusterError, api
from cloudmesh_cluster.model.errors import ExitStatus, NoCloud, UsageError
from cloudmesh_cluster.shell.arguments import verbs
from cloudmesh_cluster.steps.create import CreateFailed


def test_the_package_alone_loads_neither_the_api_nor_its_libraries() -> None:
    code = "import sys, cloudmesh_cluster; print([n for n in sys.modules if 'cloudmesh' in n])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "['cloudmesh_cluster']\n"


def test_what_the_package_does_not_have_is_an_attribute_error() -> None:
    import cloudmesh_cluster

    with pytest.raises(AttributeError, match="Clutser"):
        _ = cloudmesh_cluster.Clutser


@pytest.mark.parametrize("name", ["create", "update", "stop", "start", "delete", "timeline"])
def test_a_method_takes_the_options_of_the_command(name: str) -> None:
    of_answers = {"--dry-run", "--format", "--svg"}
    options = set(verbs()[f"cluster {name}"].options) - of_answers
    keywords = inspect.signature(getattr(Cluster, name)).parameters.keys()
    assert keywords - {"self", "name", "quiet"} == {
        one.removeprefix("--").replace("-", "_") for one in options
    }


def test_a_script_is_kept_as_the_command_keeps_it(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Cluster("demo").write("worker", b"echo \xc3\xa4\r\n")
    assert kept == home / ".cloudmesh" / "cluster" / "demo" / "scripts" / "worker"
    assert kept.read_bytes() == b"echo \xc3\xa4\r\n"
    assert "9 bytes for demo's worker role" in capsys.readouterr().err

    assert Cluster("demo", quiet=True).write("worker", kept).read_bytes() == kept.read_bytes()
    assert capsys.readouterr() == ("", "")


def test_what_cannot_be_kept_is_a_usage_error(home: Path) -> None:
    with pytest.raises(UsageError, match="script is empty"):
        Cluster("demo").write("worker", " \n")
    with pytest.raises(UsageError, match="did you mean worker"):
        Cluster("demo").write("wroker", "echo")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="cannot be a cluster's name"):
        Cluster("../demo").write("worker", "echo")
    with pytest.raises(UsageError, match="there is no such file"):
        Cluster("demo").write("worker", home / "none")
    assert not (home / ".cloudmesh").exists()


def test_run_takes_a_command_or_a_script() -> None:
    for given in ({}, {"command": "true", "script": "true"}):
        with pytest.raises(UsageError, match="one of them"):
            Cluster("demo").run(**given)  # type: ignore[arg-type]


def test_without_a_cloud_there_are_no_nodes() -> None:
    with pytest.raises(NoCloud):
        Cluster("demo").nodes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 0}, "workers takes a whole number"),
        ({"product": "slrum"}, "did you mean slurm"),
        ({"file": "none.yaml"}, "there is no such file"),
    ],
    ids=["workers", "product", "file"],
)
def test_create_tells_what_it_cannot_take(options: dict[str, object], words: str) -> None:
    with pytest.raises(ClusterError, match=words):
        Cluster.create("demo", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "raised"),
    [(ExitStatus.INTERRUPTED, KeyboardInterrupt), (ExitStatus.FAILED, CreateFailed)],
    ids=["interrupted", "failed"],
)
def test_an_interrupted_create_ends_as_ctrl_c_does(
    status: ExitStatus, raised: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise CreateFailed("interrupted while creating demo", "It is gone.", status)

    monkeypatch.setattr(api, "created", fails)
    with pytest.raises(raised, match="It is gone"):
        Cluster.create("demo")
