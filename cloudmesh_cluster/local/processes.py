"""The processes of a cloud, found by a mark in their environment, never by a pid file alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cloudmesh_cluster.model.errors import CloudError

MARK = "CM_CLOUD"
NODE_MARK = "CM_CLOUD_NODE"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Process:
    """A living process of a cloud."""

    pid: int
    command: str
    started: str
    node: str | None  # the node's id, if it is a node's systemd-nspawn


def environment(pid: int) -> dict[str, str]:
    """What a process was started with; empty when it is gone or not ours to read."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return {}
    return dict(word.split("=", 1) for word in raw.split("\0") if "=" in word)


def start_time(pid: int) -> str:
    """When a living process started, in clock ticks since boot; "" for none and for a zombie."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if words[0] in "ZX" else words[19]


def command(pid: int) -> str:
    """A process's command line."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()


def processes(cloud: str) -> tuple[Process, ...]:
    """Every living process that bears this cloud's mark, nodes' systemd-nspawn included."""
    found = []
    for path in Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        pid = int(path.name)
        marks = environment(pid)
        started = start_time(pid)
        if marks.get(MARK) == cloud and started and pid != os.getpid():
            found.append(Process(pid, command(pid), started, marks.get(NODE_MARK)))
    return tuple(found)


def still_there(process: Process) -> bool:
    """Whether it is that very process, and not another that got its pid."""
    return start_time(process.pid) == process.started


def send(process: Process, number: signal.Signals) -> None:
    """Send a signal, unless the process is gone."""
    if still_there(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def gone(them: Iterable[Process], seconds: float) -> bool:
    """Wait until all of them have ended; whether they have."""
    them = tuple(them)
    deadline = time.monotonic() + seconds
    while any(still_there(one) for one in them):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def end(them: Iterable[Process], *, patience: float = 0.0) -> None:
    """End processes: politely first if there is patience, then at once."""
    them = tuple(them)
    if patience:
        for one in them:
            send(one, signal.SIGTERM)
        if gone(them, patience):
            return
    for one in them:
        send(one, signal.SIGKILL)
    if not gone(them, 15):
        left = ", ".join(f"{one.pid} ({one.command[:60]})" for one in them if still_there(one))
        raise CloudError(f"these processes do not end: {left}", "End them and try again.")


def memory_mb(pid: int) -> float:
    """The resident memory of a process, shared pages counted by share, in MiB."""
    for name, word in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
                if line.startswith(word):
                    return int(line.split()[1]) / 1024
    return 0.0


def run(
    *words: object,
    environ: Mapping[str, str] | None = None,
    stdin: str = "",
    seconds: float | None = 120,
) -> str:
    """The standard output of a command; CloudError with its own words when it fails."""
    command_words = [str(word) for word in words]
    try:
        done = subprocess.run(
            command_words,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env={"PATH": PATH, "LC_ALL": "C.UTF-8", **(environ or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise CloudError(f"{command_words[0]} was not done after {seconds:.0f} s") from error
    except FileNotFoundError as error:
        raise CloudError(f"there is no {command_words[0]} on this machine") from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-12:]
        shown = " ".join(command_words[:6])
        raise CloudError(f"{shown} ended with status {done.returncode}:\n" + "\n".join(said))
    return done.stdout
