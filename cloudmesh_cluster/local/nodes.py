"""The nodes as processes, for when Nova is not there to end them."""

from __future__ import annotations

import signal
from pathlib import Path

from cloudmesh_cluster.local import mounts
from cloudmesh_cluster.local.home import Home
from cloudmesh_cluster.local.plugins import cm_machine
from cloudmesh_cluster.local.processes import Process, gone, processes, send

STOP_SECONDS = 20


def is_machine(process: Process) -> bool:
    """Whether it is a node's systemd-nspawn itself."""
    return process.command.startswith("systemd-nspawn")


def family(pid: int) -> list[int]:
    """A process and all below it."""
    return [pid, *cm_machine.descendants(pid)]


def stop_all(home: Home) -> int:
    """Shut every node down cleanly, end those that do not, unmount; how many ran."""
    running = [one for one in processes(home.name) if one.node]
    machines = [one for one in running if is_machine(one)]
    for one in machines:
        send(one, signal.SIGTERM)
    gone(running, STOP_SECONDS)
    if home.nodes.is_dir():
        for folder in home.nodes.iterdir():
            _machine(home, folder).sweep()
    mounts.unmount_below(home.nodes)
    cm_machine.end_groups(home.name)
    return len({one.node for one in machines})


def _machine(home: Home, folder: Path) -> cm_machine.Machine:
    return cm_machine.Machine(
        uuid=folder.name,
        home=home.nodes,
        cloud=home.name,
        bridge=home.name,
        mtu=1500,
        resolv_conf=home.state / "etc/node-resolv.conf",
    )
