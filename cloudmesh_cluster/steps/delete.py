"""Delete a stack to its end, and prove that nothing of it is left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.cluster import Resource
from cloudmesh_cluster.model.errors import CloudError, NoAnswer, StackNotFound
from cloudmesh_cluster.model.marks import Thing
from cloudmesh_cluster.steps import leftovers
from cloudmesh_cluster.steps.nodes import SERVER_TYPE
from cloudmesh_cluster.steps.outside import Compute, Heat
from cloudmesh_cluster.steps.progress import Progress
from cloudmesh_cluster.steps.wait import Clock, Seldom, TimedOut, wait_for

T = TypeVar("T")

GONE = "DELETE_COMPLETE"
TRIES = 3  # how often a deletion that fails is asked for
STUCK = 60.0  # seconds without a step after which Heat is asked again, for it may have been killed
BREATH = 5.0  # seconds after asking for which a status may still be the old one
PATIENCE = 600.0  # seconds for all of it
RARELY = 2.0  # seconds between two questions about the largest cluster
DEAF_CLOUD = 120.0  # seconds for which the cloud may give no answer
SETTLING = 60.0  # seconds in which what Heat has let go of may still be listed


class NotDeleted(CloudError):
    """The stack, or something of it, is still there."""

    code = codes.NOT_DELETED


@dataclass(frozen=True)
class Outside:
    """The doors that a deletion goes through."""

    heat: Heat
    compute: Compute
    clock: Clock
    progress: Progress


def deleted(stack_id: str, outside: Outside) -> None:
    """Return when the stack is gone and nothing that it had is left in the project.

    Raises NotDeleted, naming what blocks the deletion or is left.
    """
    owned: dict[str, Resource] = {}
    try:
        owned = patiently(outside, lambda: _owned(outside.heat.resources(stack_id)))
        _until_gone(stack_id, len(owned), outside)
    except StackNotFound:
        pass
    outside.progress.stage("resources deleted", len(owned), len(owned))
    _nothing_left({*owned, stack_id}, outside)
    unmarked(lambda: leftovers.of_stack(stack_id, outside.compute), outside)


def unmarked(marked: Callable[[], Sequence[Thing]], outside: Outside) -> int:
    """How many things were removed that are marked as a gone stack's, though it did not know them.

    Heat forgets what it had asked for when it was killed before it wrote down the answer. Raises
    NotDeleted, naming what cannot be removed.
    """
    found = patiently(outside, marked)
    doors = leftovers.Outside(outside.compute, outside.clock, outside.progress)
    left = patiently(outside, lambda: leftovers.removed(found, doors)) if found else {}
    if left:
        lines = [f"{one.kind} {one.name or one.id}: {why}" for one, why in left.items()]
        raise NotDeleted(
            "\n".join(
                ["the stack is gone, but not these, which are marked as made for it:", *lines]
            ),
            "Mend that, then type the delete again.",
        )
    return len(found)


def _until_gone(stack_id: str, total: int, outside: Outside) -> None:
    """Ask for the deletion, and again when it fails; raises StackNotFound, too, when it is done."""
    deletion = _Deletion(stack_id, total, outside)
    deletion.ask()
    try:
        # Each resource of a large cluster asks for some patience.
        seconds, every = PATIENCE + total, min(max(0.5, total / 50), RARELY)
        wait_for(
            deletion.look, seconds=seconds, clock=outside.clock, every=every, late=lambda: stack_id
        )
    except TimedOut as error:
        raise deletion.blocked() from error


class _Deletion:
    """A deletion that was asked for, and how far it is."""

    def __init__(self, stack_id: str, total: int, outside: Outside):
        self._stack_id = stack_id
        self._total = total
        self._outside = outside
        self._listing = Seldom(outside.clock)
        self._left: dict[str, Resource] = {}
        self._failures = 0
        self._asked = self._moved = 0.0  # on the clock

    def ask(self) -> None:
        """Ask Heat to begin, or to begin anew."""
        patiently(self._outside, lambda: self._outside.heat.delete(self._stack_id))
        self._asked = self._moved = self._outside.clock.now()

    def look(self) -> bool | None:
        """True when all is gone; asks again when Heat has failed, or makes no step any more."""
        heat = self._outside.heat
        status = patiently(self._outside, lambda: heat.status(self._stack_id)).status
        if status == GONE:
            return True
        failed = status == "DELETE_FAILED"
        if failed:
            self._left = patiently(self._outside, self._list)
        elif self._listing.due():
            self._look_closer()
        done = self._total - len(self._left)
        self._outside.progress.stage("resources deleted", done, self._total)
        now = self._outside.clock.now()
        if failed and now - self._asked >= BREATH:
            self._failures += 1
            if self._failures == TRIES:
                raise self.blocked()
            _remove_forgotten(self._stack_id, self._left, self._outside)
            self.ask()
        elif now - self._moved >= STUCK:
            self.ask()
        return None

    def _list(self) -> dict[str, Resource]:
        return _owned(self._outside.heat.resources(self._stack_id))

    def _look_closer(self) -> None:
        before = self._left
        with suppress(NoAnswer):  # Heat is at work, and its list may be long
            self._left = self._listing.ask(self._list)
            if self._left == before:
                return
        self._moved = self._outside.clock.now()

    def blocked(self) -> NotDeleted:
        """That it does not go on, and what is in the way."""
        return NotDeleted(*_blocked(self._stack_id, self._left.values()))


def _remove_forgotten(stack_id: str, known: Collection[str], outside: Outside) -> None:
    """Remove what is marked as the stack's and Heat does not know: it keeps others from going.

    What cannot be removed is told in the end, when Heat has failed again.
    """
    doors = leftovers.Outside(outside.compute, outside.clock, outside.progress)
    with suppress(CloudError):
        marked = leftovers.of_stack(stack_id, outside.compute)
        leftovers.removed([one for one in marked if one.id not in known], doors)


def patiently(outside: Outside, ask: Callable[[], T]) -> T:
    """The cloud's answer, though it may be silent for a while."""
    silence = NoAnswer("")

    def answer() -> tuple[T] | None:
        nonlocal silence
        try:
            return (ask(),)
        except NoAnswer as error:
            silence = error
            return None

    try:
        return wait_for(
            answer, seconds=DEAF_CLOUD, clock=outside.clock, every=2, late=lambda: silence.problem
        )[0]
    except TimedOut as error:
        raise NotDeleted(
            f"the stack may still be there, for the cloud does not answer: {error.problem}",
            "When it is back, delete the cluster; one that is gone is no error.",
        ) from error


