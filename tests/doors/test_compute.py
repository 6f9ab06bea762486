"""Nova and Neutron over requests-mock: what is left, and what is not told."""

from __future__ import annotations

from typing import Any

import pytest
import requests
import requests_mock
from keystoneauth1.fixture import V3Token
from openstack.config import OpenStackConfig

from cloudmesh_cluster.doors.compute import Compute
from cloudmesh_cluster.model import demand
from cloudmesh_cluster.model.demand import Quota
from cloudmesh_cluster.model.errors import CloudError, NoAnswer, Refused

KEYSTONE = "http://192.0.2.1:5000/v3"
NOVA = "http://192.0.2.1:8774/v2.1"
NEUTRON = "http://192.0.2.1:9696"
ABSOLUTE = {
    "maxTotalInstances": 10,
    "totalInstancesUsed": 4,
    "maxTotalCores": 20,
    "totalCoresUsed": 8,
    "maxTotalRAMSize": -1,
    "totalRAMUsed": 4096,
    "maxTotalKeypairs": 100,
}


@pytest.fixture
def compute(requests_mock: requests_mock.Mocker) -> Compute:
    """The door to a cloud that has Nova and Neutron, neither of which answers yet."""
    token = V3Token(project_id="p")
    token.add_service("compute").add_standard_endpoints(public=NOVA)
    token.add_service("network").add_standard_endpoints(public=NEUTRON)
    requests_mock.post(f"{KEYSTONE}/auth/tokens", json=token, headers={"X-Subject-Token": "t"})
    requests_mock.get(KEYSTONE, json={"version": {"id": "v3.14", "links": []}})
    nova = {"id": "v2.1", "status": "CURRENT", "version": "2.90", "min_version": "2.1",
            "links": [{"rel": "self", "href": NOVA}]}  # fmt: skip
    requests_mock.get(NOVA, json={"version": nova})
    requests_mock.get(f"{NOVA}/os-keypairs", json={"keypairs": [{"keypair": {"name": "mine"}}]})
    requests_mock.get(f"{NOVA}/limits", json={"limits": {"rate": [], "absolute": ABSOLUTE}})
    config = OpenStackConfig(config_files=[], load_envvars=False)
    return Compute(
        config.get_one(
            auth_type="v3password",
            auth={
                "auth_url": KEYSTONE,
                "username": "u",
                "password": "p",
                "project_id": "p",
                "user_domain_id": "default",
            },
        )
    )


def neutron(cloud: requests_mock.Mocker, **answer: Any) -> None:
    cloud.get(f"{NEUTRON}/v2.0/quotas/p/details", **answer)


def test_quotas_have_what_is_used_and_reserved(
    compute: Compute, requests_mock: requests_mock.Mocker
) -> None:
    detail = {"port": {"limit": 50, "used": 7, "reserved": 2},
              "floatingip": {"limit": -1, "used": 1, "reserved": 0}}  # fmt: skip
    neutron(requests_mock, json={"quota": detail})

    assert compute.quotas() == {
        demand.SERVERS: Quota(10, 4),
        demand.CORES: Quota(20, 8),
        demand.MEMORY: Quota(-1, 4096),
        demand.KEYPAIRS: Quota(100, 1),
        demand.PORTS: Quota(50, 9),
        demand.FLOATING: Quota(-1, 1),
    }


@pytest.mark.parametrize("status", [403, 404, 501])
def test_a_neutron_that_does_not_tell_leaves_nova_s(
    compute: Compute, requests_mock: requests_mock.Mocker, status: int
) -> None:
    neutron(requests_mock, status_code=status)

    assert set(compute.quotas()) == {demand.SERVERS, demand.CORES, demand.MEMORY, demand.KEYPAIRS}


def test_a_nova_that_does_not_tell_leaves_neutron_s(
    compute: Compute, requests_mock: requests_mock.Mocker
) -> None:
    requests_mock.get(f"{NOVA}/limits", status_code=403)
    neutron(requests_mock, json={"quota": {"port": {"limit": 50, "used": 7, "reserved": 0}}})

    assert compute.quotas() == {demand.PORTS: Quota(50, 7)}


def test_a_cloud_that_does_not_answer_is_an_error(
    compute: Compute, requests_mock: requests_mock.Mocker
) -> None:
    neutron(requests_mock, exc=requests.exceptions.ConnectTimeout("no route"))

    with pytest.raises(CloudError, match="quota show"):
        compute.quotas()


def test_what_nova_does_not_do_now_is_told_apart_from_no_answer(
    compute: Compute, requests_mock: requests_mock.Mocker
) -> None:
    conflict = {"conflictingRequest": {"code": 409, "message": "vm_state stopped"}}
    requests_mock.post(f"{NOVA}/servers/s1/action", [
        {"status_code": 202},
        {"status_code": 409, "json": conflict},
        {"status_code": 404},
        {"status_code": 503, "text": "Service Unavailable"},
        {"exc": requests.exceptions.ConnectionError("refused")},
        {"status_code": 403},
    ])  # fmt: skip

    compute.stop("s1")
    with pytest.raises(Refused, match="vm_state stopped"):
        compute.stop("s1")
    with pytest.raises(Refused):
        compute.start("s1")
    for _ in range(2):
        with pytest.raises(NoAnswer):
            compute.start("s1")
    with pytest.raises(CloudError) as forbidden:
        compute.start("s1")
    assert not isinstance(forbidden.value, NoAnswer | Refused)


def test_servers_tell_what_nova_does_with_them(
    compute: Compute, requests_mock: requests_mock.Mocker
) -> None:
    told = [
        {"id": "s1", "name": "demo-master", "status": "ACTIVE",
         "OS-EXT-STS:task_state": "powering-off", "metadata": {"cm_cluster": "demo"}},
        {"id": "s2", "name": "other", "status": "ERROR", "OS-EXT-STS:task_state": None,
         "metadata": {}, "fault": {"message": "no host"}},
    ]  # fmt: skip
    requests_mock.get(f"{NOVA}/servers/detail", json={"servers": told})

    first, second = compute.servers()

    assert (first.task_state, first.cluster) == ("powering-off", "demo")
    assert (second.task_state, second.cluster, second.fault) == ("", "", "no host")
    assert compute.servers(["s2"]) == (second,)


@pytest.mark.parametrize(
    ("message", "details", "told"),
    [
        ("Error", "Failed to power on instance: no image", "Failed to power on instance: no image"),
        ("Error", None, "start failed"),
        (None, None, ""),
    ],
    ids=["told", "untold", "good"],
)
def test_why_the_newest_action_failed(
    compute: Compute,
    requests_mock: requests_mock.Mocker,
    message: str | None,
    details: str | None,
    told: str,
) -> None:
    older = {"action": "stop", "request_id": "r1", "message": "Error",
             "start_time": "2026-11-22T10:00:00.000000"}  # fmt: skip
    newest = {**older, "action": "start", "request_id": "r2", "message": message,
              "start_time": "2026-11-22T10:00:01.000000"}  # fmt: skip
    events = [{"event": "compute_start_instance", "result": "Error", "details": details}]
    actions = f"{NOVA}/servers/s1/os-instance-actions"
    requests_mock.get(actions, json={"instanceActions": [older, newest]})
    requests_mock.get(f"{actions}/r2", json={"instanceAction": {**newest, "events": events}})

    assert compute.trouble("s1") == told
