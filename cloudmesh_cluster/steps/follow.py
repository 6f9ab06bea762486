"""Follow a create: the stack until Heat has made it, then the nodes until they are ready."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.access import Access
from cloudmesh_cluster.model.cluster import Node, Resource, Result, Stack
from cloudmesh_cluster.model.errors import CloudError, ClusterError, NoAnswer, NodeError
from cloudmesh_cluster.model.names import folded
from cloudmesh_cluster.model.timeline import ACTIVE, ASKED
from cloudmesh_cluster.steps import nodes as of_stack
from cloudmesh_cluster.steps import reports as told
from cloudmesh_cluster.steps.outside import Compute, Connects, Heat
from cloudmesh_cluster.steps.progress import Progress
from cloudmesh_cluster.steps.reports import Report
from cloudmesh_cluster.steps.wait import Clock, Seldom, TimedOut, wait_for

SILENCE = 60.0  # seconds after which a node that Heat has not heard of is asked by SSH
LAST_HOPE = 240.0  # seconds in which a node may boot whose console tells that cloud-init failed
DEAF_HEAT = 120.0  # seconds for which Heat may give no answer before we give up
RARELY = 2.0  # seconds between two questions about the largest cluster
OTHERS = 60.0  # seconds that the others have at least once enough nodes have come
STALLED = 180.0  # seconds in which nothing of a stack moves and Nova builds no server
PATIENCE = 20.0  # seconds that one such question may take
MARKED = "to be made anew by cm cluster"  # the reason of a resource that we have Heat replace
MADE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
DOWN = ("SHUTOFF", "ERROR")  # as Nova tells of servers
UNDER_WAY = ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS")
STAGES = {told.BOOTED: "nodes booted", told.WIRED: "nodes wired", told.FINISHED: "scripts ended"}


class StackFailed(ClusterError):
    """Heat could not make the stack."""

    code = codes.STACK_FAILED


class StackStalled(ClusterError):
    """Heat no longer goes on with the stack."""

    code = codes.STACK_STALLED


class Hopeless(ClusterError):
    """There are nodes for which it is of no use to wait."""

    def __init__(self, head: str, lines: Mapping[str, str]) -> None:
        told = [f"{name}: {line}" for name, line in lines.items()][:5]
        super().__init__("\n".join([f"{folded(lines)} {head}", *told]))
        self.nodes = tuple(lines)


class BootFailed(Hopeless):
    """Nodes came up, and cloud-init, which runs all that is ours, failed there."""

    code = codes.NOT_BOOTED


class ServersDown(Hopeless):
    """Servers that ran do not run any more."""

    code = codes.SERVER_ERROR


class NodeFailed(ClusterError):
    """A node says that it could not do its part."""

    code = codes.ROLE_SCRIPT

    def __init__(self, problem: str, reports: tuple[Report, ...]) -> None:
        super().__init__(problem)
        self.reports = reports


@dataclass(frozen=True)
class Watch:
    """Who watches, and until when on the clock."""

    heat: Heat
    compute: Compute
    connects: Connects
    clock: Clock
    progress: Progress
    deadline: float
    quorum: int = 0  # how many nodes would do, the master among them; 0 is all


@dataclass
class Seen:
    """What has been seen so far; a record is made of it when something fails."""

    stack_id: str = ""
    stack: Stack | None = None
    resources: tuple[Resource, ...] = ()
    nodes: tuple[Node, ...] = ()
    old: frozenset[str] = frozenset()  # the ids of servers that an update began with
    leaving: frozenset[str] = frozenset()  # the names of nodes that nobody waits for
    reports: dict[tuple[str, str], Report] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    reached: dict[str, float] = field(default_factory=dict)  # when on the clock each stage ended
    # When on the clock we first knew of a node that it had passed a stage or reported a phase.
    heard: dict[tuple[str, str], float] = field(default_factory=dict)

    @property
    def access(self) -> Access:
        """How to reach those nodes whose host key is known."""
        return of_stack.access_reported(self.nodes, self.reports)

    def hear(self, keys: Iterable[tuple[str, str]], now: float) -> None:
        """Remember when each of these was first known."""
        for key in keys:
            self.heard.setdefault(key, now)


def stack_made(watch: Watch, seen: Seen, expected: int, before: str | None = None) -> None:
    """Return when Heat has made, or updated, the stack.

    An update has begun when the time of the last one is no longer ``before``. Raises StackFailed
    with Heat's reasons, TimedOut with what is missing.
    """
    heard, listing = watch.clock.now(), Seldom(watch.clock)

    def look() -> Stack | None:
        nonlocal heard
        watch.progress.stage("servers made", len(_made(seen)), expected)
        try:
            stack = seen.stack = watch.heat.status(seen.stack_id)
            if stack.status not in UNDER_WAY:
                seen.resources = watch.heat.resources(seen.stack_id)
            elif listing.due():
                with suppress(NoAnswer):  # Heat is at work, and its list may be long
                    seen.resources = listing.ask(lambda: watch.heat.resources(seen.stack_id))
        except NoAnswer as error:
            if watch.clock.now() - heard < DEAF_HEAT:
                return None
            words = f"Heat has not answered for {DEAF_HEAT:.0f} s: {error.problem}"
            raise CloudError(words, code=codes.HEAT_SILENT) from error
        heard = watch.clock.now()
        seen.hear(_passed(seen.resources), heard)
        if stalled.lasted(seen.resources):
            raise StackStalled(f"nothing has moved in stack {stack.name} for {STALLED:.0f} s")
        _tell_reasons(watch, seen)
        if stack.updated == before:
            return None
        if stack.status not in UNDER_WAY + MADE:
            raise StackFailed(_stack_words(stack, seen))
        return stack if stack.status in MADE else None

    stalled = _Stalled(watch)
    _until(watch, look, expected, lambda: _late_stack(seen, expected))
    seen.stack = watch.heat.stack(seen.stack_id)
    seen.nodes = of_stack.nodes(seen.stack, seen.resources)
    if len(seen.nodes) != expected:
        raise StackFailed(f"stack {seen.stack.name} tells the addresses of {len(seen.nodes)} nodes")
    watch.progress.stage("servers made", len(seen.nodes), expected)
    seen.reached["stack"] = watch.clock.now()


def nodes_booted(watch: Watch, seen: Seen) -> None:
    """Return when every node has booted; TimedOut names those that have not reported it."""
    _phases_passed(watch, seen, (told.BOOTED,), {})


def nodes_ready(
    watch: Watch,
    seen: Seen,
    when_wired: Callable[[], None],
    when_booted: Callable[[], None] = lambda: None,
) -> None:
    """Return when every node has booted, is wired and its role's scripts have ended well.

    ``when_booted`` is called once, when all have booted, ``when_wired`` when all are wired. Raises
    NodeFailed as soon as one node reports a failure, ServersDown when Nova tells that one does not
    run any more, BootFailed when a silent one's console tells that it never will report, TimedOut
    naming those that have not.
    """
    after = {told.BOOTED: when_booted, told.WIRED: when_wired}
    _phases_passed(watch, seen, told.PHASES, after)


def _phases_passed(
    watch: Watch,
    seen: Seen,
    phases: Sequence[str],
    after: Mapping[str, Callable[[], None]],
) -> None:
    asks = _Asks(watch)
    total = sum(node.name not in seen.leaving for node in seen.nodes)

    def passed(phase: str) -> bool | None:
        if _missing(seen, phase):
            _listen(watch, seen, asks)
        if failures := [one for one in told.failed(seen.reports) if one.phase in phases]:
            raise NodeFailed(_node_words(watch, seen, failures), tuple(failures))
        missing = _missing(seen, phase)
        watch.progress.stage(STAGES[phase], total - len(missing), total)
        if missing and enough.lasted(total - len(missing)):
            raise TimedOut(_late_nodes(watch, seen, phase))
        return None if missing else True

    for phase in phases:
        enough = _Enough(watch)
        _until(watch, partial(passed, phase), total, partial(_late_nodes, watch, seen, phase))
        seen.reached[phase] = watch.clock.now()
        if phase in after:
            after[phase]()


def _until(
    watch: Watch, probe: Callable[[], object | None], nodes: int, late: Callable[[], str]
) -> None:
    """Ask until the watch's end; Heat is asked kindly about large stacks."""
    seconds = watch.deadline - watch.clock.now()
    every = min(max(0.5, nodes / 50), RARELY)
    wait_for(probe, seconds=seconds, clock=watch.clock, every=every, late=late)


