"""Run the checks on the nodes of their roles, again while there is time, and judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from cloudmesh_cluster.model.checks import LOGIN, Check, Verdict, results, script
from cloudmesh_cluster.model.cluster import Result
from cloudmesh_cluster.model.errors import NodeError
from cloudmesh_cluster.model.names import Outcome, cause, clipped
from cloudmesh_cluster.steps.progress import Progress
from cloudmesh_cluster.steps.wait import Clock

EVERY = 1.0  # seconds between two tries
MARGIN = 10.0  # seconds for the script around the checks' own time
SHELL = ("bash", "-s")
BYTES = "latin-1"  # keeps every byte, so that the frames can be counted out again


class Named(Protocol):
    """All that this step needs to know of a target."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)
T_contra = TypeVar("T_contra", bound=Named, contravariant=True)


class Runner(Protocol[T_contra]):
    """The door to the nodes: a command on many at once."""

    def run(
        self,
        targets: Iterable[T_contra],
        command: str | tuple[str, ...],
        *,
        stdin: bytes | Mapping[str, bytes] = b"",
        timeout: float,
        answered: Callable[[str, Outcome], None] | None = None,
        encoding: str = "utf-8",
    ) -> dict[str, Outcome]:
        """What the command came to on each node, by name."""


def verdicts(
    targets_by_role: Mapping[str, Sequence[T]],
    checks: Sequence[Check],
    fleet: Runner[T],
    clock: Clock,
    progress: Progress,
    settled: Callable[[str], None] | None = None,
) -> tuple[Verdict, ...]:
    """One verdict for each check on each node of its role, node by node in the order given.

    A node that no check concerns is logged in to all the same, and has a verdict for that. What
    does not hold yet, or cannot be reached yet, is tried again until the check's time is up.
    ``settled`` is called with the name of a node when no check is to be run on it again.
    """
    book = _Book(
        {
            target.name: (target, tuple(c for c in checks if c.concerns(role)) or (LOGIN,))
            for role, targets in targets_by_role.items()
            for target in targets
        }
    )
    start = clock.now()
    while todo := book.due(clock.now() - start):
        began = clock.now()
        _try(book, todo, fleet, progress, elapsed=began - start, settled=settled)
        if book.due(clock.now() - start):
            clock.sleep(max(0.0, began + EVERY - clock.now()))
    return book.verdicts()


def _try(
    book: _Book[T],
    todo: Mapping[str, Sequence[int]],
    fleet: Runner[T],
    progress: Progress,
    *,
    elapsed: float,
    settled: Callable[[str], None] | None,
) -> None:
    """Run on each node the checks that are due there, in one script for each."""
    chosen = {name: book.chosen(name, indexes) for name, indexes in todo.items()}
    texts = {checks: script(checks, elapsed).encode() for checks in set(chosen.values())}
    done = book.total - sum(len(indexes) for indexes in todo.values())
    progress.stage("verify", done, book.total)

    def answered(name: str, outcome: Outcome) -> None:
        nonlocal done
        done += book.enter(name, todo[name], outcome, elapsed)
        progress.stage("verify", done, book.total)
        if settled and book.settled(name, elapsed):
            settled(name)

    fleet.run(
        [book.nodes[name][0] for name in todo],
        SHELL,
        stdin={name: texts[checks] for name, checks in chosen.items()},
        timeout=MARGIN + max(check.limit(elapsed) for checks in texts for check in checks),
        answered=answered,
        encoding=BYTES,
    )


@dataclass(frozen=True)
class _Book(Generic[T]):
    """The last verdict of each check on each node."""

    nodes: Mapping[str, tuple[T, tuple[Check, ...]]]
    entries: dict[tuple[str, int], Verdict] = field(default_factory=dict)

    def chosen(self, name: str, indexes: Sequence[int]) -> tuple[Check, ...]:
        checks = self.nodes[name][1]
        return tuple(checks[index] for index in indexes)

    def due(self, elapsed: float) -> dict[str, list[int]]:
        """By node, the checks not tried yet, and those that failed and have time left."""
        due = {
            name: [i for i in range(len(checks)) if not self._settled(name, i, elapsed)]
            for name, (_, checks) in self.nodes.items()
        }
        return {name: indexes for name, indexes in due.items() if indexes}

    def _settled(self, name: str, index: int, elapsed: float) -> bool:
        verdict = self.entries.get((name, index))
        return verdict is not None and (verdict.passed or elapsed >= verdict.check.within)

    def settled(self, name: str, elapsed: float) -> bool:
        """Whether no check is to be run on the node again."""
        return all(self._settled(name, index, elapsed) for index in range(len(self.nodes[name][1])))

    @property
    def total(self) -> int:
        return sum(len(checks) for _, checks in self.nodes.values())

    def enter(self, name: str, indexes: Sequence[int], outcome: Outcome, elapsed: float) -> int:
        """Judge what a node answered; how many of these checks are settled by it."""
        checks = self.chosen(name, indexes)
        for index, verdict in zip(indexes, _judged(name, checks, outcome), strict=True):
            self.entries[name, index] = verdict
        return sum(self._settled(name, index, elapsed) for index in indexes)

    def verdicts(self) -> tuple[Verdict, ...]:
        return tuple(
            _in_time(self.entries[name, index])
            for name, (_, checks) in self.nodes.items()
            for index in range(len(checks))
        )


def _judged(name: str, checks: Sequence[Check], outcome: Outcome) -> list[Verdict]:
    try:
        return [
            check.judge(name, result)
            for check, result in zip(checks, _results(name, outcome, len(checks)), strict=True)
        ]
    except _NoResults as trouble:
        return [
            Verdict(check, name, passed=False, seen=str(trouble), code=trouble.code)
            for check in checks
        ]


class _NoResults(Exception):
    """The node gave no results of its checks; why."""

    def __init__(self, why: str, code: str = "") -> None:
        super().__init__(why)
        self.code = code


def _results(name: str, outcome: Outcome, count: int) -> tuple[Result, ...]:
    if isinstance(outcome, NodeError):
        raise _NoResults(clipped(cause(name, outcome), 300), outcome.code)
    try:
        return results(outcome.stdout.encode(BYTES), count)
    except ValueError as error:
        said = clipped(outcome.stderr.strip().rpartition("\n")[2], 200)
        status = f"exit status {outcome.exit_status}"
        raise _NoResults(f"the checks did not run: {status}: {said or error}") from error


def _in_time(verdict: Verdict) -> Verdict:
    if verdict.passed or not verdict.check.within:
        return verdict
    return replace(verdict, seen=f"{verdict.seen} (not within {verdict.check.within:g} s)")
