"""Folded names, groups of like answers, printable words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudmesh_cluster.model.cluster import Result
from cloudmesh_cluster.model.errors import NodeError
from cloudmesh_cluster.model.names import clipped, folded, grouped, printable


@pytest.mark.parametrize(
    ("names", "label"),
    [
        ([], ""),
        (["demo-master"], "demo-master"),
        (["demo-worker7"], "demo-worker7"),
        (["demo-worker1", "demo-worker2", "demo-worker7"], "demo-worker[1-2,7]"),
        (["demo-worker10", "demo-worker9", "demo-worker8"], "demo-worker[8-10]"),
        (["n08", "n09", "n10", "n12"], "n[08-10,12]"),
        (["n9", "n09"], "n[9,09]"),
        (["a1", "b1", "a2"], "a[1-2],b1"),
        (["demo-master", "demo-worker1", "demo-worker2"], "demo-master,demo-worker[1-2]"),
        (["a", "a1", "a2"], "a,a[1-2]"),
        (["a1", "a1"], "a1"),
        (["42"], "42"),
    ],
)
def test_names_are_folded_into_ranges(names: list[str], label: str) -> None:
    assert folded(names) == label


@given(st.sets(st.integers(0, 300)), st.integers(1, 4))
def test_folded_names_can_be_unfolded(numbers: set[int], width: int) -> None:
    names = {f"w{number:0{width}}" for number in numbers}
    assert _unfolded(folded(names)) == names


def _unfolded(label: str) -> set[str]:
    names: set[str] = set()
    for prefix, inner, single in re.findall(r"(w)(?:\[([^]]*)\]|(\d+))", label):
        for part in (inner or single).split(","):
            first, _, last = part.partition("-")
            names |= {
                f"{prefix}{number:0{len(first)}}"
                for number in range(int(first), int(last or first) + 1)
            }
    return names


def test_nodes_that_answer_alike_are_one_group() -> None:
    groups = grouped(
        {"w1": Result(0, "a"), "w2": Result(0, "b"), "w3": Result(0, "a", seconds=9.0)}
    )
    assert [group.label for group in groups] == ["w[1,3]", "w2"]
    assert groups[0].names == ("w1", "w3")
    assert groups[0].outcome == Result(0, "a")


def test_exit_status_and_stderr_tell_groups_apart() -> None:
    outcomes = {"w1": Result(0, "a"), "w2": Result(1, "a"), "w3": Result(0, "a", "e")}
    assert len(grouped(outcomes)) == 3


def test_nodes_with_the_same_trouble_are_one_group() -> None:
    groups = grouped(
        {
            "w1": NodeError("w1: connection refused"),
            "w2": NodeError("w2: connection refused"),
            "w3": NodeError("w3: no answer"),
        }
    )
    assert [group.label for group in groups] == ["w[1-2]", "w3"]


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    assert printable("\x1b[2Jhi\r\n") == "\\x1b[2Jhi\\r\\n"
    assert printable("one\ntwo\t3\x07", keep="\n\t") == "one\ntwo\t3\\x07"
    assert printable("\u202etxt.exe\ud800\x9b") == "\\u202etxt.exe\\ud800\\x9b"
    assert printable("plain, ünïcödé ✓") == "plain, ünïcödé ✓"


@given(st.text())
def test_printable_text_can_always_be_written(text: str) -> None:
    shown = printable(text)
    shown.encode("utf-8")
    assert "\x1b" not in shown
    assert len(shown.splitlines()) <= 1


def test_long_text_is_clipped_to_one_line() -> None:
    assert clipped("  short ", 10) == "short"
    assert clipped("a\nb" * 50, 10) == "a\\nba\\nba…"
