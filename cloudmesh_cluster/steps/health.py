"""Which nodes of a cluster are broken, and why: as Heat, Nova, SSH and the checks see them."""

from __future__ import annotations

from collections.abc import Sequence

from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.checks import Check
from cloudmesh_cluster.model.cluster import ROLES, WORKER, Node, Resource
from cloudmesh_cluster.model.errors import ClusterError, NodeError
from cloudmesh_cluster.model.names import cause
from cloudmesh_cluster.model.plan import Plan
from cloudmesh_cluster.steps.create import Outside
from cloudmesh_cluster.steps.nodes import server_ids
from cloudmesh_cluster.steps.verify import Runner, verdicts

GREETING = 30.0  # seconds that a node may take to answer
STOPPED = ("SHUTOFF", "SUSPENDED", "PAUSED", "SHELVED", "SHELVED_OFFLOADED")


def ill(
    plan: Plan,
    nodes: Sequence[Node],
    resources: Sequence[Resource],
    known: Access,
    checks: Sequence[Check],
    outside: Outside,
) -> dict[str, str]:
    """By name, the nodes that only a new server helps, and what is wrong with each.

    Raises ClusterError when nodes are stopped, for then nothing is broken, and when what fails
    does so on every worker, which new servers would not mend.
    """
    found = _without_server(plan, resources, outside)
    found |= _lost(nodes, known, found)
    asked = tuple(one for one in known.targets if one.name not in found)
    access = Access(asked, known.through_master)
    if not asked or (known.through_master and not access.of("master")):
        return found
    with outside.connects(access) as fleet:
        deaf = _deaf(access, fleet)
        found |= deaf
        hearing = tuple(one for one in asked if one.name not in deaf)
        found |= _failing(hearing, checks, fleet, outside)
    return found


def _without_server(plan: Plan, resources: Sequence[Resource], outside: Outside) -> dict[str, str]:
    ids = server_ids(resources)
    servers = {one.id: one for one in outside.compute.servers(set(ids.values()))}
    found: dict[str, str] = {}
    stopped: list[str] = []
    for name in plan.names:
        server = servers.get(ids.get(name, ""))
        if server is None:
            found[name] = "its server is gone"
        elif server.status == "ERROR":
            found[name] = f"its server is in ERROR: {server.fault}".rstrip(": ")
        elif server.status in STOPPED:
            stopped.append(name)
    if stopped and len(stopped) == len(plan.names) - len(found):
        raise ClusterError(
            f"{plan.cluster} is stopped", f"Start it first: cm cluster start {plan.cluster}"
        )
    return found | dict.fromkeys(stopped, "its server is stopped, and the others are not")


def _lost(nodes: Sequence[Node], known: Access, found: dict[str, str]) -> dict[str, str]:
    """The nodes whose host key we do not know: they have never been part of the cluster."""
    names = {one.name for one in known.targets}
    lost = [one.name for one in nodes if one.name not in names and one.name not in found]
    return dict.fromkeys(lost, "it has never reported its host key")


def _deaf(access: Access, fleet: Runner[Target]) -> dict[str, str]:
    outcomes = fleet.run(access.targets, "true", timeout=GREETING)
    return {name: cause(name, one) for name, one in outcomes.items() if isinstance(one, NodeError)}


def _failing(
    targets: Sequence[Target], checks: Sequence[Check], fleet: Runner[Target], outside: Outside
) -> dict[str, str]:
    by_role = {role: tuple(one for one in targets if one.role == role) for role in ROLES}
    judged = verdicts(by_role, checks, fleet, outside.clock, outside.progress)
    failed = {one.node: f"{one.check.title}: {one.seen}" for one in judged if not one.passed}
    workers = {one.name for one in by_role[WORKER]}
    if len(workers) > 1 and workers <= set(failed):
        first = next(iter(sorted(failed)))
        raise ClusterError(
            f"all workers fail checks, such as {first}: {failed[first]}",
            "New servers would not mend that. Look at what the scripts did: cm cluster logs; "
            "to make one anew all the same, name it.",
        )
    # A check on the master may fail for a worker's sake; a new master would lose what it keeps.
    return {name: why for name, why in failed.items() if name in workers}
