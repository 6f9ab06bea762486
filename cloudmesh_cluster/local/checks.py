"""Reasons why the cloud cannot start on this machine: one sentence and the remedy each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from cloudmesh_cluster.local import locks, packages
from cloudmesh_cluster.local.home import Home
from cloudmesh_cluster.local.processes import PATH
from cloudmesh_cluster.model.errors import CloudError, UsageError

MEMORY_MB = 3000
DISK_MB = 3000
SOFTWARE_DISK_MB = 4000
# Mount options and configuration files take these as they are.
PLAIN_PATH = re.compile(r"[\w./+@-]+")
PROBE_RULES = """
table ip cmprobe {
    chain out {
        type nat hook postrouting priority srcnat
        masquerade
    }
}
"""


def refuse_place(home: Home) -> None:
    """Refuse folders whose names mount options or configuration files would misread."""
    for path in (home.state, home.software):
        if not PLAIN_PATH.fullmatch(str(path)):
            raise UsageError(
                f"the cloud's folder {str(path)!r} has a character that mounts cannot take",
                "Set CM_CLOUD_HOME to a path of letters, digits and . _ + @ -",
            )


def refuse_machine(platform: str = sys.platform, uid: int | None = None) -> None:
    """Refuse anything but Linux and root."""
    if not platform.startswith("linux"):
        raise CloudError(
            f"the embedded cloud needs Linux, and this is {platform}",
            "Use a cloud of your own: `--cloud=CLOUD`.",
        )
    if (os.geteuid() if uid is None else uid) != 0:
        raise CloudError(
            "the embedded cloud needs root: it makes a bridge, mounts and machines",
            "Run it with sudo, or use a cloud of your own: `--cloud=CLOUD`.",
        )
    if sys.version_info < (3, 11):
        raise CloudError(
            "the pinned OpenStack needs Python 3.11 or later", "Run `cm` with a newer Python."
        )


def refuse_tools(missing: tuple[str, ...]) -> None:
    """Refuse when commands are missing, naming the packages that have them."""
    if missing:
        raise CloudError(
            f"programs of these packages are missing: {', '.join(missing)}",
            f"Run: apt-get install -y {' '.join(missing)}",
        )


def available_mb(meminfo: str) -> int:
    """MemAvailable in the text of /proc/meminfo, in MiB."""
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0


def refuse_memory(available: int) -> None:
    """Refuse when the services would not fit."""
    if available < MEMORY_MB:
        raise CloudError(
            f"the embedded cloud needs {MEMORY_MB} MB of free memory, and {available} MB are there",
            "End other programs, or use a cloud of your own: `--cloud=CLOUD`.",
        )


def refuse_disk(place: Path, free: int, needed: int) -> None:
    """Refuse when the folders would not fit."""
    if free < needed:
        raise CloudError(
            f"{place} needs {needed} MB of free disk, and {free} MB are there",
            "Free some, or set CM_CLOUD_HOME to a folder on a larger disk.",
        )


def free_disk_mb(path: Path) -> int:
    """Free space where a folder is, or is going to be."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free // (1024 * 1024)


def refuse_kernel() -> None:
    """Refuse when the kernel lacks what nodes are made of, by trying each."""
    if shutil.which("modprobe", path=PATH):
        _tried("modprobe", "overlay")
    if "\toverlay\n" not in Path("/proc/filesystems").read_text():
        raise _lacks("overlayfs", "CONFIG_OVERLAY_FS")
    probes = (
        ("bridges", "CONFIG_BRIDGE", ["ip", "link", "add", "cmprobe0", "type", "bridge"]),
        ("veth pairs", "CONFIG_VETH",
         ["ip", "link", "add", "cmprobe0", "type", "veth", "peer", "name", "cmprobe1"]),
    )  # fmt: skip
    with locks.machine():  # the probes of two have the same names
        _tried("ip", "link", "delete", "cmprobe0")  # of one that was killed
        for words, option, command in probes:
            made = _tried(*command)
            _tried("ip", "link", "delete", "cmprobe0")
            if not made:
                raise _lacks(words, option)
    if not _tried("nft", "--check", "--file", "-", stdin=PROBE_RULES):
        raise _lacks("masquerading by nftables", "CONFIG_NF_TABLES and CONFIG_NFT_MASQ")


def _tried(*command: str, stdin: str = "") -> bool:
    """Whether a command ended well."""
    done = subprocess.run(
        command, input=stdin, text=True, capture_output=True, env={"PATH": PATH}, check=False
    )
    return done.returncode == 0


def _lacks(words: str, option: str) -> CloudError:
    return CloudError(
        f"this kernel has no {words}",
        f"Use a kernel with {option}, or a cloud of your own: `--cloud=CLOUD`.",
    )


def refuse_here() -> None:
    """What every verb but `env` needs: Linux, root."""
    refuse_machine()


def refuse_cold_start(home: Home, *, software_there: bool) -> None:
    """All that a start from nothing needs."""
    refuse_tools(packages.missing())
    refuse_memory(available_mb(Path("/proc/meminfo").read_text()))
    refuse_disk(home.state, free_disk_mb(home.state), DISK_MB)
    if not software_there:
        refuse_disk(home.software, free_disk_mb(home.software), DISK_MB + SOFTWARE_DISK_MB)
    refuse_kernel()
