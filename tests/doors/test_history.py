"""The file with how long creates took: kept short, and nothing depends on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudmesh_cluster.doors.history import History
from cloudmesh_cluster.model.history import MOST, Run

RUN = Run("plain", 2, {"stack": 10.0, "booted": 6.0})


def test_runs_are_kept_by_cloud_whatever_that_is_called(home: Path) -> None:
    History(home / "history", "../up/and away").add(RUN)

    assert History(home / "history", "../up/and away").runs() == (RUN,)
    assert History(home / "history", "another").runs() == ()
    assert [one.parent for one in home.rglob("*.jsonl")] == [home / "history"]


def test_only_the_newest_are_kept(home: Path) -> None:
    history = History(home, "local")
    for workers in range(1, MOST + 11):
        history.add(Run("plain", workers, {}))
    assert [one.workers for one in history.runs()] == [*range(11, MOST + 11)]
    assert [one.name for one in home.iterdir()] == ["local.jsonl"]


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"{",
        b"[]",
        b'{"product": "plain", "workers": 2, "stages": {"stack": -1}}',
        b'{"product": "plain", "workers": 2, "stages": {"stack": NaN}}',
        b'{"product": "plain", "workers": 2, "stages": []}',
    ],
    ids=["not UTF-8", "not JSON", "a list", "negative", "not a number", "no stages"],
)
def test_what_cannot_be_read_is_passed_over(home: Path, line: bytes) -> None:
    (home / "local.jsonl").write_bytes(line + b"\n")
    history = History(home, "local")

    assert history.runs() == ()
    history.add(RUN)
    assert history.runs() == (RUN,)


def test_a_folder_that_cannot_be_made_is_no_error(home: Path) -> None:
    (home / "file").write_text("")
    history = History(home / "file" / "history", "local")

    history.add(RUN)

    assert history.runs() == ()
