"""Progress as it looks on a terminal and in a log."""

from __future__ import annotations

import io
import os
import pty

import pytest

from cloudmesh_cluster.model.history import Estimate
from cloudmesh_cluster.shell.progress import PlainProgress, TerminalProgress, progress_for


class Time:
    """A clock that the test moves."""

    at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def screen(written: str) -> list[str]:
    """What a terminal shows of it: a carriage return goes back to the line's beginning."""
    lines = []
    for line in written.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_a_stage_is_one_line_rewritten_in_place(time: Time, stream: io.StringIO) -> None:
    progress = TerminalProgress(stream, time)
    for done in range(11):
        time.at = float(done)
        progress.stage("nodes", done, 10)
    assert screen(stream.getvalue()) == ["nodes: 10/10, 10 s"]


def test_a_new_name_ends_the_stage_before_it(time: Time, stream: io.StringIO) -> None:
    with TerminalProgress(stream, time) as progress:
        progress.stage("creating the stack", 1, 3)
        time.at = 7
        progress.stage("checks")
        time.at = 9
    assert screen(stream.getvalue()) == ["creating the stack: 1/3, 7 s", "checks: 2 s", ""]


def test_a_note_stays_above_the_live_line(time: Time, stream: io.StringIO) -> None:
    progress = TerminalProgress(stream, time)
    progress.stage("a stage with a long name", 1, 3)
    progress.note("rolling back")
    progress.stage("a stage with a long name", 2, 3)
    assert screen(stream.getvalue()) == ["rolling back", "a stage with a long name: 2/3, 0 s"]


def test_close_leaves_the_cursor_on_a_fresh_line_once(time: Time, stream: io.StringIO) -> None:
    progress = TerminalProgress(stream, time)
    progress.close()
    assert stream.getvalue() == ""
    progress.stage("nodes")
    progress.close()
    progress.close()
    assert stream.getvalue().count("\n") == 1


def test_a_live_line_is_never_wider_than_the_terminal(
    time: Time, stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TerminalProgress, "_width", lambda self: 20)
    progress = TerminalProgress(stream, time)
    progress.stage("n" * 50, 1, 3)
    progress.stage("n" * 50, 2, 3)
    assert max(len(part) for part in stream.getvalue().split("\r")) == 19


@pytest.mark.parametrize("kind", [TerminalProgress, PlainProgress])
def test_no_escape_code_is_written(kind, time: Time, stream: io.StringIO) -> None:
    with kind(stream, time) as progress:
        progress.stage("evil \x1b[2J name", 1, 2)
        progress.note("evil \x1b[2J note")
    assert "\x1b" not in stream.getvalue()


def test_plain_progress_says_when_a_stage_begins_and_ends(time: Time, stream: io.StringIO) -> None:
    with PlainProgress(stream, time) as progress:
        progress.stage("creating the stack")
        time.at = 3
        progress.stage("checks", 0, 4)
        progress.note("demo-worker1: not yet")
        time.at = 5
        progress.stage("checks", 4, 4)
    assert stream.getvalue().splitlines() == [
        "creating the stack ...",
        "creating the stack: 3 s",
        "checks ...",
        "demo-worker1: not yet",
        "checks: 4/4, 2 s",
    ]


def test_plain_progress_tells_tenths_and_no_more_than_a_line_a_second(
    time: Time, stream: io.StringIO
) -> None:
    with PlainProgress(stream, time) as progress:
        for done in range(1001):
            time.at = done / 200  # five seconds in all
            progress.stage("nodes", done, 1000)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "nodes ..."
    assert lines[-1] == "nodes: 1000/1000, 5 s"
    assert len(lines) == 6


def test_plain_progress_says_every_half_minute_that_it_still_waits(
    time: Time, stream: io.StringIO
) -> None:
    progress = PlainProgress(stream, time)
    for done in range(100):
        time.at = float(done)
        progress.stage("nodes", done, 1000)
    said = ["nodes ...", "nodes: 30/1000, 30 s", "nodes: 60/1000, 60 s", "nodes: 90/1000, 90 s"]
    assert stream.getvalue().splitlines() == said


def test_the_stream_decides_which_kind(stream: io.StringIO) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        assert isinstance(progress_for(terminal, {"TERM": "xterm"}), TerminalProgress)
        assert isinstance(progress_for(terminal, {"TERM": "dumb"}), PlainProgress)
        assert isinstance(progress_for(terminal, {}), PlainProgress)
    os.close(ours)
    assert isinstance(progress_for(stream, {"TERM": "xterm"}), PlainProgress)


ESTIMATE = Estimate({"stack": 20, "booted": 10, "wired": 2, "finished": 5, "verified": 3})


def test_a_create_that_was_foretold_tells_what_is_left(time: Time, stream: io.StringIO) -> None:
    progress = TerminalProgress(stream, time)
    progress.expect(ESTIMATE)
    seen = []
    for at, name in (
        (0, "stack requested"),
        (1, "servers made"),
        (15, "servers made"),
        (60, "servers made"),
        (61, "nodes booted"),
        (66, "slurm.tar carried to the master"),
        (90, "verify"),
        (99, "verify"),
    ):
        time.at = float(at)
        progress.stage(name)
        seen.append(screen(stream.getvalue())[-1])

    assert seen == [
        "stack requested: 0 s, about 40 s left",
        "servers made: 0 s, about 40 s left",
        "servers made: 14 s, about 25 s left",
        "servers made: 59 s, about 20 s left",
        "nodes booted: 0 s, about 20 s left",
        "slurm.tar carried to the master: 0 s",
        "verify: 0 s, about 3 s left",
        "verify: 9 s",
    ]


def test_a_stage_that_has_ended_tells_how_long_it_was(time: Time, stream: io.StringIO) -> None:
    progress = PlainProgress(stream, time)
    progress.expect(ESTIMATE)
    progress.stage("servers made", 0, 2)
    time.at = 10
    progress.stage("servers made", 1, 2)
    progress.stage("servers made", 2, 2)
    progress.close()
    assert stream.getvalue().splitlines() == [
        "servers made ... about 40 s left",
        "servers made: 1/2, 10 s, about 30 s left",
        "servers made: 2/2, 10 s",
    ]


def test_without_a_history_nothing_is_foretold(time: Time, stream: io.StringIO) -> None:
    progress = TerminalProgress(stream, time)
    progress.expect(None)
    progress.stage("servers made")
    assert screen(stream.getvalue())[-1] == "servers made: 0 s"
