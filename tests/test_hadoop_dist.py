"""The tarball of `make hadoop-dist`: its launchers, its daemons in the foreground, a job."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import STDOUT

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tests" / "hadoop-dist"
TEXT = ROOT / "LICENSE"
DEADLINE = 600  # seconds for what takes one quiet minute at most
QUICK = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"  # half the processor time of a start
DAEMONS = (
    ("hdfs", "namenode"),
    ("hdfs", "datanode"),
    ("yarn", "resourcemanager"),
    ("yarn", "nodemanager"),
)
LIVE_DATANODES = "jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"


@pytest.fixture
def java(tmp_path: Path) -> Path:
    """A JAVA_HOME whose java tells its arguments and its class path."""
    program = tmp_path / "java" / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$@"\necho "$CLASSPATH"\n')
    program.chmod(0o755)
    return program.parent.parent


def launched(java: Path, *command: str, **environ: str) -> tuple[list[str], list[str]]:
    """The arguments that java gets, and the entries of its class path."""
    own = {"PATH": os.environ["PATH"], "JAVA_HOME": str(java), "HADOOP_LOG_DIR": str(java)}
    program = SOURCE / "bin" / command[0]
    said = subprocess.check_output([program, *command[1:]], env=own | environ, text=True)
    arguments, classpath = said.splitlines()
    return arguments.split(), classpath.split(":")


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        (("hdfs", "namenode"), "HDFS_NAMENODE_OPTS"),
        (("hdfs", "datanode"), "HDFS_DATANODE_OPTS"),
        (("yarn", "resourcemanager"), "YARN_RESOURCEMANAGER_OPTS"),
        (("yarn", "nodemanager"), "YARN_NODEMANAGER_OPTS"),
        (("mapred", "historyserver"), "MAPRED_HISTORYSERVER_OPTS"),
        (("hdfs", "dfs"), "HADOOP_CLIENT_OPTS"),
        (("hadoop", "fs"), "HADOOP_OPTS"),
    ],
)
def test_launcher_passes_the_options_of_its_command(
    java: Path, command: tuple[str, ...], variable: str
) -> None:
    arguments, _ = launched(java, *command, "last", **{variable: "-Done -Dtwo"})
    assert {"-Done", "-Dtwo"} <= set(arguments)
    assert arguments[-1] == "last"


def test_daemon_takes_no_options_of_clients(java: Path) -> None:
    arguments, _ = launched(java, "hdfs", "namenode", HADOOP_CLIENT_OPTS="-Dclient")
    assert "-Dclient" not in arguments


def test_heap_is_in_megabytes_and_an_own_one_wins(java: Path) -> None:
    assert "-Xmx256m" in launched(java, "hdfs", "datanode", HADOOP_HEAPSIZE_MAX="256")[0]
    own = {"HADOOP_HEAPSIZE_MAX": "256", "HDFS_DATANODE_OPTS": "-Xmx99m"}
    heaps = [one for one in launched(java, "hdfs", "datanode", **own)[0] if "-Xmx" in one]
    assert heaps == ["-Xmx99m"]


def test_class_path_begins_with_the_settings_and_ends_with_yours(java: Path) -> None:
    own = {"HADOOP_CONF_DIR": "/settings", "HADOOP_CLASSPATH": "/mine"}
    _, classpath = launched(java, "hadoop", "version", **own)
    assert (classpath[0], classpath[-1]) == ("/settings", "/mine")
    assert f"{SOURCE}/share/hadoop/common/lib/*" in classpath


def test_launcher_reads_the_settings_of_its_folder(java: Path, tmp_path: Path) -> None:
    (tmp_path / "hadoop-env.sh").write_text('export HADOOP_OPTS="$HADOOP_OPTS -Dset=here"\n')
    assert "-Dset=here" in launched(java, "yarn", "node", HADOOP_CONF_DIR=str(tmp_path))[0]
    assert "-Dset=here" in launched(java, "hdfs", "--config", str(tmp_path), "fsck", "/")[0]


@pytest.mark.parametrize(
    ("command", "environ", "problem"),
    [
        (("hdfs", "nonsense"), {}, "nonsense is not COMMAND nor fully qualified CLASSNAME."),
        (("yarn", "node"), {"JAVA_HOME": ""}, "JAVA_HOME is not set"),
        (("hdfs", "--daemon", "start", "namenode"), {}, "daemons run in the foreground"),
        (("hadoop",), {}, "Usage: hadoop"),
    ],
)
def test_launcher_says_what_is_wrong(
    java: Path, command: tuple[str, ...], environ: Mapping[str, str], problem: str
) -> None:
    own = {"PATH": os.environ["PATH"], "JAVA_HOME": str(java), **environ}
    program = SOURCE / "bin" / command[0]
    result = subprocess.run([program, *command[1:]], env=own, capture_output=True, text=True)
    assert result.returncode == 1
    assert problem in result.stderr


@pytest.fixture
def tarball() -> Path:
    """The newest that `make hadoop-dist` built."""
    built = sorted((ROOT / "build").glob("hadoop-*.tar.gz"), key=lambda one: one.stat().st_mtime)
    if not built:
        pytest.skip("no build/hadoop-VERSION.tar.gz (`make hadoop-dist` builds it)")
    if not shutil.which("java"):
        pytest.skip("no java here (`make hadoop-dist` installs one)")
    return built[-1]


@pytest.fixture
def ports() -> Mapping[str, int]:
    """A free port on loopback for each that a daemon listens on."""
    names = ("fs", "nn", "dn", "dn-web", "dn-ipc", "rm", "rm-sched", "rm-track", "rm-admin")
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in (*names, "rm-web", "nm-web")]
    free = [one.getsockname()[1] for one in listening]
    for one in listening:
        one.close()
    return dict(zip((*names, "rm-web", "nm-web"), free, strict=True))


@pytest.fixture
def environ(tarball: Path, ports: Mapping[str, int], tmp_path: Path) -> dict[str, str]:
    """The environment of daemons and commands of an unpacked tarball with settings."""
    subprocess.check_call(["tar", "-xzf", tarball, "-C", tmp_path])
    top = next(tmp_path.glob("hadoop-*"))
    for name, values in settings(ports, tmp_path).items():
        (top / "etc" / "hadoop" / f"{name}-site.xml").write_text(configuration(values))
    found = Path(shutil.which("java") or "").resolve().parent.parent
    return {
        "PATH": f"{top}/bin:{os.environ['PATH']}",
        "JAVA_HOME": os.environ.get("JAVA_HOME") or str(found),
        "HADOOP_LOG_DIR": str(tmp_path / "logs"),
        "HADOOP_HEAPSIZE_MAX": "256",
        "HADOOP_OPTS": f"-Djava.net.preferIPv4Stack=true {QUICK}",
    }


def settings(ports: Mapping[str, int], folder: Path) -> dict[str, dict[str, str]]:
    """One machine is master and worker; a worker's containers have 768 MiB."""
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    return {
        "core": {"fs.defaultFS": f"hdfs://{at['fs']}", "hadoop.tmp.dir": f"{folder}/tmp"},
        "hdfs": {
            "dfs.replication": "1",
            "dfs.namenode.http-address": at["nn"],
            "dfs.datanode.address": at["dn"],
            "dfs.datanode.http.address": at["dn-web"],
            "dfs.datanode.ipc.address": at["dn-ipc"],
        },
        "yarn": {
            "yarn.resourcemanager.address": at["rm"],
            "yarn.resourcemanager.scheduler.address": at["rm-sched"],
            "yarn.resourcemanager.resource-tracker.address": at["rm-track"],
            "yarn.resourcemanager.admin.address": at["rm-admin"],
            "yarn.resourcemanager.webapp.address": at["rm-web"],
            "yarn.nodemanager.address": "127.0.0.1:0",
            "yarn.nodemanager.localizer.address": "127.0.0.1:0",
            "yarn.nodemanager.webapp.address": at["nm-web"],
            "yarn.nodemanager.aux-services": "mapreduce_shuffle",
            "yarn.nodemanager.resource.memory-mb": "768",
            "yarn.nodemanager.vmem-check-enabled": "false",
            "yarn.scheduler.minimum-allocation-mb": "128",
            "yarn.nodemanager.disk-health-checker.max-disk-utilization-per-disk-percentage": "99",
        },
        "mapred": {
            "mapreduce.framework.name": "yarn",
            "mapreduce.map.memory.mb": "256",
            "mapreduce.reduce.memory.mb": "256",
            "yarn.app.mapreduce.am.resource.mb": "256",
            "yarn.app.mapreduce.am.command-opts": f"-Xmx160m {QUICK}",
            "mapreduce.map.java.opts": f"-Xmx160m {QUICK}",
            "mapreduce.reduce.java.opts": f"-Xmx160m {QUICK}",
            "mapreduce.task.io.sort.mb": "32",
            "mapreduce.shuffle.port": "0",
            "yarn.app.mapreduce.am.env": f"HADOOP_MAPRED_HOME={home(folder)}",
            "mapreduce.map.env": f"HADOOP_MAPRED_HOME={home(folder)}",
            "mapreduce.reduce.env": f"HADOOP_MAPRED_HOME={home(folder)}",
        },
    }


