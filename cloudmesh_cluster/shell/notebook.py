"""``%cm`` and ``%%cm``: the program inside IPython, which loads them by ``%load_ext``.

A cell's commands run in the kernel's process, through the same ``main`` as in a terminal; what
differs is its environment. In a notebook tables are shown as tables and progress is one display
that is updated. A command that fails has told so on stderr, as everywhere; the magic then raises
CommandFailed, so that a run of all cells stops there.
"""

from __future__ import annotations

import codecs
import io
import logging
import os
import selectors
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class
from IPython.display import DisplayHandle, display

from cloudmesh_cluster.model.errors import ExitStatus, UsageError
from cloudmesh_cluster.shell.cli import main
from cloudmesh_cluster.shell.environment import Environment
from cloudmesh_cluster.shell.output import Answer, Table, printable
from cloudmesh_cluster.shell.progress import Stages
from cloudmesh_cluster.shell.usage import USAGE

UPDATES = 0.2  # seconds between two updates of a display: a browser need not draw more
CHUNK = 64 * 1024  # bytes that are passed on at a time

Bundle = dict[str, str]  # what a display shows, by MIME type


def load(shell: InteractiveShell) -> None:
    """Give the shell the magics."""
    shell.register_magics(ClusterMagics)


# ---- what a line gives ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """What a line came to: its exit status, the rows of its answers, and all that it printed.

    The cell that ran the line has shown it already; any later one shows its tables again.
    """

    line: str
    status: int
    answers: tuple[Answer, ...]
    stdout: str
    stderr: str
    shown_in: int | None = None  # the number of the cell; None in a terminal

    @property
    def rows(self) -> list[dict[str, object]]:
        """The rows that were answered, with the names and values of ``--format=json``."""
        return [dict(row) for answer in self.answers for row in answer.rows]

    def __repr__(self) -> str:
        rows = f", {len(self.rows)} rows" if self.rows else ""
        return f"<cm {self.line}: exit status {self.status}{rows}>"

    def _repr_html_(self) -> str | None:
        tables = [table for answer in self.answers for table in answer.tables]
        return _html(tables) if tables else None

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        shown_before = self.shown_in is None or not self.stdout
        printer.text(repr(self) if shown_before else self.stdout.rstrip("\n"))

    def _ipython_display_(self) -> None:
        """Show nothing in the cell that ran the line, for that has shown it."""
        if self.shown_in is None or self.shown_in != _cell_number():
            raise NotImplementedError  # IPython then asks for HTML and text


class CommandFailed(Exception):
    """A line of %cm ended with another exit status than 0; stderr has told why."""

    def __init__(self, result: Result) -> None:
        super().__init__(f"exit status {result.status}: cm {result.line}")
        self.result = result

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class CommandInterrupted(KeyboardInterrupt):
    """The kernel was interrupted, and what the command had begun is rolled back."""

    def __init__(self, result: Result) -> None:
        super().__init__(f"interrupted: cm {result.line}")
        self.result = result

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


# ---- what the command finds around it ------------------------------------------------------------


class Copied(io.StringIO):
    """A stream that keeps what is written to it and passes it on to another."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(text)
        return self.keep(text)

    def keep(self, text: str) -> int:
        """Keep a text that was shown in another way."""
        return super().write(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


@dataclass(frozen=True)
class TerminalEnvironment(Environment):
    """IPython in a terminal: everything as ever, and the answers are remembered."""

    answers: list[Answer] = field(default_factory=list)

    def answer(self, answer: Answer | str) -> None:
        self.answers.append(Answer(answer) if isinstance(answer, str) else answer)
        super().answer(answer)

    def run(self, words: Sequence[str], *, interactive: bool) -> int:
        if interactive:
            return super().run(words, interactive=True)
        self.progress.close()
        return _passed_on(words, self.stdin, self.stdout, self.stderr)

    @property
    def ways_to_give_a_script(self) -> str:
        return "Give a file, or the script as the cell below: %%cm cluster write NAME worker"


@dataclass(frozen=True)
class NotebookEnvironment(TerminalEnvironment):
    """A notebook's cell: it shows tables, updates a display, and nobody can type."""

    @cached_property
    def progress(self) -> NotebookProgress:
        """Progress in a display of the cell."""
        return NotebookProgress(self.stderr)

    def answer(self, answer: Answer | str) -> None:
        if isinstance(answer, str) or not answer.tables:
            super().answer(answer)
        else:
            self.answers.append(answer)
            self.progress.close()
            _shown({"text/plain": answer.text, "text/html": _html(answer.tables)})
            _kept(self.stdout, answer.text + "\n")
        self.progress.begin_anew()

    def run(self, words: Sequence[str], *, interactive: bool) -> int:
        if interactive:
            raise UsageError(
                "a notebook has no terminal to log in from",
                "Run one command: %cm cluster ssh NAME -- uptime; a script as the cell below: "
                "%%cm cluster ssh NAME -- bash -s; or log in from a terminal: cm cluster ssh NAME",
            )
        return super().run(words, interactive=False)


def _kept(stream: TextIO, text: str) -> None:
    if isinstance(stream, Copied):
        stream.keep(text)


def _passed_on(words: Sequence[str], stdin: BinaryIO, stdout: TextIO, stderr: TextIO) -> int:
    """Run a program and write what it says to these streams as it comes; gives its exit status."""
    with (
        subprocess.Popen(
            words, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process,
        selectors.DefaultSelector() as selector,
    ):
        for pipe, stream in ((process.stdout, stdout), (process.stderr, stderr)):
            assert pipe is not None  # because it was asked for
            selector.register(pipe, selectors.EVENT_READ, _Passing(stream))
        try:
            while selector.get_map():
                for key, _ in selector.select():
                    if not key.data.took(key.fd):
                        selector.unregister(key.fileobj)
        except BaseException:
            process.terminate()
            raise
    return process.returncode


class _Passing:
    """Takes bytes and writes them as text; half a character waits for its other half."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def took(self, number: int) -> bool:
        """Pass on what there is; False at the end."""
        content = os.read(number, CHUNK)
        self._stream.write(self._decoder.decode(content, final=not content))
        self._stream.flush()
        return bool(content)


# ---- displays ------------------------------------------------------------------------------------


class NotebookProgress(Stages):
    """One display: a line for each stage and each note, of which the last one is alive."""

    _display: DisplayHandle | None = None
    _lines: tuple[str, ...] = ()
    _drawn = 0.0

    def note(self, line: str) -> None:
        """Say something that stays, above the live line."""
        self._lines += (printable(line),)
        self._draw()

    def begin_anew(self) -> None:
        """Let what comes next have a display of its own, below what was shown since."""
        self._display, self._lines = None, ()

    def _show(self, begins: bool) -> None:
        done, total = self._count
        if begins or done == total > 0 or self._now() - self._drawn >= UPDATES:
            self._draw()

    def _finish(self) -> None:
        self._lines += (self._line(),)
        self._name = ""
        self._draw()

    def _draw(self) -> None:
        self._drawn = self._now()
        text = "\n".join([*self._lines, *([self._live()] if self._name else [])])
        bundle = {"text/plain": text, "text/html": f"<pre>{escape(text)}</pre>"}
        if self._display is None:
            self._display = _shown(bundle)
        else:
            self._display.update(bundle, raw=True)  # type: ignore[no-untyped-call]


def _shown(bundle: Bundle) -> DisplayHandle | None:
    handle: DisplayHandle | None
    handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
    return handle


def _html(tables: Iterable[Table]) -> str:
    """The tables as HTML; what nodes and clouds said is text there, never markup."""
    return "\n".join(_html_table(table) for table in tables)


def _html_table(table: Table) -> str:
    lines = [_html_row("th", table.columns), *(_html_row("td", row) for row in table.cells)]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _html_row(tag: str, cells: Iterable[str]) -> str:
    style = 'style="text-align: left"'
    return "<tr>" + "".join(f"<{tag} {style}>{escape(one)}</{tag}>" for one in cells) + "</tr>"


# ---- the magics ----------------------------------------------------------------------------------


@magics_class
class ClusterMagics(Magics):
    """%cm and %%cm."""

    @line_cell_magic
    def cm(self, line: str, cell: str | None = None) -> Result:
        result = self._run(line, cell)
        if result.status == ExitStatus.INTERRUPTED:
            raise CommandInterrupted(result) from None
        if result.status:
            raise CommandFailed(result) from None
        return result

    cm.__doc__ = f"""Run cm with the words of the line.

    %%cm gives it the rest of the cell as stdin: %%cm cluster write demo worker.
    The value has the attributes status, rows, stdout and stderr. A line that fails stops the run
    of a notebook: it raises CommandFailed, whose attribute result is that value.

    {USAGE}"""

    def _run(self, line: str, cell: str | None) -> Result:
        with (
            _stdin(cell, self._in_notebook) as stdin,
            redirect_stdout(Copied(sys.stdout)) as stdout,
            redirect_stderr(Copied(sys.stderr)) as stderr,
            _silent_libraries(),
        ):
            environment = self._environment(stdin, stdout, stderr)
            status = main(_words(line), environment)
        return Result(
            line=line.strip(),
            status=status,
            answers=tuple(environment.answers),
            stdout=stdout.getvalue(),
            stderr=stderr.getvalue(),
            shown_in=_cell_number() if self._in_notebook else None,
        )

    def _environment(self, stdin: BinaryIO, stdout: TextIO, stderr: TextIO) -> TerminalEnvironment:
        kind = NotebookEnvironment if self._in_notebook else TerminalEnvironment
        variables: Mapping[str, str] = os.environ
        return kind(variables, Path.home(), stdin, stdout, stderr)

    @property
    def _in_notebook(self) -> bool:
        """Whether a kernel runs us, for a client that shows displays."""
        return hasattr(self.shell, "kernel")


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return [line]  # main tells what is wrong with it


@contextmanager
def _stdin(cell: str | None, in_notebook: bool) -> Iterator[BinaryIO]:
    """What the command reads: the cell as a file, else nothing, else the terminal."""
    if cell is None and not in_notebook:
        yield sys.stdin.buffer
        return
    with tempfile.TemporaryFile() if cell is not None else open(os.devnull, "rb") as stream:
        if cell is not None:
            stream.write(cell.encode())
            stream.seek(0)
        yield stream


@contextmanager
def _silent_libraries() -> Iterator[None]:
    """Let what libraries log go nowhere, unless the notebook has its own place for it."""
    nowhere = logging.NullHandler()
    logging.getLogger().addHandler(nowhere)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(nowhere)


def _cell_number() -> int | None:
    from IPython import get_ipython

    shell = get_ipython()
    return shell.execution_count if shell else None
