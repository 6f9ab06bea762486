"""A whole cluster off and on again: what it had is there, what it did it does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import openstack
import pytest

from .conftest import Answer, Cm

pytestmark = pytest.mark.usefixtures("cloud")


@pytest.fixture(scope="module")
def pow(cloud: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cm]:
    """A command whose Slurm cluster pow stands, on or off, while this module's tests run."""
    cm = Cm(tmp_path_factory.mktemp("pow"), cloud)
    cm.run("cluster", "create", "pow", "--product=slurm", "--workers=2")
    try:
        yield cm
    finally:
        cm.run("cluster", "delete", "pow")


@pytest.fixture(scope="module")
def before(pow: Cm) -> list[dict[str, Any]]:
    """The nodes as they were before the cluster was stopped."""
    pow.run("cluster", "test", "pow", "echo kept | sudo tee /srv/kept")
    nodes: list[dict[str, Any]] = pow.run("cluster", "show", "pow", "--format=json").json["nodes"]
    return nodes


@pytest.fixture(scope="module")
def off(pow: Cm, before: list[dict[str, Any]]) -> Answer:
    """What stop answered."""
    return pow.run("cluster", "stop", "pow", "--format=json")


def test_a_stopped_cluster_keeps_its_nodes(
    pow: Cm, before: list[dict[str, Any]], off: Answer
) -> None:
    shown = pow.run("cluster", "show", "pow", "--format=json").json

    assert shown["nodes"] == [{**one, "status": "SHUTOFF"} for one in before]
    assert off.json["nodes"] == shown["nodes"]
    assert "Start it again: cm cluster start pow" in off.stderr


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("test", "pow"), 1),
        (("test", "pow", "uptime"), 1),
        (("ssh", "pow", "worker1", "--", "uptime"), 255),
        (("logs", "pow"), 1),
    ],
    ids=["test", "test-command", "ssh", "logs"],
)
def test_what_needs_the_nodes_tells_that_they_are_off(
    pow: Cm, off: Answer, words: tuple[str, ...], status: int
) -> None:
    said = pow.run("cluster", *words, status=status).stderr

    assert "pow is stopped: all its servers are SHUTOFF" in said
    assert "Start it: cm cluster start pow" in said


def test_list_tells_that_the_servers_are_off(pow: Cm, off: Answer) -> None:
    rows = pow.run("cluster", "list", "--format=json").json

    assert [one["servers"] for one in rows if one["name"] == "pow"] == ["3 SHUTOFF"]


def test_to_stop_a_stopped_cluster_is_nothing_to_do(pow: Cm, off: Answer) -> None:
    assert "nothing to do" in pow.run("cluster", "stop", "pow").stderr


@pytest.fixture(scope="module")
def on(pow: Cm, off: Answer) -> Answer:
    """What start answered."""
    return pow.run("cluster", "start", "pow", "--format=json")


def test_it_comes_back_as_it_was_and_computes(
    pow: Cm, before: list[dict[str, Any]], on: Answer
) -> None:
    assert [(one["name"], one["status"], one["address"]) for one in on.json["nodes"]] == [
        (one["name"], "ACTIVE", one["address"]) for one in before
    ]
    assert on.json["verdicts"]
    assert all(one["passed"] for one in on.json["verdicts"])
    job = "sudo -iu cluster timeout 120 srun --nodes=2 cat /srv/kept"
    assert pow.run("cluster", "ssh", "pow", "--", job).stdout == "kept\nkept\n"


def test_to_start_a_running_cluster_is_nothing_to_do(pow: Cm, on: Answer) -> None:
    assert "nothing to do" in pow.run("cluster", "start", "pow").stderr
    assert pow.run("cluster", "test", "pow").stderr.endswith("8 of 8 checks passed\n")


def test_a_start_after_which_a_check_fails_lists_it(
    pow: Cm, on: Answer, user: openstack.connection.Connection
) -> None:
    pow.run("cluster", "ssh", "pow", "worker2", "--", "sudo systemctl disable slurmd")
    user.compute.stop_server(user.compute.find_server("pow-worker2", ignore_missing=False))
    user.compute.wait_for_server(
        user.compute.find_server("pow-worker2", ignore_missing=False), "SHUTOFF", wait=180
    )

    # Two minutes, so that not all of the five are waited for that the services would be given.
    said = pow.run("cluster", "start", "pow", "--timeout=2", status=3).stderr

    assert "pow is on, but " in said
    assert "pow-worker2: service slurmd: inactive" in said
    pow.run("cluster", "ssh", "pow", "worker2", "--", "sudo systemctl enable --now slurmd")


OFF_ONCE = """
cat >/etc/systemd/system/off-once.service <<'UNIT'
[Unit]
Before=ssh.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'mkdir /srv/once && systemctl poweroff --force --force'
[Install]
WantedBy=multi-user.target
UNIT
systemctl enable off-once
"""


def test_a_node_that_goes_off_while_it_boots_is_started_again(pow: Cm, on: Answer) -> None:
    pow.run("cluster", "ssh", "pow", "worker2", "--", "sudo bash -s", script=OFF_ONCE)
    pow.run("cluster", "stop", "pow")

    said = pow.run("cluster", "start", "pow").stderr

    assert "pow-worker2 went off while booting: started again" in said
    pow.run("cluster", "ssh", "pow", "worker2", "--", "test -d /srv/once")
    assert pow.run("cluster", "test", "pow").stdout
