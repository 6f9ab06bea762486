"""Looking at a cluster: inventories of real nodes, what happened to it, also when it is gone."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from .conftest import Cm

pytestmark = pytest.mark.usefixtures("cloud")


@pytest.fixture(scope="module")
def look(cloud: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cm]:
    """A command whose cluster look stands while this module's tests run."""
    cm = Cm(tmp_path_factory.mktemp("look"), cloud)
    cm.run("cluster", "create", "look", "--workers=2")
    try:
        yield cm
    finally:
        cm.run("cluster", "delete", "look")


@pytest.mark.parametrize("word", ["look-worker2", "worker2", "the address"])
def test_plain_ssh_reaches_a_node_by_the_inventory(look: Cm, word: str) -> None:
    config = look.file("config", look.run("cluster", "inventory", "look", "--format=ssh").stdout)
    nodes = look.run("cluster", "inventory", "look", "--format=json").json["nodes"]
    host = nodes[2]["address"] if word == "the address" else word

    said = subprocess.run(["ssh", "-F", config, host, "hostname"],
                          check=True, capture_output=True, text=True).stdout  # fmt: skip

    assert said == "look-worker2\n"


def test_an_inventory_needs_no_cloud(look: Cm) -> None:
    nowhere = {"OS_AUTH_URL": "http://127.0.0.1:9/v3", "OS_CLIENT_CONFIG_FILE": "/none"}
    alone = Cm(look.home, look.variables, nowhere)

    lines = alone.run("cluster", "inventory", "look", "--format=hosts").stdout.splitlines()

    assert [line.split()[1] for line in lines] == ["look-master", "look-worker1", "look-worker2"]
    assert "[look:children]" in alone.run("cluster", "inventory", "look").stdout


def test_an_inventory_of_a_cluster_that_is_not_there_names_those_that_are(look: Cm) -> None:
    told = look.run("cluster", "inventory", "lok", status=1).stderr

    assert "there is no cluster lok" in told
    assert "did you mean look?" in told


def test_events_tell_what_heat_did_in_its_order(look: Cm) -> None:
    told = look.run("cluster", "events", "look", "--format=json").json

    of_worker = [one["status"] for one in told if one["resource"] == "look-worker1"]
    assert of_worker == ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]
    assert told[0]["resource"] == "look"
    assert told[0]["reason"] == "Stack CREATE started"


def test_events_of_a_settled_stack_are_followed_to_their_end_at_once(look: Cm) -> None:
    told = look.run("cluster", "events", "look", "--format=csv").stdout
    assert look.run("cluster", "events", "look", "--format=csv", "--follow").stdout == told


