"""``cm cluster stop`` and ``start``: the whole cluster off, and on again and verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudmesh_cluster import api
from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.access import Access
from cloudmesh_cluster.model.checks import Verdict
from cloudmesh_cluster.model.errors import ClusterError, ExitStatus, VerificationFailed
from cloudmesh_cluster.model.spec import checked_timeout
from cloudmesh_cluster.shell import answers, finding
from cloudmesh_cluster.shell.environment import Cloud, Environment
from cloudmesh_cluster.steps import power
from cloudmesh_cluster.steps.create import failures
from cloudmesh_cluster.steps.nodes import server_ids

Arguments = Mapping[str, Any]
DEFAULT_MINUTES = 10
SERVICES = 60.0  # seconds that what was started at boot may take until checks hold


def stop(arguments: Arguments, environment: Environment) -> int:
    """Shut the cluster's servers down."""
    name = arguments["NAME"]
    cloud, servers = _servers(name, "stop", environment)
    outside = _outside(arguments, cloud, environment)
    if not power.stopped(name, servers, outside):
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
    cloud, servers = _servers(name, "start", environment)
    outside = _outside(arguments, cloud, environment)
    access = None
    try:
        access = finding.access(name, environment)
    except ClusterError as error:
        environment.progress.note(f"It will not be verified: {error.problem}")
    if not power.started(name, servers, outside):
        return _nothing(name, "on", arguments, environment)
    found = _verified(name, access, outside, environment) if access else None
    _answer(name, found, arguments, environment)
    environment.progress.note(f"{name} is on" + (" and verified" if found is not None else ""))
    return ExitStatus.DONE


def _servers(name: str, verb: str, environment: Environment) -> tuple[Cloud, Mapping[str, str]]:
    """The cluster's cloud, and the ids of its servers by name."""
    cloud, stack = finding.of_cloud(name, environment)
    if stack.status.endswith("_IN_PROGRESS"):
        raise ClusterError(
            f"Heat is at work on {name} ({stack.status}): nothing was done",
            f"See when that ends: cm cluster events {name} --follow; "
            f"then: cm cluster {verb} {name}",
        )
    servers = server_ids(cloud.heat.resources(stack.id))
    if not servers:
        raise ClusterError(
            f"{name} has no servers ({stack.status})", f"Look at it: cm cluster show {name}"
        )
    return cloud, servers


def _outside(arguments: Arguments, cloud: Cloud, environment: Environment) -> power.Outside:
    given = arguments["--timeout"]
    seconds = 60.0 * (checked_timeout(given) if given else DEFAULT_MINUTES)
    clock = environment.clock
    return power.Outside(cloud.compute, clock, environment.progress, clock.now() + seconds)


def _verified(
    name: str, access: Access, outside: power.Outside, environment: Environment
) -> Sequence[Verdict]:
    """The verdicts, all passed; what was started at boot is given time."""
    try:
        with environment.fleet(environment.workspace(name), access) as fleet:
            power.booted(name, access.targets, fleet, outside)
        found = api.verdicts(name, access, None, (), environment, patience=SERVICES)
    except KeyboardInterrupt as error:
        raise power.PowerFailed(
            f"interrupted before {name} was verified; all its servers are ACTIVE",
            f"Verify it: cm cluster test {name}; or back: cm cluster stop {name}",
            codes.INTERRUPTED,
        ) from error
    if failed := [one for one in found if not one.passed]:
        raise VerificationFailed(
            f"{name} is on, but {failures(failed)}",
            f"Verify it again: cm cluster test {name}; look around: cm cluster ssh {name}",
        )
    return found


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