def _made(seen: Seen) -> list[Resource]:
    return [
        one for one in seen.resources if one.type == of_stack.SERVER_TYPE and one.status in MADE
    ]


def _passed(resources: Iterable[Resource]) -> Iterator[tuple[str, str]]:
    """The servers that Heat has asked Nova for, and those that are active."""
    for one in resources:
        if one.type == of_stack.SERVER_TYPE and one.physical_id:
            yield one.name, ASKED
            if one.status == "CREATE_COMPLETE":
                yield one.name, ACTIVE


def _missing(seen: Seen, phase: str) -> list[str]:
    waited_for = [node.name for node in seen.nodes if node.name not in seen.leaving]
    return [name for name in waited_for if (name, phase) not in seen.reports]


def _tell_reasons(watch: Watch, seen: Seen) -> None:
    """Say a failure when Heat first has it: Heat tries a server five times before it gives up."""
    for one in seen.resources:
        bad = one.status.endswith("FAILED") and one.reason not in ("", MARKED)
        if bad and seen.reasons.get(one.name) != (reason := plain(one.reason)):
            seen.reasons[one.name] = reason
            watch.progress.note(f"{one.name}: {reason}")


def plain(reason: str) -> str:
    """Heat's reason without the wrapping around what Nova or Neutron said."""
    inner = re.search(r'due to "Message: (.*?),? Code: \d+"', reason, re.DOTALL)
    words = inner[1] if inner else re.sub(r"^\w+: resources\.\S+: ", "", reason)
    return re.sub(r" \(HTTP \d+\)| \(Request-ID: [\w-]+\)", "", words).strip(" ,")


