"""Change a cluster that runs: to what was asked for, or back to what it was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from cloudmesh_cluster.model.access import Access
from cloudmesh_cluster.model.checks import Check, Verdict
from cloudmesh_cluster.model.cluster import MASTER, ROLES, Node, Resource, Stack, StackRequest
from cloudmesh_cluster.model.errors import (
    ClusterError,
    ExitStatus,
    NameTaken,
    NoAnswer,
    NodeError,
    TakenBack,
)
from cloudmesh_cluster.model.keys import KeyPair
from cloudmesh_cluster.model.names import clipped, folded
from cloudmesh_cluster.model.plan import Plan, without_wirer
from cloudmesh_cluster.model.timeline import VERIFIED
from cloudmesh_cluster.render import Scripts
from cloudmesh_cluster.steps import apply, follow, reports
from cloudmesh_cluster.steps import nodes as of_stack
from cloudmesh_cluster.steps.create import (
    Outside,
    bring_file,
    insist,
    keep_timeline,
    recorded,
    rolled_back,
)
from cloudmesh_cluster.steps.rekey import rekeyed
from cloudmesh_cluster.steps.verify import verdicts as verdicts_of
from cloudmesh_cluster.steps.wait import wait_for

MADE = follow.MADE
QUIET = 1800.0  # seconds that Heat may take for what it is at
BUSY = 300.0  # seconds in which Heat may still be at what it was asked before
PARTING = 300.0  # seconds in which workers that had joined are let go of again
DRAIN = ("sudo", "-n", "bash", "-s")


@dataclass(frozen=True)
class Goal:
    """A cluster as it is to be: its nodes, what runs on them, what is expected."""

    plan: Plan
    scripts: Mapping[str, Scripts]
    checks: tuple[Check, ...]
    told: Mapping[str, object]  # for the workspace


@dataclass(frozen=True)
class Order:
    """A change of a cluster: what it is, what it is to be, and what that takes.

    ``request`` makes of a plan what Heat is sent, or with ``back`` what makes the stack what it
    was; ``drain`` makes of names the product's script for the master that lets these workers end
    their work, or with ``back`` takes them back.
    """

    name: str
    stack_id: str
    before: Goal
    whole: Goal  # with what comes, and still with what leaves
    after: Goal
    known: Access  # how nodes were reached until now
    request: Callable[[Plan, bool], StackRequest]
    drain: Callable[[Sequence[str], bool], str]
    node_keypair: KeyPair
    timeout_mins: int
    carried: Mapping[str, Path] = field(default_factory=dict)
    anew: frozenset[str] = frozenset()  # the names of nodes that Heat is to make anew
    changed: frozenset[str] = frozenset()  # the stack's parameters that have other values
    reshaped: bool = False  # whether Heat has more to change than which nodes there are
    unready: bool = False  # whether it never was what was asked for: it is rolled back then
    keep: bool = False  # though it never was, it is not
    quorum: int = 0  # how many nodes would do, the master among them; 0 is all

    @property
    def added(self) -> tuple[str, ...]:
        """The workers that come."""
        before = set(self.before.plan.names)
        return tuple(name for name in self.whole.plan.names if name not in before)

    @property
    def removed(self) -> tuple[str, ...]:
        """The workers that leave."""
        after = set(self.after.plan.names)
        return tuple(name for name in self.whole.plan.names if name not in after)


@dataclass(frozen=True)
class Altered:
    """A cluster as it is now, and how long that took."""

    status: str  # the stack's
    nodes: tuple[Node, ...]
    access: Access
    verdicts: tuple[Verdict, ...]
    seconds: float


class AlterFailed(TakenBack):
    """The change failed; the message also says what the cluster is now."""

    nodes: tuple[str, ...] = ()  # those without which it would not have failed


@dataclass
class _Site:
    """The cluster as this change has come to know it."""

    seen: follow.Seen
    generation: int
    verdicts: tuple[Verdict, ...] = ()
    touched: bool = False  # whether anything was changed that would have to be taken back
    joined: bool = False  # whether the product may have begun to count on those that come
    drained: bool = False  # whether workers were asked to end their work


def altered(order: Order, outside: Outside) -> Altered:
    """The cluster, changed and verified.

    Raises AlterFailed after the evidence was recorded and what was changed was taken back.
    """
    began = outside.clock.now()
    seen = follow.Seen(order.stack_id, leaving=frozenset(order.removed))
    site = _Site(seen, order.before.plan.generation)
    outside.workspace.save_order({**order.after.told, "ready": not order.unready})
    watch = _watch(order, outside)
    try:
        _look(site, watch, order)
        site.seen.old = frozenset(of_stack.server_ids(site.seen.resources).values())
        if order.added or order.anew or order.reshaped:
            _reach(site, watch, order, outside, order.whole, stack=True)
        elif not order.removed:
            _reach(site, watch, order, outside, order.after, stack=False)
        if order.removed:
            _shrink(site, watch, order, outside)
    except BaseException as error:
        _end(site, watch, order, outside, error)
    access = _of(order.after.plan, site.seen.access)
    names = order.after.plan.names
    keep_timeline(outside, site.seen, site.verdicts)
    outside.workspace.save_access(access)
    outside.workspace.save_order({**order.after.told, "ready": True})
    outside.workspace.save_applied({role: order.after.scripts[role].role for role in ROLES})
    return Altered(
        status=site.seen.stack.status if site.seen.stack else "",
        nodes=tuple(one for one in site.seen.nodes if one.name in names),
        access=access,
        verdicts=site.verdicts,
        seconds=outside.clock.now() - began,
    )


def quiet(stack: Stack, outside: Outside) -> Stack:
    """The stack, once Heat is no longer at what it was asked before."""

    def settled() -> Stack | None:
        try:
            now = outside.heat.stack(stack.id)
        except NoAnswer:
            return None
        if now.status.endswith("IN_PROGRESS"):
            outside.progress.stage(f"Heat is at it ({now.status})")
            return None
        return now

    return wait_for(
        settled,
        seconds=QUIET,
        clock=outside.clock,
        every=2,
        late=lambda: f"Heat has been at stack {stack.name} for {QUIET:.0f} s",
    )


def _watch(order: Order, outside: Outside) -> follow.Watch:
    return follow.Watch(
        heat=outside.heat,
        compute=outside.compute,
        connects=outside.connects,
        clock=outside.clock,
        progress=outside.progress,
        deadline=outside.clock.now() + order.timeout_mins * 60,
        quorum=order.quorum,
    )


def _look(site: _Site, watch: follow.Watch, order: Order) -> None:
    """What is known of the nodes before anything changes."""
    seen = site.seen
    seen.stack = watch.heat.stack(seen.stack_id)
    seen.resources = watch.heat.resources(seen.stack_id)
    seen.nodes = of_stack.nodes(seen.stack, seen.resources)
    try:
        told = reports.signalled(watch.heat, of_stack.handles(seen.resources))
    except NoAnswer:
        told = {}
    seen.reports.update(reports.of_servers(told, seen.nodes))
    seen.reports.update(_known(order.known, seen.resources))


def _known(access: Access, resources: Sequence[Resource]) -> dict[tuple[str, str], reports.Report]:
    """What is known of nodes as if they had reported it; not of those that were made anew since."""
    servers = of_stack.server_ids(resources)
    return {
        (one.name, reports.BOOTED): reports.Report(
            node=one.name,
            phase=reports.BOOTED,
            exit_status=0,
            reason="",
            login=one.login,
            host_key=one.host_keys[0],
            at=0,
            server=one.server,
        )
        for one in access.targets
        if one.server in ("", servers.get(one.name))
    }


# ---- forward ------------------------------------------------------------------------------------


def _reach(
    site: _Site,
    watch: follow.Watch,
    order: Order,
    outside: Outside,
    goal: Goal,
    *,
    stack: bool,
) -> None:
    """The cluster as the goal has it, verified; ``stack`` is whether Heat is asked for anything."""
    before = of_stack.server_ids(site.seen.resources)
    site.touched = True
    _mark(site, watch, order)
    if stack:
        _update_stack(site, watch, order, goal.plan)
        _forget_replaced(site, before)
    follow.nodes_booted(watch, site.seen)
    new_master = before.get(goal.plan.master.name) not in (
        None,
        of_stack.server_ids(site.seen.resources).get(goal.plan.master.name),
    )
    access = _of(goal.plan, site.seen.access)
    outside.workspace.save_access(site.seen.access)
    site.joined = True
    _settle(site, watch, order, goal, access, again=new_master)


def _mark(site: _Site, watch: follow.Watch, order: Order) -> None:
    """Have Heat make anew the nodes that are to be; one without a server it makes anyway."""
    for one in site.seen.resources:
        if one.name in order.anew and one.type == of_stack.SERVER_TYPE:
            watch.heat.mark_unhealthy(one.stack_id, one.name, follow.MARKED)


def _settle(
    site: _Site,
    watch: follow.Watch,
    order: Order,
    goal: Goal,
    access: Access,
    *,
    again: bool = False,
) -> None:
    """The goal's nodes know each other, run what they should, and hold what is expected."""
    nodes = [one for one in site.seen.nodes if one.name in goal.plan.names]
    if again:
        for name, path in order.carried.items():
            bring_file(watch, access, name, path)
    with watch.connects(access) as fleet:
        # Before a new node is wired, for then its scripts begin to log in to the others.
        rekeyed(access, fleet, order.node_keypair, watch.progress)
        apply.prepared(access, goal.scripts, fleet, workers=len(goal.plan.workers), again=again)
        watch.progress.stage("nodes wired", 0, len(nodes))
        apply.wired(nodes, access, fleet)
        site.seen.hear([(one.name, reports.WIRED) for one in nodes], watch.clock.now())
        watch.progress.stage("nodes wired", len(nodes), len(nodes))
        apply.applied(
            access,
            fleet,
            seconds=max(60.0, watch.deadline - watch.clock.now()),
            clock=watch.clock,
            progress=watch.progress,
            ended=lambda node: site.seen.hear([(node, reports.FINISHED)], watch.clock.now()),
        )
        site.verdicts = verdicts_of(
            {role: access.of(role) for role in ROLES},
            goal.checks,
            fleet,
            watch.clock,
            watch.progress,
            settled=lambda node: site.seen.hear([(node, VERIFIED)], watch.clock.now()),
        )
    insist(site.verdicts)


