"""A cluster of several root stacks: all that a user does with it, he does with one cluster.

Two workers are as many as a root stack may have here, where elsewhere they are 949.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import openstack
import pytest

from cloudmesh_cluster.model.marks import ROOT, root_tag
from cloudmesh_cluster.steps.follow import SILENCE

from .conftest import Cm, things

Connection = openstack.connection.Connection

PROGRAM = """
import sys
from cloudmesh_cluster.steps import follow, layout, order
order.ROOT_SIZE = layout.ROOT_SIZE = 2
follow.SILENCE = {silence}
from cloudmesh_cluster.shell.cli import main
sys.exit(main(sys.argv[1:]))
"""
NOBODY = "11111111-1111-1111-1111-111111111111"


@dataclass(frozen=True)
class SmallRoots(Cm):
    """The command, to which a root stack is full with two workers."""

    silence: float = SILENCE  # seconds after which nodes are asked over SSH

    def start(self, *words: str, **streams: Any) -> subprocess.Popen[str]:
        """The command, running."""
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(silence=self.silence), *words],
            env=self.environ(),
            text=True,
            stdin=streams.get("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the one who has the cluster of these tests."""
    return tmp_path_factory.mktemp("roots")


@pytest.fixture
def cm(place: Path, cloud: Mapping[str, str]) -> SmallRoots:
    """The command of the one who has the cluster."""
    return SmallRoots(place, cloud)


@pytest.fixture(scope="module", autouse=True)
def before(place: Path, cloud: Mapping[str, str], user: Connection) -> Iterator[Counter[str]]:
    """What the project had before these tests, and has again afterwards."""
    had = things(user)
    yield had
    SmallRoots(place, cloud).run("cluster", "delete", "ro")
    assert things(user) == had


def roots(user: Connection) -> list[str]:
    """The names of the cluster's root stacks."""
    names = [one.name for one in user.orchestration.stacks()]
    return sorted(one for one in names if one.partition(".")[0] == "ro")


def nodes(cm: Cm) -> dict[str, str]:
    """The addresses by name, as show tells them."""
    told = cm.run("cluster", "show", "ro", "--format=json").json["nodes"]
    return {one["name"].removeprefix("ro-"): one["address"] for one in told}


def meet(cm: Cm) -> None:
    """Every node logs in to every node by name, as the login user and as root."""
    script = (
        f"for one in {' '.join(nodes(cm))}; do "
        "ssh -o BatchMode=yes $one true && sudo ssh $one true || exit; done"
    )
    cm.run("cluster", "test", "ro", script)


def test_a_cluster_of_two_roots_is_made(cm: Cm, user: Connection) -> None:
    cm.write("ro", "worker", "getent hosts master worker1 worker4 && echo $CM_NODE >> /srv/ran\n")

    made = cm.run("cluster", "create", "ro", "--workers=4", "--format=json").json

    assert roots(user) == ["ro", "ro.2"]
    assert [one["name"] for one in made["nodes"]] == [
        "ro-master",
        *(f"ro-worker{number}" for number in (1, 2, 3, 4)),
    ]
    assert list(made["stages"]) == ["stack", "booted", "wired", "finished", "verified"]
    meet(cm)
    cm.run("cluster", "test", "ro", "--role=worker", "--", 'test "$(wc -l < /srv/ran)" = 1')


def test_it_is_one_cluster_to_whoever_looks(cm: Cm) -> None:
    rows = cm.run("cluster", "list", "--format=json").json
    events = cm.run("cluster", "events", "ro", "--format=json").json
    told = cm.run("cluster", "timeline", "ro", "--format=csv").stdout
    explained = cm.run("cluster", "explain", "ro", "--format=json").json
    logs = cm.run("cluster", "logs", "ro", "worker4").stdout

    assert [(one["name"], one["status"]) for one in rows] == [("ro", "CREATE_COMPLETE")]
    assert {"ro", "ro.2", "ro-worker1", "ro-worker4"} <= {one["resource"] for one in events}
    assert {f"ro-worker{number}" for number in (1, 2, 3, 4)} <= set(re.split(r"[,\n]", told))
    assert explained["code"] == "healthy"
    assert "--- ro-worker4" in logs
    cm.run("cluster", "doctor")
    assert "nothing to do" in cm.run("cluster", "create", "ro", "--workers=4").stderr


