"""Clusters from Python: ``from cloudmesh_cluster import Cluster``."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cloudmesh_cluster import api
from cloudmesh_cluster.model.checks import Verdict
from cloudmesh_cluster.model.cluster import Node
from cloudmesh_cluster.model.errors import ClusterError, ExitStatus, UsageError
from cloudmesh_cluster.model.names import Outcome
from cloudmesh_cluster.model.spec import NUMBERS, Spec, checked_network, checked_share
from cloudmesh_cluster.model.timeline import Timeline
from cloudmesh_cluster.shell import altering, files, finding, ordering, timing
from cloudmesh_cluster.shell.environment import Environment

Role = Literal["master", "worker", "all"]
Name = str | Path  # of a file


@dataclass(frozen=True)
class Cluster:
    """A cluster by its name; no cloud is asked before a method needs it.

    The methods do what the commands of their names do. Every trouble is raised as a ClusterError,
    with its ``problem``, ``next_step`` and ``code``. Progress goes to stderr, unless the cluster
    is ``quiet``.
    """

    name: str
    quiet: bool = False

    @classmethod
    def create(
        cls,
        name: str,
        *,
        product: str | None = None,
        workers: int | None = None,
        cloud: str | None = None,
        image: str | None = None,
        flavor: str | None = None,
        master_flavor: str | None = None,
        network: str | None = None,
        external_network: str | None = None,
        ssh_from: str | None = None,
        key: Name | None = None,
        expect: Sequence[Name] = (),
        set: Mapping[str, object] | None = None,
        file: Name | None = None,
        timeout: int | None = None,
        expires: str | None = None,
        min_ready: str | int | None = None,
        keep: bool = False,
        quiet: bool = False,
    ) -> Cluster:
        """Make a cluster, wire and verify it; the options are those of ``cm cluster create``.

        One that is half made is gone on with, and one that is there already is verified. Raises
        CreateFailed when it has been rolled back; an interruption rolls back too.
        """
        options = Spec(
            product=product,
            workers=_number("workers", workers),
            cloud=cloud,
            image=image,
            flavor=flavor,
            master_flavor=master_flavor,
            network=network,
            external_network=external_network,
            ssh_from=None if ssh_from is None else checked_network(ssh_from, "ssh_from"),
            key=None if key is None else str(key),
            timeout=_number("timeout", timeout),
            expires=_number("expires", expires),
            min_ready=None if min_ready is None else checked_share(str(min_ready), "min_ready"),
            values={one: _setting(value) for one, value in (set or {}).items()},
        )
        cluster = cls(name, quiet)
        with cluster._environment() as environment:
            wanted = ordering.wanted(
                name,
                options,
                file=None if file is None else str(file),
                expect=[str(one) for one in expect],
                environment=environment,
            )
            api.created(wanted, environment, keep=keep)
        return cluster

    def write(self, role: Literal["master", "worker"], script: str | bytes | Path) -> Path:
        """Keep a role's script, which runs at first boot or by ``update``; gives where."""
        with self._environment() as environment:
            return api.written(self.name, role, _content(script), environment)

    def nodes(self) -> tuple[Node, ...]:
        """The nodes, the master first, with what Nova says of each."""
        with self._environment() as environment:
            return finding.cluster(self.name, environment).nodes

    def test(self, *, role: Role = "all", expect: Sequence[Name] = ()) -> tuple[Verdict, ...]:
        """Run the expectations again, and those given; one verdict for each check on each node."""
        given = [(str(one), files.text(str(one))) for one in expect]
        with self._environment() as environment:
            access = finding.access(self.name, environment)
            return api.verdicts(self.name, access, _chosen(role), given, environment)

    def run(
        self,
        command: str = "",
        *,
        script: str | bytes | Path = b"",
        role: Role = "all",
        nodes: Sequence[str] = (),
        timeout: float = api.HOUR,
    ) -> dict[str, Outcome]:
        """What a command, or a script, came to on each node of the role, or on those named.

        A node that could not be asked has its NodeError in place of a Result, so that what the
        others said is not lost.
        """
        stdin = _content(script)
        if bool(command) == bool(stdin):
            raise UsageError("run takes a command or a script, one of them")
        with self._environment() as environment:
            access = finding.access(self.name, environment)
            targets = access.of(_chosen(role))
            if nodes:
                targets = tuple(finding.node(one, self.name, access) for one in nodes)
            return api.outcomes(
                self.name,
                access,
                targets,
                (command or api.RUN, stdin),
                timeout=timeout,
                environment=environment,
            )

    def update(
        self,
        *,
        workers: int | None = None,
        remove: Sequence[str] = (),
        set: Mapping[str, object] | None = None,
        image: str | None = None,
        flavor: str | None = None,
        file: Name | None = None,
        min_ready: str | int | None = None,
        allow_replace: bool = False,
        timeout: int | None = None,
    ) -> None:
        """Grow, shrink or change the cluster; without options, run scripts that were written since.

        Raises AlterFailed when the cluster is what it was.
        """
        options = Spec(
            workers=_number("workers", workers),
            image=image,
            flavor=flavor,
            timeout=_number("timeout", timeout),
            min_ready=None if min_ready is None else checked_share(str(min_ready), "min_ready"),
            values={one: _setting(value) for one, value in (set or {}).items()},
        )
        with self._environment() as environment:
            altering.updated(
                self.name,
                altering.over_file(options, None if file is None else str(file)),
                ",".join(remove),
                environment,
                allow_replace=allow_replace,
            )

    def repair(self, *nodes: str) -> None:
        """Have the nodes made anew that are broken, or those that are named."""
        with self._environment() as environment:
            altering.repaired(self.name, nodes, environment)

    def timeline(self) -> Timeline:
        """When each node reached each stage; of a cluster that is gone, as its record tells."""
        with self._environment() as environment:
            return timing.found(self.name, environment)

    def stop(self, *, timeout: int | None = None) -> None:
        """Shut the servers down; they keep their disks and addresses. ``timeout`` is in minutes."""
        with self._environment() as environment:
            api.stopped(self.name, _number("timeout", timeout), environment)

    def start(self, *, timeout: int | None = None) -> tuple[Verdict, ...]:
        """Start the servers again and verify the cluster; no verdict where nothing was to do.

        Raises VerificationFailed when a check does not pass. ``timeout`` is in minutes.
        """
        with self._environment() as environment:
            return api.started(self.name, _number("timeout", timeout), environment).verdicts or ()

    def delete(self, *, cloud: str | None = None) -> None:
        """Delete the cluster to its end; one that is gone already is deleted."""
        with self._environment() as environment:
            api.deleted(self.name, cloud, environment)

    @contextmanager
    def _environment(self) -> Iterator[Environment]:
        """What a command would find around it, without a stdin; ``quiet`` hears no progress."""
        environment = Environment(
            environ=os.environ,
            home=Path.home(),
            stdin=io.BytesIO(),
            stdout=sys.stdout,
            stderr=io.StringIO() if self.quiet else sys.stderr,
        )
        try:
            yield environment
        except ClusterError as error:
            if error.exit_status == ExitStatus.INTERRUPTED:
                raise KeyboardInterrupt(str(error)) from error
            raise
        finally:
            environment.progress.close()


def _number(option: str, given: int | str | None) -> int | None:
    """An option that is a number in a spec, as its text would be read."""
    return None if given is None else NUMBERS[option](str(given), option)


def _setting(value: object) -> str:
    """A product's setting as it would be typed."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _content(script: str | bytes | Path) -> bytes:
    """The bytes of a script, which is given as such, as a text or by its file."""
    if isinstance(script, Path):
        return files.content(str(script))
    return script.encode() if isinstance(script, str) else script


def _chosen(role: str) -> str | None:
    """The role; None is all."""
    return None if role == "all" else files.role(role, "all")
