"""Records: one private file each, read without trust, the newest kept."""

from __future__ import annotations

import io
import stat
import tarfile
from pathlib import Path

import pytest

from cloudmesh_cluster.doors import records
from cloudmesh_cluster.doors.workspace import RECORDS, Workspace
from cloudmesh_cluster.model.errors import ClusterError, NotFound
from cloudmesh_cluster.model.keys import KeyPair

KEY = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5\n"
    "-----END OPENSSH PRIVATE KEY-----\n"
)
PARTS = {"error.txt": "oops\n", "demo-master/console.log": "login:\x1b é\n", "a.json": "[]\n"}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A cluster's folder."""
    return Workspace(tmp_path / "demo")


def test_a_record_is_one_private_file_that_reads_back(workspace: Workspace) -> None:
    file = workspace.save_record(PARTS)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert workspace.newest_record() == file
    assert workspace.read_record(file) == PARTS
    with tarfile.open(file) as archive:
        folder = f"demo-{file.name.removesuffix('.tar.gz')}"
        assert archive.getnames() == [f"{folder}/{name}" for name in PARTS]


def test_no_secret_is_in_a_record(workspace: Workspace) -> None:
    workspace.save_keypair(KeyPair("public", KEY))

    file = workspace.save_record({"n/node.log": f"+ cat\n{KEY}", "a.json": '["password=geheim"]'})

    told = "".join(workspace.read_record(file).values())
    assert "b3BlbnNzaC1rZXkt" not in told
    assert "geheim" not in told


def test_records_of_the_same_second_are_two(workspace: Workspace) -> None:
    files = [workspace.save_record({"error.txt": str(n)}) for n in range(3)]

    assert len(set(files)) == 3
    assert workspace.records() == files


def test_only_the_newest_are_kept(workspace: Workspace) -> None:
    files = [workspace.save_record({"error.txt": str(n)}) for n in range(RECORDS + 2)]

    assert workspace.records() == files[2:]


def test_a_record_is_named_by_its_time_or_its_file(workspace: Workspace, tmp_path: Path) -> None:
    file = workspace.save_record(PARTS)
    other = tmp_path / "sent.tar.gz"
    other.write_bytes(file.read_bytes())

    assert workspace.record(file.name.removesuffix(".tar.gz")) == file
    assert workspace.record(str(other)) == other
    with pytest.raises(NotFound, match="no record 2001"):
        workspace.record("2001")


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x1f\x8b\x08 cut off"], ids=["", "text", "cut"]
)
def test_what_is_no_record_is_refused(workspace: Workspace, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.tar.gz"
    file.write_bytes(content)
    with pytest.raises(ClusterError, match="is no record"):
        workspace.read_record(file)


def test_a_record_that_is_too_large_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST_BYTES", 10)
    with pytest.raises(ClusterError, match="larger than"):
        workspace.read_record(workspace.save_record(PARTS))


def test_links_and_devices_in_a_record_are_left_alone(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "hostile.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        link = tarfile.TarInfo("r/error.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        text = tarfile.TarInfo("r/error.txt")
        text.size = 2
        archive.addfile(text, io.BytesIO(b"ok"))

    assert workspace.read_record(file) == {"error.txt": "ok"}
