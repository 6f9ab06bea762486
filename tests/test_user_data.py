"""A node's first boot while its disk is full: real bash on a real disk."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

from cloudmesh_cluster.products import TEMPLATES

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or os.geteuid() != 0, reason="only root on Linux can mount a disk"
)

USER_DATA = TEMPLATES / "user_data"
# Before what a test asks for: a full disk $1, which has room after a while, and a time-out of $2.
FULL = """
mount -t tmpfs -o size=128k none "$1"
state=$1/state logs=$1/logs deadline=$((SECONDS + $2))
mkdir "$state" "$state/status" "$logs" "$1/home"
fill() { cat /dev/zero >"$1/filling" 2>/dev/null; (sleep 1.5; rm "$1/filling") & }
fill "$1"
"""


def on_a_full_disk(tmp_path: Path, does: str, *, seconds: int = 30) -> str:
    """What bash prints that has all functions of the first boot."""
    bootstrap, _, _ = (USER_DATA / "bootstrap.sh").read_text().partition("\nlogin=$(login_user)")
    begun = ("exec ", "mkdir ", "chmod ", "server=")
    functions = "\n".join(one for one in bootstrap.splitlines() if not one.startswith(begun))
    wire = (USER_DATA / "wire.sh").read_text().replace("__hosts__", "127.0.0.1 master")
    program = "\n".join([functions.replace("__deadline__", "0"), wire, FULL, does])
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", program, "bash", str(disk), str(seconds)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


WIRING = """
cluster=demo name=demo-worker1 alias=worker1 host_key='ssh-ed25519 BBBB' key_file=key
report() { echo "reported $*"; }
on_all() { surely eval "echo ssh-ed25519 AAAA >$work/127.0.0.1.key" 2>/dev/null; }
printf '#!/bin/bash\\ntar -x -C "%s"\\n' "$1" >"$1-wire"
chmod 700 "$1-wire"
ln -s "$1-wire" "$state/wire"
wire_all 2>/dev/null && cat "$1/hosts" "$1/known_hosts" || true
"""


def test_the_wiring_waits_for_room_and_is_whole(tmp_path: Path) -> None:
    told = on_a_full_disk(tmp_path, WIRING)

    assert told.splitlines() == [
        "127.0.0.1 demo-master master",
        "127.0.0.1 demo-worker1 worker1",
        "demo-master,master,127.0.0.1 ssh-ed25519 AAAA",
        "demo-worker1,worker1,127.0.0.1 ssh-ed25519 BBBB",
    ]


def test_a_wiring_for_which_there_is_no_room_in_time_is_told(tmp_path: Path) -> None:
    told = on_a_full_disk(tmp_path, WIRING, seconds=0)

    assert told == "reported wired 76 the wiring could not be written on demo-worker1\n"


def test_keys_and_reports_wait_for_room_and_are_whole(tmp_path: Path) -> None:
    told = on_a_full_disk(
        tmp_path,
        """
        getent() { echo "root:x:0:0::$home_of:/bin/sh"; }
        home_of=$1/home name=demo-master login=debian host_key=key server=id
        public_key=CLIENT node_public_key='ssh-ed25519 NODES x' user_key=
        surely give_keys root 2>/dev/null
        cat "$1/home/.ssh/authorized_keys"
        fill "$1"
        signal() { cat "$1"; }
        report booted 0 '' 2>/dev/null
        wait
        """,
    )

    client, nodes, said, report = told.splitlines()
    assert (client, nodes) == ("CLIENT", "ssh-ed25519 NODES cm-cluster-nodes")
    assert said.endswith("booted: exit 0 ")
    assert '"node":"demo-master","phase":"booted","exit":0' in report
