"""The product hadoop: HDFS keeps files, YARN runs MapReduce's jobs, and both live through a loss.

The tarball is that of ``make hadoop-dist``.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from openstack.connection import Connection

from .conftest import Cm

ROOT = Path(__file__).resolve().parents[2]
TARBALLS = [one.with_suffix("") for one in sorted((ROOT / "build").glob("hadoop-*.gz.sha512"))]
WORKERS = 2
TEXT = (ROOT / "LICENSE").read_text()
EXAMPLES = "/opt/hadoop/share/hadoop/mapreduce/hadoop-mapreduce-examples-*.jar"

pytestmark = [
    pytest.mark.usefixtures("cloud"),
    pytest.mark.skipif(
        not TARBALLS,
        reason="there is no build/hadoop-*.tar.gz: make hadoop-dist needs Maven Central",
    ),
]


def settings(**chosen: str) -> list[str]:
    """The options that set these variables, and the tarball."""
    chosen = {"hadoop_url": str(TARBALLS[-1]), **chosen}
    return [f"--set={name}={value}" for name, value in chosen.items()]


@pytest.fixture(scope="module")
def hdfs(cloud: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cm]:
    """A command whose cluster hadoop stands, with a text in HDFS, while these tests run."""
    cm = Cm(tmp_path_factory.mktemp("hadoop"), cloud)
    sha512 = Path(f"{TARBALLS[-1]}.sha512").read_text().split()[-1]
    made = cm.run("cluster", "create", "hadoop", "--product=hadoop", f"--workers={WORKERS}",
                  *settings(hadoop_sha512=sha512), "--format=json")  # fmt: skip
    cm.file("created.json", made.stdout)
    try:
        ordinary(cm, "hdfs dfs -put - text", script=TEXT)
        yield cm
    finally:
        cm.run("cluster", "delete", "hadoop")


def ordinary(cm: Cm, command: str, *, script: str | None = None) -> str:
    """What the user cluster is told on the master."""
    words = f"sudo -Hu cluster bash -c {shlex.quote(f'cd; {command}')}"
    return cm.run("cluster", "ssh", "hadoop", "--", words, script=script).stdout


def login(cm: Cm, node: str, command: str) -> str:
    """What the login user is told on a node."""
    return cm.run("cluster", "ssh", "hadoop", node, "--", command).stdout


def failed_checks(cm: Cm) -> set[tuple[str, str]]:
    """Nodes and checks that do not pass; there must be some, and the status must say so."""
    rows = csv.DictReader(
        io.StringIO(cm.run("cluster", "test", "hadoop", "--format=csv", status=3).stdout)
    )
    return {(row["node"], row["check"]) for row in rows if row["passed"] == "no"}


# ---- it is there ---------------------------------------------------------------------------------


def test_all_checks_pass(hdfs: Cm) -> None:
    created = yaml.safe_load((hdfs.home / "created.json").read_text())

    assert {node["checks"] for node in created["nodes"]} == {"6/6 passed", "2/2 passed"}


def test_every_worker_is_a_live_data_node(hdfs: Cm) -> None:
    report = login(hdfs, "master", "HADOOP_USER_NAME=hdfs hdfs dfsadmin -report -live")

    assert f"Live datanodes ({WORKERS}):" in report
    assert set(re.findall("^Hostname: (.*)$", report, re.M)) == {"hadoop-worker1", "hadoop-worker2"}


def test_every_worker_is_a_running_node_manager(hdfs: Cm) -> None:
    rows = login(hdfs, "worker1", "yarn node -list").splitlines()

    running = {row.split(":")[0].strip() for row in rows if "RUNNING" in row}
    assert running == {"hadoop-worker1", "hadoop-worker2"}


def test_a_file_has_as_many_copies_as_there_are_workers_up_to_three(hdfs: Cm) -> None:
    told = login(
        hdfs, "master", "HADOOP_USER_NAME=hdfs hdfs fsck /user/cluster/text -files -blocks"
    )

    assert f"Live_repl={WORKERS}" in told
    assert "is HEALTHY" in told


@pytest.mark.parametrize(
    ("here", "there", "ports"),
    [
        ("worker1", "master", "8020 8032 9870 8088 10020 19888"),
        ("worker1", "worker2", "9866 9864 8041 8042"),
    ],
)
def test_daemons_are_reached_from_other_nodes(hdfs: Cm, here: str, there: str, ports: str) -> None:
    reach = f"for port in {ports}; do (: </dev/tcp/hadoop-{there}/$port) && echo $port; done"

    assert login(hdfs, here, reach).split() == ports.split()


@pytest.mark.parametrize(
    ("node", "page", "words"),
    [
        ("master", "9870/dfshealth.html", "Namenode information"),
        ("master", "8088/cluster", "All Applications"),
        ("master", "19888/jobhistory", "JobHistory"),
        ("worker1", "8042/node", "NodeManager"),
    ],
)
def test_pages_are_served(hdfs: Cm, node: str, page: str, words: str) -> None:
    assert words in login(hdfs, node, f"curl -s http://localhost:{page}")


def test_a_second_run_of_the_script_changes_nothing(hdfs: Cm) -> None:
    script = "sudo bash /var/lib/cm-cluster/scripts/product >/dev/null && systemctl show -P MainPID"
    for node, daemons in (("master", "namenode resourcemanager historyserver"),
                          ("worker2", "datanode nodemanager")):  # fmt: skip
        units = " ".join(f"hadoop-{one}" for one in daemons.split())
        before = login(hdfs, node, f"systemctl show -P MainPID {units}")

        assert login(hdfs, node, f"{script} {units}") == before


# ---- it computes ---------------------------------------------------------------------------------


def test_word_count_counts_every_word_exactly(hdfs: Cm) -> None:
    ordinary(hdfs, f"yarn jar {EXAMPLES} wordcount text counts")

    told = ordinary(hdfs, "hdfs dfs -cat 'counts/part-r-*'")

    counted = {word: int(count) for word, count in (row.split("\t") for row in told.splitlines())}
    assert counted == Counter(re.findall(r"[^ \t\n\r\f]+", TEXT))


def test_generated_data_is_sorted(hdfs: Cm) -> None:
    for job in ("teragen -Dmapreduce.job.maps=2 20000 raw",
                "terasort -Dmapreduce.job.reduces=2 raw sorted",
                "teravalidate sorted verdict"):  # fmt: skip
        ordinary(hdfs, f"yarn jar {EXAMPLES} {job}")

    # It names what is out of order; of sorted data it has the sum alone.
    told = ordinary(hdfs, "hdfs dfs -cat verdict/part-r-00000").split("\t")
    assert told[0] == "checksum"
    assert ordinary(hdfs, "hdfs dfs -cat 'sorted/part-r-*' | wc -c").strip() == "2000000"


# ---- it breaks -----------------------------------------------------------------------------------


def test_a_stopped_data_node_is_named_until_it_is_started(hdfs: Cm) -> None:
    login(hdfs, "worker1", "sudo systemctl stop hadoop-datanode")

    assert {
        ("hadoop-worker1", "service hadoop-datanode"),
        ("hadoop-master", "command # copies of a file in HDFS …"),
    } <= failed_checks(hdfs)

    login(hdfs, "worker1", "sudo systemctl start hadoop-datanode")
    until_all_passes(hdfs)


def test_a_daemon_that_is_killed_comes_back(hdfs: Cm) -> None:
    login(hdfs, "worker1", "sudo systemctl kill --signal=KILL hadoop-nodemanager")

    until_all_passes(hdfs)


def test_hdfs_reads_without_a_worker_that_comes_back_by_itself(hdfs: Cm, user: Connection) -> None:
    lost = next(one for one in user.compute.servers() if one.name == "hadoop-worker2")
    user.compute.stop_server(lost)
    user.compute.wait_for_server(lost, status="SHUTOFF", wait=60)

    assert ordinary(hdfs, "hdfs dfs -cat text") == TEXT

    user.compute.start_server(lost)
    user.compute.wait_for_server(lost, status="ACTIVE", wait=60)
    until_all_passes(hdfs)


def until_all_passes(cm: Cm) -> None:
    """Return when every check passes again."""
    end = time.monotonic() + 180
    while True:
        with cm.start("cluster", "test", "hadoop") as test:
            told = test.communicate()[0]
        if test.returncode == 0:
            return
        assert time.monotonic() < end, told


def test_a_worker_leaves_with_nothing_lost_and_one_of_its_name_joins(hdfs: Cm) -> None:
    hdfs.run("cluster", "update", "hadoop", "--workers=2")  # if this was tried before
    hdfs.run("cluster", "update", "hadoop", "--remove=worker1")

    assert ordinary(hdfs, "hdfs dfs -cat text") == TEXT

    hdfs.run("cluster", "update", "hadoop", "--workers=2")

    assert ordinary(hdfs, "hdfs dfs -cat text") == TEXT
    until_all_passes(hdfs)


def test_a_worker_that_had_joined_before_the_update_failed_leaves_again(hdfs: Cm) -> None:
    hdfs.write("hadoop", "worker", '[ "$CM_NODE" != hadoop-worker3 ] || exit 7\n')

    said = hdfs.run("cluster", "update", "hadoop", "--workers=3", status=1).stderr

    assert "hadoop-worker3: role script ended with exit status 7" in said
    assert "The cluster is as it was" in said
    assert ordinary(hdfs, "hdfs dfs -cat text") == TEXT


# ---- it fails ------------------------------------------------------------------------------------


def failed_create(cm: Cm, *words: str) -> str:
    """What a create that fails tells."""
    return cm.run("cluster", "create", "hadoop-bad", "--product=hadoop", "--workers=1", *words,
                  status=1).stderr  # fmt: skip


@pytest.mark.usefixtures("nothing_left")
def test_too_little_memory_is_told_before_anything_is_installed(cm: Cm) -> None:
    said = failed_create(cm, *settings(master_heap_mb="9000000"))

    assert re.search(r"need 27000500 MB on a master, and hadoop-bad-master has \d+ MB", said)
    assert "set master_heap_mb to less" in said


@pytest.mark.usefixtures("nothing_left")
def test_a_tarball_with_another_checksum_is_refused(cm: Cm) -> None:
    said = failed_create(cm, *settings(hadoop_sha512="0" * 128))

    assert re.search(rf"{TARBALLS[-1].name} has the SHA-512 [0-9a-f]{{128}}, not 0{{128}}", said)


@pytest.mark.usefixtures("nothing_left")
def test_a_url_is_checked_against_the_checksum_beside_it(cm: Cm, served: str, site: Path) -> None:
    (site / "hadoop.tar.gz").write_text("not a tarball")
    (site / "hadoop.tar.gz.sha512").write_text(f"SHA512 (hadoop.tar.gz) = {'1' * 128}\n")

    said = failed_create(cm, *settings(hadoop_url=f"{served}/hadoop.tar.gz"))

    assert re.search(
        rf"{served}/hadoop\.tar\.gz has the SHA-512 [0-9a-f]{{128}}, not 1{{128}}", said
    )


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The folder that is served."""
    return tmp_path


@pytest.fixture
def served(cloud: dict[str, str], site: Path) -> Iterator[str]:
    """The URL at which nodes find the site."""
    entries = yaml.safe_load(Path(cloud["OS_CLIENT_CONFIG_FILE"]).read_text())["clouds"]
    host = urlsplit(entries["local"]["auth"]["auth_url"]).hostname
    server = ThreadingHTTPServer((str(host), 0), partial(SimpleHTTPRequestHandler, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://{host}:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("nothing_left")
def test_a_daemon_that_does_not_start_is_named_with_what_it_said(cm: Cm) -> None:
    said = failed_create(cm, *settings(worker_heap_mb="1"))

    assert "hadoop-bad-worker1" in said
    assert "Too small maximum heap" in said
    assert "hadoop-datanode does not start" in said
