"""``cm cluster copy``: files of this machine to nodes, or files of nodes to this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cloudmesh_cluster.model.access import Target
from cloudmesh_cluster.model.errors import ClusterError, ExitStatus, NodeError, UsageError
from cloudmesh_cluster.model.names import cause, clipped, grouped, printable
from cloudmesh_cluster.shell import files, finding, reaching
from cloudmesh_cluster.shell.environment import Environment
from cloudmesh_cluster.steps.copy import File, put, taken
from cloudmesh_cluster.steps.verify import Runner

LINE = 500  # characters of a node's reason that are told


def copy(arguments: Mapping[str, Any], environment: Environment) -> int:
    """Copy every file; UNVERIFIED names the nodes that failed one of them."""
    name, names, target = arguments["NAME"], arguments["FILE"], arguments["TARGET"]
    role = arguments["--role"]
    chosen = None if role == "all" else files.role(role, "all")
    backwards = arguments["--from"]
    _refuse_mistakes(names, target, backwards)
    where = f"{target}/" if len(names) > 1 and not backwards else target
    access = finding.access(name, environment)
    targets = access.of(chosen)
    failures = 0
    copied = _from if backwards else _to
    with reaching.fleet(name, access, environment) as fleet:
        for one in names:
            failures += _tell(one, len(targets), copied(fleet, targets, one, where), environment)
    return ExitStatus.UNVERIFIED if failures else ExitStatus.DONE


def _to(
    fleet: Runner[Target], targets: Sequence[Target], name: str, where: str
) -> Mapping[str, NodeError]:
    path = Path(name)
    try:
        file = File(path.name, path.read_bytes(), path.stat().st_mode & 0o777)
    except OSError as error:
        raise ClusterError(f"{name}: cannot be read: {error.strerror}") from error
    return put(fleet, targets, file, where)


def _from(
    fleet: Runner[Target], targets: Sequence[Target], name: str, where: str
) -> Mapping[str, NodeError]:
    return taken(fleet, targets, name, Folders(Path(where), PurePosixPath(name).name))


def _tell(
    name: str, nodes: int, troubles: Mapping[str, NodeError], environment: Environment
) -> int:
    for group in grouped(troubles):
        assert isinstance(group.outcome, NodeError)
        words = cause(group.names[0], group.outcome)
        environment.progress.note(f"{group.label}: {clipped(words, LINE)}")
    done = nodes - len(troubles)
    environment.progress.note(f"{printable(name)}: copied, {done} of {nodes} nodes")
    return len(troubles)


def _refuse_mistakes(names: Sequence[str], target: str, backwards: bool) -> None:
    """UsageError before any node is asked."""
    refuse = _refuse_nameless if backwards else _refuse_unreadable
    for one in (*names, target):
        _refuse_unsendable(one)
    for one in names:
        refuse(one)
    last = [PurePosixPath(one).name for one in names]
    if twice := [one for one in last if last.count(one) > 1]:
        raise UsageError(f"two files are called {twice[0]!r}, and one would replace the other")


def _refuse_unsendable(name: str) -> None:
    if not name or "\0" in name or any("\ud800" <= one <= "\udfff" for one in name):
        raise UsageError(f"{name!r} is no name that can be sent to a node")


def _refuse_unreadable(name: str) -> None:
    path = Path(name)
    if path.is_dir():
        raise UsageError(
            f"{name} is a folder, and copy takes files",
            "Pack it: tar -czf folder.tar.gz FOLDER; or use rsync with cm cluster inventory.",
        )
    if not path.is_file():
        raise UsageError(f"{name}: there is no such file")
    if not os.access(path, os.R_OK):
        raise UsageError(f"{name}: cannot be read")


def _refuse_nameless(name: str) -> None:
    if name.endswith("/") or PurePosixPath(name).name in ("", ".."):
        raise UsageError(f"{name} is a folder, and copy takes files")


@dataclass(frozen=True)
class Folders:
    """A folder with one folder for each node, in which the node's file is."""

    folder: Path
    name: str

    def add(self, node: str, piece: bytes) -> None:
        """Take the next piece, under another name than the file will have."""
        new = self._new(node)
        try:
            new.parent.mkdir(parents=True, exist_ok=True)
            with new.open("ab") as out:
                out.write(piece)
        except OSError as error:
            raise ClusterError(f"{new.parent} cannot be written: {error.strerror}") from error

    def keep(self, node: str) -> None:
        """Give the whole file its name."""
        try:
            self._new(node).replace(self.folder / node / self.name)
        except OSError as error:
            raise ClusterError(f"{self.folder / node / self.name}: {error.strerror}") from error

    def drop(self, node: str) -> None:
        """Remove what was taken so far."""
        self._new(node).unlink(missing_ok=True)

    def _new(self, node: str) -> Path:
        return self.folder / node / f".cm-copy.{os.getpid()}"
