"""What a project has of clusters that are no more: found by our marks, and removed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from cloudmesh_cluster.model import marks
from cloudmesh_cluster.model.cluster import Stack
from cloudmesh_cluster.model.errors import ClusterError
from cloudmesh_cluster.model.marks import (
    FLOATING_IP,
    GROUP,
    KEYPAIR,
    NETWORK,
    PORT,
    ROUTER,
    SERVER,
    Mark,
    Thing,
)
from cloudmesh_cluster.render import TAG
from cloudmesh_cluster.steps.progress import Progress
from cloudmesh_cluster.steps.wait import Clock, TimedOut, wait_for

# What is used by others goes after them.
ORDER = (SERVER, FLOATING_IP, PORT, ROUTER, NETWORK, GROUP, KEYPAIR)
ENDING = 120.0  # seconds in which servers that were deleted are gone
SETTLING = 20.0  # seconds in which the rest may still be listed
YOUNG = 600.0  # seconds for which a workspace may be that of a create that has not asked Heat yet


class Things(Protocol):
    """The services that hold what clusters are made of."""

    def things(self) -> Sequence[Thing]: ...

    def remove(self, thing: Thing, networks: Collection[str]) -> None: ...


class Stacks(Protocol):
    """The service that knows which stacks there are."""

    def stacks(self, *, tags: str | None = None) -> tuple[Stack, ...]: ...


@dataclass(frozen=True)
class Workspace:
    """A cluster's folder with what was asked for, and how many seconds ago it was last written."""

    name: str
    order: Mapping[str, Any]
    age: float


# ---- found ---------------------------------------------------------------------------------------


def orphans(stacks: Stacks, things: Things) -> tuple[Thing, ...]:
    """What is marked as made for a stack that is not there any more, in the order of removal.

    The things are listed first: whatever is among them had its stack before it, so if that stack
    is not listed afterwards it is gone, and not one that is being made right now.
    """
    listed = things.things()
    living = {one.id for one in stacks.stacks()}
    return _marked(listed, lambda mark: mark.stack_id not in living)


def of_stack(stack_id: str, things: Things) -> tuple[Thing, ...]:
    """What is marked as made for this stack, in the order of removal."""
    return _marked(things.things(), lambda mark: mark.stack_id == stack_id)


def _marked(things: Iterable[Thing], meant: Callable[[Mark], bool]) -> tuple[Thing, ...]:
    """The things whose mark is meant, and what Nova made for servers of them."""
    everything = tuple(things)
    found = [one for one in everything if one.mark and meant(one.mark)]
    found += _ports_of_gone_servers(everything, found)
    ports = {one.id for one in found if one.kind == PORT}
    used = {
        one.id for one in found if one.kind == FLOATING_IP and one.owner and one.owner not in ports
    }
    mine = [one for one in found if one.id not in used]
    return tuple(sorted(mine, key=lambda one: (ORDER.index(one.kind), one.name, one.id)))


def _ports_of_gone_servers(everything: Iterable[Thing], found: Iterable[Thing]) -> list[Thing]:
    """Ports that Nova made, in no other security group than ours, whose server is gone."""
    servers = {one.id for one in everything if one.kind == SERVER}
    groups = {one.id: one.mark for one in found if one.kind == GROUP}
    return [
        replace(one, mark=groups[one.near[0]])
        for one in everything
        if one.kind == PORT
        and not one.mark
        and one.owner
        and one.owner not in servers
        and one.near
        and groups.keys() >= set(one.near)
    ]


def lost_workspaces(
    workspaces: Iterable[Workspace], stacks: Iterable[Stack], *, cloud: str, project: str
) -> list[str]:
    """The names of clusters of this project that this machine has keys for and the cloud has not.

    A workspace of another cloud or project is not ours to judge, nor one whose template was only
    printed, nor one that is so new that its stack may be asked for now.
    """
    there = {one.name for one in stacks}
    return [
        one.name
        for one in workspaces
        if (one.order.get("cloud"), one.order.get("project")) == (cloud, project)
        and not one.order.get("template")
        and one.age >= YOUNG
        and one.name not in there
    ]


def ours(stacks: Iterable[Stack]) -> list[Stack]:
    """The clusters among the stacks."""
    return [one for one in stacks if TAG in one.tags]


def lost_roots(stacks: Iterable[Stack]) -> list[Stack]:
    """The root stacks of clusters whose first root stack is gone."""
    there = tuple(stacks)
    ids = {one.id for one in there}
    return [one for one in there if (first := marks.first_root(one.tags)) and first not in ids]


def expired(stacks: Iterable[Stack], now: float) -> list[Stack]:
    """The clusters whose time is over; now is in seconds since 1970."""
    ends = {one.id: marks.expires(one.tags) for one in stacks}
    return [one for one in ours(stacks) if (ends[one.id] or now + 1) <= now]


def failed(stacks: Iterable[Stack]) -> list[Stack]:
    """The clusters whose last change failed."""
    return [one for one in ours(stacks) if one.status.endswith("_FAILED")]


# ---- removed -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outside:
    """The doors that a removal goes through."""

    things: Things
    clock: Clock
    progress: Progress


def removed(found: Sequence[Thing], outside: Outside) -> dict[Thing, str]:
    """Remove the things, in their order; of those that are still there afterwards, why."""
    troubles: dict[str, str] = {}
    servers = [one for one in found if one.kind == SERVER]
    others = [one for one in found if one.kind != SERVER]
    troubles |= _asked(servers, found, outside)
    # Servers have to let go of their ports.
    _until_gone({one.id for one in servers} - troubles.keys(), ENDING, outside)
    troubles |= _asked(others, found, outside)
    left = _until_gone({one.id for one in found} - troubles.keys(), SETTLING, outside)
    left |= {one.id for one in outside.things.things() if one.id in troubles}
    outside.progress.stage("removed", len(found) - len(left), len(found))
    return {one: troubles.get(one.id, "it is still there") for one in found if one.id in left}


def _asked(things: Iterable[Thing], found: Sequence[Thing], outside: Outside) -> dict[str, str]:
    """Ask for the removal of these of what was found; by id, why not."""
    networks = {one.id for one in found if one.kind == NETWORK}
    troubles = {}
    for one in things:
        outside.progress.stage("removed", found.index(one), len(found))
        try:
            outside.things.remove(one, networks)
        except ClusterError as error:
            troubles[one.id] = error.problem
    return troubles


def _until_gone(ids: set[str], seconds: float, outside: Outside) -> set[str]:
    """Those that are still listed when the time is over."""
    left = set(ids)

    def look() -> bool | None:
        left.intersection_update(one.id for one in outside.things.things())
        return None if left else True

    with suppress(TimedOut):
        wait_for(look, seconds=seconds, clock=outside.clock, late=lambda: ", ".join(left))
    return left
