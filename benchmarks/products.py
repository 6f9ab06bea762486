"""How long each product takes, 1 + 2 nodes on the embedded cloud, and which stage takes how much.

Hadoop is that of ``make hadoop-dist``. ``slurm, baked`` is from an image with its packages.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cloudmesh_cluster.local import cloud

TARBALLS = sorted(Path(__file__).parent.parent.glob("build/hadoop-*.tar.gz"))
HADOOP = [f"--set=hadoop_url={one}" for one in TARBALLS[-1:]]
STAGES = ("stack", "booted", "wired", "finished", "verified")
MOST = {"plain": 30, "slurm": 120, "slurm, baked": 45, "hadoop": 240}


def main() -> None:
    """Print a line for each product: seconds, and the share of each stage."""
    home = cloud.Home.from_environment(os.environ)
    cloud.up(home, lambda line: print(line, file=sys.stderr))
    print(f"{'create of 1 + 2':18}{'seconds':>8}" + "".join(f"{one:>10}" for one in STAGES))
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, **cloud.exports(home), "HOME": folder,
                   "CM_CLOUD_HOME": str(home.state)}  # fmt: skip
        timed(environ, "plain", "plain")
        timed(environ, "slurm", "slurm")
        cm(environ, "cloud", "image", "build", "--product=slurm")
        try:
            timed(environ, "slurm, baked", "slurm")
        finally:
            cm(environ, "cloud", "image", "delete", "debian-12-slurm")
        timed(environ, "mpi", "mpi", "--set=shared_home=yes")
        timed(environ, "spark", "spark")
        if HADOOP:
            timed(environ, "hadoop", "hadoop", *HADOOP)
        else:
            print("hadoop            left out: make hadoop-dist makes its tarball")


def timed(environ: dict[str, str], title: str, product: str, *options: str) -> None:
    """Make the cluster, tell its stages, delete it."""
    words = ("cluster", "create", "bench", f"--product={product}", "--format=json", *options)
    try:
        made = json.loads(cm(environ, *words))
    finally:
        cm(environ, "cluster", "delete", "bench")
    shares = "".join(f"{made['stages'][one] / made['seconds']:>10.0%}" for one in STAGES)
    wanted = ""
    if title in MOST:
        well = "ok" if made["seconds"] <= MOST[title] else "NOT within"
        wanted = f"   at most {MOST[title]}: {well}"
    print(f"{title:18}{made['seconds']:>8.1f}{shares}{wanted}", flush=True)


def cm(environ: dict[str, str], *words: str) -> str:
    """What the command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "cloudmesh_cluster", *words], env=environ, check=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    return done.stdout


if __name__ == "__main__":
    main()
