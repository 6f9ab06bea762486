"""A cluster's timeline: from what a create has seen, or from what the cloud still tells."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence

from cloudmesh_cluster.model import timeline
from cloudmesh_cluster.model.checks import Verdict
from cloudmesh_cluster.model.cluster import MASTER, WORKER, Event, Resource, Stack
from cloudmesh_cluster.model.errors import ClusterError
from cloudmesh_cluster.model.marks import moment
from cloudmesh_cluster.model.offer import Server
from cloudmesh_cluster.model.timeline import ASKED, VERIFIED, Moments, Timeline, ordered
from cloudmesh_cluster.steps import reports
from cloudmesh_cluster.steps.follow import Seen
from cloudmesh_cluster.steps.nodes import SERVER_TYPE, handles, place
from cloudmesh_cluster.steps.outside import Compute, Heat
from cloudmesh_cluster.steps.reports import Report, Reports

FILE = "timeline.json"  # in the workspace, and in a record
STAGE_OF = {
    reports.BOOTED: timeline.SSH,
    reports.WIRED: timeline.WIRED,
    reports.FINISHED: timeline.SCRIPT,
}
UPDATE_BEGINS = "UPDATE_IN_PROGRESS"


# ---- as we saw it --------------------------------------------------------------------------------


def as_seen(seen: Seen, verdicts: Iterable[Verdict] = ()) -> Timeline:
    """The timeline of a create or an update, or of as much of it as there was.

    What we saw ourselves is on our clock, whose zero is the request; what nodes tell is on theirs,
    whose zero is when Heat took the request. Of an update all that counts is what we saw.
    """
    made_here = "requested" in seen.reached
    asked = seen.reached.get("requested", seen.reached.get("updated"))
    zero = min(seen.heard.values(), default=0.0) if asked is None else asked
    began = _began(seen)
    failed = {one.node for one in verdicts if not one.passed}
    heard = {key: at - zero for key, at in seen.heard.items()}

    def moments(server: Resource) -> Moments:
        node = server.name
        mine = {phase: at for (name, phase), at in heard.items() if name == node}
        told = {stage: mine.get(stage) for stage in (ASKED, timeline.ACTIVE, VERIFIED)}
        latest = {STAGE_OF[phase]: at for phase, at in mine.items() if phase in STAGE_OF}
        reached, broken = _reported(node, seen.reports, began)
        return _moments(
            server,
            began,
            told | (reached if made_here else latest),
            latest,
            failed=broken or (VERIFIED if node in failed else ""),
        )

    name = seen.stack.name if seen.stack else ""
    return Timeline(name, seen.stack_id, _in_order(map(moments, _servers(seen.resources))))


def _began(seen: Seen) -> float | None:
    """When Heat took the request, on its clock; None where none was made here."""
    if seen.stack is None or not {"requested", "updated"} & set(seen.reached):
        return None
    return timeline.clock(seen.stack.created if "requested" in seen.reached else seen.stack.updated)


def gone_on(kept: Timeline | None, now: Timeline, old: Collection[str]) -> Timeline:
    """What to keep after a create or an update that began with servers of the ids ``old``.

    Of those it saw too little: what was kept of them stays, unless that was how they failed.
    """
    before = _known(kept, now.stack_id).values()
    known = [one for one in before if one.verified and not one.failed]
    new = [one for one in now.nodes if one.server_id not in old]
    return Timeline(now.cluster, now.stack_id, _in_order([*known, *new]))


def written(found: Timeline) -> str:
    """As text that ``read`` takes."""
    return json.dumps(timeline.told(found), indent=1) + "\n"


def read(text: str, where: str) -> Timeline:
    """From such a text; ClusterError says where it cannot be."""
    try:
        return timeline.read(json.loads(text))
    except ValueError as error:
        raise ClusterError(f"{where} cannot be read: {error}") from error


# ---- as the cloud tells it -----------------------------------------------------------------------


def reconstructed(heat: Heat, compute: Compute, stack: Stack, kept: Timeline | None) -> Timeline:
    """The timeline of the nodes that the stack has now; what was kept of one of them is kept.

    A node's time begins with the create or update that brought it. Nova and Heat tell when its
    server was asked for and active, its own signals the rest; nobody tells when it was verified.
    """
    servers = _servers(heat.resources(stack.id))
    known = _known(kept, stack.id)
    unknown = [one for one in servers if one.physical_id not in known]
    found = _from_cloud(heat, compute, stack, unknown) if unknown else {}
    all_of = {**known, **found}
    return Timeline(stack.name, stack.id, _in_order(all_of[one.physical_id] for one in servers))


def _known(kept: Timeline | None, stack_id: str) -> dict[str, Moments]:
    if kept is None or kept.stack_id != stack_id:
        return {}
    return {one.server_id: one for one in kept.nodes if one.server_id}


def _from_cloud(
    heat: Heat, compute: Compute, stack: Stack, servers: Sequence[Resource]
) -> dict[str, Moments]:
    events = heat.events(stack.id)
    told = reports.signalled(heat, handles(heat.resources(stack.id)))
    machines = {one.id: one for one in compute.servers({one.physical_id for one in servers})}

    def moments(server: Resource) -> Moments:
        mine = [one for one in events if one.resource == server.name]
        begun = _last(mine, "CREATE_IN_PROGRESS")
        zero = _requested(events, stack, begun)
        machine = machines.get(server.physical_id, Server("", "", ""))
        asked = timeline.clock(machine.created) or begun
        active = timeline.clock(machine.launched) or _last(mine, "CREATE_COMPLETE")
        reached, broken = _reported(server.name, _of_server(told, server), zero)
        cloud = {ASKED: _since(zero, asked), timeline.ACTIVE: _since(zero, active)}
        return _moments(server, zero, cloud | reached, {}, failed=broken)

    return {one.physical_id: moments(one) for one in servers}


def _of_server(told: Reports, server: Resource) -> dict[tuple[str, str], Report]:
    """The reports of this very server, not of one of its name that it replaced."""
    return {key: one for key, one in told.items() if one.server in ("", server.physical_id)}


def _requested(events: Iterable[Event], stack: Stack, begun: float | None) -> float | None:
    """When the update began in which the node's server was begun, or else the stack was made."""
    own = [one for one in events if one.resource == stack.name and one.status == UPDATE_BEGINS]
    times = [at for at in (timeline.clock(one.time) for one in own) if at is not None]
    before = [at for at in times if begun is not None and at <= begun]
    return max(before, default=timeline.clock(stack.created))


