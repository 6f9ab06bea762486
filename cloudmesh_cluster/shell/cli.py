"""The program: words in, exit status out; all that is done here is dispatch and telling errors."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # help is fast because whatever it does not need is imported where it is used
    from collections.abc import Sequence
    from signal import Signals
    from typing import TextIO

    from cloudmesh_cluster.model.errors import ClusterError
    from cloudmesh_cluster.shell.environment import Environment

HELP: tuple[list[str], ...] = ([], ["help"], ["--help"], ["-h"])
NOUNS = ("cluster", "cloud", "completion")


def main(argv: Sequence[str] | None = None, environment: Environment | None = None) -> int:
    """Run the command that the words name, by default the program's own; gives its exit status.

    The environment is this process's own unless another is given.
    """
    given = sys.argv[1:] if argv is None else argv
    try:
        words = _unquoted(given)
    except ValueError:
        print(f"cm: a quote is not closed: {given[0]!r}", file=sys.stderr)
        return 2
    try:
        status = _main(words, environment)
        sys.stdout.flush()  # here, where a reader that has left can still be told from a bug
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        return 1
    return status


def _unquoted(words: Sequence[str]) -> list[str]:
    """The words; a lone one with spaces is split: IPython's ``alias cm cm %s`` sends such."""
    if len(words) != 1 or " " not in words[0]:
        return list(words)
    import shlex

    return shlex.split(words[0])


def _main(words: list[str], environment: Environment | None) -> int:
    if words in HELP or (words[0] in NOUNS and words[1:] in HELP):
        from cloudmesh_cluster.shell.usage import USAGE

        print(USAGE, end="")
        return 0
    if words == ["--version"]:
        from cloudmesh_cluster import __version__

        print(f"cm cluster {__version__}")
        return 0
    if words[:2] == ["completion", "words"]:  # a TAB key; no word of a user's, so not in the help
        from cloudmesh_cluster.shell import completion
        from cloudmesh_cluster.shell.environment import Environment

        for line in completion.lines(words[2:], environment or Environment.from_system()):
            print(line)
        return 0
    return _guarded(words, environment)


def _guarded(words: list[str], environment: Environment | None) -> int:
    """Run the command; every way it can fail becomes a message and an exit status."""
    from cloudmesh_cluster.model.errors import ClusterError, ExitStatus

    speaker = f"cm {words[0]}" if words[0] in NOUNS else "cm"
    try:
        return _interruptible(words, environment)
    except ClusterError as error:
        print(f"{speaker}: {told(error)}", file=sys.stderr)
        return int(error.exit_status)
    except KeyboardInterrupt:
        print(f"{speaker}: interrupted", file=sys.stderr)
        return int(ExitStatus.INTERRUPTED)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return int(ExitStatus.FAILED)
        import traceback

        what = f"{speaker}: unexpected: {type(error).__name__}: {error}; this is a bug"
        print(_safe(f"{traceback.format_exc()}{what}"), file=sys.stderr)
        return int(ExitStatus.FAILED)


def _interruptible(words: list[str], environment: Environment | None) -> int:
    """Run the command; being asked to end comes to it as Ctrl-C does, so that it rolls back."""
    import signal

    ends = _terminations()
    for one in ends:
        signal.signal(one, _interrupt)
    try:
        return _dispatch(words, environment)
    finally:
        for one in ends:
            signal.signal(one, signal.SIG_DFL)


def _dispatch(words: list[str], given: Environment | None) -> int:
    from cloudmesh_cluster.shell import arguments

    help_text = arguments.help_of(words)
    if help_text is not None:
        print(help_text, end="")
        return 0
    parsed = arguments.parse(words)

    from cloudmesh_cluster.shell import commands
    from cloudmesh_cluster.shell.environment import Environment

    return int(commands.run(parsed, given or Environment.from_system()))


def told(error: ClusterError) -> str:
    """The error as a person reads it: the problem, its details indented, and the next step."""
    first, *details = error.problem.splitlines() or [""]
    indented = [line if line.startswith("  ") else f"  {line}" for line in details]
    lines = [first, *indented, *error.next_step.splitlines()]
    return "\n".join(map(_safe, lines))


def _safe(text: str) -> str:
    """The text, of which a terminal obeys nothing but its newlines."""
    from cloudmesh_cluster.model.names import printable

    return printable(text, keep="\n")


def _terminations() -> list[Signals]:
    """The signals that ask us to end; not those that nohup has set to be ignored."""
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        return []  # only the main thread may set handlers
    asked = (signal.SIGTERM, signal.SIGHUP)
    return [one for one in asked if signal.getsignal(one) is signal.SIG_DFL]


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _nobody_reads() -> bool:
    """Whether the reader of our output has left, as ``head`` does; nothing more is sent to it."""
    import os

    left = [stream.fileno() for stream in (sys.stdout, sys.stderr) if _reader_left(stream)]
    for number in left:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return bool(left)


def _reader_left(stream: TextIO) -> bool:
    import select

    poll = select.poll()
    try:
        poll.register(stream.fileno(), 0)  # 0: errors alone
    except OSError:  # a notebook's stream is no file
        return False
    return bool(poll.poll(0))
