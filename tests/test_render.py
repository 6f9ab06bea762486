"""What Heat is sent."""

from __future__ import annotations

import base64
import io
import os
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from cloudmesh_cluster import render
from cloudmesh_cluster.model import demand
from cloudmesh_cluster.model.cluster import StackRequest
from cloudmesh_cluster.model.keys import KeyPair
from cloudmesh_cluster.model.plan import Plan, planned
from cloudmesh_cluster.model.spec import MOST_WORKERS

GOLDEN = Path(__file__).parent / "golden"
NODES = KeyPair(
    "ssh-ed25519 AAAAkey demo", "-----BEGIN SECRET-----\nsecret\n-----END SECRET-----\n"
)
CA = KeyPair("ssh-ed25519 AAAAca ca", "-----BEGIN SECRET-----\ncasecret\n-----END SECRET-----\n")
NO_SCRIPTS = {"master": render.Scripts(), "worker": render.Scripts()}


def plan(workers: int, *, own_network: bool = False, floating: bool = False) -> Plan:
    return planned(
        "demo", product="plain", workers=workers, makes_network=own_network, floating=floating
    )


def request(
    of: Plan, scripts: dict[str, render.Scripts] = NO_SCRIPTS, ssh_from: str | None = None
) -> StackRequest:
    return render.stack_request(
        of,
        render.Ingredients(
            image="debian-12",
            flavor="small",
            master_flavor="large",
            network=None if of.makes_network else "private",
            external_network="public" if of.floating else None,
            public_key="ssh-ed25519 AAAAclient demo",
            nodes=NODES,
            ca=CA,
            scripts=scripts,
            ssh_from=ssh_from,
        ),
    )


