"""What earlier creates say of how long the next one takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudmesh_cluster.model.history import SHOWN, Estimate, Run, about, estimate
from cloudmesh_cluster.steps import follow

STAGES = {"stack": 10.0, "booted": 6.0, "wired": 2.0, "finished": 30.0, "verified": 2.0}


def run(product: str = "plain", workers: int = 2, **other: float) -> Run:
    return Run(product, workers, {**STAGES, **other})


def test_nothing_is_foretold_of_what_was_never_made() -> None:
    assert estimate([], "plain", 2) is None
    assert estimate([run("slurm")], "plain", 2) is None
    assert estimate([run(workers=2)], "plain", 5) is None
    assert estimate([Run("plain", 2, {"stack": 3.0})], "plain", 2) is None


def test_each_stage_is_the_median_of_the_runs_of_the_same_size() -> None:
    runs = [run(stack=8.0), run(stack=12.0), run(stack=100.0), run(workers=4, stack=50.0)]
    found = estimate(runs, "plain", 2)
    assert found is not None
    assert found.stages == {**STAGES, "stack": 12.0}


def test_runs_of_about_the_size_serve_where_there_is_none_of_the_same() -> None:
    found = estimate([run(workers=4, booted=9.0), run(workers=9, booted=99.0)], "plain", 2)
    assert found is not None
    assert found.stages["booted"] == 9.0


@pytest.mark.parametrize(
    ("stage", "spent", "left"),
    [
        ("stack", 0, 50),
        ("stack", 4, 46),
        ("stack", 100, 40),
        ("finished", 10, 22),
        ("verified", 2, 0),
        ("verified", 99, 0),
    ],
)
def test_what_is_left_is_the_rest_of_the_stage_and_all_after_it(
    stage: str, spent: float, left: float
) -> None:
    assert Estimate(STAGES).left(stage, spent) == left


@given(st.sampled_from(list(STAGES)), st.floats(0, 1e9))
def test_what_is_left_is_never_negative(stage: str, spent: float) -> None:
    assert Estimate(STAGES).left(stage, spent) >= 0


def test_every_stage_of_create_is_shown_under_a_name_that_is_known() -> None:
    assert set(follow.STAGES.values()) <= SHOWN.keys()
    assert [*dict.fromkeys(SHOWN.values())] == [*STAGES]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, ""),
        (0.9, ""),
        (4.4, "about 4 s left"),
        (22, "about 20 s left"),
        (119, "about 120 s left"),
        (150, "about 2 min left"),
    ],
)
def test_time_is_told_as_roughly_as_it_is_known(seconds: float, words: str) -> None:
    assert about(seconds) == words
