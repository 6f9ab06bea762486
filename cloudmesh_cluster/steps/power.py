"""Stop a cluster's servers and start them again; they keep their disks and addresses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.access import Target
from cloudmesh_cluster.model.cluster import MASTER
from cloudmesh_cluster.model.errors import (
    ClusterError,
    ExitStatus,
    NoAnswer,
    NodeError,
    Refused,
)
from cloudmesh_cluster.model.names import Outcome, cause, clipped, folded, grouped
from cloudmesh_cluster.model.offer import Server
from cloudmesh_cluster.steps.nodes import place
from cloudmesh_cluster.steps.outside import Power
from cloudmesh_cluster.steps.progress import Progress
from cloudmesh_cluster.steps.verify import Runner
from cloudmesh_cluster.steps.wait import Clock, TimedOut, wait_for

ON, OFF, ERROR, GONE = "ACTIVE", "SHUTOFF", "ERROR", "gone"
DEAF_NOVA = 120.0  # seconds for which Nova may give no answer before we give up
TRIES = 3  # how often a server is asked for, when what was asked for does not come
AT_ONCE = 8  # requests to Nova
LOGIN_EVERY = 2.0  # seconds between two tries to log in to a node that boots
BOOT = 90.0  # seconds that a node may go on booting once one can log in to it
# What is enabled at boot has been started when this ends. A node that does not know it, or has a
# unit that failed, is for the checks to judge.
BOOTED = f"timeout {BOOT:.0f} systemctl is-system-running --wait >/dev/null 2>&1 || true"


class PowerFailed(ClusterError):
    """The servers are not as they were to be; the message says how they are."""

    def __init__(self, problem: str, next_step: str, code: str) -> None:
        super().__init__(problem, next_step, code=code)
        interrupted = code == codes.INTERRUPTED
        self.exit_status = ExitStatus.INTERRUPTED if interrupted else ExitStatus.FAILED


@dataclass(frozen=True)
class Outside:
    """What stopping and starting goes through, and until when on the clock."""

    compute: Power
    clock: Clock
    progress: Progress
    deadline: float


@dataclass(frozen=True)
class Wish:
    """What the servers are to become."""

    verb: str
    doing: str
    past: str
    status: str
    said: str


STOP = Wish("stop", "stopping", "stopped", OFF, "servers off")
START = Wish("start", "starting", "started", ON, "servers on")


def stopped(cluster: str, servers: Mapping[str, str], outside: Outside) -> bool:
    """Return when all servers, ids by name, are SHUTOFF; whether there was anything to do.

    The workers first, the master last. Raises PowerFailed with how they are; where a server is in
    ERROR or gone, when all others are SHUTOFF.
    """
    return _powered(_Power(cluster, servers, STOP, outside, outside.compute.stop))


def started(cluster: str, servers: Mapping[str, str], outside: Outside) -> bool:
    """Return when all servers, ids by name, are ACTIVE; whether there was anything to do.

    The master first. Raises PowerFailed as ``stopped`` does.
    """
    return _powered(_Power(cluster, servers, START, outside, outside.compute.start))


def booted(
    cluster: str,
    servers: Mapping[str, str],
    targets: Sequence[Target],
    fleet: Runner[Target],
    outside: Outside,
) -> None:
    """Return when one can log in to every node and it has started what it starts at boot.

    A server that goes off meanwhile is started again. Raises PowerFailed with what keeps us from
    those that are missing; at once where trying again is of no use, as with a host key that has
    changed.
    """
    missing: dict[str, NodeError] = {}
    waiting = {one.name: one for one in targets}
    total = len(waiting)

    def answered(name: str, outcome: Outcome) -> None:
        if isinstance(outcome, NodeError):
            missing[name] = outcome
        else:
            del waiting[name]
            missing.pop(name, None)
            outside.progress.stage("nodes booted", total - len(waiting), total)

    def look() -> bool | None:
        _kept_on(cluster, servers, outside)
        outside.progress.stage("nodes booted", total - len(waiting), total)
        # A copy: those that have answered leave it meanwhile.
        fleet.run(list(waiting.values()), BOOTED, timeout=BOOT + 10, answered=answered)
        if any(one.code == codes.HOST_KEY for one in missing.values()):
            raise PowerFailed(*_unreached(cluster, missing), codes.HOST_KEY)
        return None if waiting else True

    seconds = outside.deadline - outside.clock.now()
    try:
        wait_for(look, seconds=seconds, clock=outside.clock, every=LOGIN_EVERY, late=lambda: "")
    except TimedOut as error:
        raise PowerFailed(*_unreached(cluster, missing), codes.SSH_UNREACHABLE) from error


def _kept_on(cluster: str, servers: Mapping[str, str], outside: Outside) -> None:
    """Start again what went off while it booted."""
    with suppress(NoAnswer):
        found = outside.compute.servers(list(servers.values()))
        if off := [one.name for one in found if one.status == OFF]:
            outside.progress.note(f"{folded(off)} went off while booting: started again")
            started(cluster, servers, outside)


def _unreached(cluster: str, missing: Mapping[str, NodeError]) -> tuple[str, str]:
    lines = [
        f"{one.label}: {clipped(cause(one.names[0], one.outcome), 300)}"
        for one in grouped(missing)
        if isinstance(one.outcome, NodeError)
    ]
    head = f"{cluster} is on, but {folded(missing)} cannot be logged in to"
    next_steps = [one.next_step for one in missing.values() if one.code == codes.HOST_KEY]
    look = f"Look at the consoles: cm cluster logs {cluster} --console"
    return "\n".join([head, *lines]), "\n".join(filter(None, [*dict.fromkeys(next_steps), look]))


# ---- servers -------------------------------------------------------------------------------------


@dataclass
class _Power:
    """One cluster on its way to what was wished."""

    cluster: str
    ids: Mapping[str, str]
    wish: Wish
    outside: Outside
    ask: Callable[[str], None]
    seen: dict[str, Server] = field(default_factory=dict)  # as Nova told last, by name
    tries: Counter[str] = field(default_factory=Counter)
    refusals: dict[str, str] = field(default_factory=dict)
    heard: float = 0.0  # when on the clock Nova answered last

    def look(self) -> None:
        """Ask Nova how the servers are."""
        found = {one.id: one for one in self.outside.compute.servers(list(self.ids.values()))}
        self.seen = {
            name: found.get(server_id, Server(server_id, name, GONE))
            for name, server_id in self.ids.items()
        }

    @property
    def broken(self) -> list[str]:
        """The servers that can be neither stopped nor started: those in ERROR, or gone."""
        return self.where(lambda one: one.status in (ERROR, GONE))

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of these that are to become what was wished, and are not yet."""
        return [name for name in names if not self.is_there(name) and name not in self.broken]

    def where(self, holds: Callable[[Server], bool]) -> list[str]:
        """The names of the servers for which it holds, the master first."""
        return sorted((name for name, one in self.seen.items() if holds(one)), key=place)

    def is_there(self, name: str) -> bool:
        """Whether the server is, and stays, what was wished."""
        one = self.seen.get(name)
        return one is not None and one.status == self.wish.status and not one.task_state

    def told(self, names: Sequence[str], head: str) -> tuple[str, str]:
        """The problem with these servers, and the next step."""
        lines = [self.line(name) for name in names[:10]]
        more = [f"and {len(names) - 10} more"] if len(names) > 10 else []
        if self.broken:
            when = ", when it is on again" if self.wish is STOP else ""
            step = f"Replace what is broken{when}: cm cluster repair {self.cluster}"
        else:
            step = f"Go on: cm cluster {self.wish.verb} {self.cluster}"
        return "\n".join([head, *lines, *more]), f"{self.states()}{step}"

    def line(self, name: str) -> str:
        """How a server is, and why, in Nova's words."""
        one = self.seen.get(name)
        if one is None:
            return f"{name}: Nova has not told how it is"
        task = f" ({one.task_state})" if one.task_state else ""
        why = one.fault or ("" if one.status == GONE else self.why(name))
        return f"{name}: {one.status}{task}" + (f": {clipped(why, 300)}" if why else "")

    def why(self, name: str) -> str:
        """What Nova says of what was asked of the server last."""
        if not self.tries[name]:
            return ""
        try:
            told = self.outside.compute.trouble(self.ids[name])
        except ClusterError:
            told = ""
        return told or self.refusals.get(name, "")

    def states(self) -> str:
        """Which servers are how, as lines; nothing when Nova has not told."""
        by_status: dict[str, list[str]] = {}
        for name in self.where(lambda _: True):
            by_status.setdefault(self.seen[name].status, []).append(name)
        return "".join(f"{status}: {folded(names)}\n" for status, names in by_status.items())


