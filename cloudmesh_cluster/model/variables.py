"""What --set can change of a product: a name, a type, a default and a line of help."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from cloudmesh_cluster.model.errors import UsageError

Value = str | int | bool

YES = ("yes", "true", "on", "1")
NO = ("no", "false", "off", "0")
TYPES = ("text", "number", "yes-no", "source")


@dataclass(frozen=True)
class Variable:
    """One thing that --set can change.

    The type is ``text``, ``number`` (whole, not negative), ``yes-no``, or ``source``: a URL, or a
    file on the client that is carried to the master.
    """

    name: str
    default: str = ""
    type: str = "text"
    help: str = ""
    choices: tuple[str, ...] = ()

    def value(self, text: str) -> Value:
        """What the text means; ValueError says what would be taken instead."""
        if self.choices and text not in self.choices:
            raise ValueError(f"takes one of {', '.join(self.choices)}, not {text!r}")
        if self.type == "number":
            return _number(text)
        if self.type == "yes-no":
            return _claim(text)
        if "\n" in text or "\0" in text:
            raise ValueError("takes one line")
        return text


def text(value: object) -> str:
    """A value as --set takes it."""
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise ValueError(f"takes a whole number, not {text!r}")
    return int(text)


def _claim(text: str) -> bool:
    if text.lower() in YES:
        return True
    if text.lower() in NO:
        return False
    raise ValueError(f"takes yes or no, not {text!r}")


def values(
    variables: Sequence[Variable], chosen: Mapping[str, str], whose: str
) -> dict[str, Value]:
    """Every variable's value; UsageError tells everything that is wrong with what was chosen."""
    known = {one.name: one for one in variables}
    problems = [_unknown(name, known, whose) for name in chosen if name not in known]
    found: dict[str, Value] = {}
    for one in variables:
        try:
            found[one.name] = one.value(chosen.get(one.name, one.default))
        except ValueError as error:
            problems.append(f"--set {one.name} {error}")
    if problems:
        has = f"{whose} has: {', '.join(known) or 'no variables'}."
        raise UsageError("\n".join(problems), has)
    return found


def _unknown(name: str, known: Mapping[str, Variable], whose: str) -> str:
    near = get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{whose} has no variable {name}{hint}"


def is_file(text: str) -> bool:
    """Whether a source is a file on the client, not a URL."""
    return bool(text) and "://" not in text
