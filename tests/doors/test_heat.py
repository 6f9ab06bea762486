"""Heat's client over requests-mock: what Heat says, in our words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import requests
import requests_mock
from keystoneauth1 import session
from keystoneauth1.fixture import V3Token
from keystoneauth1.identity import V3Password

from cloudmesh_cluster.doors.heat import Heat
from cloudmesh_cluster.model.cluster import StackRequest
from cloudmesh_cluster.model.errors import (
    CloudError,
    ClusterError,
    NameTaken,
    NoAnswer,
    StackNotFound,
)

KEYSTONE = "http://192.0.2.1:5000/v3"
HEAT = "http://192.0.2.1:8004/v1/p"
JSON = {"Content-Type": "application/json"}  # without it heatclient reads nothing
REQUEST = StackRequest("demo", "heat_template_version: 2018-08-31", {}, {}, ("a", "b"), 30)


def heat(cloud: requests_mock.Mocker, *, with_heat: bool = True) -> Heat:
    token = V3Token(project_id="p")
    if with_heat:
        token.add_service("orchestration").add_standard_endpoints(public=HEAT)
    cloud.post(f"{KEYSTONE}/auth/tokens", json=token, headers={"X-Subject-Token": "t"})
    cloud.get(KEYSTONE, json={"version": {"id": "v3.14", "links": []}})
    auth = V3Password(KEYSTONE, username="u", password="p", project_name="p",
                      user_domain_id="default", project_domain_id="default")  # fmt: skip
    return Heat(session.Session(auth=auth))


def said(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "Any"}, "explanation": "", "code": 0, "title": ""}


def test_create_sends_what_was_asked_and_no_rollback(requests_mock: requests_mock.Mocker) -> None:
    door = heat(requests_mock)
    sent = requests_mock.post(f"{HEAT}/stacks", json={"stack": {"id": "abc"}}, headers=JSON)

    assert door.create(REQUEST) == "abc"

    body = sent.last_request.json()
    assert body["disable_rollback"] is True
    assert (body["tags"], body["timeout_mins"]) == ("a,b", 30)


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ({"status_code": 409, "json": said("The Stack (demo) already exists.")},
         NameTaken, "already exists"),
        ({"status_code": 400, "json": said("Property error: no such flavor")},
         CloudError, "no such flavor"),
        ({"status_code": 403, "json": said("Forbidden")}, CloudError, "heat_stack_owner"),
        ({"status_code": 503, "text": "try later"}, NoAnswer, "does not answer"),
        ({"exc": requests.exceptions.ConnectionError}, NoAnswer, "stack create"),
        ({"exc": requests.exceptions.ReadTimeout}, NoAnswer, "stack create"),
    ],
)  # fmt: skip
def test_every_failure_of_create_is_ours(
    requests_mock: requests_mock.Mocker,
    answer: dict[str, Any],
    error: type[ClusterError],
    words: str,
) -> None:
    door = heat(requests_mock)
    requests_mock.post(f"{HEAT}/stacks", **answer)

    with pytest.raises(error) as told:
        door.create(REQUEST)
    assert words in str(told.value)
    assert type(told.value) is error


def test_a_catalog_without_heat_says_so(requests_mock: requests_mock.Mocker) -> None:
    with pytest.raises(CloudError, match="the cloud has no Heat"):
        heat(requests_mock, with_heat=False).create(REQUEST)


def test_events_of_one_second_stay_in_the_order_that_heat_has(
    requests_mock: requests_mock.Mocker,
) -> None:
    def told(id: str, time: str, status: str) -> dict[str, str]:
        return {"id": id, "event_time": time, "resource_name": "demo", "resource_status": status}

    noon, later = "2026-11-22T12:00:00Z", "2026-11-22T12:00:01Z"
    door = heat(requests_mock)
    asked = requests_mock.get(
        f"{HEAT}/stacks/abc/events",
        headers=JSON,
        json={"events": [told("z", later, "CREATE_FAILED"), told("b", noon, "CREATE_IN_PROGRESS"),
                         told("a", noon, "CREATE_COMPLETE")]},
    )  # fmt: skip

    assert [one.id for one in door.events("abc", after="q")] == ["b", "a", "z"]
    assert asked.last_request.qs == {"marker": ["q"], "nested_depth": ["2"], "sort_dir": ["asc"]}


@pytest.mark.parametrize("ask", [Heat.stack, Heat.status, Heat.resources, Heat.events])
def test_a_stack_that_is_gone_is_not_found(
    requests_mock: requests_mock.Mocker, ask: Callable[[Heat, str], object]
) -> None:
    door = heat(requests_mock)
    requests_mock.get(f"{HEAT}/stacks/x", status_code=404, json=said("gone"))
    for part in ("resources", "events"):
        requests_mock.get(f"{HEAT}/stacks/x/{part}", status_code=404, json=said("gone"))

    with pytest.raises(StackNotFound):
        ask(door, "x")


def test_a_404_that_is_not_heats_proves_nothing(requests_mock: requests_mock.Mocker) -> None:
    door = heat(requests_mock)
    requests_mock.get(f"{HEAT}/stacks/x", status_code=404, text="<h1>Not Found</h1>")

    with pytest.raises(NoAnswer, match="something else answers"):
        door.status("x")


def test_deleting_what_is_gone_is_no_error(requests_mock: requests_mock.Mocker) -> None:
    door = heat(requests_mock)
    requests_mock.delete(f"{HEAT}/stacks/x", status_code=404, json=said("gone"))
    requests_mock.get(f"{HEAT}/stacks/x", status_code=404, json=said("gone"))

    door.delete("x")


def test_signals_are_read_whether_their_data_is_text_or_not(
    requests_mock: requests_mock.Mocker,
) -> None:
    door = heat(requests_mock)
    there = {"Location": f"{HEAT}/stacks/x/x"}
    requests_mock.get(f"{HEAT}/stacks/x", status_code=302, headers=there)
    metadata = {
        "a": {"data": {"node": "n"}, "status": "SUCCESS"},
        "b": {"data": '{"node": "m"}'},
        "c": {"data": "no JSON"},
        "scoped": "nothing",
    }
    requests_mock.get(
        f"{HEAT}/stacks/x/x/resources/handle/metadata", json={"metadata": metadata}, headers=JSON
    )

    assert door.signals("x", "handle") == {"a": {"node": "n"}, "b": {"node": "m"}, "c": {}}


def test_a_list_of_stacks_may_be_of_one_tag_or_of_any_of_some(
    requests_mock: requests_mock.Mocker,
) -> None:
    door = heat(requests_mock)
    sent = requests_mock.get(f"{HEAT}/stacks", json={"stacks": []}, headers=JSON)

    door.stacks()
    door.stacks(tags="a")
    door.stacks(any_of=("a", "b"))

    assert [one.qs for one in sent.request_history] == [{}, {"tags": ["a"]}, {"tags_any": ["a,b"]}]


def test_resources_may_be_those_of_the_stack_alone(requests_mock: requests_mock.Mocker) -> None:
    door = heat(requests_mock)
    sent = requests_mock.get(f"{HEAT}/stacks/s/resources", json={"resources": []}, headers=JSON)

    door.resources("s")
    door.resources("s", depth=0)

    assert [one.qs for one in sent.request_history] == [{"nested_depth": ["2"]}, {}]
