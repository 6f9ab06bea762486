"""``cm cluster create`` beside ``openstack stack create --wait`` of the same template.

What openstack leaves to the user is done by hand: waiting until the nodes' scripts have ended, and
one check on every node. Both run on the embedded cloud, in turns, and are told as ratios; so are
our stages, to the time that plain Heat needs for its stack.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from cloudmesh_cluster.local import cloud

WORKERS = int(os.environ.get("BENCH_WORKERS", "8"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "2"))
NAME = "bench"
MOST = 1.15  # times as long as by hand
MOST_PLAN = 2.0  # seconds
FINISHED = "/var/lib/cm-cluster/status/finished"
STACK, READY = "stack", "ready"  # the points that both have

Environ = Mapping[str, str]


@dataclass(frozen=True)
class Made:
    """Seconds from the command until each point was reached, and those of the deletion."""

    points: dict[str, float]
    deleted: float


def main() -> int:
    """Print the times and their ratios; 1 when a promise is not kept."""
    home = cloud.Home.from_environment(os.environ)
    cloud.up(home, lambda line: print(line, file=sys.stderr))
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, **cloud.exports(home), "HOME": folder}
        planning = timed(lambda: cm(environ, "cluster", "plan", NAME, f"--workers={WORKERS}"))
        ours, others = [], []
        for _ in range(ROUNDS):
            ours.append(by_cm(environ))
            print(f"cm cluster create: {ours[-1]}", file=sys.stderr)
            others.append(by_hand(environ))
            print(f"openstack and by hand: {others[-1]}", file=sys.stderr)
    told(ours, others)
    ratio = statistics.median(
        one.points[READY] / other.points[READY] for one, other in zip(ours, others, strict=True)
    )
    kept = [
        promise("ready, to the time by hand", ratio, MOST),
        promise("cm cluster plan, seconds", planning, MOST_PLAN),
    ]
    return 0 if all(kept) else 1


def told(ours: list[Made], others: list[Made]) -> None:
    """A table of medians, and of their ratios to the time that plain Heat needs for its stack."""
    heat = statistics.median(one.points[STACK] for one in others)
    print(f"create of 1 + {WORKERS}, medians of {ROUNDS} rounds: seconds, times plain Heat's stack")
    for title, rounds in (("cm cluster create", ours), ("openstack and by hand", others)):
        print(title)
        for point in rounds[0].points:
            row(point, statistics.median(one.points[point] for one in rounds), heat)
        row("deleted, after", statistics.median(one.deleted for one in rounds), heat)


def row(title: str, seconds: float, heat: float) -> None:
    print(f"  {title:16}{seconds:8.1f}{seconds / heat:8.2f}")


def promise(title: str, measured: float, most: float) -> bool:
    """Whether it is kept, printed."""
    kept = measured <= most
    print(f"{title}: {measured:.2f}; at most {most} is wanted: {'ok' if kept else 'NOT within'}")
    return kept


def by_cm(environ: Environ) -> Made:
    """One command to make it, and one to delete it."""
    began = time.monotonic()
    try:
        made = json.loads(
            cm(environ, "cluster", "create", NAME, f"--workers={WORKERS}", "--format=json")
        )
        ready = time.monotonic() - began
    finally:
        deleted = timed(lambda: cm(environ, "cluster", "delete", NAME))
    stages: dict[str, float] = made["stages"]
    begun = ready - sum(stages.values())  # before the first stage: the program's start, the checks
    reached = accumulate(stages.values(), initial=begun)
    points = dict(zip(("asked", *stages), reached, strict=True))
    return Made({**points, READY: ready}, deleted)


def by_hand(environ: Environ) -> Made:
    """The printed template, given to openstack; then each node until it is done, and its check."""
    began = time.monotonic()
    template = Path(environ["HOME"]) / "bench.yaml"
    template.write_text(cm(environ, "cluster", "template", NAME, f"--workers={WORKERS}"))
    asked = time.monotonic()
    try:
        openstack(environ, "stack", "create", "--wait", "-t", str(template), NAME)
        stack = time.monotonic() - asked
        hosts = openstack(environ, "stack", "output", "show", NAME, "hosts", "-c", "output_value",
                          "-f", "value")  # fmt: skip
        addresses = [line.split()[0] for line in hosts.splitlines()]
        identity = Path(environ["HOME"]) / ".cloudmesh" / "cluster" / NAME / "id_ed25519"
        by_hand_known(identity).unlink(missing_ok=True)  # addresses come back with other host keys
        with ThreadPoolExecutor(len(addresses)) as pool:
            list(pool.map(lambda address: check(identity, address), addresses))
        ready = time.monotonic() - began
    finally:
        deleted = timed(lambda: openstack(environ, "stack", "delete", "--yes", "--wait", NAME))
        cm(environ, "cluster", "delete", NAME)  # its workspace
    return Made({STACK: stack, READY: ready}, deleted)


def timed(do: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.monotonic()
    do()
    return time.monotonic() - began


def by_hand_known(identity: Path) -> Path:
    """Where the host keys are that were taken by hand."""
    return identity.parent / "by_hand"


def check(identity: Path, address: str) -> None:
    """Log in until the node's scripts have ended; by hand, a host key is taken as it comes."""
    options = ["-i", str(identity), "-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes",
               "-o", f"UserKnownHostsFile={by_hand_known(identity)}"]  # fmt: skip
    for _ in range(600):
        words = ["ssh", *options, f"debian@{address}", "test", "-e", FINISHED]
        if subprocess.run(words, capture_output=True, check=False).returncode == 0:
            return
        time.sleep(0.5)
    raise SystemExit(f"{address} was not ready in time")


def cm(environ: Environ, *words: str) -> str:
    """What our program prints."""
    return output([sys.executable, "-m", "cloudmesh_cluster", *words], environ)


def openstack(environ: Environ, *words: str) -> str:
    """What the openstack command prints."""
    return output([str(Path(sys.executable).with_name("openstack")), *words], environ)


def output(words: list[str], environ: Environ) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.returncode}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
