"""How things break on an embedded cloud, and how each is mended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cloudmesh_cluster.local import cloud, mounts, software
from cloudmesh_cluster.local.home import Home, write_private
from cloudmesh_cluster.local.plugins.cm_machine import Vif, groups_of

from . import model

DISK_GB = 16
FILLER = "filler"


class Impossible(Exception):
    """This cannot break on this machine, or not now."""


@dataclass(frozen=True)
class Node:
    """A node on this machine."""

    id: str
    cables: tuple[str, ...]


def nodes(home: Home) -> tuple[Node, ...]:
    """The nodes that have been made so far, in the order of their names."""
    found = []
    for file in sorted(home.nodes.glob("*/node.json")):
        with contextlib.suppress(OSError, ValueError):
            told = json.loads(file.read_text())
            cables = tuple(Vif(one["port"], one["mac"]).cable for one in told["vifs"])
            found.append((told["name"], Node(file.parent.name, cables)))
    return tuple(node for _, node in sorted(found, key=lambda one: one[0]))


def pid_of(home: Home, daemon: str) -> int:
    """The daemon's process."""
    told = cloud.supervisor.states(home).get(daemon, {})
    return int(told.get("pid") or 0)


@contextmanager
def broken(
    fault: model.Fault, home: Home, node: Node | None, process: subprocess.Popen[str]
) -> Iterator[None]:
    """The fault holds inside; whatever happens there, it is mended in the end."""
    if fault.kind == model.CLIENT:
        process.kill()
        yield
    elif fault.kind in model.DAEMONS:
        _kill(pid_of(home, model.DAEMONS[fault.kind]))
        yield
    elif fault.kind in (model.PACKETS, model.FROZEN) and node is None:
        raise Impossible("there is no node")
    elif fault.kind == model.TOKENS:
        _expire_tokens(home)
        yield
    else:
        holding: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
            model.PACKETS: lambda: _no_packets(home, node),
            model.DISK: lambda: _full(home),
            model.FROZEN: lambda: _stopped(lambda: _processes(home, node)),
            model.KEYSTONE: lambda: _stopped(lambda: [pid_of(home, "keystone")]),
        }
        with holding[fault.kind]():
            yield


def _kill(pid: int) -> None:
    """End a daemon and what it has started, as when the kernel has no memory left for it."""
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _expire_tokens(home: Home) -> None:
    """No token that was given out until now is good any more, nobody's."""
    for path in (home.state / "keystone/fernet-keys").iterdir():
        write_private(path, software.key())
    _kill(pid_of(home, "keystone"))  # what it remembers of tokens is forgotten


@contextmanager
def _no_packets(home: Home, node: Node | None) -> Iterator[None]:
    """Nothing comes from the node or to it, though its cable is plugged."""
    table = f"{home.name}-faults"
    cables = ", ".join(f'"{one}"' for one in (node.cables if node else ()))
    rules = f"""
table bridge {table} {{
    chain from {{ type filter hook prerouting priority 0; iifname {{ {cables} }} drop; }}
    chain to {{ type filter hook postrouting priority 0; oifname {{ {cables} }} drop; }}
}}
"""
    try:
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "bridge", table], check=False)


@contextmanager
def _full(home: Home) -> Iterator[None]:
    """The disk that holds the nodes has no room left."""
    filler = home.nodes / FILLER
    if not os.path.ismount(home.nodes):
        raise Impossible("there is no small disk on this machine")
    try:
        subprocess.run(
            ["fallocate", "-l", f"{DISK_GB}G", filler], check=False, stderr=subprocess.DEVNULL
        )
        rest = os.open(filler, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        with contextlib.suppress(OSError):
            while os.write(rest, bytes(4096)):
                pass
        os.close(rest)
        yield
    finally:
        filler.unlink(missing_ok=True)


@contextmanager
def small_disk(home: Home, image: Path) -> Iterator[None]:
    """The cloud's nodes are on a disk that can be filled; there must be none when this begins.

    Nodes that are there when it ends are ended.
    """
    assert not nodes(home), "others have nodes on this cloud"
    with image.open("wb") as file:
        file.truncate(DISK_GB << 30)
    made = ["mkfs.ext4", "-q", "-m", "0", image], ["mount", "-o", "loop", image, home.nodes]
    if any(subprocess.run(words, check=False).returncode for words in made):
        print("no loop device can be mounted here: no disk will be full")
    try:
        yield
    finally:
        if nodes(home):
            cloud.nodes.stop_all(home)
        mounts.unmount_below(home.nodes)
        image.unlink(missing_ok=True)


def _processes(home: Home, node: Node | None) -> list[int]:
    """All that runs in a node, by its control group; not the systemd-nspawn around it."""
    if node is None:
        return []
    found = set()
    for group in groups_of(home.name):
        for folder, _, _ in os.walk(group / node.id):
            with contextlib.suppress(OSError):
                found |= set(map(int, Path(folder, "cgroup.procs").read_text().split()))
    return [pid for pid in found if _is_inside(pid)]


def _is_inside(pid: int) -> bool:
    """Whether the process has a network of a node's own."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
    except OSError:
        return False


@contextmanager
def _stopped(pids: Callable[[], list[int]]) -> Iterator[None]:
    """The processes stand still."""
    still = [pid for pid in pids() if pid]
    try:
        for pid in still:
            _send(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in still:
            _send(pid, signal.SIGCONT)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def healed(home: Home, seconds: float = 300) -> None:
    """Return when the cloud is as it was: every daemon runs, every API answers."""
    deadline = time.monotonic() + seconds
    while not cloud.is_up(home):
        if time.monotonic() > deadline:
            raise AssertionError(f"the cloud in {home.state} has not come back by itself")
        time.sleep(1)
