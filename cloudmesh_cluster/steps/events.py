"""A stack's events as they happen, until it is settled."""

from __future__ import annotations

from collections.abc import Iterator

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.cluster import Event
from cloudmesh_cluster.model.errors import CloudError, NoAnswer, StackNotFound
from cloudmesh_cluster.steps.follow import DEAF_HEAT
from cloudmesh_cluster.steps.outside import Heat
from cloudmesh_cluster.steps.wait import Clock

EVERY = 2.0  # seconds between two questions to Heat
OVERLAP = 50  # events asked for again: Heat's engines do not write them strictly in order


def followed(heat: Heat, stack_id: str, clock: Clock) -> Iterator[tuple[Event, ...]]:
    """New events, the oldest first, until the stack is settled or gone."""
    seen: list[str] = []
    heard = clock.now()
    while True:
        try:
            settled = not heat.status(stack_id).status.endswith("_IN_PROGRESS")
            found = heat.events(stack_id, after=_marker(seen))
        except StackNotFound:
            return
        except NoAnswer as error:
            if clock.now() - heard >= DEAF_HEAT:
                words = f"Heat has not answered for {DEAF_HEAT:.0f} s: {error.problem}"
                raise CloudError(words, code=codes.HEAT_SILENT) from error
        else:
            heard = clock.now()
            known = set(seen)
            if new := tuple(one for one in found if one.id not in known):
                seen += [one.id for one in new]
                yield new
            if settled:
                return
        clock.sleep(EVERY)


def _marker(seen: list[str]) -> str:
    return seen[-OVERLAP] if len(seen) >= OVERLAP else ""
