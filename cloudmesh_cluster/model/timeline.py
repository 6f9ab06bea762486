"""When each node of a cluster reached each stage, and where the time went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from math import ceil, inf
from typing import Any

from cloudmesh_cluster.model.cluster import MASTER

ACTIVE = "active"  # Nova has started its server
SSH = "ssh"  # it has booted, and can be logged in to
WIRED = "wired"  # it knows every other node
SCRIPT = "script"  # its role's scripts have ended
VERIFIED = "verified"  # its checks have passed
STAGES = (ACTIVE, SSH, WIRED, SCRIPT, VERIFIED)
ASKED = "asked"  # Heat has asked Nova for its server: a part of active

TOLERANCE = 3.0  # seconds by which clocks that are told in whole seconds may seem to differ


@dataclass(frozen=True)
class Moments:
    """When a node reached each stage, in seconds since it was requested; None where nobody knows.

    ``failed`` is the stage that it failed in; its moment is then that of the failure. ``skew`` is
    by how many seconds at least its clock differs from the others.
    """

    node: str
    role: str
    server_id: str = ""
    requested: str = ""  # when, on the cloud's clock
    asked: float | None = None
    active: float | None = None
    ssh: float | None = None
    wired: float | None = None
    script: float | None = None
    verified: float | None = None
    failed: str = ""
    skew: float = 0.0

    @property
    def reached(self) -> dict[str, float]:
        """The moments that are known, in the order of the stages."""
        known = {stage: getattr(self, stage) for stage in STAGES}
        return {stage: moment for stage, moment in known.items() if moment is not None}

    @property
    def seconds(self) -> dict[str, float]:
        """How long each stage took, from the end of the last one before it that is known."""
        found, before = {}, 0.0
        for stage, moment in self.reached.items():
            found[stage] = moment - before
            before = moment
        return found

    @property
    def end(self) -> float:
        """The last moment that is known."""
        return max(self.reached.values(), default=0.0)


@dataclass(frozen=True)
class Timeline:
    """A cluster's nodes in time, the master first."""

    cluster: str
    stack_id: str
    nodes: tuple[Moments, ...]


@dataclass(frozen=True)
class Stage:
    """One stage over all nodes that passed it, in seconds; which node was slowest, and why."""

    stage: str
    nodes: int
    p50: float
    p95: float
    slowest: float
    node: str
    why: str


def ordered(
    told: Mapping[str, float | None], latest: Mapping[str, float]
) -> tuple[dict[str, float], float]:
    """The moments, none before the one before it and none after ``latest``; by how much they were.

    What nodes tell is of their own clocks: a stage cannot have ended before another that precedes
    it, nor after we have heard of it.
    """
    held: dict[str, float] = {}
    floor = skew = 0.0
    for stage in (ASKED, *STAGES):
        moment = told.get(stage)
        if moment is None:
            continue
        held[stage] = floor = max(floor, min(moment, latest.get(stage, inf)))
        skew = max(skew, abs(floor - moment))
    return held, skew if skew > TOLERANCE else 0.0


def stages(timeline: Timeline) -> tuple[Stage, ...]:
    """Each stage that a node has passed, in their order."""
    found = []
    for stage in STAGES:
        took = {one.node: one.seconds[stage] for one in timeline.nodes if stage in one.seconds}
        if not took:
            continue
        slowest = max(took, key=lambda node: took[node])
        sizes = sorted(took.values())
        found.append(
            Stage(
                stage=stage,
                nodes=len(took),
                p50=percentile(sizes, 50),
                p95=percentile(sizes, 95),
                slowest=took[slowest],
                node=slowest,
                why=_why(stage, slowest, timeline),
            )
        )
    return tuple(found)


def percentile(ascending: Sequence[float], percent: int) -> float:
    """The smallest of the numbers that at least so many percent of them do not exceed."""
    return ascending[max(0, ceil(len(ascending) * percent / 100) - 1)]


