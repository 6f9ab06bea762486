"""Inventories, read as those programs read them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.inventory import INVENTORIES, ansible, ansible_group, hosts, ssh
from cloudmesh_cluster.shell.arguments import OWN_FORMATS

FOLDER = Path("/home/a b/cluster/demo")
NODES = (
    Target("demo-master", "192.0.2.1", "debian", ("ssh-ed25519 A",), role="master"),
    Target("demo-worker1", "10.0.0.11", "debian", ("ssh-ed25519 B",), role="worker"),
    Target("demo-worker2", "10.0.0.12", "debian", ("ssh-ed25519 C",), port=2222, role="worker"),
)
BEHIND = Access(NODES, through_master=True)


def test_the_formats_are_those_of_the_grammar() -> None:
    assert tuple(INVENTORIES) == OWN_FORMATS["cluster inventory"]


def test_ansible_has_the_roles_and_the_cluster_as_groups() -> None:
    assert ansible("demo", BEHIND, FOLDER).splitlines() == [
        "[master]",
        "demo-master ansible_host=192.0.2.1 ansible_user=debian",
        "",
        "[worker]",
        "demo-worker1 ansible_host=10.0.0.11 ansible_user=debian",
        "demo-worker2 ansible_host=10.0.0.12 ansible_user=debian ansible_port=2222",
        "",
        "[demo:children]",
        "master",
        "worker",
        "",
        "[demo:vars]",
        "ansible_ssh_private_key_file=/home/a b/cluster/demo/id_ed25519",
        "ansible_ssh_common_args=-F '/home/a b/cluster/demo/ssh_config'",
    ]


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("demo", "demo"),
        ("my-demo-2", "my_demo_2"),
        ("master", "cluster_master"),
        ("worker", "cluster_worker"),
        ("all", "cluster_all"),
    ],
)
def test_a_group_has_a_name_that_ansible_takes(name: str, group: str) -> None:
    assert ansible_group(name) == group


def test_hosts_has_a_line_for_each_node() -> None:
    assert hosts("demo", BEHIND, FOLDER).splitlines() == [
        "192.0.2.1 demo-master",
        "10.0.0.11 demo-worker1",
        "10.0.0.12 demo-worker2",
    ]


@pytest.mark.parametrize(("through", "jump"), [(True, "demo-master"), (False, None)])
def test_json_tells_the_way_to_each_node(through: bool, jump: str | None) -> None:
    told = json.loads(INVENTORIES["json"]("demo", Access(NODES, through), FOLDER))

    assert [one["jump_host"] for one in told["nodes"]] == [None, jump, jump]
    assert told["identity_file"] == "/home/a b/cluster/demo/id_ed25519"
    assert told["nodes"][2] == {
        "name": "demo-worker2",
        "role": "worker",
        "address": "10.0.0.12",
        "port": 2222,
        "login": "debian",
        "jump_host": jump,
        "host_keys": ["ssh-ed25519 C"],
    }


@pytest.mark.skipif(not shutil.which("ssh"), reason="needs openssh-client")
@pytest.mark.parametrize("word", ["demo-worker2", "worker2", "10.0.0.12"])
def test_ssh_reaches_a_node_by_name_and_by_address(word: str, tmp_path: Path) -> None:
    config = tmp_path / "ssh_config"
    config.write_text(ssh("demo", BEHIND, FOLDER))

    read = subprocess.run(["ssh", "-G", "-F", str(config), word],
                          check=True, capture_output=True, text=True).stdout  # fmt: skip

    settings = dict(line.split(" ", 1) for line in read.splitlines())
    wanted = {
        "hostname": "10.0.0.12",
        "hostkeyalias": "demo-worker2",
        "port": "2222",
        "user": "debian",
        "proxyjump": "demo-master",
        "stricthostkeychecking": "true",
    }
    assert wanted.items() <= settings.items()
