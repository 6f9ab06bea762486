"""Events as they happen: each told once, until the stack is settled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from cloudmesh_cluster.model.cluster import Event, Stack
from cloudmesh_cluster.model.errors import ClusterError, NoAnswer, StackNotFound
from cloudmesh_cluster.steps.events import EVERY, OVERLAP, followed


@dataclass
class Clock:
    """A clock that moves when somebody sleeps."""

    time: float = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class Heat:
    """Heat whose stack goes through these moments, each a status and how many events there are."""

    moments: list[tuple[str, int] | Callable[[], ClusterError]]
    afters: list[str] = field(default_factory=list)
    count: int = 0

    def status(self, stack_id: str) -> Stack:
        moment = self.moments.pop(0)
        if not isinstance(moment, tuple):
            raise moment()
        status, self.count = moment
        return Stack(stack_id, "demo", status)

    def events(self, stack_id: str, *, after: str = "") -> tuple[Event, ...]:
        self.afters.append(after)
        everything = [Event(str(one), "", "demo", "", "") for one in range(self.count)]
        return tuple(everything[int(after) + 1 if after else 0 :])


def told(heat: Heat, clock: Clock) -> Sequence[Sequence[int]]:
    return [[int(one.id) for one in batch] for batch in followed(heat, "s1", clock)]  # type: ignore[arg-type]


def test_each_event_is_told_once_and_heat_is_asked_every_two_seconds() -> None:
    running = "CREATE_IN_PROGRESS"
    heat, clock = Heat([(running, 1), (running, 1), (running, 3), ("CREATE_FAILED", 4)]), Clock()

    assert told(heat, clock) == [[0], [1, 2], [3]]
    assert clock.time == 3 * EVERY


def test_a_settled_stack_is_told_at_once() -> None:
    clock = Clock()
    assert told(Heat([("CREATE_COMPLETE", 2)]), clock) == [[0, 1]]
    assert clock.time == 0


def test_a_stack_that_goes_away_ends_it() -> None:
    heat = Heat([("DELETE_IN_PROGRESS", 1), lambda: StackNotFound("gone")])
    assert told(heat, Clock()) == [[0]]


def test_of_many_events_only_the_last_are_asked_for_again() -> None:
    heat = Heat([("CREATE_IN_PROGRESS", 3 * OVERLAP), ("CREATE_COMPLETE", 3 * OVERLAP + 1)])

    assert [len(batch) for batch in told(heat, Clock())] == [3 * OVERLAP, 1]
    assert heat.afters == ["", str(2 * OVERLAP)]


def test_a_short_silence_of_heat_is_waited_out() -> None:
    silent = [lambda: NoAnswer("no answer")] * 10
    assert told(Heat([*silent, ("CREATE_COMPLETE", 1)]), Clock()) == [[0]]


def test_a_long_silence_of_heat_is_an_error() -> None:
    silent = [lambda: NoAnswer("no answer")] * 100
    with pytest.raises(ClusterError, match="Heat has not answered for 120 s: no answer"):
        told(Heat([*silent]), Clock())
