"""Leftovers are found and removed; what lives, what is being made and what is the user's stays."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import openstack
import pytest
import yaml
from heatclient.v1.client import Client

from .conftest import Answer, Cm, things

pytestmark = pytest.mark.usefixtures("cloud")
DEAD = str(uuid.uuid4())  # the id of a stack that never was
MARK = f"cm cluster dead {DEAD}"


@dataclass(frozen=True)
class Project:
    """The user's project, and what the tests put there."""

    user: openstack.connection.Connection

    def network_id(self) -> str:
        """Where the clusters' nodes are."""
        return str(next(iter(self.user.network.networks())).id)

    def server(self, name: str, **metadata: str) -> str:
        """The id of a new server."""
        image = next(iter(self.user.image.images()))
        flavor = min(self.user.compute.flavors(), key=lambda one: one.ram)
        return str(
            self.user.compute.create_server(
                name=name,
                image_id=image.id,
                flavor_id=flavor.id,
                networks=[{"uuid": self.network_id()}],
                metadata=metadata,
            ).id
        )

    def port(self, name: str, description: str, group: str) -> str:
        """The id of a new port in that security group."""
        network = self.user.network
        return str(
            network.create_port(
                network_id=self.network_id(),
                name=name,
                description=description,
                security_group_ids=[group],
            ).id
        )


@pytest.fixture(scope="module")
def project(user: openstack.connection.Connection) -> Project:
    """The project of these tests."""
    return Project(user)


@pytest.fixture(scope="module")
def living(cloud: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cm]:
    """A command whose cluster living was made while doctor --fix ran all the time."""
    cm = Cm(tmp_path_factory.mktemp("living"), cloud)
    words = ("cluster", "create", "living", "--workers=1", "--expires=30d")
    with cm.start(*words) as create:
        while create.poll() is None:
            cm.run("cluster", "doctor", "--fix")
            time.sleep(0.2)
        _, said = create.communicate()
    assert create.returncode == 0, said
    try:
        yield cm
    finally:
        cm.run("cluster", "delete", "living")


def doctor(cm: Cm, *words: str, status: int = 0) -> Answer:
    return cm.run("cluster", "doctor", "--format=json", *words, status=status)


def kinds(answer: Answer) -> list[tuple[str, str]]:
    return [(one["kind"], one["cluster"]) for one in answer.json]


def test_a_create_that_runs_and_a_cluster_that_lives_are_no_leftovers(living: Cm) -> None:
    answer = doctor(living, "--fix")

    assert answer.json == []
    assert "Nothing is left of any cluster" in answer.stderr
    assert living.run("cluster", "test", "living").stdout


def test_leftovers_are_listed_then_removed_and_nothing_else(living: Cm, project: Project) -> None:
    user = project.user
    mine = things(user)
    group = user.network.create_security_group(name="dead-group", description=MARK).id
    own_group = user.network.create_security_group(name="own", description=f"{MARK} or not").id
    dead_server = project.server("dead-worker1", cm_cluster="dead", cm_stack=DEAD)
    own_server = project.server("dead-worker2", cm_cluster="dead")
    project.port("dead-port", MARK, group)
    own_port = project.port("dead-master_port-x", "cm cluster dead", own_group)
    keypairs = [
        f"dead-{DEAD}-{user.current_project_id}",
        f"dead-{DEAD}",
        f"dead-{DEAD}-{'0' * 32}",
    ]
    for name in keypairs:
        user.compute.create_keypair(name=name)
    found = [(kind, "dead") for kind in ("server", "port", "security group", "keypair")]

    listed = doctor(living, status=1)
    assert kinds(listed) == found
    assert "4 found." in listed.stderr

    fixed = doctor(living, "--fix")
    assert kinds(fixed) == found
    assert "4 found, 4 mended, 0 left." in fixed.stderr
    assert dead_server not in [one.id for one in user.compute.servers()]
    left = {one.name for one in user.compute.keypairs()}
    assert (keypairs[0] in left, left >= set(keypairs[1:])) == (False, True)
    server = user.compute.get_server(own_server)
    assert server.name == "dead-worker2"
    assert user.network.get_port(own_port)

    user.compute.delete_server(server)
    user.compute.wait_for_delete(server, wait=120)
    user.network.delete_port(own_port)
    user.network.delete_security_group(own_group)
    for name in keypairs[1:]:
        user.compute.delete_keypair(name)
    assert things(user) == mine


def test_what_the_user_has_in_a_group_of_ours_keeps_that_group(
    living: Cm, project: Project
) -> None:
    user = project.user
    group = user.network.create_security_group(name="dead-group", description=MARK).id
    port = project.port("the user's", "", group)

    answer = doctor(living, "--fix", status=1)

    assert "1 found, 0 mended, 1 left." in answer.stderr
    assert "left: security group dead-group: " in answer.stderr
    user.network.delete_port(port)
    assert kinds(doctor(living, "--fix")) == [("security group", "dead")]


def test_a_workspace_of_a_cluster_that_is_gone_loses_its_keys_and_no_more(living: Cm) -> None:
    place = living.workspace("gone")
    (place / "scripts").mkdir(parents=True)
    (place / "scripts" / "worker").write_text("true\n")
    order = yaml.safe_load((living.workspace("living") / "cluster.yaml").read_text())
    for name in ("id_ed25519", "cluster.yaml"):
        (place / name).write_text(yaml.safe_dump({**order, "name": "gone"}))
    assert kinds(doctor(living)) == []  # it may be of a create that has just begun
    for name in ("id_ed25519", "cluster.yaml"):
        os.utime(place / name, (0, 0))

    assert kinds(doctor(living, "--fix")) == [("workspace", "gone")]

    assert [one.name for one in place.iterdir()] == ["scripts"]
    assert (living.workspace("living") / "id_ed25519").exists()


def test_a_cluster_that_has_expired_is_told_and_deleted_only_with_fix(
    living: Cm, project: Project
) -> None:
    retag(project.user, "living", "cm-cluster-expires=1000000000")

    row = next(
        one for one in living.run("cluster", "list", "--format=json").json
        if one["name"] == "living"
    )  # fmt: skip
    assert (row["expired"], row["expires"]) == (True, "2001-09-09T01:46:40Z")
    assert "| expired  | yes" in living.run("cluster", "show", "living").stdout
    told = doctor(living, status=1)
    assert kinds(told) == [("cluster", "living")]
    assert "it has expired at 2001-09-09T01:46:40Z" in json.dumps(told.json)
    assert living.run("cluster", "show", "living", "--format=json").json["nodes"]

    fixed = doctor(living, "--fix")

    assert kinds(fixed) == [("cluster", "living")]
    assert "1 found, 1 mended, 0 left." in fixed.stderr
    assert "there is no cluster living" in living.run("cluster", "show", "living", status=1).stderr
    assert not (living.workspace("living") / "id_ed25519").exists()


def retag(user: openstack.connection.Connection, name: str, expiry: str) -> None:
    """Have the stack expire at another time; nothing else of it changes."""
    stacks = Client(session=user.session, service_type="orchestration").stacks
    tags = [one for one in stacks.get(name).tags if "expires" not in one]
    stacks.update(name, existing=True, tags=",".join([*tags, expiry]))
    for _ in range(120):
        if stacks.get(name).stack_status == "UPDATE_COMPLETE":
            return
        time.sleep(1)
    raise AssertionError(f"{name} was not given the tag")