def _nothing_left(ids: set[str], outside: Outside) -> None:
    """Ask the services themselves; a port may outlive its server for a moment."""
    left: Sequence[str] = ()

    def look() -> bool | None:
        nonlocal left
        try:
            left = outside.compute.left(ids)
        except NoAnswer as error:
            left = (f"what nobody tells: {error.problem}",)
        return None if left else True

    try:
        wait_for(look, seconds=SETTLING, clock=outside.clock, late=lambda: ", ".join(left))
    except TimedOut as error:
        raise NotDeleted(
            f"the stack is gone, but of what it had there is left: {error.problem}",
            "Delete these with the openstack command.",
        ) from error


def _owned(resources: Iterable[Resource]) -> dict[str, Resource]:
    return {
        one.physical_id: one
        for one in resources
        if one.physical_id and one.status != "DELETE_COMPLETE"
    }


def _blocked(stack: str, resources: Iterable[Resource]) -> tuple[str, str]:
    lines = [
        f"{one.name}: {one.status} {one.reason}".strip()
        for one in sorted(resources, key=lambda one: one.type != SERVER_TYPE)
        if one.status != "DELETE_COMPLETE"
    ]
    return (
        "\n".join([f"stack {stack} cannot be deleted; these are in the way:", *lines[:20]]),
        "Mend that, then type the delete again.",
    )
