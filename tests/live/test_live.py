"""The main job on a cloud of yours: ``make live``, with OS_CLOUD or OS_* naming it.

``CM_LIVE_OPTIONS`` are create's, such as ``--network=private --flavor=small``.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import openstack
import pytest

pytestmark = [pytest.mark.live, pytest.mark.timeout(60 * 60)]  # emulated processors are slow

OPTIONS = shlex.split(os.environ.get("CM_LIVE_OPTIONS", ""))
NAME = "cm-live"
EXPECT = """\
- role: master
  file: /srv/role
- role: worker
  command: cat /srv/role
  stdout: worker of {{ workers }}
- port: 22
"""


def cm(*words: str, status: int = 0, stdin: str | None = None) -> str:
    """What the command prints; its exit status must be the one expected."""
    process = [sys.executable, "-m", "cloudmesh_cluster", *words]
    given = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
    done = subprocess.run(process, stdout=subprocess.PIPE, text=True, check=False, **given)
    assert done.returncode == status, words
    return done.stdout


def test_make_test_log_in_and_delete(home: Path) -> None:
    expect = home / "expect.yaml"
    expect.write_text(EXPECT)
    for role in ("master", "worker"):
        cm("cluster", "write", NAME, role, stdin="echo $CM_ROLE of $CM_WORKERS >/srv/role\n")
    try:
        cm("cluster", "create", NAME, "--workers=2", f"--expect={expect}", *OPTIONS)
        cm("cluster", "test", NAME)
        assert cm("cluster", "ssh", NAME, "--", "hostname", "-s") == f"{NAME}-master\n"
        assert cm("cluster", "ssh", NAME, "worker2", "hostname", "-s") == f"{NAME}-worker2\n"
        every = "for n in master worker1 worker2; do ssh -n -o BatchMode=yes $n hostname -s; done"
        assert cm("cluster", "test", NAME, "--role=worker", every).splitlines()[1:] == [
            f"{NAME}-{node}" for node in ("master", "worker1", "worker2")
        ]
    finally:
        cm("cluster", "delete", NAME)
    assert NAME not in cm("cluster", "list")


def test_only_ssh_is_let_in(home: Path) -> None:
    try:
        cm("cluster", "create", NAME, "--workers=1", *OPTIONS)
        master = json.loads(cm("cluster", "show", NAME, "--format=json"))["nodes"][0]
        address = master["public_address"] or master["address"]
        serve = "nohup python3 -m http.server 8088 >/dev/null 2>&1 & sleep 5"
        cm("cluster", "ssh", NAME, "--", serve)

        cm("cluster", "test", NAME, "--role=worker", "bash -c 'true </dev/tcp/master/8088'")
        socket.create_connection((address, 22), timeout=30).close()
        with pytest.raises(TimeoutError):
            socket.create_connection((address, 8088), timeout=10).close()
    finally:
        cm("cluster", "delete", NAME)


def workers() -> list[str]:
    """The names of the workers, as show tells them."""
    nodes = json.loads(cm("cluster", "show", NAME, "--format=json"))["nodes"]
    return [one["name"].removeprefix(f"{NAME}-") for one in nodes if one["role"] == "worker"]


def meet() -> None:
    """Every node logs in to every node by name."""
    names = " ".join(["master", *workers()])
    every = f"for n in {names}; do ssh -n -o BatchMode=yes $n true || exit; done"
    cm("cluster", "test", NAME, every)


def test_it_is_changed_stopped_and_repaired(home: Path) -> None:
    cm("cluster", "write", NAME, "worker", stdin="echo $CM_NODE >/srv/node\n")
    try:
        cm("cluster", "create", NAME, "--workers=1", *OPTIONS)
        cm("cluster", "update", NAME, "--workers=2")
        assert workers() == ["worker1", "worker2"]
        meet()

        cm("cluster", "write", NAME, "worker", stdin="exit 7\n")
        cm("cluster", "update", NAME, status=1)
        records = home / ".cloudmesh" / "cluster" / NAME / "records"
        stamp = max(records.iterdir()).name.partition(".")[0]
        assert "role-script" in cm("cluster", "explain", NAME, stamp)
        assert "healthy" in cm("cluster", "explain", NAME)
        cm("cluster", "write", NAME, "worker", stdin="echo $CM_NODE >/srv/node\n")

        cm("cluster", "update", NAME, "--remove=worker1")
        assert workers() == ["worker2"]

        cm("cluster", "stop", NAME)
        cm("cluster", "start", NAME)
        assert cm("cluster", "ssh", NAME, "worker2", "cat", "/srv/node") == f"{NAME}-worker2\n"

        cloud = openstack.connect()
        lost = next(one for one in cloud.compute.servers() if one.name == f"{NAME}-worker2")
        cloud.compute.delete_server(lost)
        cloud.compute.wait_for_delete(lost, wait=300)
        cm("cluster", "repair", NAME)
        assert workers() == ["worker2"]
        meet()
    finally:
        cm("cluster", "delete", NAME)
    assert NAME not in cm("cluster", "list")


def test_a_failure_rolls_back(home: Path) -> None:
    cm("cluster", "write", NAME, "worker", stdin="exit 7\n")

    cm("cluster", "create", NAME, "--workers=1", *OPTIONS, status=1)

    assert NAME not in cm("cluster", "list")
