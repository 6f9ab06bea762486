"""What the verbs do, without the words that were typed and the answer that is printed.

The commands call these functions, and so does ``Cluster``, which is for Python programs: there is
one way of doing each thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cloudmesh_cluster import products
from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.checks import Check, Verdict, decoded
from cloudmesh_cluster.model.cluster import ROLES, WORKER
from cloudmesh_cluster.model.errors import (
    ClusterError,
    NameTaken,
    NoCloud,
    StackNotFound,
    UsageError,
    VerificationFailed,
)
from cloudmesh_cluster.model.history import Run, estimate
from cloudmesh_cluster.model.marks import Thing
from cloudmesh_cluster.model.names import Outcome
from cloudmesh_cluster.model.plan import root_cluster
from cloudmesh_cluster.model.spec import (
    DEFAULT_PRODUCT,
    checked_name,
)
from cloudmesh_cluster.shell import altering, files, finding, ordering, reaching
from cloudmesh_cluster.shell.altering import Change
from cloudmesh_cluster.shell.environment import Cloud, Environment
from cloudmesh_cluster.steps import create as step
from cloudmesh_cluster.steps import delete as deletion
from cloudmesh_cluster.steps import leftovers, power, verify
from cloudmesh_cluster.steps.follow import Seen
from cloudmesh_cluster.steps.layout import numbers
from cloudmesh_cluster.steps.nodes import is_ours, server_ids
from cloudmesh_cluster.steps.order import Asked, Source, checks_of, values_of

HOUR = 3600.0  # seconds that a command on the nodes may take
POWER_MINUTES = 10  # that stop or start may take
# Seconds that what was started at boot may take until checks hold: Hadoop's daemons have needed a
# hundred and fifty on a machine that was busy. Less where the time for all ends sooner.
SERVICES = 300.0
SERVICES_AT_LEAST = 30.0
# A script names its own interpreter, so it has to be a file.
RUN = (
    'f=$(mktemp) && trap \'rm -f "$f"\' EXIT && cat >"$f" && chmod 700 "$f" && '
    'case $(head -c 2 "$f") in "#!") "$f" ;; *) bash "$f" ;; esac'
)


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
    outside = altering.outside(wanted.name, cloud, environment)
    history, product = environment.history(cloud.name), wanted.product.name
    environment.progress.expect(estimate(history.runs(), product, wanted.workers))
    try:
        made = step.create(order, outside, _rescue(order, environment))
    finally:
        environment.progress.expect(None)
    if not made.missing:
        history.add(Run(product, wanted.workers, made.stages))
    return Made(cloud, made)


def _rescue(order: step.Order, environment: Environment) -> step.Rescue | None:
    """What makes a cluster of the nodes that are good, if enough of them are; None: all must be."""
    if not order.quorum:
        return None
    began = environment.clock.now()

    def rescue(seen: Seen, failed: Sequence[str]) -> step.Created | None:
        name, minutes = order.request.name, order.request.timeout_mins
        change = altering.without_failed(name, failed, order.quorum, minutes, environment)
        if change is None:
            return None
        done, seconds = change.altered, environment.clock.now() - began
        stages = {"first try": seconds - done.seconds, "without the failed": done.seconds}
        return step.Created(
            seen.stack_id, done.nodes, done.access, done.verdicts, seconds, stages, tuple(failed)
        )

    return rescue


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


# ---- off and on ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Started:
    """What came of starting: whether there was anything to do, and the verdicts, all passed.

    None: this machine cannot reach the nodes, so nothing was verified.
    """

    anything: bool
    verdicts: tuple[Verdict, ...] | None = None


def stopped(name: str, minutes: int | None, environment: Environment) -> bool:
    """Return when all servers are off; whether there was anything to do."""
    cloud, servers = _servers(name, "stop", environment)
    return power.stopped(name, servers, _power_outside(minutes, cloud, environment))


def started(name: str, minutes: int | None, environment: Environment) -> Started:
    """Return when all servers are on and the cluster is verified.

    Raises PowerFailed, and VerificationFailed with the checks that did not pass.
    """
    cloud, servers = _servers(name, "start", environment)
    outside = _power_outside(minutes, cloud, environment)
    access = None
    try:
        access = finding.access(name, environment)
    except ClusterError as error:
        environment.progress.note(f"It will not be verified: {error.problem}")
    if not power.started(name, servers, outside):
        return Started(anything=False)
    found = _verified(name, servers, access, outside, environment) if access else None
    return Started(anything=True, verdicts=found)


def _servers(name: str, verb: str, environment: Environment) -> tuple[Cloud, Mapping[str, str]]:
    """The cluster's cloud, and the ids of its servers by name."""
    cloud, stack = finding.of_cloud(name, environment)
    if stack.status.endswith("_IN_PROGRESS"):
        raise ClusterError(
            f"Heat is at work on {name} ({stack.status}): nothing was done",
            f"See when that ends: cm cluster events {name} --follow; "
            f"then: cm cluster {verb} {name}",
        )
    servers = server_ids(cloud.heat.resources(stack.id))
    if not servers:
        raise ClusterError(
            f"{name} has no servers ({stack.status})", f"Look at it: cm cluster show {name}"
        )
    return cloud, servers


