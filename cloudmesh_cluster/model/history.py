"""How long earlier creates took, and what that says of the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

MOST = 50  # runs that are kept of a cloud
# The stages of create by the names under which progress shows them. What is not among them, such as
# a file that is carried, is part of the stage before it.
SHOWN = {
    "stack requested": "stack",
    "servers made": "stack",
    "nodes booted": "booted",
    "nodes wired": "wired",
    "keys of the nodes replaced": "finished",
    "scripts ended": "finished",
    "verify": "verified",
}


@dataclass(frozen=True)
class Run:
    """A create that succeeded: of what, and how many seconds each stage took."""

    product: str
    workers: int
    stages: Mapping[str, float]


@dataclass(frozen=True)
class Estimate:
    """How many seconds each stage will take, in their order."""

    stages: Mapping[str, float]

    def left(self, stage: str, spent: float) -> float:
        """How many seconds there are left when a stage has lasted that long; never less than 0."""
        after = list(self.stages)[list(self.stages).index(stage) + 1 :]
        return max(0.0, self.stages[stage] - spent) + sum(self.stages[one] for one in after)


def estimate(runs: Iterable[Run], product: str, workers: int) -> Estimate | None:
    """From runs of the product with as many workers, or else up to twice or half as many.

    None where there was no such run.
    """
    same = [one for one in runs if one.product == product]
    like = [one for one in same if one.workers == workers] or [
        one for one in same if workers <= 2 * one.workers and one.workers <= 2 * workers
    ]
    stages = dict.fromkeys(SHOWN.values())
    complete = [one for one in like if one.stages.keys() >= stages.keys()]
    if not complete:
        return None
    return Estimate({stage: median(one.stages[stage] for one in complete) for stage in stages})


def about(seconds: float) -> str:
    """``about 40 s left``, as roughly as it is known; empty at the end."""
    if seconds < 1:
        return ""
    if seconds < 10:
        return f"about {seconds:.0f} s left"
    if seconds < 120:
        return f"about {5 * round(seconds / 5)} s left"
    return f"about {seconds / 60:.0f} min left"