def _shrink(site: _Site, watch: follow.Watch, order: Order, outside: Outside) -> None:
    """Those that leave end their work, the others do without them, then Heat takes them away."""
    site.touched = True
    follow.nodes_booted(watch, site.seen)  # Heat may have made one just before a change was cut off
    site.drained = True
    _drain(site, watch, order, order.removed)
    staying = _of(order.after.plan, site.seen.access)
    _settle(site, watch, order, order.after, staying)
    _update_stack(site, watch, order, order.after.plan)
    outside.workspace.save_access(_of(order.after.plan, site.seen.access))


def _drain(
    site: _Site,
    watch: follow.Watch,
    order: Order,
    leaving: Sequence[str],
    *,
    back: bool = False,
    seconds: float = 0.0,
) -> None:
    """Return when these workers have ended their work, or with ``back`` take work again.

    ``seconds`` is how long that may take; without it, as long as the change may. Raises NodeError.
    """
    script = order.drain(leaving, back)
    if not script:
        return
    names = folded(leaving)
    watch.progress.stage(f"{names} taken back" if back else f"{names} ends its work")
    access = site.seen.access
    seconds = seconds or max(60.0, watch.deadline - watch.clock.now())
    with watch.connects(access) as fleet:
        outcomes = fleet.run(access.of(MASTER), DRAIN, stdin=script.encode(), timeout=seconds)
    for outcome in outcomes.values():
        if isinstance(outcome, NodeError):
            raise outcome
        if outcome.exit_status:
            said = (outcome.stderr.strip() or outcome.stdout.strip()).rpartition("\n")[2]
            if back:  # the product's scripts, which run next, take them back too
                continue
            said = clipped(said, 300)
            late = outcome.exit_status == 124
            what = "has not ended its work in the time there was" if late else said
            raise NodeError(f"{names} cannot leave: {what}")