def _power_outside(minutes: int | None, cloud: Cloud, environment: Environment) -> power.Outside:
    clock = environment.clock
    deadline = clock.now() + 60.0 * (minutes or POWER_MINUTES)
    return power.Outside(cloud.compute, clock, environment.progress, deadline)


def _verified(
    name: str,
    servers: Mapping[str, str],
    access: Access,
    outside: power.Outside,
    environment: Environment,
) -> tuple[Verdict, ...]:
    """The verdicts, all passed; what was started at boot is given time."""
    try:
        with environment.fleet(environment.workspace(name), access) as fleet:
            power.booted(name, servers, access.targets, fleet, outside)
        left = outside.deadline - outside.clock.now()
        patience = max(SERVICES_AT_LEAST, min(SERVICES, left))
        found = verdicts(name, access, None, (), environment, patience=patience)
    except KeyboardInterrupt as error:
        raise power.PowerFailed(
            f"interrupted before {name} was verified; all its servers are ACTIVE",
            f"Verify it: cm cluster test {name}; or back: cm cluster stop {name}",
            codes.INTERRUPTED,
        ) from error
    if failed := [one for one in found if not one.passed]:
        raise VerificationFailed(
            f"{name} is on, but {step.failures(failed)}",
            f"Verify it again: cm cluster test {name}; look around: cm cluster ssh {name}",
        )
    return found


# ---- ending --------------------------------------------------------------------------------------


def deleted(name: str, cloud_name: str | None, environment: Environment) -> None:
    """Return when the cluster is gone, and what the workspace knew of it; scripts and records stay.

    Raises UsageError for a stack that is not ours, and NotDeleted.
    """
    workspace = environment.workspace(checked_name(name))
    try:
        cloud = environment.cloud(cloud_name or workspace.order().get("cloud"))
    except NoCloud:
        workspace.forget()
        environment.progress.note(f"{name}: nothing to delete, there is no cloud")
        return
    doors = deletion.Outside(cloud.heat, cloud.compute, environment.clock, environment.progress)
    try:
        stack = deletion.patiently(doors, lambda: cloud.heat.stack(name))
    except StackNotFound:
        count = _roots_deleted(name, doors)
        count += deletion.unmarked(lambda: _marked(name, cloud), doors)
        workspace.forget()
        environment.progress.close()
        where = f"cloud {cloud.name} has no such cluster"
        left = f"; {count} things that it had left are removed" if count else ""
        environment.progress.note(f"{name}: nothing to delete, {where}{left}")
        return
    if not is_ours(stack):
        raise UsageError(
            f"stack {name} was not made by cm cluster, so it is left alone",
            f"To delete it all the same: openstack stack delete {name}",
        )
    deletion.deleted(stack.id, doors)
    workspace.forget()
    environment.progress.close()
    environment.progress.note(f"{name} is deleted, and nothing of it is left")


def _roots_deleted(name: str, doors: deletion.Outside) -> int:
    """How many root stacks a cluster of that name had left, which are deleted now."""
    stacks = deletion.patiently(doors, doors.heat.stacks)
    roots = [one for one in leftovers.lost_roots(stacks) if root_cluster(one.name) == name]
    for one in roots:
        deletion.deleted(one.id, doors)
    return len(roots)


def _marked(name: str, cloud: Cloud) -> Sequence[Thing]:
    """What is marked as made for stacks of that name that are gone."""
    found = leftovers.orphans(cloud.heat, cloud.compute)
    return [one for one in found if one.mark and one.mark.cluster == name]
