"""``--min-ready``: a node that fails costs no other; too few good ones fail as always."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import openstack
import pytest

from .conftest import Cm, things

UNLUCKY = 'test "$CM_NODE" != few-worker2 || exit 7\n'


@pytest.fixture(scope="module")
def few(
    tmp_path_factory: pytest.TempPathFactory,
    cloud: Mapping[str, str],
    user: openstack.connection.Connection,
) -> Iterator[Cm]:
    """The command in a home where the second worker of cluster few never comes."""
    before = things(user)
    place: Path = tmp_path_factory.mktemp("few")
    command = Cm(place, cloud)
    command.write("few", "worker", UNLUCKY)
    yield command
    command.run("cluster", "delete", "few")
    assert things(user) == before


def workers(cm: Cm) -> list[str]:
    """The names of the workers, as show tells them."""
    nodes = cm.run("cluster", "show", "few", "--format=json").json["nodes"]
    return [one["name"] for one in nodes if one["role"] == "worker"]


def test_with_too_few_good_workers_nothing_is_left(few: Cm) -> None:
    said = few.run("cluster", "create", "few", "--workers=2", "--min-ready=2", status=1).stderr

    assert "few-worker2: role script ended with exit status 7" in said
    assert few.run("cluster", "list", "--format=json").json == []


def test_a_cluster_comes_without_the_worker_that_failed(few: Cm) -> None:
    few.write("few", "worker", UNLUCKY)

    said = few.run("cluster", "create", "few", "--workers=3", "--min-ready=60%").stderr

    assert "few-worker2: role script ended with exit status 7" in said
    assert "Without few-worker2" in said
    assert workers(few) == ["few-worker1", "few-worker3"]
    few.run("cluster", "test", "few", "for one in master worker1 worker3; do ssh $one true; done")
    assert "nothing to do" in few.run("cluster", "create", "few").stderr


def test_an_update_comes_without_the_worker_that_failed(few: Cm) -> None:
    words = ("cluster", "update", "few", "--workers=4")

    few.run(*words, "--min-ready=4", status=1)
    before = workers(few)
    said = few.run(*words, "--min-ready=3").stderr

    assert before == ["few-worker1", "few-worker3"]
    assert "few-worker4 joined; few-worker2 failed and is missing" in said
    assert workers(few) == ["few-worker1", "few-worker3", "few-worker4"]
    few.run(
        "cluster",
        "test",
        "few",
        "for one in master worker1 worker3 worker4; do ssh $one true; done",
    )