def _powered(power: _Power) -> bool:
    power.heard = power.outside.clock.now()
    try:
        _wait(power, list(power.ids), partial(_look_first, power))
        phases = _phases(power) if power.missing(power.ids) else ()
        for names in phases:
            _wait(power, names, partial(_step, power, names))
    except KeyboardInterrupt as error:
        raise PowerFailed(*_interrupted(power), codes.INTERRUPTED) from error
    if broken := power.broken:
        gone = all(power.seen[name].status == GONE for name in broken)
        words = f"{power.cluster} is {power.wish.past}, except for {folded(broken)}"
        code = codes.NODE_GONE if gone else codes.SERVER_ERROR
        raise PowerFailed(*power.told(broken, words), code)
    return bool(phases)


def _phases(power: _Power) -> Sequence[Sequence[str]]:
    """The master where the others find it: on before them, and off after them."""
    masters = [name for name in power.ids if name.endswith(f"-{MASTER}")]
    workers = [name for name in power.ids if name not in masters]
    order = (masters, workers) if power.wish is START else (workers, masters)
    return [names for names in order if names]


def _wait(power: _Power, names: Sequence[str], probe: Callable[[], bool | None]) -> None:
    """Return when the probe says so; Nova may be without an answer for a while."""
    outside, wish = power.outside, power.wish

    def patient() -> bool | None:
        try:
            done = probe()
        except NoAnswer as error:
            if outside.clock.now() - power.heard >= DEAF_NOVA:
                words = f"Nova has not answered for {DEAF_NOVA:.0f} s: {error.problem}"
                raise PowerFailed(*power.told([], words), codes.CLOUD_SILENT) from error
            return None
        power.heard = outside.clock.now()
        return done

    seconds = outside.deadline - outside.clock.now()
    try:
        wait_for(patient, seconds=seconds, clock=outside.clock, every=max(1.0, len(power.ids) / 50),
                 late=lambda: "")  # fmt: skip
    except TimedOut as error:
        late = sorted(power.missing(names), key=place)
        words = f"{folded(late)} did not become {wish.status} in the time there was"
        raise PowerFailed(*power.told(late, words), codes.TIME_OUT) from error


