"""What the files of a record come to, also where parts of it were not to be had."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from cloudmesh_cluster.model.errors import CloudError, ClusterError, NodeError
from cloudmesh_cluster.steps.follow import NodeFailed, StackFailed
from cloudmesh_cluster.steps.record import explained, facts, told
from cloudmesh_cluster.steps.wait import TimedOut

SERVER = {"name": "demo-worker1", "type": "OS::Nova::Server", "status": "CREATE_COMPLETE",
          "reason": "", "physical_id": "1", "stack_id": "s"}  # fmt: skip
FAILED = {**SERVER, "status": "CREATE_FAILED",
          "reason": 'ResourceInError: resources.demo-worker1: Went to status ERROR due to '
                    '"Message: No valid host was found. , Code: 500"'}  # fmt: skip
REPORT = {"node": "demo-worker1", "phase": "finished", "exit_status": 7, "reason": "role script"}
VERDICT = {"node": "demo-worker1", "check": "port 80", "passed": False, "seen": "closed",
           "code": ""}  # fmt: skip


def files(**parts: object) -> Mapping[str, str]:
    """A record with these JSON files."""
    return {f"{name}.json": json.dumps(part) for name, part in parts.items()}


@pytest.mark.parametrize(
    ("error", "parts", "code"),
    [
        (StackFailed("stack demo ended CREATE_FAILED"), {"resources": [FAILED]}, "no-valid-host"),
        (NodeFailed("it ended with 7", ()), {"resources": [SERVER], "reports": [REPORT]},
         "role-script"),
        (TimedOut("late"), {"resources": [{**SERVER, "status": "CREATE_IN_PROGRESS"}]},
         "stack-stalled"),
        (TimedOut("late"), {"resources": [SERVER]}, "not-booted"),
        (ClusterError("odd"), {"resources": [SERVER]}, "unknown"),
        (CloudError("Heat refuses"), {}, "cloud-refused"),
        (NodeError("no answer"), {}, "ssh-unreachable"),
        (KeyboardInterrupt(), {"resources": [FAILED]}, "interrupted"),
        (ZeroDivisionError("oops"), {}, "bug"),
    ],
    ids=["stack", "node", "stalled", "silent", "odd", "cloud", "ssh", "interrupted", "bug"],
)  # fmt: skip
def test_the_code_that_is_kept_is_the_one_that_is_read(
    error: BaseException, parts: dict[str, object], code: str
) -> None:
    kept = told("demo", error, files(**parts))

    assert kept["code"] == code
    assert kept["next_step"]
    assert explained({**files(**parts), "error.json": json.dumps(kept)}).code == code


def test_parts_that_were_not_to_be_had_tell_nothing() -> None:
    away = "not to be had: Heat does not answer"
    found = facts(files(resources=away, servers=away, reports=[], verdicts=[VERDICT]))

    assert (found.servers, found.reasons, found.reports) == ({}, {}, ())
    assert [one.check for one in found.failed] == ["port 80"]


def test_a_record_without_anything_is_unknown() -> None:
    assert explained({}).code == "unknown"
