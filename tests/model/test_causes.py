"""Causes: facts in, a code with its evidence out."""

from __future__ import annotations

import re

import pytest

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.causes import Facts, Failed, Reported, cause, of_words
from cloudmesh_cluster.model.errors import ClusterError
from tests.conftest import ROOT

NODES = {"demo-master": "ACTIVE", "demo-worker1": "ACTIVE"}
BOOTED = tuple(Reported(name, "booted", 0, "") for name in NODES)
WIRED = tuple(Reported(name, "wired", 0, "") for name in NODES)
LOG = """==> /var/log/cm-cluster/bootstrap.log <==
role script starts
==> /var/log/cm-cluster/role.log <==
installing frobnicate
frobnicate: no such release
==> /var/log/cloud-init-output.log <==
Cloud-init finished
"""


def children(kind: type[ClusterError]) -> list[type[ClusterError]]:
    """All errors that are of this kind."""
    return [kind, *(one for child in kind.__subclasses__() for one in children(child))]


def test_every_error_has_a_code_that_is_explained() -> None:
    from cloudmesh_cluster.doors import ssh
    from cloudmesh_cluster.steps import create, follow, wait

    kinds = children(ClusterError)
    assert {ssh.HostKeyChanged, follow.StackFailed, wait.TimedOut, create.CreateFailed} < {*kinds}
    assert {one.code for one in kinds} <= {*codes.MEANINGS}


def test_every_code_is_explained_and_says_what_to_type() -> None:
    names = {value for name, value in vars(codes).items() if name.isupper() and name != "MEANINGS"}
    assert names == {*codes.MEANINGS}
    for code in codes.MEANINGS:
        told = cause(Facts("demo", code=code))
        assert told.verdict
        assert told.next_step
        assert "{" not in told.next_step


def test_the_page_has_every_code_as_it_is_explained() -> None:
    page = (ROOT / "docs" / "failure.rst").read_text()
    told = re.findall(r"\* - ``([\w-]+)``\n +- (.*)\n +-(.*)\n", page)
    assert told == [
        (code, one.says, f" {one.likely}" if one.likely else "")
        for code, one in codes.MEANINGS.items()
    ]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("No valid host was found. There are not enough hosts available.", "no-valid-host"),
        ("Quota exceeded for instances: Requested 1, but already used 0 of 0 instances", "quota"),
        ("Quota exceeded for resources: ['port'].", "quota"),
        ("Maximum number of key pairs exceeded", "quota"),
        ("Invalid key_name provided.", "keypair"),
        ("Flavor's disk is too small for requested image.", "flavor"),
        ("Image 0f1 could not be found.", "image"),
        ("Image 0f1 is not active.", "image"),
        ("No more IP addresses available on network 0f1.", "network"),
        ("External network 0f1 is not reachable from subnet 0f2.", "network"),
        ("Went to status ERROR due to an unknown reason", "server-error"),
        ("Exceeded maximum number of retries. Exhausted all hosts available for retrying build "
         "failures for instance 0f1.", "server-error"),
        ("Build of instance 0f1 aborted: the machine ended", "server-error"),
        ("CREATE aborted (Task create from Server timed out)", "stack-stalled"),
        ("something nobody has heard of", "stack-failed"),
    ],
)  # fmt: skip
def test_what_the_cloud_says_has_a_code(said: str, code: str) -> None:
    facts = Facts("demo", code=codes.STACK_FAILED, reasons={"demo-worker1": said})
    told = cause(facts)
    assert told.code == code
    assert told.evidence == (f"demo-worker1: {said}",)


def test_what_is_more_telling_counts_first() -> None:
    assert of_words(["went to status ERROR", "No valid host was found."], "") == "no-valid-host"


def test_novas_fault_is_evidence() -> None:
    told = cause(
        Facts(
            "demo",
            code=codes.STACK_FAILED,
            problem="stack demo ended CREATE_FAILED\ndemo-master: went to status ERROR",
            reasons={"demo-master": "went to status ERROR"},
            servers={"demo-master": "ERROR"},
            faults={"demo-master": "No valid host was found."},
        )
    )
    assert told.code == "no-valid-host"
    assert told.verdict == "stack demo ended CREATE_FAILED"
    assert told.evidence == (
        "demo-master: went to status ERROR",
        "demo-master: Nova: No valid host was found.",
        "demo-master: ERROR",
    )


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("role script", "role-script"),
        ("product script", "product-script"),
        ("the scripts did not arrive in time", "not-carried"),
    ],
)
def test_a_script_that_failed(reason: str, code: str) -> None:
    told = cause(
        Facts(
            "demo",
            code=codes.ROLE_SCRIPT,
            problem="demo-worker1: it ended with exit status 7",
            servers=NODES,
            reports=(*BOOTED, *WIRED, Reported("demo-worker1", "finished", 7, reason)),
            logs={"demo-worker1": LOG},
        )
    )
    assert told.code == code
    assert told.verdict == "demo-worker1: it ended with exit status 7"
    assert ("frobnicate: no such release" in told.evidence) == (code == "role-script")


