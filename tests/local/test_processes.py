"""Processes are known by their mark and start time, and mounts are never deleted through."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloudmesh_cluster.local import mounts, processes
from cloudmesh_cluster.model.errors import CloudError

CLOUD = f"cm-test-{os.getpid()}"
pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that bears the mark of a cloud."""
    with subprocess.Popen(["sleep", "60"], env={processes.MARK: CLOUD, "PATH": "/bin"}) as process:
        yield process
        process.kill()


def test_a_clouds_processes_are_found_by_their_mark(sleeper: subprocess.Popen[bytes]) -> None:
    assert [one.pid for one in processes.processes(CLOUD)] == [sleeper.pid]
    assert processes.processes("cm-another") == ()


def test_a_pid_that_now_belongs_to_another_is_not_ours(sleeper: subprocess.Popen[bytes]) -> None:
    (ours,) = processes.processes(CLOUD)
    assert processes.still_there(ours)
    assert not processes.still_there(replace(ours, started="1"))
    processes.end([replace(ours, started="1")])
    assert sleeper.poll() is None


def test_ending_a_process_waits_until_it_is_gone(sleeper: subprocess.Popen[bytes]) -> None:
    processes.end(processes.processes(CLOUD), patience=5)
    assert processes.processes(CLOUD) == ()
    assert sleeper.wait() == -15


def test_a_failing_command_is_told_in_its_own_words() -> None:
    with pytest.raises(CloudError, match=r"ended with status 3:\nno such luck"):
        processes.run("sh", "-c", "echo no such luck >&2; exit 3")


def test_mounts_below_a_folder_are_listed_deepest_first() -> None:
    table = "o /a/b overlay rw 0 0\nt /a/b/c\\040d tmpfs rw 0 0\np /ab proc rw 0 0\n"
    assert mounts.below(Path("/a"), table) == ("/a/b/c d", "/a/b")


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    with pytest.raises(CloudError, match="symbolic link"):
        mounts.remove(tmp_path / "link")
    assert (tmp_path / "kept").is_dir()


def test_what_is_not_there_needs_no_removal(tmp_path: Path) -> None:
    mounts.remove(tmp_path / "nothing")


@pytest.mark.cloud
def test_nothing_is_deleted_through_a_mount(tmp_path: Path) -> None:
    place, other = tmp_path / "state", tmp_path / "other"
    (place / "node").mkdir(parents=True)
    other.mkdir()
    (other / "precious").write_text("data")
    processes.run("mount", "--bind", other, place / "node")
    try:
        with pytest.raises(CloudError, match="still mounted"):
            mounts.remove(place)
        assert (other / "precious").read_text() == "data"
        mounts.unmount_below(place)
        mounts.remove(place)
        assert not place.exists()
        assert (other / "precious").read_text() == "data"
    finally:
        mounts.unmount_below(place)