def _of(plan: Plan, access: Access) -> Access:
    return replace(access, targets=tuple(one for one in access.targets if one.name in plan.names))


def _update_stack(
    site: _Site, watch: follow.Watch, order: Order, plan: Plan, *, back: bool = False
) -> None:
    """Return when Heat has made the stack what the plan has."""
    site.generation += 1
    plan = replace(without_wirer(plan), generation=site.generation)
    request = order.request(plan, back)
    before = watch.heat.status(order.stack_id).updated
    watch.progress.stage("stack update requested")
    site.seen.reached.setdefault("updated", watch.clock.now())

    def accepted() -> bool | None:
        try:
            watch.heat.update(order.stack_id, request)
        except NameTaken:  # Heat's 409: it is still at something else
            return None
        return True

    wait_for(
        accepted,
        seconds=BUSY,
        clock=watch.clock,
        every=5,
        late=lambda: f"Heat is busy with stack {order.name} and takes no update",
    )
    site.seen.reasons.clear()
    follow.stack_made(watch, site.seen, len(plan.nodes), before)


def _forget_replaced(site: _Site, before: Mapping[str, str]) -> None:
    """What nodes reported whose servers are others now says nothing of these."""
    now = of_stack.server_ids(site.seen.resources)
    replaced = {name for name, server in before.items() if now.get(name) != server}
    for key in [key for key in site.seen.reports if key[0] in replaced]:
        if site.seen.reports[key].server != now.get(key[0]):
            del site.seen.reports[key]


