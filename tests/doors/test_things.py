"""What a project has, with our marks, and its removal: what the embedded cloud has no part for."""

from __future__ import annotations

from typing import Any

import pytest
import requests_mock

from cloudmesh_cluster.doors.compute import Compute
from cloudmesh_cluster.model.errors import Refused
from cloudmesh_cluster.model.marks import Mark, Thing

from .test_compute import NEUTRON, NOVA
from .test_compute import compute as compute

STACK = "0c0ffee0-0000-4000-8000-00000000abcd"
OURS = f"cm cluster demo {STACK}"
MARK = Mark("demo", STACK)
METADATA = {"cm_cluster": "demo", "cm_stack": STACK}


@pytest.fixture
def project(requests_mock: requests_mock.Mocker) -> requests_mock.Mocker:
    """A project that has one of each, and some that are not ours."""
    lists: dict[str, list[dict[str, Any]]] = {
        "ports": [
            {"id": "p1", "name": "x", "description": OURS, "device_owner": "compute:nova",
             "device_id": "s1", "security_groups": ["g1"]},
            {"id": "p2", "name": "", "description": "", "device_owner": "network:dhcp",
             "device_id": "dhcp", "security_groups": []},
        ],
        "security-groups": [{"id": "g1", "name": "g", "description": OURS}],
        "floatingips": [{"id": "f1", "floating_ip_address": "198.51.100.7", "description": OURS,
                         "port_id": "p1"}],
        "networks": [{"id": "n1", "name": "n", "description": OURS},
                     {"id": "n2", "name": "private", "description": None}],
        "routers": [{"id": "r1", "name": "r", "description": OURS}],
    }  # fmt: skip
    for name, things in lists.items():
        key = name.replace("-", "_")
        requests_mock.get(f"{NEUTRON}/v2.0/{name}?project_id=p", json={key: things})
    servers = [{"id": "s1", "name": "demo-master", "metadata": METADATA},
               {"id": "s2", "name": "mine", "metadata": {}}]  # fmt: skip
    requests_mock.get(f"{NOVA}/servers/detail", json={"servers": servers})
    names = (f"demo-{STACK}-p", f"demo-{STACK}-q", "mine")
    keypairs = [{"keypair": {"name": name}} for name in names]
    requests_mock.get(f"{NOVA}/os-keypairs", json={"keypairs": keypairs})
    return requests_mock


def test_things_come_with_their_marks_and_ports_before_servers(
    compute: Compute, project: requests_mock.Mocker
) -> None:
    found = compute.things()

    assert {one for one in found if one.mark} == {
        Thing("port", "p1", "x", MARK, owner="s1", near=("g1",)),
        Thing("server", "s1", "demo-master", MARK),
        Thing("keypair", f"demo-{STACK}-p", f"demo-{STACK}-p", MARK),
        Thing("security group", "g1", "g", MARK),
        Thing("floating IP", "f1", "198.51.100.7", MARK, owner="p1"),
        Thing("network", "n1", "n", MARK),
        Thing("router", "r1", "r", MARK),
    }
    assert {one.id for one in found if not one.mark} == {
        "p2",
        "s2",
        "n2",
        f"demo-{STACK}-q",
        "mine",
    }
    asked = [one.path for one in project.request_history]
    assert asked.index("/v2.0/ports") < asked.index("/v2.1/servers/detail")


def test_a_router_is_taken_off_our_networks_only(
    compute: Compute, requests_mock: requests_mock.Mocker
) -> None:
    ports = [{"id": "i1", "network_id": "n1"}, {"id": "i2", "network_id": "the user's"}]
    requests_mock.get(f"{NEUTRON}/v2.0/ports?device_id=r1", json={"ports": ports})
    requests_mock.get(f"{NEUTRON}/v2.0/routers/r1", json={"router": {"id": "r1"}})
    off = requests_mock.put(f"{NEUTRON}/v2.0/routers/r1/remove_router_interface", json={})
    gone = requests_mock.delete(f"{NEUTRON}/v2.0/routers/r1", status_code=204)

    compute.remove(Thing("router", "r1"), {"n1"})

    assert [one.json() for one in off.request_history] == [{"port_id": "i1"}]
    assert gone.called_once


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("server", f"{NOVA}/servers/x"),
        ("keypair", f"{NOVA}/os-keypairs/x"),
        ("port", f"{NEUTRON}/v2.0/ports/x"),
        ("floating IP", f"{NEUTRON}/v2.0/floatingips/x"),
        ("network", f"{NEUTRON}/v2.0/networks/x"),
        ("security group", f"{NEUTRON}/v2.0/security-groups/x"),
    ],
)
def test_what_is_gone_already_is_removed_and_what_is_used_is_refused(
    compute: Compute, requests_mock: requests_mock.Mocker, kind: str, url: str
) -> None:
    answers = [{"status_code": 204}, {"status_code": 404}, {"status_code": 409, "text": "in use"}]
    asked = requests_mock.delete(url, answers)

    compute.remove(Thing(kind, "x"), ())
    compute.remove(Thing(kind, "x"), ())
    with pytest.raises(Refused, match=f"^{kind} x: "):
        compute.remove(Thing(kind, "x"), ())

    assert asked.call_count == 3
