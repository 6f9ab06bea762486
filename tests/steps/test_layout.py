"""The plan of a cluster, read back from what Heat keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest
import yaml

from cloudmesh_cluster import render
from cloudmesh_cluster.model.keys import KeyPair
from cloudmesh_cluster.model.plan import Plan, planned, root_number, without_wirer
from cloudmesh_cluster.steps.layout import plan_of

KEY = KeyPair("ssh-ed25519 AAAA", "secret")


@dataclass(frozen=True)
class Heat:
    """Heat that was asked for a plan; a root's id is its number."""

    plan: Plan

    @property
    def _requests(self) -> dict[str, Any]:
        first = render.update_request(self.plan, nodes=KEY, ca=KEY, timeout_mins=30)
        return {str(root_number(one.name)): one for one in (first, *first.further)}

    def roots(self, stack_id: str) -> Mapping[int, str]:
        assert stack_id == "1"
        return {int(number): number for number in self._requests}

    def template(self, stack_id: str) -> Mapping[str, Any]:
        return cast(Mapping[str, Any], yaml.safe_load(self._requests[stack_id].template))

    def files(self, stack_id: str) -> Mapping[str, str]:
        return cast(Mapping[str, str], self._requests[stack_id].files)


@pytest.mark.parametrize("workers", [1, 3, 60, 90, 949, 950, 2000])
def test_a_plan_is_read_as_it_was_asked_for(workers: int) -> None:
    new = planned("demo", product="slurm", workers=workers, makes_network=True, floating=True)
    plan = replace(without_wirer(new), generation=4)

    assert plan_of("demo", "1", cast(Any, Heat(plan))) == plan


def test_a_root_that_is_gone_is_no_part_of_the_plan_and_counted_still() -> None:
    plan = planned("demo", product="plain", workers=950, makes_network=False, floating=False)
    left = replace(plan, shards=plan.shards_in(1))

    found = plan_of("demo", "1", cast(Any, Heat(left)))

    assert (found.further, found.roots) == ((), 2)