SHAPES = {
    "direct-1": plan(1),
    "direct-3": plan(3),
    "behind-master-3": plan(3, floating=True),
    "own-network-3": plan(3, own_network=True, floating=True),
    "shards-90": plan(90),
    "roots-5": planned(
        "demo",
        product="plain",
        workers=5,
        makes_network=True,
        floating=True,
        shard_size=2,
        root_size=3,
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_template_is_the_one_that_was_looked_at(shape: str) -> None:
    seen = render.shown(request(SHAPES[shape]))
    golden = GOLDEN / f"{shape}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(seen)
    assert seen == golden.read_text()


def templates(sent: StackRequest) -> list[tuple[str, StackRequest]]:
    """Every template that is sent, each with the request of the stack it is of."""
    return [
        (text, one)
        for one in (sent, *sent.further)
        for text in [one.template, *(t for n, t in one.files.items() if n.endswith(".yaml"))]
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_reference_of_a_template_leads_somewhere(shape: str) -> None:
    for text, sent in templates(request(SHAPES[shape])):
        template = yaml.safe_load(text)
        parameters = {*template["parameters"], "OS::stack_name", "OS::stack_id", "OS::project_id"}
        resources = set(template["resources"])
        for function, name in references(template):
            known = parameters if function == "get_param" else resources
            assert name in (known if function != "get_file" else sent.files), (function, name)


@pytest.mark.parametrize("shape", SHAPES)
def test_one_resource_of_a_stack_is_what_all_others_hang_on(shape: str) -> None:
    """Heat starts each resource that hangs on nothing a second after the one before."""
    for text, _ in templates(request(SHAPES[shape])):
        made = yaml.safe_load(text)["resources"]
        free = [
            name
            for name, one in made.items()
            if "depends_on" not in one
            and not [f for f, _ in references(one) if f in ("get_resource", "get_attr")]
        ]
        assert len(free) == 1, free


@pytest.mark.parametrize("shape", SHAPES)
def test_what_a_stack_has_and_what_it_is_given_have_different_names(shape: str) -> None:
    for text, _ in templates(request(SHAPES[shape])):
        template = yaml.safe_load(text)
        assert not set(template["resources"]) & set(template["parameters"])


@pytest.mark.parametrize("shape", SHAPES)
def test_the_resources_that_heat_counts_are_those_that_were_foretold(shape: str) -> None:
    counted: Counter[str] = Counter()
    for text, sent in templates(request(SHAPES[shape])):
        counted[sent.name] += len(yaml.safe_load(text)["resources"])

    assert demand.resources(SHAPES[shape]) == max(counted.values())


@pytest.mark.parametrize("workers", [949, MOST_WORKERS])
def test_the_most_workers_of_one_cluster_are_within_heat_s_sizes(workers: int) -> None:
    scripts = {role: render.Scripts(role=os.urandom(30_000)) for role in ("master", "worker")}
    sizes = render.sizes(request(plan(workers, own_network=True, floating=True), scripts))

    assert sizes.template < demand.FIXED[demand.TEMPLATE].limit
    assert sizes.request < demand.FIXED[demand.REQUEST].limit


def test_ssh_is_let_in_from_where_the_user_says() -> None:
    sent = request(plan(2), ssh_from="203.0.113.0/24")
    group = yaml.safe_load(sent.template)["resources"]["security_group"]["properties"]
    from_outside = [rule for rule in group["rules"] if "remote_mode" not in rule]

    assert sent.parameters["ssh_from"] == "203.0.113.0/24"
    assert from_outside == [
        {
            "protocol": "tcp",
            "port_range_min": 22,
            "port_range_max": 22,
            "remote_ip_prefix": {"get_param": "ssh_from"},
        },
        {"protocol": "icmp"},
    ]
    assert "ssh_from" not in request(plan(2)).parameters


def test_a_script_that_travels_in_user_data_counts_there() -> None:
    bare = render.sizes(request(plan(2)))
    scripts = {**NO_SCRIPTS, "worker": render.Scripts(role=os.urandom(9_000))}
    more = render.sizes(request(plan(2), scripts))

    assert more.worker_user_data - bare.worker_user_data > 12_000
    assert more.master_user_data == bare.master_user_data


def test_a_further_root_lacks_only_what_the_first_one_gives() -> None:
    (further,) = request(SHAPES["roots-5"]).further
    declared = yaml.safe_load(further.template)["parameters"]

    lacking = {
        name
        for name, one in declared.items()
        if name not in further.parameters and "default" not in one
    }
    assert further.name == "demo.2"
    assert lacking == {"cluster", "stack", "network", "key_name", "security_group"}


def test_where_the_client_wires_it_brings_the_scripts_as_well() -> None:
    scripts = {role: render.Scripts(role=b"echo") for role in ("master", "worker")}
    large = SHAPES["roots-5"]

    sent = request(large, scripts)

    assert {sent.files[f"scripts/{role}.tar.gz.b64"] for role in scripts} == {""}
    assert render.carried_by_client(large, scripts) == {}


def references(value: Any) -> list[tuple[str, str]]:
    if isinstance(value, list):
        return [found for one in value for found in references(one)]
    if not isinstance(value, dict):
        return []
    found = [one for part in value.values() for one in references(part)]
    for function in ("get_param", "get_resource", "get_file"):
        if isinstance(value.get(function), str):
            found.append((function, value[function]))
    if isinstance(value.get("get_attr"), list):
        found.append(("get_attr", value["get_attr"][0]))
    return found


def test_what_is_shown_has_no_secret() -> None:
    assert "secret" not in render.shown(request(plan(2)))


def test_a_repr_has_no_secret() -> None:
    sent = request(plan(2))
    assert "secret" not in f"{sent!r} {NODES!r}"


def test_a_standalone_template_needs_nothing_else() -> None:
    template = yaml.safe_load(render.standalone(request(plan(2))))

    assert all("default" in one for one in template["parameters"].values())
    assert not [one for one in references(template) if one[0] == "get_file"]
    assert "secret" in template["parameters"]["node_private_key"]["default"]


def test_scripts_arrive_byte_by_byte() -> None:
    script = b"#!/usr/bin/python3\r\nprint('__signal__ {{ x }} $(reboot)')\n"
    scripts = {**NO_SCRIPTS, "worker": render.Scripts(role=script)}

    payload = request(plan(2), scripts).files["scripts/worker.tar.gz.b64"]

    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(payload))) as archive:
        held = archive.extractfile("role")
        assert held is not None
        assert held.read() == script


def test_a_script_that_user_data_cannot_hold_is_left_to_the_client() -> None:
    large = render.Scripts(role=bytes(i * 7919 % 251 for i in range(40_000)) * 3)
    noise = render.Scripts(role=base64.b85encode(_noise(60_000)))
    scripts = {"master": large, "worker": noise}

    sent = request(plan(2), scripts)

    assert sent.files["scripts/worker.tar.gz.b64"] == ""
    assert list(render.carried_by_client(plan(2), scripts)) == ["worker"]


def test_the_largest_user_data_stays_under_what_nova_takes() -> None:
    fixed = sum(len(text) for name, text in request(plan(2)).files.items() if "user_data" in name)
    hosts = 950 * len("10.202.15.254 worker949\n")
    assert fixed + hosts + render.FILLED_IN_BYTES < render.USER_DATA_BYTES


def _noise(count: int) -> bytes:
    import random

    return random.Random(1).randbytes(count)
