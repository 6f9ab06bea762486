"""The one place that waits: every wait has an end and names what it waited for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.errors import ClusterError

T = TypeVar("T")

REST = 5.0  # how many times as long as its last answer took a question rests


class Clock(Protocol):
    """Time as the steps know it, so that a test can bring its own."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""

    def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass
class Seldom:
    """Says when a question may be asked again that takes much of who has to answer it."""

    clock: Clock
    again: float = float("-inf")

    def due(self) -> bool:
        """Whether the question has rested as long as its last answer asks for."""
        return self.clock.now() >= self.again

    def ask(self, question: Callable[[], T]) -> T:
        """The answer; while there is none, the question rests as well."""
        began = self.clock.now()
        try:
            return question()
        finally:
            now = self.clock.now()
            self.again = now + REST * (now - began)


class TimedOut(ClusterError):
    """A wait came to its end before what it waited for."""

    code = codes.TIME_OUT


def wait_for(
    probe: Callable[[], T | None],
    *,
    seconds: float,
    clock: Clock,
    late: Callable[[], str],
    every: float = 1.0,
) -> T:
    """The first answer of ``probe`` that is not None, asked for about ``every`` so many seconds.

    Raises TimedOut with the words of ``late`` when ``seconds`` have passed without one.
    """
    end = clock.now() + seconds
    while (answer := probe()) is None:
        if clock.now() >= end:
            raise TimedOut(late())
        clock.sleep(min(every, max(0.0, end - clock.now())))
    return answer
