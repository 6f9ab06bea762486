"""Checks: what the user expects of the nodes, read from YAML, run by bash, judged here."""

from __future__ import annotations

import difflib
import math
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import yaml

from cloudmesh_cluster.model.cluster import ROLES, Result
from cloudmesh_cluster.model.errors import UsageError
from cloudmesh_cluster.model.names import clipped

Fill = Callable[[str], str]
Kind = Literal["command", "port", "service", "file", "login"]
T = TypeVar("T")

ALL = "all"
LEAST_SECONDS = 60.0  # a check may run this long even where it must hold at once
KEPT_BYTES = 65536  # of each stream of each check
TIMED_OUT = 124  # as timeout(1) reports it
KILLED = 137  # 128 + SIGKILL: timeout(1) had to insist

_KINDS: tuple[Kind, ...] = ("command", "port", "service", "file")
_OF_COMMANDS = ("exit", "stdout", "contains", "matches")
_KEYS = ("role", *_KINDS, *_OF_COMMANDS, "within")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([smh]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Expectation:
    """What is expected of a command; what is None may be anything."""

    exit_status: int = 0
    stdout: str | None = None
    contains: str | None = None
    matches: str | None = None

    def unmet(self, result: Result) -> str:
        """What is wrong with a result, in one line; empty when nothing is."""
        if result.exit_status != self.exit_status:
            said = _last_line(result.stderr) or _last_line(result.stdout)
            return f"exit status {result.exit_status}, expected {self.exit_status}" + (
                f": {said}" if said else ""
            )
        seen = _quoted(result.stdout)
        if self.stdout is not None and result.stdout.strip() != self.stdout.strip():
            return f"stdout is {seen}, expected {_quoted(self.stdout)}"
        if self.contains is not None and self.contains not in result.stdout:
            return f"stdout is {seen}, expected to contain {_quoted(self.contains)}"
        if self.matches is not None and not _regex(self.matches).search(result.stdout):
            return f"stdout is {seen}, expected to match {_quoted(self.matches)}"
        return ""


@dataclass(frozen=True)
class Check:
    """One thing to find out on every node of a role, and what to expect of it.

    The subject is a command, or the name of a service, a port or a file.
    It must hold ``within`` so many seconds of the start of verification.
    """

    kind: Kind
    subject: str
    role: str = ALL
    expect: Expectation = field(default_factory=Expectation)
    within: float = 0.0

    @property
    def title(self) -> str:
        """A few words for a table; of a command of many lines the first."""
        if self.kind == "login":
            return "ssh login"
        first, *others = self.subject.strip().splitlines()
        return f"{self.kind} {clipped(first + (' …' if others else ''), 48)}"

    @property
    def command(self) -> str:
        """What bash runs on the node."""
        subject = shlex.quote(self.subject)
        match self.kind:
            case "command":
                return self.subject
            case "port":
                return _LISTENING.replace("PORT", f"{int(self.subject):04X}")
            case "service":
                return f"systemctl is-active -- {subject}"
            case "file":
                return f"test -e {subject}"
            case "login":
                return ":"

    def concerns(self, role: str) -> bool:
        """Whether nodes of that role are checked."""
        return self.role in (ALL, role)

    def limit(self, elapsed: float = 0.0) -> float:
        """Seconds one run of it may take, ``elapsed`` seconds after the start."""
        return max(LEAST_SECONDS, self.within - elapsed)

    def judge(self, node: str, result: Result) -> Verdict:
        """Decide from the result alone; never touches a node."""
        unmet = self._unmet(result)
        return Verdict(self, node, passed=not unmet, seen=unmet or self._met(result))

    def _unmet(self, result: Result) -> str:
        if not (unmet := self.expect.unmet(result)):
            return ""
        if result.exit_status in (TIMED_OUT, KILLED) and result.seconds >= LEAST_SECONDS:
            return f"did not end within {result.seconds:.0f} s"
        match self.kind, result.exit_status:
            case "port", 1:
                return f"nothing listens on port {self.subject}"
            case "file", 1:
                return "no such file"
            case "service", _:
                return _last_line(result.stdout) or _last_line(result.stderr) or unmet
        return unmet

    def _met(self, result: Result) -> str:
        match self.kind:
            case "port":
                return "listening"
            case "service":
                return _last_line(result.stdout)
            case "file":
                return "exists"
            case "login":
                return "logged in"
        return _last_line(result.stdout) or f"exit status {result.exit_status}"


LOGIN = Check(kind="login", subject="ssh")


@dataclass(frozen=True)
class Verdict:
    """What came of one check on one node."""

    check: Check
    node: str
    passed: bool
    seen: str
    code: str = ""  # what kept the check from being run there, a code of model/codes.py


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return clipped(lines[-1], 200) if lines else ""


def _quoted(text: str) -> str:
    return f"'{clipped(text, 120)}'"


def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE)