def verdict(timeline: Timeline) -> str:
    """The whole in a sentence or two: how long it took, who was last, and with what."""
    nodes = [one for one in timeline.nodes if one.reached]
    if not nodes:
        return "No node has reached any stage."
    last = max(nodes, key=lambda one: (one.end, one.reached.get(SCRIPT, 0.0)))
    stage = max(last.seconds, key=lambda name: last.seconds[name])
    took = last.seconds[stage]
    share = 100 * took / last.end if last.end else 0
    unready = sum(not _ready(one) for one in timeline.nodes)
    state = f" {unready} of {len(timeline.nodes)} nodes did not get ready." if unready else ""
    return (
        f"{last.node} was last, after {last.end:.0f} s; "
        f"most of that, {took:.0f} s or {share:.0f} %, was {stage}.{state}"
    )


def _ready(one: Moments) -> bool:
    return not one.failed and bool({SCRIPT, VERIFIED} & one.reached.keys())


# ---- why -----------------------------------------------------------------------------------------


def _why(stage: str, slowest: str, timeline: Timeline) -> str:
    """What kept the slowest node, as far as the moments tell."""
    nodes = {one.node: one for one in timeline.nodes}
    one = nodes[slowest]
    if one.failed == stage:
        return "it failed"
    if stage == ACTIVE:
        return _why_active(one, timeline)
    if stage == WIRED:
        return _waited(one, SSH, "to boot", "the wiring itself", stage, timeline)
    if stage == VERIFIED:
        return _waited(
            one, SCRIPT, "to end its script", "the client's, with keys and checks", stage, timeline
        )
    return _compared(one, stage, timeline)


def _why_active(one: Moments, timeline: Timeline) -> str:
    if one.asked is None or one.active is None:
        return _compared(one, ACTIVE, timeline)
    waited, built = one.asked, one.active - one.asked
    parts = f"{waited:.0f} s until Heat asked for its server, {built:.0f} s in Nova"
    wires = one.node == timeline.nodes[-1].node and len(timeline.nodes) > 1
    return f"{parts}; it is asked for last, for it wires the others" if wires else parts


def _waited(
    one: Moments, before: str, doing: str, itself: str, stage: str, timeline: Timeline
) -> str:
    """How much of a stage that begins for all at once was waiting for another node."""
    ends = {node.node: node.reached[before] for node in timeline.nodes if before in node.reached}
    if one.node not in ends:
        return _compared(one, stage, timeline)
    late = max(ends, key=lambda name: ends[name])
    waited = min(ends[late] - ends[one.node], one.seconds[stage])
    if waited * 2 > one.seconds[stage]:
        return f"{waited:.0f} s of it waited for {late} {doing}"
    return f"{one.seconds[stage] - waited:.0f} s of it were {itself}"


def _compared(one: Moments, stage: str, timeline: Timeline) -> str:
    """Whether it stands out from the others of its role."""
    others = sorted(
        node.seconds[stage]
        for node in timeline.nodes
        if node.node != one.node and node.role == one.role and stage in node.seconds
    )
    if not others:
        return f"the {MASTER}'s alone" if one.role == MASTER else "no other to compare with"
    usual = percentile(others, 50)
    took = one.seconds[stage]
    if took > 1.5 * usual and took - usual > 2:
        return f"{took - usual:.0f} s more than most {one.role}s"
    return f"all {one.role}s alike"


# ---- kept ----------------------------------------------------------------------------------------


def told(timeline: Timeline) -> dict[str, Any]:
    """As it is kept."""
    return asdict(timeline)


def read(kept: Any) -> Timeline:
    """From what is kept; ValueError if that is no timeline."""
    try:
        nodes = tuple(Moments(**one) for one in kept["nodes"])
        found = Timeline(str(kept["cluster"]), str(kept["stack_id"]), nodes)
        for one in nodes:
            sum(one.reached.values())
    except (TypeError, KeyError) as error:
        raise ValueError(f"no timeline: {error}") from error
    return found


def clock(text: str) -> float | None:
    """The seconds since 1970 of a time as Heat or Nova write it, both in UTC; None for none."""
    try:
        return (
            datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=timezone.utc).timestamp()
        )
    except ValueError:
        return None
