"""The picture of a timeline: XML that holds whatever nodes are called, readable at any size."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from cloudmesh_cluster.model.timeline import STAGES, Moments, Timeline
from cloudmesh_cluster.shell import drawing

SVG = "{http://www.w3.org/2000/svg}"


def picture(timeline: Timeline) -> ElementTree.Element:
    return ElementTree.fromstring(drawing.svg(timeline))


def node(number: int, name: str = "") -> Moments:
    begin = float(number % 50)
    return Moments(name or f"big-worker{number}", "worker", active=begin + 1, ssh=begin + 5,
                   wired=60, script=70 + begin, verified=125)  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 30, 200, 1000])
def test_every_node_has_its_bars_and_names_do_not_overlap(count: int) -> None:
    root = picture(Timeline("big", "s", tuple(node(number) for number in range(1, count + 1))))

    groups = root.findall(f"{SVG}g")
    assert len(groups) == count
    assert all(len(group.findall(f"{SVG}rect")) == len(STAGES) for group in groups)
    names = [one for one in root.findall(f"{SVG}text") if (one.text or "").startswith("big-worker")]
    places = [float(one.attrib["y"]) for one in names if "was last" not in str(one.text)]
    assert places
    assert all(after - before >= 12 for before, after in pairwise(places))


def test_bars_follow_each_other_and_stay_inside() -> None:
    root = picture(Timeline("big", "s", tuple(node(number) for number in range(1, 31))))

    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for group in root.findall(f"{SVG}g"):
        at = None
        for box in group.findall(f"{SVG}rect"):
            x, wide = float(box.attrib["x"]), float(box.attrib["width"])
            assert wide >= 0
            assert at is None or abs(x - at) < 0.05
            assert float(box.attrib["y"]) + float(box.attrib["height"]) <= height
            at = x + wide
        assert at is not None
        assert at <= width


def test_a_name_cannot_leave_its_text() -> None:
    evil = '</text><script>alert("1")</script>&\x1b\x00'
    root = picture(Timeline(evil, "s", (node(1, evil),)))

    assert not [one for one in root.iter() if one.tag.endswith("script")]
    texts = [one.text or "" for one in root.iter(f"{SVG}text")]
    assert [one for one in texts if one.startswith("</text><script>") and "\\x1b" in one]


def test_a_failure_is_marked() -> None:
    failed = Moments("big-worker1", "worker", active=1, ssh=2, wired=3, script=9, failed="script")
    root = picture(Timeline("big", "s", (failed,)))

    colours = [one.attrib["fill"] for one in root.iter(f"{SVG}rect")]
    assert colours.count(drawing.FAILURE) == 1
    assert "failed in script" in str([one.text for one in root.iter(f"{SVG}title")])


def test_a_cluster_of_which_nothing_is_known_is_a_picture_too() -> None:
    assert picture(Timeline("none", "s", ())).tag == f"{SVG}svg"
    assert picture(Timeline("one", "s", (Moments("one-master", "master"),))).tag == f"{SVG}svg"
