"""Unmounting, and deleting without ever going through a mount."""

from __future__ import annotations

import os
import time
from pathlib import Path

from cloudmesh_cluster.local.processes import run
from cloudmesh_cluster.model.errors import CloudError


def below(path: Path, table: str | None = None) -> tuple[str, ...]:
    """The mount points at or below a folder, the deepest first."""
    text = Path("/proc/self/mounts").read_text() if table is None else table
    places = [line.split()[1].encode().decode("unicode_escape") for line in text.splitlines()]
    top = os.path.realpath(path)
    found = {place for place in places if place == top or place.startswith(f"{top}/")}
    return tuple(sorted(found, key=len, reverse=True))


def unmount_below(path: Path) -> None:
    """Unmount everything at or below a folder."""
    deadline = time.monotonic() + 15
    while places := below(path):
        for place in places:
            try:
                run("umount", place)
            except CloudError:
                if time.monotonic() > deadline:
                    raise
        time.sleep(0.05)


def remove(path: Path) -> None:
    """Delete a file or folder; refuses when anything is mounted at or below it."""
    if not os.path.lexists(path):
        return
    if path.is_symlink():
        raise CloudError(
            f"{path} is a symbolic link, so nothing behind it was deleted", f"Remove it: rm {path}"
        )
    places = below(path)
    if places:
        raise CloudError(
            f"{places[0]} is still mounted, so nothing below {path} was deleted",
            f"Unmount it (umount {places[0]}) and run `cm cloud down --purge` again.",
        )
    run("rm", "--recursive", "--force", "--one-file-system", path, seconds=600)
