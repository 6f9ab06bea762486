"""Locks that end with the process that holds them."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cloudmesh_cluster.local import kernel
from cloudmesh_cluster.model.errors import CloudError

MACHINE_SECONDS = 120


@contextmanager
def held(path: Path, busy: str, *, seconds: float, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a file's lock; while another has it `busy` is said once, and it is an error at last."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        deadline = time.monotonic() + seconds
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if not told:
                    say(f"{busy}; waiting for it to finish")
                    told = True
                if time.monotonic() > deadline:
                    raise CloudError(
                        f"{busy}, and has been for {seconds} s",
                        "Wait for it, or end it, and try again.",
                    ) from error
            time.sleep(0.1)
        yield


@contextmanager
def machine() -> Iterator[None]:
    """Be the only cloud of this machine that looks at what all of them share, and takes of it."""
    kernel.SHARED.mkdir(exist_ok=True)
    busy = "another `cm cloud` is at work on this machine's network"
    with held(kernel.SHARED / "lock", busy, seconds=MACHINE_SECONDS, say=lambda _: None):
        yield