def _stack_words(stack: Stack, seen: Seen) -> str:
    nested = [one.name for one in seen.resources if one.type.endswith(".yaml")]
    reasons = {name: why for name, why in seen.reasons.items() if name not in nested}
    lines = [f"{name}: {why}" for name, why in reasons.items()] or [plain(stack.reason)]
    return "\n".join([f"stack {stack.name} ended {stack.status}", *lines])


def _late_stack(seen: Seen, expected: int) -> str:
    made = {one.name for one in _made(seen)}
    servers = [one for one in seen.resources if one.type == of_stack.SERVER_TYPE]
    waiting = [f"{one.name}: {one.status} {one.reason}".strip() for one in servers
               if one.name not in made]  # fmt: skip
    head = f"Heat made {len(made)} of {expected} servers in the time there was"
    return "\n".join([head, *waiting])


def _node_words(watch: Watch, seen: Seen, failures: list[Report]) -> str:
    """The failures; that others were not wired is no news when it is known who kept them."""
    unbooted = all(one.phase == told.WIRED for one in failures) and _missing(seen, told.BOOTED)
    first = [_late_nodes(watch, seen, told.BOOTED)] if unbooted else []
    return "\n".join([*first, *(failure_words(one) for one in failures)])


def blamed(seen: Seen, error: BaseException) -> tuple[str, ...]:
    """The names of the nodes without which there would not have been this error."""
    if isinstance(error, StackFailed) or not seen.nodes:
        servers = [one for one in seen.resources if one.type == of_stack.SERVER_TYPE]
        failed = tuple(one.name for one in servers if one.status.endswith("FAILED"))
        return failed or tuple(one.name for one in servers if one.status not in MADE)
    if isinstance(error, Hopeless):
        return error.nodes
    late = next((missing for phase in told.PHASES if (missing := _missing(seen, phase))), [])
    if isinstance(error, NodeFailed):
        if all(one.phase == told.WIRED for one in error.reports):
            return tuple(late)
        return tuple(one.node for one in error.reports)
    return tuple(late)


def failure_words(report: Report) -> str:
    """What a node's report of a failure means, in one line."""
    if report.phase == told.FINISHED:
        what = report.reason or "the scripts"
        return f"{report.node}: {what} ended with exit status {report.exit_status}"
    return f"{report.node}: {report.reason}"


def _late_nodes(watch: Watch, seen: Seen, phase: str) -> str:
    missing = _missing(seen, phase)
    head = {
        told.BOOTED: "never reported that it has booted",
        told.WIRED: "was not wired",
        told.FINISHED: "has not ended its scripts",
    }[phase]
    lines = [f"{folded(missing)} {head} in the time there was"]
    if phase == told.BOOTED:
        lines += [f"{name}: {_last_words(watch, seen, name)}" for name in missing[:5]]
    return "\n".join(lines)


def _last_words(watch: Watch, seen: Seen, name: str) -> str:
    ids = {node.name: node.server_id for node in seen.nodes}
    try:
        lines = [line for line in watch.compute.console(ids[name]).splitlines() if line.strip()]
    except ClusterError as error:
        return f"its console cannot be read: {error.problem}"
    return f"its console ends: {lines[-1].strip()[:200]}" if lines else "its console is empty"


