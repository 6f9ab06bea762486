"""When nodes reached each stage: as create saw it, as a cloud tells it, of a create that failed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

from .conftest import Answer, Cm

pytestmark = pytest.mark.usefixtures("cloud")
STAGES = ("asked", "active", "ssh", "wired", "script", "verified")
LEFT = re.compile(r"about [0-9]+ (s|min) left")


@pytest.fixture(scope="module")
def timed(cloud: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cm]:
    """A command whose cluster timed stands while this module's tests run; the first in its home."""
    cm = Cm(tmp_path_factory.mktemp("timed"), cloud)
    made = cm.run("cluster", "create", "timed", "--workers=1")
    cm.file("first", made.stderr)
    try:
        yield cm
    finally:
        cm.run("cluster", "delete", "timed")


@pytest.fixture(scope="module")
def failed(timed: Cm) -> Answer:
    """What the second create in that home said, whose worker's script failed."""
    timed.write("late", "worker", "sleep 3; exit 7\n")
    return timed.run("cluster", "create", "late", "--workers=1", status=1)


def lines(answer: Answer) -> dict[str, dict[str, Any]]:
    """The rows of JSON lines, by node."""
    return {one["node"]: one for one in map(json.loads, answer.stdout.splitlines())}


def test_every_node_has_its_moments_in_their_order(timed: Cm) -> None:
    told = lines(timed.run("cluster", "timeline", "timed", "--format=json"))

    assert list(told) == ["timed-master", "timed-worker1"]
    for row in told.values():
        moments = [row[stage] for stage in STAGES]
        assert moments == sorted(moments)
        assert moments[0] > 0
        assert row["failed"] == ""


def test_the_stages_and_who_was_slowest_are_told(timed: Cm) -> None:
    answer = timed.run("cluster", "timeline", "timed")

    nodes, stages = answer.stdout.split("| stage ")
    assert "| timed-worker1 " in nodes
    for stage in STAGES[1:]:
        assert re.search(rf"^\| {stage} +\| 2 ", stages, re.MULTILINE)
    assert "was last, after" in answer.stderr


def test_the_picture_has_a_bar_for_each_node(timed: Cm) -> None:
    file = timed.home / "timed.svg"

    timed.run("cluster", "timeline", "timed", f"--svg={file}")

    root = ElementTree.fromstring(file.read_bytes())
    titles = [one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}title")]
    assert [one.partition(":")[0] for one in titles] == ["timed", "timed-master", "timed-worker1"]


def test_a_picture_that_cannot_be_written_is_an_error(timed: Cm) -> None:
    told = timed.run("cluster", "timeline", "timed", "--svg=/proc/none.svg", status=1).stderr
    assert "/proc/none.svg: cannot be written" in told


def test_a_machine_that_did_not_make_the_cluster_learns_it_from_the_cloud(
    timed: Cm, cm: Cm
) -> None:
    ours = lines(timed.run("cluster", "timeline", "timed", "--format=json"))
    theirs = lines(cm.run("cluster", "timeline", "timed", "--format=json"))

    assert ours.keys() == theirs.keys()
    for node, row in theirs.items():
        moments = [row[stage] for stage in STAGES[:-1]]
        assert moments == sorted(moments)
        assert row["verified"] is None
        assert row["requested"] == ours[node]["requested"]
        # Both have what the node told; create knew of it before it went on.
        assert row["script"] >= ours[node]["script"]


def test_a_create_that_failed_has_a_timeline_in_its_record(timed: Cm, failed: Answer) -> None:
    answer = timed.run("cluster", "timeline", "late", "--format=json")
    told = lines(answer)

    assert str(timed.record_file("late")) in answer.stderr
    assert (told["late-worker1"]["failed"], told["late-master"]["failed"]) == ("script", "")
    assert told["late-worker1"]["script"] > told["late-worker1"]["wired"]
    assert told["late-worker1"]["verified"] is None


def test_the_second_create_tells_how_much_time_is_left(timed: Cm, failed: Answer) -> None:
    assert LEFT.search(failed.stderr)
    assert not LEFT.search((timed.home / "first").read_text())
    assert not LEFT.search(failed.stderr.partition("record")[2])


def test_a_cluster_that_never_was_has_no_timeline(timed: Cm) -> None:
    assert "there is no cluster never" in timed.run("cluster", "timeline", "never", status=1).stderr
