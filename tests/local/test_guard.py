"""Tests that are ended, in whatever way, leave no cloud behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloudmesh_cluster.local import processes
from cloudmesh_cluster.local.home import Home

pytestmark = pytest.mark.cloud
ROOT = Path(__file__).resolve().parent.parent.parent
TEST = """
import os, subprocess, time
from pathlib import Path
import pytest
from cloudmesh_cluster.local.cloud import Home
from cloudmesh_cluster.local.processes import MARK

@pytest.fixture
def cloud_of_its_own(guarded):
    home = Home(Path({state!r}), Path({state!r}))
    with guarded(home, "--purge"), subprocess.Popen(["sleep", "600"], env={{MARK: home.name}}):
        yield
        Path({told!r}).write_text("taken down")

def test_long(cloud_of_its_own):
    Path({begun!r}).write_text(str(os.getpid()))
    time.sleep(600)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A cloud whose only daemon sleeps; nothing of it is left after the test."""
    one = Home(tmp_path / "state", tmp_path / "state")
    yield one
    processes.end(processes.processes(one.name))


@pytest.fixture
def tests(tmp_path: Path, home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """A pytest with our conftest that is in the middle of a test on that cloud."""
    begun = tmp_path / "begun"
    file = tmp_path / "test_long.py"
    file.write_text(
        TEST.format(state=str(home.state), told=str(tmp_path / "told"), begun=str(begun))
    )
    words = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-q", file]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL) as running:
        wait(lambda: begun.exists() and bool(processes.processes(home.name)))
        yield running
        running.kill()


def wait(claim, seconds: float = 60) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_tests_that_are_ended_take_their_cloud_down_themselves(
    tests: subprocess.Popen[bytes], home: Home, tmp_path: Path, number: signal.Signals
) -> None:
    os.kill(tests.pid, number)
    wait((tmp_path / "told").exists)


def test_the_cloud_of_tests_that_were_killed_is_taken_down(
    tests: subprocess.Popen[bytes], home: Home
) -> None:
    tests.kill()
    wait(lambda: not processes.processes(home.name))
