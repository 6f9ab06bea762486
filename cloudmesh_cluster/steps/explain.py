"""Look at a living cluster: its stack, its servers, its nodes over SSH, and its checks, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.causes import Facts, Failed, Reported, living
from cloudmesh_cluster.model.checks import LOGIN, Check
from cloudmesh_cluster.model.cluster import ROLES, Resource, Result, Stack
from cloudmesh_cluster.model.errors import ClusterError
from cloudmesh_cluster.steps import nodes as of_stack
from cloudmesh_cluster.steps import reports as told
from cloudmesh_cluster.steps.outside import Compute, Connects, Heat
from cloudmesh_cluster.steps.progress import Progress
from cloudmesh_cluster.steps.record import LOGS, PATIENCE, reasons
from cloudmesh_cluster.steps.verify import Runner, verdicts
from cloudmesh_cluster.steps.wait import Clock

MOST_CONSOLES = 3  # that are read: a few are evidence enough
CONSOLE_LINES = 20

Checks = Callable[[Access], Sequence[Check]]


@dataclass(frozen=True)
class Outside:
    """The doors that this goes through."""

    heat: Heat
    compute: Compute
    connects: Connects
    clock: Clock
    progress: Progress


def facts(stack: Stack, access: Access | None, checks: Checks, outside: Outside) -> Facts:
    """What can be seen of a cluster now; nodes are logged in to only where all servers run.

    ``access`` is how they are reached; None where this machine has no key for them. Raises
    CloudError where the cloud itself does not tell.
    """
    outside.progress.stage("stack and servers")
    resources = outside.heat.resources(stack.id)
    ids = of_stack.server_ids(resources)
    seen = _of_cloud(stack, resources, ids, outside.compute)
    if stack.status.endswith("_IN_PROGRESS") or {*seen.servers.values()} - {"ACTIVE"}:
        return seen
    seen = replace(
        seen, reports=_reported(told.signalled(outside.heat, of_stack.handles(resources)))
    )
    if access is None:
        return replace(seen, code=codes.NO_KEY) if living(seen) == codes.HEALTHY else seen
    seen = _with_nodes(seen, access, checks, outside)
    silent = [one.node for one in seen.failed if one.code]
    return replace(seen, consoles=_consoles(silent, ids, outside.compute))


def _of_cloud(
    stack: Stack, resources: Sequence[Resource], ids: Mapping[str, str], compute: Compute
) -> Facts:
    """What Heat and Nova tell; a server that Heat has and Nova has not is ``gone``."""
    there = {one.id: one for one in compute.servers(set(ids.values()))}
    servers = {name: there.get(ids[name]) for name in sorted(ids, key=of_stack.place)}
    return Facts(
        stack.name,
        stack_status=stack.status,
        reasons=reasons(resources),
        servers={name: one.status if one else "gone" for name, one in servers.items()},
        faults={name: one.fault for name, one in servers.items() if one and one.fault},
    )


def _reported(reports: told.Reports) -> tuple[Reported, ...]:
    return tuple(
        Reported(one.node, one.phase, one.exit_status, one.reason) for one in reports.values()
    )


def _with_nodes(seen: Facts, access: Access, checks: Checks, outside: Outside) -> Facts:
    """What the nodes show over SSH: each check once, without the patience that create has."""
    listed = {one.name for one in access.targets}
    missing = [_without_host_key(name) for name in seen.servers if name not in listed]
    if not access.targets or (access.through_master and not access.of("master")):
        return replace(seen, failed=tuple(missing))
    once = [replace(one, within=0) for one in checks(access)]
    targets = {role: access.of(role) for role in ROLES}
    with outside.connects(access) as fleet:
        found = verdicts(targets, once, fleet, outside.clock, outside.progress)
        failed = [
            Failed(one.node, one.check.title, one.seen, one.code) for one in found if not one.passed
        ]
        silent = {one.node for one in failed if one.code}
        reached = [one for one in access.targets if one.name not in silent]
        seen = replace(seen, failed=(*failed, *missing), reports=_of_nodes(seen, reached, fleet))
        troubled = {one.node for one in seen.troubles}
        guilty = [one for one in reached if one.name in troubled]
        return replace(seen, logs=_logs(guilty[:MOST_CONSOLES], fleet))


def _without_host_key(name: str) -> Failed:
    return Failed(name, LOGIN.title, "it has not told its host key", codes.NOT_BOOTED)


def _of_nodes(
    seen: Facts, reached: Iterable[Target], fleet: Runner[Target]
) -> tuple[Reported, ...]:
    """The reports that nodes keep of themselves; for the others those that Heat has."""
    outcomes = fleet.run(reached, told.STATUS_FILES, timeout=PATIENCE)
    own = {
        (one.node, one.phase): one
        for name, result in outcomes.items()
        if isinstance(result, Result)
        for one in _reported(told.read_from(name, result))
    }
    return tuple({**{(one.node, one.phase): one for one in seen.reports}, **own}.values())


def _logs(targets: Sequence[Target], fleet: Runner[Target]) -> dict[str, str]:
    outcomes = fleet.run(targets, LOGS, timeout=PATIENCE) if targets else {}
    return {name: one.stdout for name, one in outcomes.items() if isinstance(one, Result)}


def _consoles(names: Iterable[str], ids: Mapping[str, str], compute: Compute) -> dict[str, str]:
    found = {}
    for name in [name for name in dict.fromkeys(names) if name in ids][:MOST_CONSOLES]:
        try:
            found[name] = compute.console(ids[name], CONSOLE_LINES)
        except ClusterError as error:
            found[name] = f"its console cannot be read: {error.problem}"
    return found
