"""``cm cluster create`` beside ``openstack stack create --wait`` of the same template.

What openstack leaves to the user is done by hand: waiting until the nodes' scripts have ended, and
one check on every node. Both run on the embedded cloud, in turns, and are told as ratios.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cloudmesh_cluster.local import cloud

WORKERS = int(os.environ.get("BENCH_WORKERS", "8"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "2"))
NAME = "bench"
MOST = 1.15
FINISHED = "/var/lib/cm-cluster/status/finished"


def main() -> None:
    """Print both times and their ratio."""
    home = cloud.Home.from_environment(os.environ)
    cloud.up(home, lambda line: print(line, file=sys.stderr))
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, **cloud.exports(home), "HOME": folder}
        rounds = []
        for _ in range(ROUNDS):
            rounds.append((timed(by_cm, environ), timed(by_hand, environ)))
            print("round: {:.1f} s, by hand {:.1f} s".format(*rounds[-1]), file=sys.stderr)
    print(f"create of 1 + {WORKERS}, seconds in {ROUNDS} rounds")
    for place, name in enumerate(("cm cluster create", "openstack and by hand")):
        print(f"  {name:24}" + "".join(f"{both[place]:8.1f}" for both in rounds))
    ratio = statistics.median(mine / other for mine, other in rounds)
    print(
        f"  ratio {ratio:.2f}; at most {MOST} is wanted: {'ok' if ratio <= MOST else 'NOT within'}"
    )


def timed(make: Callable[[dict[str, str]], None], environ: dict[str, str]) -> float:
    """Seconds that it takes to make the cluster; it is deleted after that."""
    began = time.monotonic()
    try:
        make(environ)
        return time.monotonic() - began
    finally:
        cm(environ, "cluster", "delete", NAME)


def by_cm(environ: dict[str, str]) -> None:
    """One command."""
    cm(environ, "cluster", "create", NAME, f"--workers={WORKERS}")


def by_hand(environ: dict[str, str]) -> None:
    """The printed template, given to openstack; then each node until it is done, and its check."""
    template = Path(environ["HOME"]) / "bench.yaml"
    template.write_text(cm(environ, "cluster", "template", NAME, f"--workers={WORKERS}"))
    openstack(environ, "stack", "create", "--wait", "-t", str(template), NAME)
    hosts = openstack(environ, "stack", "output", "show", NAME, "hosts", "-c", "output_value",
                      "-f", "value")  # fmt: skip
    addresses = [line.split()[0] for line in hosts.splitlines()]
    identity = Path(environ["HOME"]) / ".cloudmesh" / "cluster" / NAME / "id_ed25519"
    by_hand_known(identity).unlink(missing_ok=True)  # addresses come back, with other host keys
    with ThreadPoolExecutor(len(addresses)) as pool:
        list(pool.map(lambda address: check(identity, address), addresses))


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


def cm(environ: dict[str, str], *words: str) -> str:
    """What our program prints."""
    return output([sys.executable, "-m", "cloudmesh_cluster", *words], environ)


def openstack(environ: dict[str, str], *words: str) -> str:
    """What the openstack command prints."""
    return output([str(Path(sys.executable).with_name("openstack")), *words], environ)


def output(words: list[str], environ: dict[str, str]) -> str:
    """The standard output of a command that must succeed."""
    done = subprocess.run(words, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.returncode}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