def test_a_node_that_never_booted_is_behind_those_that_were_not_wired() -> None:
    told = cause(
        Facts(
            "demo",
            code=codes.ROLE_SCRIPT,
            servers=NODES,
            reports=(BOOTED[0], Reported("demo-master", "wired", 75, "not wired in time")),
            consoles={"demo-worker1": "Booting\n\nkernel panic\n"},
        )
    )
    assert told.code == "not-booted"
    assert told.evidence == (
        "demo-worker1: not reported: booted",
        "demo-worker1: Booting",
        "demo-worker1: kernel panic",
    )


def test_a_node_that_was_not_wired() -> None:
    trouble = Reported("demo-worker1", "wired", 76, "the wiring did not reach demo-master")
    told = cause(Facts("demo", code=codes.ROLE_SCRIPT, servers=NODES, reports=(*BOOTED, trouble)))
    assert told.code == "not-wired"
    assert "demo-worker1: the wiring did not reach demo-master (exit status 76)" in told.evidence


@pytest.mark.parametrize(
    ("reports", "unmade", "code"),
    [
        ((), {"demo-worker1": "CREATE_IN_PROGRESS"}, "stack-stalled"),
        ((), {}, "not-booted"),
        (BOOTED, {}, "not-wired"),
        ((*BOOTED, *WIRED), {}, "time-out"),
    ],
    ids=["no servers", "no reports", "booted", "wired"],
)
def test_a_time_out_is_of_what_was_missing(
    reports: tuple[Reported, ...], unmade: dict[str, str], code: str
) -> None:
    facts = Facts("demo", code=codes.TIME_OUT, servers=NODES, reports=reports, unmade=unmade)
    assert cause(facts).code == code


def test_a_check_that_did_not_pass() -> None:
    told = cause(
        Facts(
            "demo",
            code=codes.CHECK,
            problem="2 checks failed",
            failed=tuple(Failed(name, "port 80", "nothing listens") for name in NODES),
        )
    )
    assert (told.code, told.evidence) == (
        "check",
        ("demo-master,demo-worker1: port 80: nothing listens",),
    )


def test_a_node_that_was_not_reached_comes_before_its_checks() -> None:
    failed = (
        Failed("demo-master", "port 80", "nothing listens"),
        Failed("demo-worker1", "ssh login", "no answer", "ssh-unreachable"),
    )
    assert cause(Facts("demo", code=codes.CHECK, failed=failed)).code == "ssh-unreachable"


def test_a_code_of_a_later_version_is_unknown() -> None:
    assert cause(Facts("demo", code="flux")).code == "unknown"


# ---- a living cluster ----------------------------------------------------------------------------


def test_a_cluster_in_which_nothing_is_wrong_is_healthy() -> None:
    told = cause(Facts("demo", stack_status="CREATE_COMPLETE", servers=NODES))
    assert (told.code, told.evidence) == ("healthy", ())


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (Facts("demo", stack_status="UPDATE_IN_PROGRESS"), "busy"),
        (Facts("demo", stack_status="CREATE_FAILED", reasons={"a": "No valid host"}),
         "no-valid-host"),
        (Facts("demo", stack_status="DELETE_FAILED", reasons={"a": "in use"}), "not-deleted"),
        (Facts("demo", stack_status="UPDATE_FAILED", servers={"demo-master": "SHUTOFF"},
               reasons={"a": "?"}), "stopped"),
        (Facts("demo", stack_status="CREATE_COMPLETE", servers={"demo-master": "gone"}),
         "node-gone"),
        (Facts("demo", stack_status="CREATE_COMPLETE", servers={"demo-master": "ERROR"}),
         "server-error"),
        (Facts("demo", stack_status="CREATE_COMPLETE", servers=NODES, reports=(
            *BOOTED, Reported("demo-worker1", "finished", 1, "role script"))), "role-script"),
        (Facts("demo", stack_status="CREATE_COMPLETE", servers=NODES,
               failed=(Failed("demo-master", "ssh login", "", "host-key"),)), "host-key"),
        (Facts("demo", stack_status="CREATE_COMPLETE", servers=NODES,
               failed=(Failed("demo-master", "port 80", "closed"),)), "check"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)  # fmt: skip
def test_what_is_the_matter_with_a_living_cluster(facts: Facts, code: str) -> None:
    assert cause(facts).code == code


def test_nodes_in_the_same_state_are_told_together() -> None:
    servers = {f"demo-worker{n}": "SHUTOFF" for n in (1, 2, 3)}
    told = cause(Facts("demo", stack_status="CREATE_COMPLETE", servers=servers))
    assert told.evidence == ("demo-worker[1-3]: SHUTOFF",)
    assert told.verdict.startswith("demo-worker[1-3]: ")
    assert "cm cluster start demo" in told.next_step
