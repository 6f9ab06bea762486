"""Create a cluster: one try, one record, nothing left when it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.access import Access
from cloudmesh_cluster.model.causes import script_output
from cloudmesh_cluster.model.checks import Check, Verdict
from cloudmesh_cluster.model.cluster import MASTER, ROLES, Node, StackRequest
from cloudmesh_cluster.model.demand import Needs
from cloudmesh_cluster.model.errors import (
    ClusterError,
    ExitStatus,
    NameTaken,
    NoAnswer,
    NodeError,
    TakenBack,
    VerificationFailed,
)
from cloudmesh_cluster.model.keys import KeyPair
from cloudmesh_cluster.model.names import clipped, folded
from cloudmesh_cluster.model.timeline import VERIFIED
from cloudmesh_cluster.products import CARRIED
from cloudmesh_cluster.render import Scripts
from cloudmesh_cluster.steps import apply, delete, follow, preflight, record, timeline
from cloudmesh_cluster.steps.outside import Compute, Connects, Heat, Workspace
from cloudmesh_cluster.steps.progress import Progress
from cloudmesh_cluster.steps.rekey import rekeyed
from cloudmesh_cluster.steps.reports import FINISHED
from cloudmesh_cluster.steps.verify import verdicts as verdicts_of
from cloudmesh_cluster.steps.wait import Clock, TimedOut, wait_for

AS_ROOT = ("sudo", "-n", "bash", "-ec")
# The node waits for the file that comes last, so that it never starts half a script.
TAKE_SCRIPTS = "cd /var/lib/cm-cluster/scripts; tar -xz; touch complete"
# The name comes as a word, so that no shell reads it; the file is there when it is whole.
TAKE_FILE = 'mkdir -p "$0"; cd "$0"; cat >"$1.part"; mv "$1.part" "$1"'
LOST_REPLY = 30.0  # seconds in which a stack whose reply was lost shows up in the list


@dataclass(frozen=True)
class Order:
    """A cluster that is to be made, ready for Heat."""

    request: StackRequest
    unique_tag: str
    servers: int
    keypair: KeyPair  # the workspace's
    node_keypair: KeyPair  # the nodes' own, once they are wired
    checks: tuple[Check, ...]
    late_scripts: Mapping[str, bytes]
    told: Mapping[str, object]
    scripts: Mapping[str, Scripts] = field(default_factory=dict)
    carried: Mapping[str, Path] = field(default_factory=dict)
    keep: bool = False
    quorum: int = 0  # how many nodes would do, the master among them; 0 is all
    wired_by_client: bool = False  # no node sees all others, so none wires them
    needs: Needs | None = None  # None: no cloud was asked, so it is not for create


@dataclass(frozen=True)
class Outside:
    """The doors that create goes through."""

    heat: Heat
    compute: Compute
    workspace: Workspace
    connects: Connects
    clock: Clock
    progress: Progress


@dataclass(frozen=True)
class Created:
    """A cluster that is there and holds what was expected."""

    stack_id: str
    nodes: tuple[Node, ...]
    access: Access
    verdicts: tuple[Verdict, ...]
    seconds: float
    stages: Mapping[str, float]  # how many of the seconds each stage took
    missing: tuple[str, ...] = ()  # the workers that failed, of which there need not be so many


class CreateFailed(TakenBack):
    """Create failed; the message also says what became of the stack."""


Rescue = Callable[[follow.Seen, Sequence[str]], "Created | None"]


def create(order: Order, outside: Outside, rescue: Rescue | None = None) -> Created:
    """The cluster, verified.

    ``rescue`` is told of which nodes a failure is, and may make a cluster of the others.

    Raises DoesNotFit before anything is touched, NameTaken when a stack of that name exists, which
    is then left alone, and CreateFailed after recording the evidence and rolling back.
    Seconds are of the clock that was given.
    """
    if order.needs:
        preflight.insist(order.request.name, order.needs, outside.compute)
    began = outside.clock.now()
    watch = follow.Watch(
        heat=outside.heat,
        compute=outside.compute,
        connects=outside.connects,
        clock=outside.clock,
        progress=outside.progress,
        deadline=began + order.request.timeout_mins * 60,
        quorum=order.quorum,
    )
    outside.workspace.save_keypair(order.keypair)
    outside.workspace.save_order(order.told)
    seen, found = follow.Seen(), tuple[Verdict, ...]()
    seen.reached["requested"] = began
    try:
        seen.stack_id = _asked(order, outside)
        follow.stack_made(watch, seen, order.servers)
        follow.nodes_ready(
            watch,
            seen,
            when_wired=lambda: _when_wired(order, outside, watch, seen),
            when_booted=lambda: _when_booted(order, outside, watch, seen),
        )
        access = seen.access
        with outside.connects(access) as fleet:
            found = verdicts_of(
                {role: access.of(role) for role in ROLES},
                order.checks,
                fleet,
                outside.clock,
                outside.progress,
                settled=lambda node: seen.hear([(node, VERIFIED)], outside.clock.now()),
            )
        insist(found)
    except NameTaken:
        outside.workspace.forget()
        raise
    except BaseException as error:
        if rescued := _rescued(error, seen, found, outside, rescue):
            return rescued
        _end(order, outside, watch, seen, error, found)
    seen.reached["verified"] = outside.clock.now()
    keep_timeline(outside, seen, found)
    outside.workspace.save_order({**order.told, "ready": True})
    outside.workspace.save_applied({role: one.role for role, one in order.scripts.items()})
    return Created(
        stack_id=seen.stack_id,
        nodes=seen.nodes,
        access=access,
        verdicts=found,
        seconds=seen.reached["verified"] - began,
        stages=_durations(seen.reached),
    )


def _rescued(
    error: BaseException,
    seen: follow.Seen,
    found: Sequence[Verdict],
    outside: Outside,
    rescue: Rescue | None,
) -> Created | None:
    """The cluster without the nodes that failed; None where that is not wanted or not possible."""
    if rescue is None or not isinstance(error, ClusterError) or not seen.stack_id:
        return None
    failed = [one.node for one in found if not one.passed]
    if isinstance(error, apply.NotTaken):
        names: tuple[str, ...] = error.nodes
    else:
        names = tuple(dict.fromkeys(failed)) or follow.blamed(seen, error)
    outside.progress.note(error.problem)
    outside.workspace.save_access(seen.access)
    try:
        return rescue(seen, names)
    except ClusterError as trouble:
        outside.progress.note(f"the other nodes make no cluster: {trouble.problem}")
        return None


def keep_timeline(outside: Outside, seen: follow.Seen, found: Sequence[Verdict]) -> None:
    """For the command timeline; a cluster is no worse without it."""
    with suppress(ClusterError):
        text = outside.workspace.timeline()
        kept = timeline.read(text, timeline.FILE) if text else None
        now = timeline.gone_on(kept, timeline.as_seen(seen, found), seen.old)
        outside.workspace.save_timeline(timeline.written(now))


def _durations(reached: Mapping[str, float]) -> dict[str, float]:
    """From the moments when stages ended, in their order, how long each took."""
    moments = list(reached.items())
    return {stage: moment - before for (_, before), (stage, moment) in pairwise(moments)}


def _asked(order: Order, outside: Outside) -> str:
    """The id of the stack that Heat begins to make.

    A reply that was lost is looked up by the tag that only this request has: the stack may exist.
    """
    outside.progress.stage("stack requested")
    try:
        return outside.heat.create(order.request)
    except NoAnswer:
        stack_id = _found_by_tag(order, outside, LOST_REPLY)
        if stack_id is None:
            raise
        return stack_id


def _found_by_tag(order: Order, outside: Outside, seconds: float) -> str | None:
    def found() -> str | None:
        try:
            return next((one.id for one in outside.heat.stacks(tags=order.unique_tag)), None)
        except NoAnswer:
            return None

    try:
        return wait_for(found, seconds=seconds, clock=outside.clock, late=lambda: "no such tag")
    except TimedOut:
        return None


def _when_booted(order: Order, outside: Outside, watch: follow.Watch, seen: follow.Seen) -> None:
    """Wire the nodes where none of them does, and bring them what user_data could not hold.

    They run their scripts then, as they do when a node has wired them.
    """
    if not order.wired_by_client:
        return
    outside.workspace.save_access(seen.access)
    for name, path in order.carried.items():
        bring_file(watch, seen.access, name, path)
    with watch.connects(seen.access) as fleet:
        # Before nodes are wired, for then their scripts begin to log in to the others.
        rekeyed(seen.access, fleet, order.node_keypair, watch.progress)
        apply.prepared(seen.access, order.scripts, fleet, workers=order.servers - 1)
        watch.progress.stage("nodes wired", 0, order.servers)
        apply.wired(seen.nodes, seen.access, fleet)


def _when_wired(order: Order, outside: Outside, watch: follow.Watch, seen: follow.Seen) -> None:
    """From here on one can log in and watch the scripts, which may take long."""
    if order.wired_by_client:
        return
    outside.workspace.save_access(seen.access)
    _bring(order, watch, seen)
    with watch.connects(seen.access) as fleet:
        rekeyed(seen.access, fleet, order.node_keypair, watch.progress)


def _bring(order: Order, watch: follow.Watch, seen: follow.Seen) -> None:
    """Carry what user_data could not; the nodes wait for it."""
    for role, packed in order.late_scripts.items():
        _carry(watch, seen.access, role, (TAKE_SCRIPTS,), packed, "the role's script")
    for name, path in order.carried.items():
        bring_file(watch, seen.access, name, path)


def bring_file(watch: follow.Watch, access: Access, name: str, path: Path) -> None:
    """Return when the master has the file, whole; NodeError says why it has not."""
    watch.progress.stage(f"{name} carried to the master")
    take = (TAKE_FILE, CARRIED, name)
    _carry(watch, access, MASTER, take, path.read_bytes(), name)


def _carry(
    watch: follow.Watch,
    access: Access,
    role: str,
    take: tuple[str, ...],
    content: bytes,
    what: str,
) -> None:
    seconds = max(60.0, watch.deadline - watch.clock.now())
    with watch.connects(access) as fleet:
        outcomes = fleet.run(access.of(role), (*AS_ROOT, *take), stdin=content, timeout=seconds)
    for name, outcome in outcomes.items():
        if isinstance(outcome, NodeError):
            raise outcome
        if outcome.exit_status:
            words = f"{name} did not take {what}: {clipped(outcome.stderr, 300)}"
            raise NodeError(words, code=codes.NOT_CARRIED)


def insist(found: Sequence[Verdict]) -> None:
    """Nothing when every check passed; VerificationFailed tells those that did not."""
    failed = [one for one in found if not one.passed]
    if failed:
        raise VerificationFailed(failures(failed))


def failures(failed: Sequence[Verdict]) -> str:
    """The checks that did not pass, a line for each that was seen to fail in the same way."""
    nodes: dict[tuple[str, str], list[str]] = {}
    for one in failed:
        nodes.setdefault((one.check.title, one.seen), []).append(one.node)
    lines = [f"{folded(names)}: {title}: {seen}" for (title, seen), names in nodes.items()]
    return "\n".join([f"{len(failed)} checks failed" if len(failed) > 1 else "1 check failed",
                      *lines])  # fmt: skip


# ---- the worst day ------------------------------------------------------------------------------


def _end(
    order: Order,
    outside: Outside,
    watch: follow.Watch,
    seen: follow.Seen,
    error: BaseException,
    found: Sequence[Verdict],
) -> NoReturn:
    """Record, roll back unless the cluster is to be kept, and raise what tells all of it."""
    interrupted = isinstance(error, KeyboardInterrupt)
    if not seen.stack_id:
        lost = interrupted or isinstance(error, NoAnswer)
        seen.stack_id = (_found_by_tag(order, outside, 3.0) or "") if lost else ""
    kept = recorded(order.request.name, outside, watch, seen, error, found)
    problem = _problem(order, error, kept.files)
    if not isinstance(error, ClusterError | KeyboardInterrupt):
        outside.progress.note(f"{type(error).__name__}: rolling back")
    silent = getattr(error, "code", "") == codes.HEAT_SILENT
    if silent and seen.stack_id and not order.keep:
        fate = _left_to_heat(order.request.name, outside, seen, kept.where)
    else:
        fate = rolled_back(
            order.request.name, outside, seen, kept.where, keep=order.keep, interrupted=interrupted
        )
    if not isinstance(error, ClusterError | KeyboardInterrupt):
        raise error
    status = ExitStatus.INTERRUPTED if interrupted else getattr(error, "exit_status", 1)
    more = f"cm cluster explain {order.request.name}" if kept.stamp else ""
    raise CreateFailed(problem, fate, ExitStatus(status), code=kept.code, more=more) from error


@dataclass(frozen=True)
class Recorded:
    """What was saved of a failure: the evidence, the code that it leads to, and where it is.

    Without a stamp it could not be saved.
    """

    files: Mapping[str, str]
    code: str
    where: str
    stamp: str = ""


def recorded(
    name: str,
    outside: Outside,
    watch: follow.Watch,
    seen: follow.Seen,
    error: BaseException,
    found: Sequence[Verdict],
) -> Recorded:
    """The evidence, and where it is; no trouble here may keep us from rolling back."""
    brief = isinstance(error, KeyboardInterrupt)
    outside.progress.stage("record")
    files: Mapping[str, str] = {}
    code = record.code_of(error)
    try:
        keep_timeline(outside, seen, found)
        files = record.evidence(name, watch, seen, error, found, brief=brief)
        code = record.explained(files).code
        file = outside.workspace.save_record(files)
        return Recorded(files, code, f"the record is in {file}", file.name.partition(".")[0])
    except KeyboardInterrupt:
        return Recorded(files, code, "there is no record, for it was interrupted")
    except Exception as trouble:
        return Recorded(files, code, f"there is no record: {trouble}")


def _problem(order: Order, error: BaseException, files: Mapping[str, str]) -> str:
    if isinstance(error, KeyboardInterrupt):
        return f"interrupted while creating {order.request.name}"
    lines = [error.problem if isinstance(error, ClusterError) else str(error)]
    if isinstance(error, follow.NodeFailed):
        for one in error.reports[:3]:
            if one.phase == FINISHED:
                log = files.get(f"{one.node}/node.log", "")
                script = one.reason.partition(" ")[0]
                lines += [f"  {line}" for line in script_output(log, script)]
    return "\n".join(lines)


def _left_to_heat(name: str, outside: Outside, seen: follow.Seen, where: str) -> str:
    """What became of the stack of a Heat that was waited for long enough already."""
    _ask_for_deletion(outside, seen.stack_id)
    return (
        f"Heat was asked to delete the stack, and does not say whether it will; {where}.\n"
        f"When Heat is back: cm cluster delete {name}; one that is gone is no error."
    )


def rolled_back(
    name: str,
    outside: Outside,
    seen: follow.Seen,
    where: str,
    *,
    keep: bool,
    interrupted: bool,
) -> str:
    """What became of the stack, as the end of the message; the deletion happens here."""
    if not seen.stack_id:
        outside.workspace.forget()
        return f"Nothing was made; {where}."
    if keep:
        outside.workspace.save_access(seen.access)
        return (
            f"The stack is kept, as you asked; {where}.\n"
            f"Look around: cm cluster ssh {name}; go on with it: cm cluster create {name}; "
            f"delete it: cm cluster delete {name}"
        )
    try:
        doors = delete.Outside(outside.heat, outside.compute, outside.clock, outside.progress)
        delete.deleted(seen.stack_id, doors)
    except KeyboardInterrupt:
        _ask_for_deletion(outside, seen.stack_id)
        return (
            f"Interrupted again: the cloud goes on deleting the stack; {where}.\n"
            f"See it to its end: cm cluster delete {name}"
        )
    except ClusterError as error:
        return f"{error}\nAlso, {where}; then: cm cluster delete {name}"
    outside.workspace.forget()
    hint = "" if interrupted else f"\nTo keep it next time: cm cluster create {name} --keep"
    return f"The stack has been deleted; {where}.{hint}"


def _ask_for_deletion(outside: Outside, stack_id: str) -> None:
    """Once more, for the interruption may have come before Heat was asked."""
    with suppress(ClusterError):
        outside.heat.delete(stack_id)
