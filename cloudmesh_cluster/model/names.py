"""Many names in few words, and the words of a node made safe to show."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cloudmesh_cluster.model.cluster import Result
from cloudmesh_cluster.model.errors import NodeError, UsageError

Outcome = Result | NodeError

_NUMBERED = re.compile(r"(.*?)([0-9]+)", re.DOTALL)
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


@dataclass(frozen=True)
class Group:
    """Nodes that answered alike."""

    label: str
    names: tuple[str, ...]
    outcome: Outcome


def folded(names: Iterable[str]) -> str:
    """The names as ``demo-worker[1-2,7]``; zero padding is kept, other names follow by commas."""
    numbers: dict[str, set[str]] = {}
    for name in names:
        match = _NUMBERED.fullmatch(name)
        prefix, number = match.groups() if match else (name, "")
        numbers.setdefault(prefix, set()).add(number)
    return ",".join(part for prefix, found in numbers.items() for part in _prefixed(prefix, found))


def unfolded(text: str) -> tuple[str, ...]:
    """The names that such a text stands for; UsageError when brackets or ranges are off."""
    names: list[str] = []
    for part in re.findall(r"(?:[^,\[\]]|\[[^\]]*\])+", text):
        match = re.fullmatch(r"([^\[\]]*)\[([0-9,-]+)\]", part)
        if match:
            names += [match[1] + number for number in _numbers(match[2], text)]
        elif "[" in part or "]" in part:
            raise UsageError(f"{text!r} is no list of nodes", "Such as worker2,worker[4-6].")
        else:
            names.append(part.strip())
    return tuple(name for name in names if name)


def _numbers(ranges: str, text: str) -> list[str]:
    found: list[str] = []
    for one in ranges.split(","):
        match = re.fullmatch(r"([0-9]{1,4})(?:-([0-9]{1,4}))?", one)
        if not match:
            raise UsageError(f"{text!r} is no list of nodes", "Such as worker2,worker[4-6].")
        first, last = match[1], match[2] or match[1]
        found += [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    return found


def _prefixed(prefix: str, numbers: set[str]) -> list[str]:
    bare = [prefix] if "" in numbers else []
    ranges = _ranges(sorted(numbers - {""}, key=lambda number: (int(number), len(number))))
    if not ranges:
        return bare
    inner = ",".join(ranges)
    return [*bare, f"{prefix}[{inner}]" if len(numbers - {""}) > 1 else prefix + inner]


def _ranges(numbers: list[str]) -> list[str]:
    spans: list[tuple[str, str]] = []
    for number in numbers:
        if spans and number == _next(spans[-1][1]):
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return [first if first == last else f"{first}-{last}" for first, last in spans]


def _next(number: str) -> str:
    return str(int(number) + 1).zfill(len(number))


def grouped(outcomes: Mapping[str, Outcome]) -> tuple[Group, ...]:
    """Nodes with the same exit status, stdout and stderr together, in the order of the first."""
    alike: dict[tuple[object, ...], list[str]] = {}
    for name, outcome in outcomes.items():
        alike.setdefault(_likeness(name, outcome), []).append(name)
    return tuple(Group(folded(names), tuple(names), outcomes[names[0]]) for names in alike.values())


def _likeness(name: str, outcome: Outcome) -> tuple[object, ...]:
    if isinstance(outcome, NodeError):
        return (type(outcome), cause(name, outcome))
    return (outcome.exit_status, outcome.stdout, outcome.stderr)


def cause(name: str, error: NodeError) -> str:
    """What kept us from a node, without the node's name in front."""
    return error.problem.removeprefix(f"{name}: ")


def printable(text: str, keep: str = "") -> str:
    """The text with what a terminal would obey, or not show, spelled out as ``\\x1b``.

    Characters in ``keep``, such as a newline, stay as they are.
    """
    return _INVISIBLE.sub(lambda match: match[0] if match[0] in keep else _spelled(match[0]), text)


def _spelled(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def clipped(text: str, length: int) -> str:
    """The text on one line, printable, with an ellipsis for what is beyond ``length``."""
    line = printable(text.strip())
    return line if len(line) <= length else line[: length - 1] + "…"