# ---- back ---------------------------------------------------------------------------------------


def _end(
    site: _Site, watch: follow.Watch, order: Order, outside: Outside, error: BaseException
) -> NoReturn:
    """Record, take back what was changed, and raise what tells all of it."""
    if not order.unready:
        outside.workspace.save_order({**order.before.told, "ready": True})
    blamed = _blamed(site, error)
    kept = recorded(order.name, outside, watch, site.seen, error, site.verdicts)
    if not isinstance(error, ClusterError | KeyboardInterrupt):
        outside.progress.note(f"{type(error).__name__}: taking back what was changed")
    if order.unready:
        brief = isinstance(error, KeyboardInterrupt)
        fate = rolled_back(
            order.name, outside, site.seen, kept.where, keep=order.keep, interrupted=brief
        )
    else:
        fate = _fate(site, order, outside, kept.where)
    if not isinstance(error, ClusterError | KeyboardInterrupt):
        raise error
    if isinstance(error, KeyboardInterrupt):
        problem, status = f"interrupted while changing {order.name}", ExitStatus.INTERRUPTED
    else:
        problem, status = f"{order.name} was not changed: {error.problem}", error.exit_status
    more = f"cm cluster explain {order.name} {kept.stamp}" if kept.stamp else ""
    failed = AlterFailed(problem, fate, status, code=kept.code, more=more)
    failed.nodes = blamed
    raise failed from error


def _blamed(site: _Site, error: BaseException) -> tuple[str, ...]:
    """The names of the nodes without which the change would not have failed."""
    if isinstance(error, apply.NotTaken):
        return error.nodes
    failed = tuple(one.node for one in site.verdicts if not one.passed)
    return tuple(dict.fromkeys(failed)) or follow.blamed(site.seen, error)


def _fate(site: _Site, order: Order, outside: Outside, where: str) -> str:
    """What the cluster is now, as the end of the message; it is taken back here."""
    name = order.name
    if not site.touched:
        return f"Nothing was changed; {where}."
    again = f"{where}. See what there is: cm cluster show {name}; mend it: cm cluster repair {name}"
    try:
        _take_back(site, order, outside)
    except KeyboardInterrupt:
        return f"Interrupted again, before it was what it had been; {again}"
    except ClusterError as error:
        return f"It could not be made what it was: {error.problem}\nAlso, {again}"
    servers = of_stack.server_ids(site.seen.resources)
    anew = [name for name, server in servers.items() if server not in site.seen.old]
    lost = f", but what was on {folded(anew)} is lost" if anew else ""
    return f"The cluster is as it was{lost}; {where}."


def _take_back(site: _Site, order: Order, outside: Outside) -> None:
    watch = _watch(order, outside)
    _look(site, watch, order)
    there = set(of_stack.server_ids(site.seen.resources))
    wanted = set(order.before.plan.names)
    stack = site.seen.stack
    settled = stack is not None and stack.status in follow.MADE and there == wanted
    if site.joined and (came := [name for name in order.added if name in there]):
        # What they took on meanwhile is not to go with them; one that is broken cannot help it.
        with contextlib.suppress(NodeError):
            _drain(site, watch, order, came, seconds=PARTING)
    before = of_stack.server_ids(site.seen.resources)
    if not settled:
        _update_stack(site, watch, order, order.before.plan, back=True)
        _forget_replaced(site, before)
        follow.nodes_booted(watch, site.seen)
    access = _of(order.before.plan, site.seen.access)
    outside.workspace.save_access(access)
    if order.removed and site.drained:
        _drain(site, watch, order, order.removed, back=True)
    _settle(site, watch, order, order.before, access)
