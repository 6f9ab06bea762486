"""Explaining: a cluster whose create failed and that was kept, by its record and as it is."""

from __future__ import annotations

import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest
import yaml

from cloudmesh_cluster.model.codes import MEANINGS
from cloudmesh_cluster.model.secrets import MASK

from .conftest import Cm

pytestmark = pytest.mark.usefixtures("cloud")

SECRETS = ("/var/lib/cloud/instance/user-data.txt", "/root/.ssh/id_ed25519")
# A script that tells all that it should not: the keys, and the command with Heat's token.
INDISCREET = f"cat {' '.join(SECRETS)}\necho the telling line\nexit 7\n"


@pytest.fixture(scope="module")
def kept(cloud: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cm]:
    """A command whose create of the cluster why failed; it is kept while the tests run."""
    cm = Cm(tmp_path_factory.mktemp("kept"), cloud)
    cm.write("why", "worker", INDISCREET)
    try:
        said = cm.run("cluster", "create", "why", "--workers=1", "--keep", status=1).stderr
        assert said.endswith("Code: role-script; more: cm cluster explain why\n")
        yield cm
    finally:
        cm.run("cluster", "delete", "why")


def explained(cm: Cm, *words: str) -> dict[str, Any]:
    """The answer, which has the form that docs/formats.rst tells."""
    found = cm.run("cluster", "explain", "why", *words, "--format=json").json
    texts = ("cluster", "code", "verdict", "likely", "next_step", "source")
    assert list(found) == [*texts[:3], "evidence", *texts[3:]]
    assert all(isinstance(found[one], str) for one in texts)
    assert all(isinstance(one, str) for one in found["evidence"])
    assert found["code"] in MEANINGS
    return dict(found)


def test_no_secret_of_the_stack_is_in_the_record(kept: Cm, cloud: dict[str, str]) -> None:
    file = kept.record_file("why")
    with tarfile.open(file) as archive:
        members = [archive.extractfile(one) for one in archive if one.isfile()]
        text = "\n".join(one.read().decode() for one in members if one)
    entry = yaml.safe_load(Path(cloud["OS_CLIENT_CONFIG_FILE"]).read_text())["clouds"]["local"]

    secrets = [
        *secrets_of(kept),
        *key_lines((kept.workspace("why") / "id_ed25519").read_text()),
        entry["auth"]["password"],
    ]

    assert file.stat().st_mode & 0o777 == 0o600
    assert MASK in text  # the script has told them
    assert "the telling line" in text
    assert not [one for one in secrets if one in text]


def secrets_of(cm: Cm) -> list[str]:
    """What a node has of secrets: the lines of all its private keys, and Heat's token."""
    told = cm.run("cluster", "ssh", "why", "worker1", "--", f"sudo cat {' '.join(SECRETS)}").stdout
    tokens = re.findall(r"X-Auth-Token: ([^'\"\s]+)", told)
    keys = key_lines(told)
    assert tokens
    assert len(keys) > 4  # of the nodes, and of the authority
    return [*tokens, *keys]


def key_lines(text: str) -> list[str]:
    """The lines between the first and the last of each private key, but for a common beginning."""
    found = re.findall(r"BEGIN [A-Z ]*PRIVATE KEY-----\n(.*?)-----END", text, re.DOTALL)
    assert found
    return [line for key in found for line in key.splitlines() if len(line) > 20]


def test_a_record_is_explained_wherever_it_is(kept: Cm, tmp_path: Path) -> None:
    sent = Path(shutil.copy(kept.record_file("why"), tmp_path / "sent.tar.gz"))
    nowhere = {"OS_AUTH_URL": "http://127.0.0.1:9/v3", "OS_CLIENT_CONFIG_FILE": "/none"}
    administrator = Cm(tmp_path, kept.variables, nowhere)

    found = explained(administrator, str(sent))

    assert found["code"] == "role-script"
    assert found["verdict"] == "why-worker1: role script ended with exit status 7"
    assert found["evidence"][-1] == "the telling line"
    assert found["source"] == str(sent)
    assert found["code"] == explained(kept, kept.record_file("why").name)["code"]


def test_a_cluster_is_explained_as_it_gets_worse(
    kept: Cm, user: openstack.connection.Connection
) -> None:
    """What is nearest to the cause is told: the script, then the node, then its server."""
    found = explained(kept)
    assert (found["code"], found["source"]) == ("role-script", "the cluster as it is")
    assert found["evidence"][-1] == "the telling line"

    kept.run("cluster", "ssh", "why", "worker1", "--", "sudo systemctl stop ssh.socket ssh")
    found = explained(kept)
    assert found["code"] == "ssh-unreachable"
    assert "why-worker1: ssh login: connection refused" in found["evidence"][0]

    server = user.compute.find_server("why-worker1", ignore_missing=False)
    user.compute.stop_server(server)
    user.compute.wait_for_server(server, status="SHUTOFF", wait=180)
    told = kept.run("cluster", "explain", "why").stdout
    assert told.startswith("stopped: why-worker1: ")
    assert "cm cluster start why" in told


def test_a_record_that_is_not_there_names_those_that_are(kept: Cm) -> None:
    said = kept.run("cluster", "explain", "why", "2001-01-01T00-00-00", status=1).stderr

    assert "there is no record 2001-01-01T00-00-00" in said
    assert kept.record_file("why").name.removesuffix(".tar.gz") in said


def test_a_cloud_that_does_not_answer_is_an_explanation(kept: Cm, cloud: dict[str, str]) -> None:
    entries = yaml.safe_load(Path(cloud["OS_CLIENT_CONFIG_FILE"]).read_text())
    entries["clouds"]["local"]["auth"]["auth_url"] = "http://127.0.0.1:1/v3"
    gone = {"OS_CLIENT_CONFIG_FILE": kept.file("clouds.yaml", yaml.safe_dump(entries))}

    found = explained(Cm(kept.home, kept.variables, gone))

    assert found["code"] == "cloud-silent"
    assert "Check auth_url" in found["next_step"] or "cm cloud up" in found["next_step"]
