"""Progress on stderr: a live line for each stage on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TextIO

from cloudmesh_cluster.model.history import SHOWN, Estimate, about
from cloudmesh_cluster.shell.output import printable

SILENCE = 30.0  # seconds after which a log is told that we still wait


class Stages:
    """What all have in common: which stage it is, how far it has come, since when."""

    def __init__(self, stream: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._now = now
        self._name = ""
        self._count = (0, 0)
        self._since = 0.0
        self._estimate: Estimate | None = None
        self._known = ""  # the stage of the estimate, and since when it is that
        self._known_since = 0.0

    def expect(self, estimate: Estimate | None) -> None:
        """From now on also tell how much time is left of a create, if that can be foretold."""
        self._estimate, self._known = estimate, ""

    def stage(self, name: str, done: int = 0, total: int = 0) -> None:
        """Say how far a stage has come; a new name ends the stage before it."""
        name = printable(name)
        begins = name != self._name
        if begins:
            self.close()
            self._name, self._since = name, self._now()
            if SHOWN.get(name, self._known) != self._known:
                self._known, self._known_since = SHOWN[name], self._now()
        self._count = (done, total)
        self._show(begins)

    def note(self, line: str) -> None:
        """Say something that stays."""
        raise NotImplementedError

    def close(self) -> None:
        """End the stage, so that what comes next starts on a line of its own."""
        if self._name:
            self._finish()
            self._name = ""

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _line(self) -> str:
        done, total = self._count
        count = f" {done}/{total}," if total else ""
        return f"{self._name}:{count} {self._now() - self._since:.0f} s"

    def _live(self) -> str:
        """The line while the stage lasts."""
        left = self._left()
        return f"{self._line()}, {left}" if left else self._line()

    def _left(self) -> str:
        if self._estimate is None or self._name not in SHOWN:
            return ""
        return about(self._estimate.left(self._known, self._now() - self._known_since))

    def _show(self, begins: bool) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError


class TerminalProgress(Stages):
    """One line a stage, rewritten in place; it stays when the stage has ended. No colour."""

    _shown = 0

    def note(self, line: str) -> None:
        """Say something that stays on the screen, above the live line."""
        self._write(printable(line), "\n")
        if self._name:
            self._write(self._live())

    def _show(self, begins: bool) -> None:
        self._write(self._live())

    def _finish(self) -> None:
        self._write(self._line(), "\n")

    def _write(self, line: str, end: str = "") -> None:
        # Blanks over the rest of the old line do without escape codes.
        line = line if end else line[: self._width() - 1]
        self._stream.write("\r" + line.ljust(self._shown) + end)
        self._stream.flush()
        self._shown = 0 if end else len(line)

    def _width(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except OSError:
            return 80


class PlainProgress(Stages):
    """Lines for a log: the stage begins, every tenth of it, every 30 s, it ends."""

    _written = 0.0
    _told: tuple[int, int] | None = None  # the count that was last written
    _tenth = 0

    def note(self, line: str) -> None:
        """Say something."""
        self._write(printable(line))

    def _show(self, begins: bool) -> None:
        done, total = self._count
        tenth = 10 * done // total if total else 0
        if begins:
            self._told = self._count if done else None
            left = self._left()
            self._write(self._live() if done else f"{self._name} ..." + f" {left}" * bool(left))
        elif self._is_news(tenth):
            self._told = self._count
            self._write(self._live())
        else:
            return
        self._tenth = tenth

    def _is_news(self, tenth: int) -> bool:
        silence = self._now() - self._written
        return silence >= SILENCE or (tenth != self._tenth and silence >= 1)

    def _finish(self) -> None:
        if self._told != self._count:
            self._write(self._line())

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()
        self._written = self._now()


def progress_for(
    stream: TextIO, environ: Mapping[str, str] = os.environ
) -> TerminalProgress | PlainProgress:
    """The kind of progress that suits the stream."""
    if stream.isatty() and environ.get("TERM", "dumb") != "dumb":
        return TerminalProgress(stream)
    return PlainProgress(stream)
