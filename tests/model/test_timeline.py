"""From moments to what took how long, and why."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudmesh_cluster.model import timeline
from cloudmesh_cluster.model.timeline import (
    ASKED,
    STAGES,
    Moments,
    Timeline,
    clock,
    ordered,
    percentile,
    stages,
    verdict,
)

MASTER = Moments("demo-master", "master", asked=2, active=5, ssh=15, wired=40, script=50,
                 verified=70)  # fmt: skip
FIRST = Moments("demo-worker1", "worker", asked=2, active=6, ssh=16, wired=40, script=65,
                verified=70)  # fmt: skip
LAST = Moments("demo-worker2", "worker", asked=7, active=10, ssh=38, wired=40, script=44,
               verified=70)  # fmt: skip
DEMO = Timeline("demo", "s1", (MASTER, FIRST, LAST))


def test_each_stage_is_counted_from_the_end_of_the_one_before() -> None:
    assert MASTER.seconds == {"active": 5, "ssh": 10, "wired": 25, "script": 10, "verified": 20}


def test_a_stage_that_nobody_knows_is_left_out() -> None:
    assert replace(MASTER, ssh=None, verified=None).seconds == {
        "active": 5,
        "wired": 35,
        "script": 10,
    }
    assert Moments("x", "worker").seconds == {}
    assert Moments("x", "worker").end == 0


def test_the_slowest_of_each_stage_is_named_with_what_kept_it() -> None:
    found = {one.stage: (one.node, one.slowest, one.why) for one in stages(DEMO)}

    assert found == {
        "active": (
            "demo-worker2",
            10,
            "7 s until Heat asked for its server, 3 s in Nova; it is asked for last, for it wires "
            "the others",
        ),
        "ssh": ("demo-worker2", 28, "18 s more than most workers"),
        "wired": ("demo-master", 25, "23 s of it waited for demo-worker2 to boot"),
        "script": ("demo-worker1", 25, "21 s more than most workers"),
        "verified": ("demo-worker2", 26, "21 s of it waited for demo-worker1 to end its script"),
    }


def test_a_failure_is_the_reason_of_its_stage() -> None:
    broken = replace(FIRST, script=90, verified=None, failed="script")
    found = {one.stage: one for one in stages(replace(DEMO, nodes=(MASTER, broken, LAST)))}

    assert (found["script"].node, found["script"].why) == ("demo-worker1", "it failed")
    assert found["verified"].nodes == 2


def test_the_whole_is_told_in_a_sentence() -> None:
    assert verdict(DEMO) == (
        "demo-worker1 was last, after 70 s; most of that, 25 s or 36 %, was script."
    )
    unready = replace(LAST, wired=None, script=None, verified=None)
    assert verdict(replace(DEMO, nodes=(MASTER, FIRST, unready))).endswith(
        " 1 of 3 nodes did not get ready."
    )
    assert verdict(Timeline("demo", "s1", ())) == "No node has reached any stage."


@pytest.mark.parametrize(
    ("count", "p50", "p95"), [(1, 1, 1), (2, 1, 2), (20, 10, 19), (100, 50, 95), (1000, 500, 950)]
)
def test_percentiles_are_numbers_that_were_measured(count: int, p50: int, p95: int) -> None:
    numbers = [float(one) for one in range(1, count + 1)]
    assert (percentile(numbers, 50), percentile(numbers, 95)) == (p50, p95)


def test_a_clock_that_is_ahead_is_held_to_when_it_was_heard_and_told() -> None:
    held, skew = ordered({"active": 10.0, "ssh": 500.0}, {"ssh": 20.0})
    assert held == {"active": 10.0, "ssh": 20.0}
    assert skew == 480.0


def test_a_clock_that_is_behind_never_makes_a_stage_go_back() -> None:
    held, skew = ordered({"active": 10.0, "ssh": -500.0, "wired": -480.0, "script": 30.0}, {})
    assert held == {"active": 10.0, "ssh": 10.0, "wired": 10.0, "script": 30.0}
    assert skew == 510.0


def test_whole_seconds_are_no_skew() -> None:
    assert ordered({"active": 10.0, "ssh": 9.0}, {}) == ({"active": 10.0, "ssh": 10.0}, 0.0)


MOMENT = st.none() | st.floats(-1e9, 1e9)


@given(
    st.fixed_dictionaries(dict.fromkeys((ASKED, *STAGES), MOMENT)),
    st.dictionaries(st.sampled_from(STAGES), st.floats(0, 1e9)),
)
def test_no_moment_is_before_the_one_before_it(
    told: dict[str, float | None], latest: dict[str, float]
) -> None:
    held, skew = ordered(told, latest)
    assert list(held.values()) == sorted(held.values())
    assert min(held.values(), default=0.0) >= 0
    assert held.keys() == {stage for stage, at in told.items() if at is not None}
    assert skew >= 0


def test_what_is_kept_is_read_again() -> None:
    kept = json.loads(json.dumps(timeline.told(DEMO)))
    assert timeline.read(kept) == DEMO


@pytest.mark.parametrize(
    "kept",
    [
        None,
        [],
        {},
        {"cluster": "demo", "stack_id": "s", "nodes": [{"name": "x"}]},
        {"cluster": "demo", "stack_id": "s", "nodes": [{"node": "x", "role": "y", "ssh": "z"}]},
    ],
    ids=["null", "list", "empty", "another field", "a text for a number"],
)
def test_what_is_no_timeline_is_refused(kept: object) -> None:
    with pytest.raises(ValueError, match="no timeline"):
        timeline.read(kept)


def test_times_of_heat_and_nova_are_utc() -> None:
    assert clock("2026-11-28T02:20:00Z") == clock("2026-11-28T02:20:00.000000") == 1795832400
    assert clock("") is None