@pytest.fixture(scope="module")
def failed(cloud: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Cm:
    """A command whose cluster fell failed and is gone; its events were followed meanwhile."""
    cm = Cm(tmp_path_factory.mktemp("failed"), cloud)
    cm.write("fell", "worker", "echo '\033[31mred words'; exit 7\n")
    with cm.start("cluster", "create", "fell", "--workers=1") as create:
        first_event(cm, "fell")
        with (
            cm.start("cluster", "events", "fell", "--follow", "--format=json") as follower,
            cm.start("cluster", "events", "fell", "--follow") as impatient,
        ):
            assert impatient.stdout is not None
            assert "Stack CREATE started" in impatient.stdout.readline()
            impatient.send_signal(signal.SIGINT)
            assert impatient.wait(30) == 0
            cm.file("followed.json", follower.communicate(timeout=300)[0])
            assert follower.returncode == 0
        _, said = create.communicate(timeout=300)
    assert create.returncode == 1, said
    return cm


def first_event(cm: Cm, name: str) -> None:
    """Return when Heat has begun."""
    for _ in range(60):
        with cm.start("cluster", "events", name) as asked:
            asked.communicate()
        if asked.returncode == 0:
            return
        time.sleep(0.5)
    raise AssertionError(f"{name} has no events")


def test_a_create_is_followed_until_its_stack_is_settled(failed: Cm) -> None:
    lines = (failed.home / "followed.json").read_text().splitlines()
    told = [(one["resource"], one["status"]) for one in map(json.loads, lines)]

    assert told[0] == ("fell", "CREATE_IN_PROGRESS")
    assert ("fell-worker1", "CREATE_COMPLETE") in told
    assert ("fell", "CREATE_COMPLETE") in told
    assert len(set(told) - {("handle", "SIGNAL_COMPLETE")}) == len(
        [one for one in told if one != ("handle", "SIGNAL_COMPLETE")]
    )


def test_events_of_a_cluster_that_is_gone_are_those_of_its_record(failed: Cm) -> None:
    answer = failed.run("cluster", "events", "fell", "--format=json")

    assert "there is no cluster fell" in answer.stderr
    assert str(failed.record_file("fell")) in answer.stderr
    assert ("fell-worker1", "CREATE_COMPLETE") in [
        (one["resource"], one["status"]) for one in answer.json
    ]


def test_a_cluster_in_which_nothing_is_wrong_is_healthy(look: Cm) -> None:
    assert look.run("cluster", "explain", "look", "--format=json").json["code"] == "healthy"


def test_a_cluster_that_is_gone_is_explained_by_its_record(failed: Cm) -> None:
    answer = failed.run("cluster", "explain", "fell")

    assert answer.stdout.startswith(
        "role-script: fell-worker1: role script ended with exit status 7"
    )
    assert "\\x1b[31mred words" in answer.stdout
    assert str(failed.record_file("fell")) in answer.stdout


def test_events_of_a_cluster_that_never_was_are_an_error(failed: Cm) -> None:
    assert "there is no cluster never" in failed.run("cluster", "events", "never", status=1).stderr


def test_logs_of_all_nodes_come_under_their_names(look: Cm) -> None:
    said = look.run("cluster", "logs", "look").stdout

    heads = [line for line in said.splitlines() if line.startswith("--- ")]
    assert heads == ["--- look-master", "--- look-worker1", "--- look-worker2"]
    assert said.count("==> /var/log/cm-cluster/bootstrap.log <==") == 3


def test_logs_of_one_node_are_printable(look: Cm) -> None:
    write = "printf 'a\\033[31mb\\n' | sudo tee /var/log/cm-cluster/own.log >/dev/null"
    look.run("cluster", "ssh", "look", "worker1", "--", write)

    said = look.run("cluster", "logs", "look", "worker1").stdout

    assert "==> /var/log/cm-cluster/own.log <==\na\\x1b[31mb\n" in said
    assert "look-worker2" not in said


def test_a_node_that_says_too_much_is_bounded(look: Cm) -> None:
    write = "for n in $(seq 20); do yes | head -c 65536 | sudo tee /var/log/cm-cluster/$n.log; done"
    look.run("cluster", "ssh", "look", "worker2", "--", f"({write}) >/dev/null")

    said = look.run("cluster", "logs", "look", "worker2").stdout

    look.run("cluster", "ssh", "look", "worker2", "--", "sudo rm /var/log/cm-cluster/[0-9]*.log")
    assert said.splitlines()[1].endswith(" characters before this")
    assert 500_000 < len(said) < 530_000


def test_a_node_that_is_not_reached_is_named_and_the_others_are_told(look: Cm) -> None:
    later = "systemd-run --quiet --on-active=20 --timer-property=AccuracySec=1s systemctl start ssh"
    look.run("cluster", "ssh", "look", "worker1", "--", f"sudo {later}; sudo systemctl stop ssh")

    answer = look.run("cluster", "logs", "look", status=1)
    until_it_answers(look, "worker1")

    assert "look-worker1: connection refused" in answer.stderr
    assert "--- look-worker2" in answer.stdout
    assert "--- look-worker1" not in answer.stdout


def until_it_answers(cm: Cm, node: str) -> None:
    """Return when the node lets us in again."""
    for _ in range(60):
        with cm.start("cluster", "ssh", "look", node, "--", "true") as ssh:
            ssh.communicate()
        if ssh.returncode == 0:
            return
        time.sleep(1)
    raise AssertionError(f"{node} does not answer")


def test_consoles_are_novas(look: Cm) -> None:
    said = look.run("cluster", "logs", "look", "--console", "worker2").stdout

    assert said.startswith("--- look-worker2\n")
    assert "cm-cluster" in said or "login:" in said or "systemd" in said


def test_logs_of_a_node_that_is_not_there_name_those_that_are(look: Cm) -> None:
    for words in (["worker7"], ["worker7", "--console"]):
        told = look.run("cluster", "logs", "look", *words, status=1).stderr
        assert "look-worker[1-2]" in told


def test_logs_of_a_cluster_that_is_gone_are_those_of_its_record(failed: Cm) -> None:
    answer = failed.run("cluster", "logs", "fell", "worker1")

    assert "==> /var/log/cm-cluster/role.log <==\n\\x1b[31mred words\n" in answer.stdout
    assert str(failed.record_file("fell")) in answer.stderr
    assert "fell-master" not in answer.stdout
    consoles = failed.run("cluster", "logs", "fell", "--console").stdout
    assert "--- fell-master\n" in consoles
    assert "--- fell-worker1\n" in consoles


def test_files_go_to_a_role_and_come_back_by_node(look: Cm) -> None:
    names = ["with blanks", "it's\ntwo lines"]
    sent = [look.file(name, f"<{name}>") for name in names]
    back = look.home / "back"

    look.run("cluster", "copy", "look", *sent, "/home/debian", "--role=worker")
    look.run("cluster", "copy", "look", *[f"/home/debian/{name}" for name in names], str(back),
             "--from", "--role=worker")  # fmt: skip

    came = {str(one.relative_to(back)): one.read_text() for one in back.rglob("*") if one.is_file()}
    assert came == {
        f"look-{node}/{name}": f"<{name}>" for node in ("worker1", "worker2") for name in names
    }


def test_a_node_that_does_not_take_a_file_is_named(look: Cm) -> None:
    look.run("cluster", "ssh", "look", "worker1", "--", "mkdir -p taken/note")
    note = look.file("note", "well")

    answer = look.run("cluster", "copy", "look", note, "taken", status=3)

    assert "look-worker1: " in answer.stderr
    assert "there is a folder of that name" in answer.stderr
    assert look.run("cluster", "ssh", "look", "worker2", "--", "cat taken").stdout == "well"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere", "/tmp"], "there is no such file"),
        (["/etc", "/tmp"], "copy takes files"),
        (["/etc/passwd", ""], "no name that can be sent"),
        (["/etc/", "here", "--from"], "copy takes files"),
        (["/a/x", "/b/x", "here", "--from"], "two files are called 'x'"),
    ],
)
def test_what_cannot_be_copied_is_told_before_any_node_is_asked(
    look: Cm, words: list[str], told: str
) -> None:
    assert told in look.run("cluster", "copy", "look", *words, status=2).stderr
