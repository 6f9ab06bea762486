"""Spark standalone: a job on every worker, and a worker that is lost and comes again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping

import openstack
import pytest

from .conftest import Cm

pytestmark = pytest.mark.usefixtures("cloud")

WORKERS = ["spark-worker1", "spark-worker2"]
TEXT = "the ring and the word and the spark\n" * 20
# Where each partition was counted comes with the counts; the master is asked while the job runs.
JOB = f"""
import json, socket, time, urllib.request
from pyspark.sql import SparkSession

def counted(lines):
    time.sleep(0.1)
    for line in lines:
        yield from ((("word", word), 1) for word in line.split())
    yield ("host", socket.gethostname()), 1

context = SparkSession.builder.appName("count").getOrCreate().sparkContext
lines = context.parallelize({TEXT!r}.splitlines(), 20)
found = lines.mapPartitions(counted).reduceByKey(lambda a, b: a + b).collect()
master = json.load(urllib.request.urlopen("http://spark-master:8080/json/"))
print(json.dumps({{
    "words": {{name: count for (kind, name), count in found if kind == "word"}},
    "hosts": {{name: count for (kind, name), count in found if kind == "host"}},
    "busy": [one["host"] for one in master["workers"] if one["coresused"]],
    "alive": master["aliveworkers"],
}}))
"""


@pytest.fixture(scope="module")
def spark(cloud: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cm]:
    """A command whose cluster spark has Spark."""
    cm = Cm(tmp_path_factory.mktemp("spark"), cloud)
    made = cm.run("cluster", "create", "spark", "--product=spark", "--workers=2",
                  "--flavor=local.medium", *package_index(), "--format=json")  # fmt: skip
    cm.file("created.json", made.stdout)
    try:
        yield cm
    finally:
        cm.run("cluster", "delete", "spark")


def package_index() -> list[str]:
    """What tells the nodes which package index this machine asks, if it is not PyPI."""
    ask = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    told = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()
    index = os.environ.get("PIP_INDEX_URL") or told
    return [f"--set=pip_index={index}"] if index else []


def test_all_services_run_and_all_workers_came(spark: Cm) -> None:
    verdicts = json.loads((spark.home / "created.json").read_text())["verdicts"]

    assert Counter(one["node"] for one in verdicts) == {
        "spark-master": 2, "spark-worker1": 1, "spark-worker2": 1}  # fmt: skip
    assert all(one["passed"] for one in verdicts)


def test_a_job_counts_right_and_its_tasks_run_on_every_worker(spark: Cm) -> None:
    # Without the executors of all workers the first one might do all the work.
    whole = ("minRegisteredResourcesRatio=1.0", "maxRegisteredResourcesWaitingTime=300s")
    settings = " ".join(f"--conf spark.scheduler.{one}" for one in whole)
    command = f"cat >job.py; spark-submit {settings} job.py"
    words = ("ssh", "spark", "--", f"sudo -n -iu cluster bash -c '{command}'")

    answer = spark.run("cluster", *words, script=JOB)

    found = json.loads(answer.stdout)
    assert found["words"] == Counter(TEXT.split())
    assert sorted(found["hosts"]) == WORKERS
    assert sum(found["hosts"].values()) == 20
    assert sorted(found["busy"]) == WORKERS
    assert found["alive"] == 2


def test_a_lost_worker_is_named_and_is_back_after_a_boot(
    spark: Cm, user: openstack.connection.Connection
) -> None:
    spark.run("cluster", "ssh", "spark", "worker2", "--", "sudo systemctl stop spark-worker")

    verdicts = spark.run("cluster", "test", "spark", "--format=json", status=3).json
    assert {(one["node"], one["check"]) for one in verdicts if not one["passed"]} == {
        ("spark-worker2", "service spark-worker"),
        ("spark-master", "command curl -sS http://localhost:8080/json/"),
    }

    user.compute.reboot_server(user.compute.find_server("spark-worker2"), "HARD")

    assert passes_within(spark, 180)


def passes_within(cm: Cm, seconds: float) -> bool:
    """Whether every check comes to pass in that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with cm.start("cluster", "test", "spark") as test:
            test.communicate()
        if test.returncode == 0:
            return True
        time.sleep(2)
    return False
