"""Delete a stack to its end, and prove that nothing of it is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from cloudmesh_cluster.model.cluster import Resource
from cloudmesh_cluster.model.errors import CloudError, NoAnswer, StackNotFound
from cloudmesh_cluster.steps.nodes import SERVER_TYPE
from cloudmesh_cluster.steps.outside import Compute, Heat
from cloudmesh_cluster.steps.progress import Progress
from cloudmesh_cluster.steps.wait import Clock

T = TypeVar("T")

GONE = "DELETE_COMPLETE"
TRIES = 3  # how often a deletion that fails is asked for
PATIENCE = 600.0  # seconds for all of it
DEAF_HEAT = 60.0  # seconds for which Heat may give no answer
SETTLING = 10.0  # seconds in which what Heat has let go of may still be listed


class NotDeleted(CloudError):
    """The stack, or something of it, is still there."""


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
    end = outside.clock.now() + PATIENCE
    try:
        owned = _patiently(outside, lambda: _owned(outside.heat.resources(stack_id)))
        _patiently(outside, lambda: outside.heat.delete(stack_id))
        tries = 1
        while (stack := _patiently(outside, lambda: outside.heat.status(stack_id))).status != GONE:
            left = _patiently(outside, lambda: _owned(outside.heat.resources(stack_id)))
            outside.progress.stage("resources deleted", len(owned) - len(left), len(owned))
            failed = stack.status == "DELETE_FAILED"
            if (failed and tries == TRIES) or outside.clock.now() >= end:
                raise NotDeleted(*_blocked(stack.name, left.values()))
            if failed:
                tries += 1
                _patiently(outside, lambda: outside.heat.delete(stack_id))
            outside.clock.sleep(0.5)
    except StackNotFound:
        pass
    outside.progress.stage("resources deleted", len(owned), len(owned))
    _nothing_left({*owned, stack_id}, outside)


def _patiently(outside: Outside, ask: Callable[[], T]) -> T:
    """Heat's answer, though Heat may be silent for a while."""
    end = outside.clock.now() + DEAF_HEAT
    while True:
        try:
            return ask()
        except NoAnswer as error:
            if outside.clock.now() >= end:
                raise NotDeleted(
                    f"the stack may still be there, for Heat does not answer: {error.problem}",
                    "When Heat is back, delete the cluster; one that is gone is no error.",
                ) from error
            outside.clock.sleep(2)


def _owned(resources: Iterable[Resource]) -> dict[str, Resource]:
    return {
        one.physical_id: one
        for one in resources
        if one.physical_id and one.status != "DELETE_COMPLETE"
    }


def _nothing_left(ids: set[str], outside: Outside) -> None:
    """Ask the services themselves; a port may outlive its server for a moment."""
    end = outside.clock.now() + SETTLING
    while left := outside.compute.left(ids):
        if outside.clock.now() >= end:
            raise NotDeleted(
                "the stack is gone, but of what it had there is left: " + ", ".join(left),
                "Delete these with the openstack command.",
            )
        outside.clock.sleep(1)


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
