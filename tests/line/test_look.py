"""Looking at a cluster: inventories of real nodes."""

from __future__ import annotations

import subprocess
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
