"""A node may report what it likes; nothing of it may become an order to the client."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cloudmesh_cluster.model.access import known_hosts, ssh_config
from cloudmesh_cluster.model.cluster import Node, Result
from cloudmesh_cluster.model.inventory import ansible
from cloudmesh_cluster.steps.nodes import access_reported
from cloudmesh_cluster.steps.reports import Report, read_from, report

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVeRemjRJfChBJsz8Y"
NODES = (
    Node("demo-master", "master", "10.0.0.1", "192.0.2.1"),
    Node("demo-worker1", "worker", "10.0.0.2"),
)
FOLDER = Path("/home/me/.cloudmesh/cluster/demo")
TOLD = {
    "node": "demo-worker1",
    "phase": "booted",
    "exit": 0,
    "reason": "",
    "login": "debian",
    "host_key": KEY,
    "server": "2e92ef4a-18e5-4ad0-a243-75fc939e7cbe",
    "at": 1,
}
# What a terminal obeys: control characters, and those that turn the direction of the text.
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Words that ssh, Ansible or a shell would obey, and what ends a line for one of them.
ENDS = st.sampled_from(["\n", "\r", " ", "\t", "\0", "\x0b", "\x85", "\u2028", '"', "'", "\\"])
ORDERS = st.sampled_from(
    ["ProxyCommand reboot", "ansible_connection=local", "$(reboot)", "`reboot`", "-oProxyCommand=x"]
)
HOSTILE = st.lists(st.one_of(ENDS, ORDERS, st.text(max_size=9), st.just("debian"))).map("".join)


def files(of: Report) -> list[str]:
    """All that the client makes of what a node has reported."""
    master = report({**TOLD, "node": "demo-master"})
    assert master is not None
    access = access_reported(NODES, {("demo-master", "booted"): master, (of.node, of.phase): of})
    return [
        ssh_config(access, FOLDER),
        known_hosts(access),
        ansible("demo", access, FOLDER),
    ]


def shape(text: str) -> list[int]:
    """How many words each line has."""
    return [len(line.split()) for line in text.splitlines()]


SOUND = report(TOLD)
assert SOUND is not None
EXPECTED = [shape(text) for text in files(SOUND)]


@given(login=HOSTILE, host_key=HOSTILE.map(lambda text: f"{KEY}{text}"), reason=HOSTILE)
@example(login="debian\n  ProxyCommand reboot", host_key=KEY, reason="")
@example(login="-oProxyCommand=reboot", host_key=KEY, reason="")
@example(login="debian", host_key=f"{KEY}\n* {KEY}", reason="")
@example(login="debian", host_key=KEY, reason="x" * 10**6)
@example(login="debian", host_key=KEY, reason="\x1b[2J\x1b]0;owned\x07")
def test_a_report_adds_no_line_and_no_word(login: str, host_key: str, reason: str) -> None:
    found = report({**TOLD, "login": login, "host_key": host_key, "reason": reason})

    if found is None:
        assert (login, host_key) != (TOLD["login"], TOLD["host_key"])
    else:
        assert [shape(text) for text in files(found)] == EXPECTED
        assert len(found.reason) <= 300
        assert not OBEYED.search(found.reason)


@pytest.mark.parametrize(
    "changed",
    [
        {"login": "debian\n  ProxyCommand reboot"},
        {"login": "-oProxyCommand=reboot"},
        {"login": ""},
        {"host_key": f"{KEY}\n* {KEY}"},
        {"host_key": "AAAA"},
        {"host_key": None},
        {"phase": "crowned"},
        {"server": "../../etc"},
        {"exit": "nan"},
        {"at": float("inf")},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_report_that_is_not_sound_is_none(changed: dict[str, Any]) -> None:
    assert report({**TOLD, **changed}) is None


def test_what_ssh_reads_is_what_was_meant(tmp_path: Path) -> None:
    found = report(TOLD)
    assert found is not None
    (tmp_path / "ssh_config").write_text(files(found)[0])

    read = subprocess.run(
        ["ssh", "-G", "-F", str(tmp_path / "ssh_config"), "demo-worker1"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    assert "user debian" in read
    assert "proxyjump demo-master" in read
    assert not [line for line in read if line.startswith("proxycommand")]


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"data": 1}',
        "\x1b[2J",
        json.dumps({"data": {**TOLD, "at": 10}}).replace("10", "9" * 5000),
        json.dumps({"data": {**TOLD, "node": "demo-master"}}),
    ],
    ids=["deep", "no report", "escape", "large number", "of another node"],
)
def test_what_a_node_prints_of_itself_is_read_with_care(line: str) -> None:
    good = json.dumps({"data": TOLD})

    found = read_from("demo-worker1", Result(0, f"{line}\n{good}\n"))

    assert found == {("demo-worker1", "booted"): SOUND}
