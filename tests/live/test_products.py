"""Products on a cloud of yours: ``make live``; ``CM_LIVE_OPTIONS`` as in test_live.py.

Where nodes have no way to a mirror, ``--image`` must name an image that has the packages, which
``cm cluster products NAME`` lists. ``CM_LIVE_SLURM`` and ``CM_LIVE_HADOOP`` are further options of
the one product, such as ``--flavor``; Hadoop's tarball is that of ``make hadoop-dist``.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .test_live import OPTIONS, cm

# On emulated processors a JVM takes minutes to start; create has a time-out of its own.
pytestmark = [pytest.mark.live, pytest.mark.timeout(3 * 60 * 60)]

ROOT = Path(__file__).parents[2]
EXAMPLES = "/opt/hadoop/share/hadoop/mapreduce/hadoop-mapreduce-examples-*.jar"


@contextmanager
def cluster(product: str, *options: str) -> Iterator[str]:
    """The name of a cluster of the product with two workers, which is deleted at the end."""
    name = f"cm-live-{product}"
    more = shlex.split(os.environ.get(f"CM_LIVE_{product.upper()}", ""))
    try:
        cm("cluster", "create", name, f"--product={product}", "--timeout=90",
           *OPTIONS, *options, *more)  # fmt: skip
        yield name
    finally:
        cm("cluster", "delete", name)


def test_slurm_runs_a_job_on_every_worker(home: Path) -> None:
    with cluster("slurm") as name:
        as_user = ["cluster", "ssh", name, "--", "sudo -iu cluster timeout 300"]
        cm("cluster", "test", name)
        assert cm(*as_user, "sinfo --noheader --format=%D/%T") == "2/idle\n"
        names = cm(*as_user, "srun --nodes=2 hostname -s").split()
        assert sorted(names) == [f"{name}-worker1", f"{name}-worker2"]


def test_hadoop_counts_words(home: Path) -> None:
    tarballs = sorted((ROOT / "build").glob("hadoop-*.tar.gz"))
    if not tarballs:
        pytest.skip("there is no build/hadoop-*.tar.gz: make hadoop-dist")
    text = (ROOT / "LICENSE").read_text()
    with cluster("hadoop", f"--set=hadoop_url={tarballs[-1]}") as name:
        cm("cluster", "test", name)
        cm("cluster", "ssh", name, "--", "hdfs dfs -put - words", stdin=text)
        cm("cluster", "ssh", name, "--", f"yarn jar {EXAMPLES} wordcount words counts")
        counted = cm("cluster", "ssh", name, "--", "hdfs dfs -cat counts/part-r-00000")
    found = dict(line.rsplit("\t", 1) for line in counted.splitlines())
    assert {word: int(count) for word, count in found.items()} == Counter(text.split())
