"""The main job: make, look, test, log in, delete; on real services, with real nodes."""

from __future__ import annotations

import csv
import io
import re
import signal
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .conftest import Cm

pytestmark = pytest.mark.usefixtures("cloud")

WORKERS = 2
EXPECT = """\
expect:
  - role: master
    command: cat /srv/role
    stdout: "master of {{ workers }}"
  - role: worker
    file: /srv/role
  - service: ssh
  - port: 22
  - role: worker
    command: getent hosts master
    matches: '^[0-9.]+ +demo-master master$'
"""
ROLE = "echo $CM_ROLE of $CM_WORKERS >/srv/role; echo made on $CM_NODE\n"


@pytest.fixture(scope="module")
def demo(cloud: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cm]:
    """A command whose cluster demo stands while this module's tests run."""
    cm = Cm(tmp_path_factory.mktemp("demo"), cloud)
    for role in ("master", "worker"):
        cm.write("demo", role, ROLE)
    made = cm.run("cluster", "create", "demo", f"--workers={WORKERS}",
                  f"--expect={cm.file('expect.yaml', EXPECT)}", "--format=json")  # fmt: skip
    cm.file("created.json", made.stdout)
    try:
        yield cm
    finally:
        cm.run("cluster", "delete", "demo")


def test_create_answers_with_nodes_and_verdicts(demo: Cm) -> None:
    created = yaml.safe_load((demo.home / "created.json").read_text())

    assert [node["name"] for node in created["nodes"]] == [
        "demo-master", "demo-worker1", "demo-worker2"]  # fmt: skip
    assert {node["checks"] for node in created["nodes"]} == {"3/3 passed", "4/4 passed"}
    assert all(verdict["passed"] for verdict in created["verdicts"])


@pytest.mark.parametrize("user", ["as the login user", "as root"])
def test_every_node_logs_in_to_every_node_by_every_name(demo: Cm, user: str) -> None:
    names = [f"{prefix}{node}" for prefix in ("", "demo-") for node in
             ("master", "worker1", "worker2")]  # fmt: skip
    sudo = "sudo " if user == "as root" else ""
    loop = f"for n in {' '.join(names)}; do {sudo}ssh -o BatchMode=yes $n hostname -s || exit; done"

    answer = demo.run("cluster", "test", "demo", "--format=json", loop)

    assert [(group["nodes"], group["exit_status"]) for group in answer.json] == [
        (["demo-master", "demo-worker1", "demo-worker2"], 0)
    ]
    assert answer.json[0]["stdout"].split() == 2 * ["demo-master", "demo-worker1", "demo-worker2"]


def test_the_tests_run_again(demo: Cm) -> None:
    verdicts = demo.run("cluster", "test", "demo", "--format=json").json

    assert len(verdicts) == 3 + 4 * WORKERS
    assert all(verdict["passed"] for verdict in verdicts)


def test_a_broken_expectation_fails_with_status_3_and_names_the_node(demo: Cm) -> None:
    demo.run("cluster", "ssh", "demo", "worker2", "--", "sudo rm /srv/role")

    failed = demo.run("cluster", "test", "demo", "--format=csv", status=3)

    rows = [row for row in csv.DictReader(io.StringIO(failed.stdout)) if row["passed"] == "no"]
    assert [(row["node"], row["seen"]) for row in rows] == [("demo-worker2", "no such file")]
    demo.run("cluster", "ssh", "demo", "worker2", "--", "sudo touch /srv/role")


def test_a_junit_report_is_written(demo: Cm) -> None:
    extra = demo.file("extra.yaml", "- role: master\n  command: exit 4\n")
    report = demo.home / "report.xml"

    demo.run("cluster", "test", "demo", f"--expect={extra}", f"--junit={report}", status=3)

    suite = ElementTree.parse(report).getroot()
    assert suite.get("failures") == "1"
    failure = suite.find(".//failure")
    assert failure is not None
    assert "exit status 4" in str(failure.get("message"))


