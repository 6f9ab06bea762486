"""``cm cluster stop`` and ``start``: the whole cluster off, and on again and verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudmesh_cluster import api
from cloudmesh_cluster.model.checks import Verdict
from cloudmesh_cluster.model.errors import ExitStatus
from cloudmesh_cluster.model.spec import checked_timeout
from cloudmesh_cluster.shell import answers, finding
from cloudmesh_cluster.shell.environment import Environment

Arguments = Mapping[str, Any]


def stop(arguments: Arguments, environment: Environment) -> int:
    """Shut the cluster's servers down."""
    name = arguments["NAME"]
    if not api.stopped(name, _minutes(arguments), environment):
        return _nothing(name, "stopped", arguments, environment)
    _answer(name, None, arguments, environment)
    environment.progress.note(
        f"{name} is stopped; its nodes keep their disks and addresses. "
        f"Start it again: cm cluster start {name}"
    )
    return ExitStatus.DONE


def start(arguments: Arguments, environment: Environment) -> int:
    """Start the cluster's servers and verify it; UNVERIFIED lists the checks that fail."""
    name = arguments["NAME"]
    started = api.started(name, _minutes(arguments), environment)
    if not started.anything:
        state = f"on; to verify it: cm cluster test {name}"
        return _nothing(name, state, arguments, environment)
    _answer(name, started.verdicts, arguments, environment)
    verified = " and verified" if started.verdicts is not None else ""
    environment.progress.note(f"{name} is on{verified}")
    return ExitStatus.DONE


def _minutes(arguments: Arguments) -> int | None:
    given = arguments["--timeout"]
    return checked_timeout(given) if given else None


def _nothing(name: str, state: str, arguments: Arguments, environment: Environment) -> int:
    _answer(name, None, arguments, environment)
    environment.progress.note(f"{name}: nothing to do, all its servers are {state}")
    return ExitStatus.DONE


def _answer(
    name: str,
    found: Sequence[Verdict] | None,
    arguments: Arguments,
    environment: Environment,
) -> None:
    cluster = finding.cluster(name, environment)
    environment.answer(answers.cluster(answers.powered(cluster, found), arguments["--format"]))