# --- reading -------------------------------------------------------------------------------------


def decoded(data: bytes, source: str) -> str:
    """The text of a file; raises UsageError where it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{source}:{line}: not UTF-8 text") from None


def checks(text: str, *, source: str, fill: Fill) -> tuple[Check, ...]:
    """The checks of an expectations file: a mapping with ``expect:``, or the list alone.

    ``fill`` renders ``{{ workers }}`` and the like, and raises ValueError where it cannot.
    Raises UsageError with all problems, each with its line.
    """
    reader = _Reader(source, fill)
    found = reader.document(_composed(text, source))
    if reader.problems:
        raise UsageError("\n".join(reader.told()))
    return found


def checks_from_node(node: yaml.Node, *, source: str, fill: Fill) -> tuple[Check, ...]:
    """The checks of an ``expect:`` list that is part of a larger file, already composed."""
    found, problems = read_checks(node, source=source, fill=fill)
    if problems:
        raise UsageError("\n".join(problems))
    return found


def read_checks(
    node: yaml.Node, *, source: str, fill: Fill
) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """As checks_from_node, but the problems are returned, to be told with others."""
    reader = _Reader(source, fill)
    found = reader.listed(node)
    return found, reader.told()


def _composed(text: str, source: str) -> yaml.Node:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise UsageError(f"{source}:{line}: not YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UsageError(f"{source}:{line}: not YAML: a character that is not allowed") from None
    except RecursionError:
        raise UsageError(f"{source}:1: not readable: nested too deeply") from None
    if node is None:
        raise UsageError(f"{source}:1: the file is empty", "It should have a list, expect:")
    return node


class _Wrong(Exception):
    """A value that cannot be taken."""


@dataclass(frozen=True)
class _Reader:
    source: str
    fill: Fill
    problems: list[tuple[int, str]] = field(default_factory=list)

    def problem(self, node: yaml.Node, words: str) -> None:
        self.problems.append((node.start_mark.line + 1, words))

    def told(self) -> tuple[str, ...]:
        """The problems as lines, in the order of the file."""
        ordered = sorted(self.problems, key=lambda problem: problem[0])
        return tuple(f"{self.source}:{line}: {words}" for line, words in ordered)

    def document(self, node: yaml.Node) -> tuple[Check, ...]:
        if isinstance(node, yaml.SequenceNode):
            return self.listed(node)
        if not isinstance(node, yaml.MappingNode):
            self.problem(node, "expected a list of checks under expect:")
            return ()
        values = self.mapping(node, ("expect",))
        if "expect" not in values:
            if not self.problems:  # a key that is nearly right has been told of
                self.problem(node, "there is no expect:")
            return ()
        return self.listed(values["expect"])

    def listed(self, node: yaml.Node) -> tuple[Check, ...]:
        if not isinstance(node, yaml.SequenceNode):
            self.problem(node, "expect must be a list of checks, each begun by a dash")
            return ()
        return tuple(check for item in node.value if (check := self.check(item)) is not None)

    def mapping(self, node: yaml.MappingNode, known: Sequence[str]) -> dict[str, yaml.Node]:
        """The values by their keys, with a problem for each key that is unknown or repeated."""
        values: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            if name not in known:
                self.problem(key, _unknown(name, known))
            elif name in values:
                self.problem(key, f"{name} is given twice")
            else:
                values[name] = value
        return values

    def check(self, node: yaml.Node) -> Check | None:
        if not isinstance(node, yaml.MappingNode):
            self.problem(node, "a check is a mapping, such as 'port: 22'")
            return None
        before = len(self.problems)
        values = self.mapping(node, _KEYS)
        kind = self.kind(node, values, clean=len(self.problems) == before)
        take = _Take(self, values)
        check = Check(
            kind=kind,
            subject=take(kind, _SUBJECTS[kind], ""),
            role=take("role", _role, ALL),
            expect=Expectation(
                exit_status=take("exit", _exit_status, 0),
                stdout=take("stdout", str, None),
                contains=take("contains", str, None),
                matches=take("matches", _pattern, None),
            ),
            within=take("within", _seconds, 0.0),
        )
        return check if len(self.problems) == before else None

    def kind(self, node: yaml.Node, values: dict[str, yaml.Node], *, clean: bool) -> Kind:
        given = [kind for kind in _KINDS if kind in values]
        if not given:
            if clean:  # else the kind may be the key that is not known
                self.problem(node, "a check needs one of: " + ", ".join(_KINDS))
            return "command"
        for extra in given[1:]:
            self.problem(values[extra], f"a check has one of {given[0]} and {extra}, not both")
        if given[0] != "command":
            for key in _OF_COMMANDS:
                if key in values:
                    self.problem(values[key], f"{key} goes with a command, not with {given[0]}")
        return given[0]

    def text(self, key: str, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode):
            hint = f'; write {key}: "{{{{ ... }}}}" in quotes' if _braces(node) else ""
            raise _Wrong(f"{key} must be a text{hint}")
        if node.tag == "tag:yaml.org,2002:null":
            raise _Wrong(f'{key} has no value; write "" for an empty text')
        try:
            return self.fill(str(node.value))
        except ValueError as error:
            raise _Wrong(f"{key}: {error}") from None


@dataclass(frozen=True)
class _Take:
    """Takes values out of one check, keeping a problem for each that is wrong."""

    reader: _Reader
    values: dict[str, yaml.Node]

    def __call__(self, key: str, reading: Callable[[str], T], default: T | None) -> T:
        if key not in self.values:
            return default  # type: ignore[return-value]
        node = self.values[key]
        try:
            return reading(self.reader.text(key, node))
        except _Wrong as wrong:
            self.reader.problem(node, str(wrong))
            return default  # type: ignore[return-value]


def _unknown(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "known are: " + ", ".join(known)
    return f"unknown key '{clipped(name, 60)}'; {hint}"


def _braces(node: yaml.Node) -> bool:
    return isinstance(node, yaml.MappingNode) and bool(node.flow_style)


def _filled(what: str) -> Callable[[str], str]:
    def reading(text: str) -> str:
        if not text.strip():
            raise _Wrong(f"{what} is empty")
        if "\0" in text:
            raise _Wrong(f"{what} has a NUL character")
        return text

    return reading


def _port(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,5}", text.strip()) or not 1 <= int(text) <= 65535:
        raise _Wrong(f"port must be a number from 1 to 65535, not '{clipped(text, 40)}'")
    return str(int(text))


def _path(text: str) -> str:
    if not _filled("file")(text).startswith("/"):
        raise _Wrong(f"file must be a path from the root, not '{clipped(text, 60)}'")
    return text


def _role(text: str) -> str:
    if text not in (*ROLES, ALL):
        raise _Wrong(f"role must be master, worker or all, not '{clipped(text, 40)}'")
    return text


def _exit_status(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text.strip()) or int(text) > 255:
        raise _Wrong(f"exit must be a number from 0 to 255, not '{clipped(text, 40)}'")
    return int(text)


def _pattern(text: str) -> str:
    try:
        _regex(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise _Wrong(f"matches is not a regular expression: {error}") from None
    return text


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text.strip())
    if not match or not math.isfinite(float(match[1])):
        raise _Wrong(f"within must be a time such as 90, 120s, 2m or 1h, not '{clipped(text, 40)}'")
    return float(match[1]) * _UNITS[match[2]]


_SUBJECTS: dict[Kind, Callable[[str], str]] = {
    "command": _filled("command"),
    "port": _port,
    "service": _filled("service"),
    "file": _path,
}


# --- the node's side -----------------------------------------------------------------------------

# A socket that listens has state 0A in /proc/net/tcp; its port is hexadecimal there. Bash alone,
# since a small image need not have ss.
_LISTENING = """\
for table in /proc/net/tcp /proc/net/tcp6; do
  [ -r "$table" ] || continue
  while read -r _ local _ state _; do
    [ "$state" = 0A ] && [ "${local##*:}" = PORT ] && exit 0
  done <"$table"