def _listen(watch: Watch, seen: Seen, asks: _Asks) -> None:
    try:
        told_now = told.signalled(watch.heat, of_stack.handles(seen.resources))
        seen.reports.update(told.of_servers(told_now, seen.nodes))
    except NoAnswer:
        pass  # the deadline ends it; Heat may be starting again
    else:
        asks.of_silent_nodes(seen)
        seen.hear(seen.reports, watch.clock.now())


class _Stalled:
    """Whether a stack does not move any more: an engine that died forgets what it was at."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._moved = watch.clock.now()
        self._last: tuple[tuple[str, str, str], ...] = ()

    def lasted(self, resources: Sequence[Resource]) -> bool:
        now = self._watch.clock.now()
        state = tuple(sorted((one.stack_id, one.name, one.status) for one in resources))
        if state != self._last:
            self._last, self._moved = state, now
        if now - self._moved < STALLED:
            return False
        if self._builds(resources):
            self._moved = now
            return False
        return True

    def _builds(self, resources: Sequence[Resource]) -> bool:
        """Whether Nova is at a server still; when it does not say, it may be."""
        ids = set(of_stack.server_ids(resources).values())
        try:
            return any(one.status == "BUILD" for one in self._watch.compute.servers(ids))
        except CloudError:
            return True


class _Enough:
    """Whether enough nodes have come, and the others had their time: as long again, or a minute."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._began = watch.clock.now()
        self._end: float | None = None

    def lasted(self, come: int) -> bool:
        now = self._watch.clock.now()
        if not self._watch.quorum or come < self._watch.quorum:
            return False
        if self._end is None:
            self._end = now + max(OTHERS, now - self._began)
        return now >= self._end


class _Asks:
    """Asks nodes by SSH that Heat has not heard of; their consoles prove their host keys."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._began = self._since = watch.clock.now()
        self._host_keys: dict[str, str] = {}
        self._failures: dict[str, str] = {}  # of their boot, by node
        self._down: set[str] = set()  # the names of servers that did not run when we looked last

    def of_silent_nodes(self, seen: Seen) -> None:
        """Ask, once the silence has lasted; every node then, for signals may stop at any phase."""
        silent = _missing(seen, told.FINISHED)
        if self._watch.clock.now() - self._since < SILENCE or not silent:
            return
        self._since = self._watch.clock.now() - SILENCE + 5
        self._see_that_they_run(seen, silent)
        self._read_consoles(seen, silent)
        for name, result in self._answers(seen, silent).items():
            if isinstance(result, Result):
                found = told.read_from(name, result)
                seen.reports.update(told.of_servers(found, seen.nodes))
        if self._watch.clock.now() - self._began >= LAST_HOPE:
            self._give_up(_missing(seen, told.BOOTED))

    def _give_up(self, unbooted: list[str]) -> None:
        """One module that fails lets others run, so what the console tells is no proof at once."""
        if failures := {one: self._failures[one] for one in unbooted if one in self._failures}:
            lines = {name: f"it failed to start {what}" for name, what in failures.items()}
            raise BootFailed("cannot go on: cloud-init failed", lines)

    def _see_that_they_run(self, seen: Seen, silent: list[str]) -> None:
        """Raise ServersDown for those that Nova told of twice."""
        ids = [node.server_id for node in seen.nodes if node.name in silent]
        try:
            found = self._watch.compute.servers(ids)
        except CloudError:
            return
        down = {
            one.name: f"{one.status} {one.fault}".strip() for one in found if one.status in DOWN
        }
        if again := {name: line for name, line in down.items() if name in self._down}:
            raise ServersDown("went down before it was ready", again)
        self._down = set(down)

    def _read_consoles(self, seen: Seen, silent: list[str]) -> None:
        for node in seen.nodes:
            if node.name in self._host_keys or (node.name, told.BOOTED) in seen.reports:
                continue
            if node.name not in silent and not node.public_address:
                continue
            try:
                console = self._watch.compute.console(node.server_id, 400)
            except CloudError:
                continue
            if key := told.console_host_key(console):
                self._host_keys[node.name] = key
            if failure := told.boot_failure(console):
                self._failures[node.name] = failure

    def _answers(self, seen: Seen, silent: list[str]) -> Mapping[str, Result | NodeError]:
        known = {**self._host_keys, **{one.name: one.host_keys[0] for one in seen.access.targets}}
        access = of_stack.access(seen.nodes, dict.fromkeys(known, "root"), known)
        targets = [one for one in access.targets if one.name in silent]
        if not targets or (access.through_master and not access.of("master")):
            return {}
        with self._watch.connects(access) as fleet:
            return fleet.run(targets, told.STATUS_FILES, timeout=PATIENCE)
