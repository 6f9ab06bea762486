"""Delete a stack to its end, and prove that nothing of it is left."""

from __future__ import annotations

from collections.abc import Iterable

from cloudmesh_cluster.model.cluster import Resource
from cloudmesh_cluster.model.errors import CloudError, NoAnswer, StackNotFound
from cloudmesh_cluster.steps.nodes import SERVER_TYPE
from cloudmesh_cluster.steps.outside import Compute, Heat
from cloudmesh_cluster.steps.progress import Progress
from cloudmesh_cluster.steps.wait import Clock

TRIES = 3  # how often a deletion that fails is asked for
PATIENCE = 600.0  # seconds for all of it
SETTLING = 10.0  # seconds in which what Heat has let go of may still be listed


class NotDeleted(CloudError):
    """The stack, or something of it, is still there."""


def deleted(
    stack_id: str, *, heat: Heat, compute: Compute, clock: Clock, progress: Progress
) -> None:
    """Return when the stack is gone and nothing that it had is left in the project.

    Raises NotDeleted, naming what blocks the deletion or is left.
    """
    owned: dict[str, Resource] = {}
    tries, end = 0, clock.now() + PATIENCE
    while True:
        try:
            if tries == 0:
                owned |= _owned(heat.resources(stack_id))
                heat.delete(stack_id)
                tries = 1
            stack = heat.status(stack_id)
            if stack.status == "DELETE_COMPLETE":
                break
            if stack.status == "DELETE_FAILED":
                if tries == TRIES:
                    raise NotDeleted(*_blocked(stack.name, heat.resources(stack_id)))
                tries += 1
                heat.delete(stack_id)
            left = [one for one in _owned(heat.resources(stack_id)) if one in owned]
            progress.stage("resources deleted", len(owned) - len(left), len(owned))
        except StackNotFound:
            break
        except NoAnswer as error:
            if clock.now() >= end:
                raise NotDeleted(
                    f"the deletion is not proved, Heat does not answer: {error.problem}",
                    "When Heat is back, type the delete again: a stack that is gone is no error.",
                ) from error
        if clock.now() >= end:
            raise NotDeleted(*_blocked(stack_id, heat.resources(stack_id)))
        clock.sleep(0.5)
    progress.stage("resources deleted", len(owned), len(owned))
    _nothing_left(set(owned), compute, clock)


def _owned(resources: Iterable[Resource]) -> dict[str, Resource]:
    return {
        one.physical_id: one
        for one in resources
        if one.physical_id and one.status != "DELETE_COMPLETE"
    }


def _nothing_left(ids: set[str], compute: Compute, clock: Clock) -> None:
    """Ask the services themselves; a port may outlive its server for a moment."""
    end = clock.now() + SETTLING
    while left := compute.left(ids):
        if clock.now() >= end:
            raise NotDeleted(
                "the stack is gone, but of what it had there is left: " + ", ".join(left),
                "Delete these with the openstack command.",
            )
        clock.sleep(1)


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
