"""A timeline as an SVG picture: a bar for each node, a colour for each stage."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement, tostring

from cloudmesh_cluster.model.names import printable
from cloudmesh_cluster.model.timeline import STAGES, Moments, Timeline, verdict

WIDTH = 1000.0
TOP = 78.0  # title, legend, axis
MARGIN = 12.0
LETTER = 6.6  # how wide a letter is, about
LINE = 13.0  # least distance between two names
TALLEST, FLATTEST = 20.0, 3.0  # a node's row
TICKS = 10  # at most
# Told apart by people who do not see all colours, too (after Okabe and Ito).
COLOURS = dict(zip(STAGES, ("#e69f00", "#56b4e9", "#009e73", "#0072b2", "#cc79a7"), strict=True))
FAILURE = "#d00000"


def svg(timeline: Timeline) -> bytes:
    """The picture as a file's content."""
    nodes = timeline.nodes
    row = max(FLATTEST, min(TALLEST, 1600 / max(1, len(nodes))))
    left = MARGIN * 2 + LETTER * max((len(one.node) for one in nodes), default=0)
    height = TOP + row * len(nodes) + MARGIN
    root = Element(
        "svg",
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        viewBox=f"0 0 {WIDTH:g} {height:g}",
        width=f"{WIDTH:g}",
        height=f"{height:g}",
        style="font: 11px sans-serif; background: white",
    )
    SubElement(root, "title").text = printable(f"{timeline.cluster}: {verdict(timeline)}")
    _text(root, MARGIN, 20, timeline.cluster, "font-size: 15px; font-weight: bold")
    _text(root, MARGIN, 38, verdict(timeline))
    _legend(root)
    seconds = max((one.end for one in nodes), default=0.0) or 1.0
    scale = (WIDTH - left - MARGIN) / seconds
    _axis(root, left, height - MARGIN, scale, seconds)
    named = max(1, round(LINE / row + 0.49))  # of flat rows, not each has its name beside it
    for number, one in enumerate(nodes):
        top = TOP + number * row
        if number % named == 0:
            middle = top + row / 2 + 4
            _text(root, left - MARGIN / 2, middle, one.node, "text-anchor: end")
        _bar(root, one, left, top, row, scale)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, "unicode")}\n'.encode()


def _legend(root: Element) -> None:
    at = MARGIN
    for stage, colour in COLOURS.items():
        _box(root, at, 46, 10, 10, colour)
        _text(root, at + 14, 55, stage)
        at += 30 + LETTER * len(stage)


def _axis(root: Element, left: float, bottom: float, scale: float, seconds: float) -> None:
    step = _step(seconds)
    for number in range(int(seconds / step) + 1):
        at = left + number * step * scale
        SubElement(root, "line", x1=f"{at:.1f}", x2=f"{at:.1f}", y1=f"{TOP - 4:g}",
                   y2=f"{bottom:g}", stroke="#dddddd")  # fmt: skip
        label = f"{number * step:g} s" if number else "0"
        _text(root, at, TOP - 8, label, "text-anchor: middle")


def _step(seconds: float) -> float:
    """The seconds between two ticks: 1, 2 or 5 times a power of ten."""
    return next(step for step in _steps() if seconds / step <= TICKS)


def _steps() -> Iterator[float]:
    power = 0.1
    while True:
        yield from (power, 2 * power, 5 * power)
        power *= 10


def _bar(root: Element, one: Moments, left: float, top: float, row: float, scale: float) -> None:
    group = SubElement(root, "g")
    told = ", ".join(f"{stage} {at:g} s" for stage, at in one.reached.items())
    failed = f", failed in {one.failed}" if one.failed else ""
    SubElement(group, "title").text = printable(f"{one.node}: {told or 'nothing known'}{failed}")
    high, gap = row * 0.8, row * 0.1
    for stage, took in one.seconds.items():
        begin = left + (one.reached[stage] - took) * scale
        _box(group, begin, top + gap, took * scale, high, COLOURS[stage])
    if one.failed:
        _box(group, left + one.end * scale - 3, top + gap, 3, high, FAILURE)


def _box(parent: Element, x: float, y: float, width: float, height: float, colour: str) -> None:
    SubElement(parent, "rect", x=f"{x:.2f}", y=f"{y:.2f}", width=f"{width:.2f}",
               height=f"{height:.2f}", fill=colour)  # fmt: skip


def _text(parent: Element, x: float, y: float, text: str, style: str = "") -> None:
    SubElement(parent, "text", x=f"{x:.1f}", y=f"{y:.1f}", style=style).text = printable(text)