def test_a_command_is_run_on_the_role_and_like_answers_are_folded(demo: Cm) -> None:
    answer = demo.run("cluster", "test", "demo", "--role=worker", "echo", "$((6*7))")

    assert answer.stdout == "--- demo-worker[1-2]\n42\n"


def test_a_script_from_stdin_is_run_by_its_own_interpreter(demo: Cm) -> None:
    script = "#!/usr/bin/env python3\nimport socket\nprint(len(socket.gethostname()))\n"

    answer = demo.run("cluster", "test", "demo", "--role=master", script=script)

    assert answer.stdout == f"--- demo-master\n{len('demo-master')}\n"


def test_a_command_that_fails_somewhere_has_status_3(demo: Cm) -> None:
    answer = demo.run("cluster", "test", "demo", "hostname | grep -v worker1", status=3)

    assert "--- demo-worker1: exit status 1" in answer.stdout


def test_ssh_gives_the_exit_status_of_the_command(demo: Cm) -> None:
    assert demo.run("cluster", "ssh", "demo", "--", "hostname").stdout == "demo-master\n"
    assert demo.run("cluster", "ssh", "demo", "worker1", "hostname").stdout == "demo-worker1\n"
    demo.run("cluster", "ssh", "demo", "worker1", "--", "exit", "9", status=9)


def test_ssh_to_a_node_that_is_not_there_names_those_that_are(demo: Cm) -> None:
    answer = demo.run("cluster", "ssh", "demo", "worker9", status=1)

    assert "demo-worker[1-2]" in answer.stderr


def test_ssh_knows_the_host_keys_from_the_start(demo: Cm) -> None:
    known = (demo.workspace("demo") / "known_hosts").read_text().splitlines()
    on_node = demo.run(
        "cluster", "ssh", "demo", "--", "cat /etc/ssh/ssh_host_ed25519_key.pub"
    ).stdout

    assert len(known) == 1 + WORKERS
    assert on_node.split()[1] in known[0]
    assert (demo.workspace("demo") / "id_ed25519").stat().st_mode & 0o777 == 0o600


def test_a_changed_host_key_is_refused_by_name(demo: Cm) -> None:
    key = "/etc/ssh/ssh_host_ed25519_key"
    back = f"mv /root/key {key} && systemctl restart ssh"
    renew = f"mv {key} /root/key && ssh-keygen -q -t ed25519 -N '' -f {key}"
    # Nobody may log in while the key is another one, so the node itself puts the old one back.
    later = f"systemd-run --quiet --on-active=15 sh -c '{back}'"
    script = f'sudo sh -c "{renew}"\nsudo {later}\nsudo systemctl restart ssh\n'

    demo.run("cluster", "ssh", "demo", "worker1", "--", script)

    answer = demo.run("cluster", "test", "demo", "--role=worker", "true", status=3)
    assert re.search(r"demo-worker1.*\n.*host key", answer.stdout)
    assert "demo-worker2" in answer.stdout
    until_it_answers(demo, "worker1")


def until_it_answers(cm: Cm, node: str) -> None:
    """Return when the node lets us in again."""
    for _ in range(30):
        with cm.start("cluster", "ssh", "demo", node, "--", "true") as ssh:
            ssh.communicate()
        if ssh.returncode == 0:
            return
        time.sleep(1)
    raise AssertionError(f"{node} does not answer")


def test_list_and_show_tell_the_cluster(demo: Cm) -> None:
    rows = demo.run("cluster", "list", "--format=json").json
    assert [(row["name"], row["status"], row["product"]) for row in rows] == [
        ("demo", "CREATE_COMPLETE", "plain")
    ]

    shown = yaml.safe_load(demo.run("cluster", "show", "demo", "--format=yaml").stdout)
    assert [node["status"] for node in shown["nodes"]] == ["ACTIVE"] * (1 + WORKERS)
    assert "demo-worker2" in demo.run("cluster", "show", "demo").stdout