def test_it_grows_by_a_root(cm: Cm, user: Connection) -> None:
    old = nodes(cm)

    said = cm.run("cluster", "update", "ro", "--workers=5").stderr

    now = nodes(cm)
    assert "ro-worker5 joined" in said
    assert roots(user) == ["ro", "ro.2", "ro.3"]
    assert {name: now[name] for name in old} == old
    meet(cm)


def test_a_server_of_a_further_root_is_made_anew(cm: Cm, user: Connection) -> None:
    victim = next(one for one in user.compute.servers() if one.name == "ro-worker3")
    user.compute.delete_server(victim)
    user.compute.wait_for_delete(victim, wait=120)

    said = cm.run("cluster", "repair", "ro").stderr

    assert "ro-worker3 was made anew" in said
    meet(cm)


def test_roots_leave_with_their_last_worker(cm: Cm, user: Connection) -> None:
    old = nodes(cm)

    said = cm.run("cluster", "update", "ro", "--remove=worker1,worker5", "--workers=2").stderr

    now = nodes(cm)
    assert "ro-worker[1,4-5] left" in said
    assert list(now) == ["master", "worker2", "worker3"]
    assert {name: old[name] for name in now} == now
    assert roots(user) == ["ro", "ro.2"]
    meet(cm)


def test_deleted_it_has_left_nothing(cm: Cm, user: Connection, before: Counter[str]) -> None:
    cm.run("cluster", "delete", "ro")

    assert things(user) == before


def test_a_create_that_was_killed_goes_on(cm: SmallRoots, user: Connection) -> None:
    cm.write("ro", "worker", "echo $CM_NODE >> /srv/ran\n")
    with cm.start("cluster", "create", "ro", "--workers=3") as process:
        while "ro" not in roots(user):
            time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
        process.communicate()

    # What nodes signal goes to handles that the update takes away: these are asked sooner here.
    said = replace(cm, silence=5.0).run("cluster", "create", "ro")

    assert "going on with it" in said.stderr
    assert roots(user) == ["ro", "ro.2"]
    assert list(nodes(cm)) == ["master", "worker1", "worker2", "worker3"]
    meet(cm)


def test_a_root_without_its_first_is_a_leftover(cm: Cm, user: Connection) -> None:
    template = {
        "heat_template_version": "2018-08-31",
        "resources": {"one": {"type": "OS::Heat::None"}},
    }
    user.orchestration.create_stack(
        name="lost.2", template=template, tags=f"{ROOT},{root_tag(NOBODY)}", timeout_mins=5
    )

    found = cm.run("cluster", "doctor", "--format=json", status=1).json
    cm.run("cluster", "doctor", "--fix")

    assert [(one["kind"], one["name"], one["cluster"]) for one in found] == [
        ("stack", "lost.2", "lost")
    ]
    assert roots(user) == ["ro", "ro.2"]
    assert "lost.2" not in [one.name for one in user.orchestration.stacks()]


def test_a_create_that_fails_is_rolled_back_in_all_roots(cm: Cm, user: Connection) -> None:
    cm.run("cluster", "delete", "ro")
    had = things(user)
    cm.write("ro", "worker", 'test "$CM_NODE" != ro-worker3 || { echo no luck; exit 7; }\n')

    said = cm.run("cluster", "create", "ro", "--workers=3", status=1).stderr

    assert "ro-worker3: role script ended with exit status 7" in said
    assert "no luck" in said
    assert "The stack has been deleted" in said
    assert things(user) == had
