"""Copy files to nodes and from them: each is there whole or not at all.

Names are words of a command and never part of a script, here as on the nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from cloudmesh_cluster.model.access import Target
from cloudmesh_cluster.model.cluster import Result
from cloudmesh_cluster.model.errors import NodeError
from cloudmesh_cluster.model.names import Outcome, clipped
from cloudmesh_cluster.steps.verify import Runner

HOUR = 3600.0  # seconds that one file may take
PIECE = 2**20  # bytes of a file that are asked of a node at a time
AT_ONCE = 32  # nodes that a file is taken from at a time: each has a piece in our memory

# Arguments: target, the file's own name, permissions, size. A connection that is cut ends the
# file early, so its size is compared.
PUT = r"""
target=$1
case $target in */) target=$target$2 ;; *) [ ! -d "$target" ] || target=$target/$2 ;; esac
case $target in /*) ;; *) target=./$target ;; esac
[ ! -d "$target" ] || { echo "there is a folder of that name" >&2; exit 1; }
trap 'exit 1' HUP INT TERM
new=$(mktemp "${target%/*}/.cm-copy.XXXXXX") || exit
trap 'rm -f "$new"' EXIT
cat >"$new" && [ "$(wc -c <"$new")" -eq "$4" ] || { echo "not all of it came" >&2; exit 1; }
chmod "$3" "$new" && mv -fT "$new" "$target"
"""
# Arguments: the file, how many bytes to leave out, how many to give. What it is comes first, on a
# line, so that a file that changes meanwhile is noticed.
GET = r"""
file=$1
case $file in /*) ;; *) file=./$file ;; esac
[ -f "$file" ] || { echo "there is no such file" >&2; exit 1; }
exec <"$file" || exit
stat -c '%s %.9Y %i %d' - && tail -c +$(($2 + 1)) | head -c "$3"
"""


@dataclass(frozen=True)
class File:
    """A file to be copied to nodes."""

    name: str
    content: bytes
    permissions: int


class Copies(Protocol):
    """Where files from nodes go, each by its node's name."""

    def add(self, node: str, piece: bytes) -> None:
        """Take the next piece."""

    def keep(self, node: str) -> None:
        """The file is whole."""

    def drop(self, node: str) -> None:
        """The file is not wanted; one that was never begun is none."""


class NotCopied(NodeError):
    """A node has not taken or not given a file."""


Troubles = Mapping[str, NodeError]


def put(fleet: Runner[Target], targets: Sequence[Target], file: File, where: str) -> Troubles:
    """Copy a file to nodes; gives the nodes that have it not, and why."""
    words = (where, file.name, f"{file.permissions:o}", str(len(file.content)))
    command = ("sh", "-c", PUT, "sh", *words)
    outcomes = fleet.run(targets, command, stdin=file.content, timeout=HOUR)
    troubles = {name: _trouble(name, one) for name, one in outcomes.items()}
    return {name: one for name, one in troubles.items() if one}


def _trouble(name: str, outcome: Outcome) -> NodeError | None:
    if not isinstance(outcome, Result):
        return outcome
    if not outcome.exit_status:
        return None
    said = clipped(outcome.stderr, 300) or f"exit status {outcome.exit_status}"
    return NotCopied(f"{name}: {said}")


def taken(fleet: Runner[Target], targets: Sequence[Target], file: str, copies: Copies) -> Troubles:
    """Copy a file from nodes; gives the nodes whose file could not be had, and why."""
    troubles: dict[str, NodeError] = {}
    for start in range(0, len(targets), AT_ONCE):
        taking = _Taking(fleet, file, copies, {})
        troubles |= taking.troubles({one.name: one for one in targets[start : start + AT_ONCE]})
    return troubles


@dataclass(frozen=True)
class _Taking:
    """One file of some nodes, piece by piece."""

    fleet: Runner[Target]
    file: str
    copies: Copies
    facts: dict[str, str]  # what each node's file was when its first piece came

    def troubles(self, left: dict[str, Target]) -> Troubles:
        troubles: dict[str, NodeError] = {}
        at = 0
        try:
            while left:
                for name, outcome in self._pieces(left, at).items():
                    try:
                        if self._add(name, outcome, at):
                            self.copies.keep(name)
                            del left[name]
                    except NodeError as error:
                        troubles[name] = error
                        self.copies.drop(name)
                        del left[name]
                at += PIECE
        finally:
            for name in left:
                self.copies.drop(name)
        return troubles

    def _pieces(self, left: Mapping[str, Target], at: int) -> Mapping[str, Outcome]:
        command = ("sh", "-c", GET, "sh", self.file, str(at), str(PIECE))
        return self.fleet.run([*left.values()], command, timeout=HOUR, encoding="latin-1")

    def _add(self, name: str, outcome: Outcome, at: int) -> bool:
        """Whether this piece was the last."""
        if trouble := _trouble(name, outcome):
            raise trouble
        assert isinstance(outcome, Result)
        facts, _, piece = outcome.stdout.partition("\n")
        size = facts.partition(" ")[0]
        if not size.isdecimal() or len(piece) > PIECE:
            raise NotCopied(f"{name}: what it answered is no file")
        whole = at + len(piece) >= int(size)
        if self.facts.setdefault(name, facts) != facts or not (whole or len(piece) == PIECE):
            raise NotCopied(f"{name}: the file changes while it is copied")
        self.copies.add(name, piece.encode("latin-1"))
        return whole