def _look_first(power: _Power) -> bool:
    power.look()
    _tell(power)
    return True


def _step(power: _Power, names: Sequence[str]) -> bool | None:
    """Look, and ask again for those that are neither there nor on their way."""
    power.look()
    _tell(power)
    missing = power.missing(names)
    idle = [name for name in missing if not power.seen[name].task_state]
    if hopeless := [name for name in idle if power.tries[name] >= TRIES]:
        words = f"{folded(hopeless)} cannot be {power.wish.past}"
        raise PowerFailed(*power.told(hopeless, words), codes.SERVER_ERROR)
    _ask(power, idle)
    return None if missing else True


def _tell(power: _Power) -> None:
    there = sum(power.is_there(name) for name in power.ids)
    power.outside.progress.stage(power.wish.said, there, len(power.ids))


def _ask(power: _Power, names: Iterable[str]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, refusal in zip(names, pool.map(partial(_asked, power), names), strict=True):
            power.tries[name] += 1
            if refusal:
                power.refusals[name] = refusal


def _asked(power: _Power, name: str) -> str:
    """Ask for one; why it was refused.

    Refused is also what is there, or on its way, by now: the next look tells.
    """
    try:
        power.ask(power.ids[name])
    except Refused as error:
        return error.problem
    return ""


def _interrupted(power: _Power) -> tuple[str, str]:
    """How the servers are now; what was asked of Nova goes on."""
    with suppress(ClusterError):  # then what was seen last is told
        power.look()
    wish = power.wish
    other = "start" if wish is STOP else "stop"
    go_on, back = (f"cm cluster {verb} {power.cluster}" for verb in (wish.verb, other))
    steps = f"Go on: {go_on}; or back: {back}"
    under_way = power.where(lambda one: bool(one.task_state))
    way = [f"{folded(under_way)}: {wish.doing}"] if under_way else []
    lines = power.states().splitlines()
    return "\n".join([f"interrupted while {wish.doing} {power.cluster}", *lines, *way]), steps
