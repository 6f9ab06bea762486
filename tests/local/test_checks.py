"""Refusals: one sentence, and what to type."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cloudmesh_cluster.local import checks, packages
from cloudmesh_cluster.local.home import Home
from cloudmesh_cluster.model.errors import ClusterError


def refusal(action, *arguments, **named) -> ClusterError:
    """What was refused."""
    with pytest.raises(ClusterError) as caught:
        action(*arguments, **named)
    return caught.value


def test_another_system_than_linux_is_refused() -> None:
    error = refusal(checks.refuse_machine, "darwin", 0)
    assert error.problem == "the embedded cloud needs Linux, and this is darwin"
    assert "--cloud" in error.next_step


def test_another_user_than_root_is_refused() -> None:
    error = refusal(checks.refuse_machine, "linux", 1000)
    assert "needs root" in error.problem
    assert "sudo" in error.next_step


def test_root_on_linux_is_welcome() -> None:
    checks.refuse_machine("linux", 0)


def test_missing_tools_are_told_as_a_line_to_type() -> None:
    error = refusal(checks.refuse_tools, ("mmdebstrap", "nftables"))
    assert error.next_step == "Run: apt-get install -y mmdebstrap nftables"


def test_nothing_missing_is_no_refusal() -> None:
    checks.refuse_tools(())


def test_too_little_memory_is_told_in_numbers() -> None:
    error = refusal(checks.refuse_memory, checks.available_mb("MemAvailable:  1048576 kB\n"))
    assert "3000 MB" in error.problem
    assert "1024 MB" in error.problem


def test_too_little_disk_names_the_folder() -> None:
    error = refusal(checks.refuse_disk, Path("/somewhere"), 100, 3000)
    assert "/somewhere needs 3000 MB" in error.problem
    assert "CM_CLOUD_HOME" in error.next_step


@pytest.mark.parametrize("place", ["/a b", "/a,b", "/a:b", '/a"b', "/a%b", "/a\nb"])
def test_a_folder_that_mount_options_would_misread_is_refused(place: str) -> None:
    error = refusal(checks.refuse_place, Home(Path(place), Path("/software")))
    assert "CM_CLOUD_HOME" in error.next_step


def test_the_packages_are_one_line_of_debian_names() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cloudmesh_cluster.local.packages"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == list(packages.packages())
    assert done.stdout.count("\n") == 1
    assert "python3-venv" in done.stdout
    # These start services when they are installed.
    assert not {"mariadb-server", "rabbitmq-server", "erlang-base"} & set(done.stdout.split())