def _last(events: Iterable[Event], status: str) -> float | None:
    times = [timeline.clock(one.time) for one in events if one.status == status]
    return max((at for at in times if at is not None), default=None)


# ---- both ----------------------------------------------------------------------------------------


def _moments(
    server: Resource,
    zero: float | None,
    told: Mapping[str, float | None],
    latest: Mapping[str, float],
    *,
    failed: str,
) -> Moments:
    held, skew = ordered(told, latest)
    return Moments(
        node=server.name,
        role=MASTER if server.name.endswith(f"-{MASTER}") else WORKER,
        server_id=server.physical_id,
        requested="" if zero is None else moment(zero),
        skew=round(skew, 1),
        failed=failed,
        **{stage: round(at, 1) for stage, at in held.items()},
    )


def _reported(node: str, told: Reports, zero: float | None) -> tuple[dict[str, float | None], str]:
    """When a node reached what it tells of, and in which of these stages it failed."""
    mine = {STAGE_OF[phase]: told[node, phase] for phase in STAGE_OF if (node, phase) in told}
    broken = [stage for stage, one in mine.items() if one.exit_status]
    return {stage: _since(zero, one.at) for stage, one in mine.items()}, (broken or [""])[0]


def _since(zero: float | None, at: float | None) -> float | None:
    return None if zero is None or at is None else at - zero


def _servers(resources: Iterable[Resource]) -> list[Resource]:
    return [one for one in resources if one.type == SERVER_TYPE]


def _in_order(nodes: Iterable[Moments]) -> tuple[Moments, ...]:
    return tuple(sorted(nodes, key=lambda one: place(one.node)))