def test_another_machine_sees_the_cluster_but_has_no_key(demo: Cm, tmp_path: Path) -> None:
    elsewhere = Cm(tmp_path, demo.variables)

    assert "demo-master" in elsewhere.run("cluster", "show", "demo").stdout
    refused = elsewhere.run("cluster", "ssh", "demo", "--", "true", status=1)
    assert "made elsewhere" in refused.stderr


def test_a_create_of_something_else_by_the_name_is_refused_and_harms_nothing(demo: Cm) -> None:
    refused = demo.run("cluster", "create", "demo", "--product=slurm", status=1)

    assert "there is a cluster demo already, of product plain" in refused.stderr
    assert demo.run("cluster", "ssh", "demo", "--", "hostname").stdout == "demo-master\n"


def test_the_outputs_of_scripts_are_kept_on_the_node(demo: Cm) -> None:
    log = demo.run("cluster", "ssh", "demo", "worker1", "--",
                   "sudo cat /var/log/cm-cluster/role.log").stdout  # fmt: skip
    assert log == "made on demo-worker1\n"


@pytest.mark.usefixtures("nothing_left")
def test_a_script_that_is_too_large_for_user_data_still_runs(cm: Cm) -> None:
    import base64
    import random

    noise = base64.b85encode(random.Random(5).randbytes(90_000)).decode().replace("'", "x")
    cm.write("big", "worker", f"size() {{ echo ${{#1}}; }}\nsize '{noise}' >/srv/size\n")
    check = cm.file("e.yaml", f"- role: worker\n  command: cat /srv/size\n  stdout: {len(noise)}\n")

    cm.run("cluster", "create", "big", "--workers=1", f"--expect={check}")

    cm.run("cluster", "delete", "big")


@pytest.mark.usefixtures("nothing_left")
def test_the_printed_template_makes_a_wired_cluster_by_openstack_alone(cm: Cm) -> None:
    cm.write("solo", "worker", "echo from the template >/srv/role\n")
    template = cm.file("solo.yaml", cm.run("cluster", "template", "solo", "--workers=2").stdout)

    openstack(cm, "stack", "create", "--wait", "-t", template, "--tags", "cm-cluster", "solo")

    wait_until_ready(cm, "solo")
    assert cm.run("cluster", "test", "solo", "--role=worker", "cat /srv/role").stdout == (
        "--- solo-worker[1-2]\nfrom the template\n"
    )
    cm.run("cluster", "ssh", "solo", "--", "ssh -o BatchMode=yes solo-worker2 ssh master true")
    cm.run("cluster", "delete", "solo")


def openstack(cm: Cm, *words: str) -> str:
    """What the openstack command prints."""
    import sys

    program = Path(sys.executable).with_name("openstack")
    done = subprocess.run([program, *words], env=cm.environ(), check=True, capture_output=True,
                          text=True, timeout=300)  # fmt: skip
    return done.stdout


def wait_until_ready(cm: Cm, name: str) -> None:
    """Return when the nodes' scripts have ended."""
    check = cm.file("ready.yaml", "- file: /var/lib/cm-cluster/status/finished\n  within: 120s\n")
    for _ in range(60):
        if (cm.workspace(name) / "access.yaml").exists():
            break
        with cm.start("cluster", "show", name) as shown:
            shown.communicate()
        time.sleep(1)
    cm.run("cluster", "test", name, f"--expect={check}")


def test_one_can_log_in_and_watch_while_the_scripts_run(cm: Cm) -> None:
    cm.write("watched", "master", "echo at work; sleep 600\n")
    create = cm.start("cluster", "create", "watched", "--workers=1")
    command = ["cluster", "ssh", "watched", "--", "sudo cat /var/log/cm-cluster/role.log"]
    end = time.monotonic() + 120
    said = ""
    while said != "at work\n" and time.monotonic() < end and create.poll() is None:
        said, _ = cm.start(*command).communicate(timeout=60)
        time.sleep(1)

    create.send_signal(signal.SIGINT)
    create.communicate(timeout=120)

    assert said == "at work\n"
    assert create.returncode == 130
    assert not (cm.workspace("watched") / "access.yaml").exists()
