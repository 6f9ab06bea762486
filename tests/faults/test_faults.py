"""A few runs of `make faults`, which together have six of the ten kinds of fault."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from cloudmesh_cluster.local.home import Home

from . import doing, model

SEED = 1
NUMBERS = (233, 255)


def test_a_number_is_always_the_same_run() -> None:
    assert model.run_of(SEED, 17) == model.run_of(SEED, 17)
    assert model.run_of(SEED, 17) != model.run_of(SEED + 1, 17)


def test_ten_runs_have_all_that_can_break() -> None:
    for first in (1, 11, 101):
        runs = [model.run_of(SEED, number) for number in range(first, first + len(model.KINDS))]
        assert {run.acts[-1].fault.kind for run in runs if run.acts[-1].fault} == {*model.KINDS}


@pytest.mark.timeout(5400)  # a slow machine is no broken run
@pytest.mark.parametrize("number", NUMBERS)
def test_a_cluster_outlives_what_breaks_and_leaves_nothing(
    number: int, cloud: Mapping[str, str], tmp_path: Path
) -> None:
    home = Home(Path(cloud["OS_CLIENT_CONFIG_FILE"]).parent, Path("unused"))

    outcome = doing.done(model.run_of(SEED, number), doing.Site(home, tmp_path, print))

    told = "\n".join([str(outcome), *outcome.said])
    assert not outcome.trouble, told
    assert not outcome.leaks, told