done
exit 1"""

# Each check runs beside the others, with its own files for output: a pipe would keep us waiting
# for what a check leaves behind in the background. The frames are told by byte lengths, so what
# a check prints is never taken for a frame. Bash itself reads the files (up to a NUL, which it
# cannot hold): two processes fewer for each check.
_BEGIN = """\
umask 077
at=$(mktemp -d 2>/dev/null || mktemp -d -p /dev/shm) || exit 125
trap 'rm -rf "$at"' EXIT
now() { clock=${EPOCHREALTIME:-$SECONDS.000000}; clock=${clock/[.,]/}; }
check() {
  now; local began=$clock
  timeout -k 1 "$2" bash -c "$3" </dev/null >"$at/$1.out" 2>"$at/$1.err"
  local status=$?
  now; printf '%s %s' "$status" "$((clock - began))" >"$at/$1.end"
}
kept() {
  local LC_ALL=C piece
  text=
  while IFS= read -r -d '' -n "$((room - ${#text}))" piece; do
    text+=$piece
    [ "${#text}" -lt "$room" ] || return
    [ -n "$piece" ] || text+=' '
  done <"$1"
  text+=$piece
}
frame() {
  local LC_ALL=C text out err
  kept "$at/$1.out"; out=$text
  kept "$at/$1.err"; err=$text
  printf '%s %s %s %s\\n%s%s\\n' "$1" "$(<"$at/$1.end")" "${#out}" "${#err}" "$out" "$err"
}
"""
_MAGIC = b"cm checks 1\n"
_HEADER = re.compile(rb"([0-9]{1,9}) ([0-9]{1,9}) (-?[0-9]{1,18}) ([0-9]{1,9}) ([0-9]{1,9})\n")


def script(checks: Sequence[Check], elapsed: float = 0.0) -> str:
    """One bash script that runs all the checks; ``results`` reads what it prints.

    ``elapsed`` is in seconds since verification began.
    """
    runs = [
        f"check {index} {check.limit(elapsed):.3f} {shlex.quote(check.command)} &\n"
        for index, check in enumerate(checks)
    ]
    frames = [f"frame {index}\n" for index in range(len(checks))]
    room = f"room={KEPT_BYTES}\n"
    magic = f"echo {shlex.quote(_MAGIC.decode().rstrip())}\n"
    return "".join([_BEGIN, room, *runs, "wait\n", magic, *frames])


def results(output: bytes, count: int) -> tuple[Result, ...]:
    """What each of ``count`` checks came to, from the output of their script.

    Raises ValueError where the output is not whole.
    """
    start = output.find(_MAGIC)  # a login shell's own chatter may come first
    if start < 0:
        raise ValueError("the node's answer has no results")
    at = start + len(_MAGIC)
    found: list[Result] = []
    for index in range(count):
        result, at = _framed(output, at, index)
        found.append(result)
    return tuple(found)


def _framed(output: bytes, at: int, index: int) -> tuple[Result, int]:
    header = _HEADER.match(output, at)
    if header is None or int(header[1]) != index:
        raise ValueError(f"the node's answer has no result {index}")
    status, microseconds, out, err = (int(number) for number in header.groups()[1:])
    middle, end = header.end() + out, header.end() + out + err
    if output[end : end + 1] != b"\n":
        raise ValueError(f"the node's answer is cut short in result {index}")
    return Result(
        exit_status=status,
        stdout=output[header.end() : middle].decode("utf-8", "replace"),
        stderr=output[middle:end].decode("utf-8", "replace"),
        seconds=microseconds / 1e6,
    ), end + 1