def home(folder: Path) -> Path:
    """Where the tarball was unpacked."""
    return next(folder.glob("hadoop-*"))


def configuration(values: Mapping[str, str]) -> str:
    """The values as Hadoop's XML."""
    lines = [f"<property><name>{k}</name><value>{v}</value></property>" for k, v in values.items()]
    return "\n".join(('<?xml version="1.0"?>', "<configuration>", *lines, "</configuration>", ""))


@contextmanager
def running(environ: Mapping[str, str], folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """All daemons, each in the foreground as in a unit; in the end none, nor any container."""
    started = []
    try:
        for program, command in DAEMONS:
            with (folder / f"{command}.log").open("wb") as log:
                words = ["/usr/bin/env", program, command]
                started.append(subprocess.Popen(words, env=environ, stdout=log, stderr=STDOUT))
        yield started
    finally:
        for one in reversed(started):
            one.terminate()
        for one in started:
            one.wait(DEADLINE)
        for pid in belonging_to(folder):
            os.kill(pid, signal.SIGKILL)


def belonging_to(folder: Path) -> list[int]:
    """The processes whose command line names the folder, this one apart."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            named = os.fsencode(folder) in (process / "cmdline").read_bytes()
        except OSError:
            continue  # ended meanwhile
        if named and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found


def wait_until(claim: Callable[[], bool], daemons: list[subprocess.Popen[bytes]]) -> None:
    """Return once the claim holds; a daemon that ends, or the deadline, fails the test."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        ended = [one.args for one in daemons if one.poll() is not None]
        assert not ended
        try:
            if claim():
                return
        except OSError:
            pass  # does not listen yet
        time.sleep(1)
    pytest.fail(f"not so after {DEADLINE} s: {claim.__doc__}")


def told(port: int, path: str) -> dict[str, object]:
    """The JSON of a daemon's own page."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=60) as reply:
        answer: dict[str, object] = json.load(reply)
    return answer


def wait_for_workers(ports: Mapping[str, int], daemons: list[subprocess.Popen[bytes]]) -> None:
    """Return once HDFS and YARN have their worker."""

    def stores() -> bool:
        """one datanode is live"""
        return '"NumLiveDataNodes": 1' in json.dumps(told(ports["nn"], LIVE_DATANODES))

    def computes() -> bool:
        """one node manager is active"""
        return '"activeNodes": 1' in json.dumps(told(ports["rm-web"], "ws/v1/cluster/metrics"))

    wait_until(stores, daemons)
    wait_until(computes, daemons)


@pytest.mark.slow
def test_sum_is_that_of_the_tarball(tarball: Path) -> None:
    said = [f"{tarball.name}.sha512", "--strict", "--check"]
    subprocess.check_call(["sha512sum", *said], cwd=tarball.parent)


@pytest.mark.slow
def test_tarball_counts_words(
    environ: dict[str, str], ports: Mapping[str, int], tmp_path: Path
) -> None:
    def run(*words: str) -> str:
        return subprocess.run(
            ["/usr/bin/env", *words], env=environ, check=True, capture_output=True, text=True
        ).stdout

    run("hdfs", "namenode", "-format", "-nonInteractive")
    with running(environ, tmp_path) as daemons:
        wait_for_workers(ports, daemons)
        run("hdfs", "dfs", "-put", str(TEXT), "/text")
        examples = next(home(tmp_path).glob("share/hadoop/mapreduce/*-examples-*.jar"))
        run("hadoop", "jar", str(examples), "wordcount", "/text", "/counts")
        lines = run("hdfs", "dfs", "-cat", "/counts/part-r-*").splitlines()
    counted = {word: int(count) for word, count in (line.split("\t") for line in lines)}
    assert counted == Counter(TEXT.read_text().split())
    assert belonging_to(tmp_path) == []
