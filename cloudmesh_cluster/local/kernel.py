"""The kernel's settings that nodes need, and their way back when the last cloud goes down."""

from __future__ import annotations

import json
from pathlib import Path

from cloudmesh_cluster.local.home import write_private

SETTINGS = Path("/proc/sys")
# Shared by all clouds of the machine: who needs the settings, and what they were before.
SHARED = Path("/run/cm-cloud")
BEFORE = SHARED / "settings.json"
# At least these. Each node's systemd holds a dozen inotify instances, and the kernel's
# default of 128 is for all of root's processes together.
NEEDED = {
    "net/ipv4/ip_forward": 1,
    "fs/inotify/max_user_instances": 8192,
    "fs/inotify/max_user_watches": 524288,
}


def apply(cloud: str) -> None:
    """Raise what is too low, remembering what it was before the first cloud."""
    SHARED.mkdir(exist_ok=True)
    if not users() or not BEFORE.exists():
        write_private(BEFORE, json.dumps({name: _value(name) for name in NEEDED}))
    (SHARED / cloud).touch()
    for name, needed in NEEDED.items():
        if _value(name) < needed:
            (SETTINGS / name).write_text(f"{needed}\n")


def take_back(cloud: str) -> None:
    """Put everything back, unless another cloud still needs it."""
    (SHARED / cloud).unlink(missing_ok=True)
    if not users() and BEFORE.exists():
        for name, before in json.loads(BEFORE.read_text()).items():
            # What somebody has changed since is theirs.
            if _value(name) == max(before, NEEDED[name]) and _value(name) != before:
                (SETTINGS / name).write_text(f"{before}\n")
        BEFORE.unlink()


def users() -> tuple[str, ...]:
    """The clouds that need the settings now: those that said so and still have their bridge."""
    if not SHARED.is_dir():
        return ()
    names = (path.name for path in SHARED.iterdir() if path.name.startswith("cm-"))
    return tuple(name for name in names if Path("/sys/class/net", name).is_dir())


def _value(name: str) -> int:
    return int((SETTINGS / name).read_text())
