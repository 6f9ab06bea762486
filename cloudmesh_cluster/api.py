"""Clusters from Python: ``from cloudmesh_cluster import Cluster``.

The functions are what the commands do, without the words that were typed and the answer that is
printed: the commands call them as well, so there is one way of doing each thing.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cloudmesh_cluster import products
from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.checks import Check, Verdict, decoded
from cloudmesh_cluster.model.cluster import ROLES, WORKER, Node
from cloudmesh_cluster.model.errors import (
    ExitStatus,
    NameTaken,
    NoCloud,
    StackNotFound,
    UsageError,
)
from cloudmesh_cluster.model.history import Run, estimate
from cloudmesh_cluster.model.names import Outcome
from cloudmesh_cluster.model.spec import (
    DEFAULT_PRODUCT,
    NUMBERS,
    Spec,
    checked_name,
    checked_network,
)
from cloudmesh_cluster.model.timeline import Timeline
from cloudmesh_cluster.shell import altering, files, finding, ordering, reaching, timing
from cloudmesh_cluster.shell.altering import Change
from cloudmesh_cluster.shell.environment import Cloud, Environment
from cloudmesh_cluster.steps import create as step
from cloudmesh_cluster.steps import delete as deletion
from cloudmesh_cluster.steps import verify
from cloudmesh_cluster.steps.alter import AlterFailed
from cloudmesh_cluster.steps.layout import numbers
from cloudmesh_cluster.steps.nodes import is_ours
from cloudmesh_cluster.steps.order import Asked, Source, checks_of, values_of

Role = Literal["master", "worker", "all"]
Name = str | Path  # of a file

HOUR = 3600.0  # seconds that a command on the nodes may take
# A script names its own interpreter, so it has to be a file.
RUN = (
    'f=$(mktemp) && trap \'rm -f "$f"\' EXIT && cat >"$f" && chmod 700 "$f" && '
    'case $(head -c 2 "$f") in "#!") "$f" ;; *) bash "$f" ;; esac'
)


@dataclass(frozen=True)
class Cluster:
    """A cluster by its name; no cloud is asked before a method needs it.

    Every trouble is raised as a ClusterError, with its ``problem`` and ``next_step``. Progress
    goes to stderr, unless the cluster is ``quiet``.
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
        keep: bool = False,
        quiet: bool = False,
    ) -> Cluster:
        """Make a cluster, wire and verify it; the options are those of ``cm cluster create``.

        Raises CreateFailed when it has been rolled back; an interruption rolls back too.
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
            created(wanted, environment, keep=keep)
        return cluster

    def write(self, role: Literal["master", "worker"], script: str | bytes | Path) -> Path:
        """Keep a role's script, which runs at first boot; gives where it is kept."""
        with self._environment() as environment:
            return written(self.name, role, _content(script), environment)

    def nodes(self) -> tuple[Node, ...]:
        """The nodes, the master first, with what Nova says of each."""
        with self._environment() as environment:
            return finding.cluster(self.name, environment).nodes

    def test(self, *, role: Role = "all", expect: Sequence[Name] = ()) -> tuple[Verdict, ...]:
        """Run the expectations again, and those given; one verdict for each check on each node."""
        given = [(str(one), files.text(str(one))) for one in expect]
        with self._environment() as environment:
            access = finding.access(self.name, environment)
            return verdicts(self.name, access, _chosen(role), given, environment)

    def run(
        self,
        command: str = "",
        *,
        script: str | bytes | Path = b"",
        role: Role = "all",
        nodes: Sequence[str] = (),
        timeout: float = HOUR,
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
            return outcomes(
                self.name,
                access,
                targets,
                (command or RUN, stdin),
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
            values={one: _setting(value) for one, value in (set or {}).items()},
        )
        with self._environment() as environment:
            altering.updated(
                self.name, options, ",".join(remove), environment, allow_replace=allow_replace
            )

    def repair(self, *nodes: str) -> None:
        """Have the nodes made anew that are broken, or those that are named."""
        with self._environment() as environment:
            altering.repaired(self.name, nodes, environment)

    def timeline(self) -> Timeline:
        """When each node reached each stage; of a cluster that is gone, from its newest record."""
        with self._environment() as environment:
            return timing.found(self.name, environment)

    def delete(self, *, cloud: str | None = None) -> None:
        """Delete the cluster to its end; one that is gone already is deleted."""
        with self._environment() as environment:
            deleted(self.name, cloud, environment)

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
        except (step.CreateFailed, AlterFailed) as error:
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


# ---- making --------------------------------------------------------------------------------------


def created(wanted: Asked, environment: Environment, *, keep: bool = False) -> Made:
    """The cluster that was asked for, verified, and the cloud that it is on.

    One that is there is gone on with. Raises NameTaken, DoesNotFit and what the choice of image,
    flavor and network raises before anything is made; CreateFailed when all that was made is gone
    again, or kept.
    """
    cloud = environment.cloud(wanted.spec.cloud, new=True)
    if is_there(wanted.name, cloud):
        return Made(cloud, change=altering.resumed(wanted, environment, keep=keep))
    order = ordering.order(wanted, cloud, environment, keep=keep)
    workspace = environment.workspace(wanted.name)
    outside = step.Outside(
        heat=cloud.heat,
        compute=cloud.compute,
        workspace=workspace,
        connects=lambda access: environment.fleet(workspace, access),
        clock=environment.clock,
        progress=environment.progress,
    )
    history, product = environment.history(cloud.name), wanted.product.name
    environment.progress.expect(estimate(history.runs(), product, wanted.workers))
    try:
        made = step.create(order, outside)
    finally:
        environment.progress.expect(None)
    history.add(Run(product, wanted.workers, made.stages))
    return Made(cloud, made)


@dataclass(frozen=True)
class Made:
    """What create has made, or done to what was there, and where; nothing if that was whole."""

    cloud: Cloud
    created: step.Created | None = None
    change: Change | None = None


def is_there(name: str, cloud: Cloud) -> bool:
    """Whether there is a cluster of that name; NameTaken when a stack has it that is not ours."""
    try:
        stack = cloud.heat.stack(name)
    except StackNotFound:
        return False
    if is_ours(stack):
        return True
    raise NameTaken(
        f"the name {name} is taken by a stack that cm cluster did not make",
        "Choose another name; that stack is left alone.",
    )


def written(name: str, role: str, script: bytes, environment: Environment) -> Path:
    """Keep a role's script, byte by byte; gives where."""
    workspace = environment.workspace(checked_name(name))
    if not decoded(script, "the script").strip():
        raise UsageError("the script is empty")
    where = workspace.save_script(files.role(role), script)
    environment.progress.note(f"{len(script)} bytes for {name}'s {role} role, kept in {where}")
    if workspace.order():
        environment.progress.note(
            f"{name} is there already: to run it on its nodes, cm cluster update {name}"
        )
    return where


# ---- asking --------------------------------------------------------------------------------------


def verdicts(
    name: str,
    access: Access,
    role: str | None,
    given: Sequence[Source],
    environment: Environment,
    *,
    patience: float = 0.0,
) -> tuple[Verdict, ...]:
    """The verdicts of what was expected when the cluster was made, and of what is given now.

    No check is given up before ``patience`` seconds have passed.
    """
    targets = {one: access.of(one) for one in ROLES if role in (None, one)}
    wanted = [
        replace(one, within=max(one.within, patience))
        for one in checks(name, access, environment, given)
    ]
    with reaching.fleet(name, access, environment) as fleet:
        return verify.verdicts(targets, wanted, fleet, environment.clock, environment.progress)


def checks(
    name: str, access: Access, environment: Environment, given: Sequence[Source] = ()
) -> tuple[Check, ...]:
    """What create was told to expect, else what the product does, and what is given now."""
    order = environment.workspace(name).order()
    places = products.folders(environment.products_folder)
    product = products.product(order.get("product", DEFAULT_PRODUCT), places)
    own = product.expectations()
    kept = [(one["source"], one["text"]) for one in order.get("expect", [])]
    if not order and own:
        kept = [(own[1], own[0])]
    workers = numbers([one.name for one in access.of(WORKER)])
    values = values_of(name, workers, order.get("values") or product.values({}))
    return checks_of([*kept, *given], values)


def outcomes(
    name: str,
    access: Access,
    targets: Sequence[Target],
    command: tuple[str, bytes],
    *,
    timeout: float = HOUR,
    environment: Environment,
) -> dict[str, Outcome]:
    """What a command, with its stdin, came to on each of these nodes, by name."""
    words, stdin = command
    environment.progress.stage("nodes answered", 0, len(targets))
    done = iter(range(1, len(targets) + 1))
    with reaching.fleet(name, access, environment) as fleet:
        return fleet.run(
            targets,
            words,
            stdin=stdin,
            timeout=timeout,
            answered=lambda *_: environment.progress.stage(
                "nodes answered", next(done), len(targets)
            ),
        )


# ---- ending --------------------------------------------------------------------------------------


def deleted(name: str, cloud_name: str | None, environment: Environment) -> None:
    """Return when the cluster is gone, and what the workspace knew of it; scripts and records stay.

    Raises UsageError for a stack that is not ours, and NotDeleted.
    """
    workspace = environment.workspace(checked_name(name))
    where = "there is no cloud"
    try:
        cloud = environment.cloud(cloud_name or workspace.order().get("cloud"))
        where = f"cloud {cloud.name} has no such cluster"
        stack = cloud.heat.stack(name)
    except (NoCloud, StackNotFound):
        workspace.forget()
        environment.progress.note(f"{name}: nothing to delete, {where}")
        return
    if not is_ours(stack):
        raise UsageError(
            f"stack {name} was not made by cm cluster, so it is left alone",
            f"To delete it all the same: openstack stack delete {name}",
        )
    doors = deletion.Outside(cloud.heat, cloud.compute, environment.clock, environment.progress)
    deletion.deleted(stack.id, doors)
    workspace.forget()
    environment.progress.close()
    environment.progress.note(f"{name} is deleted, and nothing of it is left")
