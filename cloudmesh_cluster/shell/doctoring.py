"""Look after a project: what clusters that are no more have left, and who has expired or failed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudmesh_cluster.model import marks
from cloudmesh_cluster.model.cluster import Stack
from cloudmesh_cluster.model.errors import ClusterError, ExitStatus, NoCloud, StackNotFound
from cloudmesh_cluster.model.marks import Thing
from cloudmesh_cluster.model.plan import root_cluster
from cloudmesh_cluster.shell import answers, output
from cloudmesh_cluster.shell.environment import Cloud, Environment
from cloudmesh_cluster.steps import delete, leftovers
from cloudmesh_cluster.steps.nodes import is_ours

Arguments = Mapping[str, Any]
Row = dict[str, object]
FIX = "cm cluster doctor --fix"


@dataclass(frozen=True)
class Found:
    """All that is not as it should be."""

    expired: tuple[Stack, ...]
    failed: tuple[Stack, ...]
    roots: tuple[Stack, ...]  # without the one that has the cluster's name
    things: tuple[Thing, ...]
    workspaces: tuple[str, ...]

    @property
    def rows(self) -> list[Row]:
        """A row for each."""
        return [
            *map(_expired, self.expired),
            *map(_failed, self.failed),
            *map(_lost_root, self.roots),
            *map(_orphan, self.things),
            *map(_lost, self.workspaces),
        ]


def doctor(arguments: Arguments, environment: Environment) -> int:
    """Tell what is wrong, then mend it if that is asked for; FAILED if something is left."""
    format = arguments["--format"]
    try:
        cloud = environment.cloud(arguments["--cloud"])
    except NoCloud as error:
        environment.progress.note(error.problem)
        environment.answer(output.answer([], answers.FINDING, format))
        return ExitStatus.DONE
    found = _found(cloud, environment)
    environment.answer(output.answer(found.rows, answers.FINDING, format))
    environment.stdout.flush()  # it is to be read before anything is removed
    left = _left_after_fixing(found, cloud, environment) if arguments["--fix"] else found.rows
    environment.progress.close()
    environment.progress.note(_summary(len(found.rows), len(left), fixed=arguments["--fix"]))
    return ExitStatus.FAILED if left else ExitStatus.DONE


def _summary(found: int, left: int, *, fixed: bool) -> str:
    if not found:
        return "Nothing is left of any cluster, and none has failed or expired."
    if not fixed:
        return f"{found} found."
    return f"{found} found, {found - left} mended, {left} left."


# ---- looking -------------------------------------------------------------------------------------


def _found(cloud: Cloud, environment: Environment) -> Found:
    workspaces = _workspaces(environment)
    things = leftovers.orphans(cloud.heat, cloud.compute)
    stacks = cloud.heat.stacks()
    project = cloud.compute.project
    expired = leftovers.expired(stacks, time.time())
    lost = leftovers.lost_workspaces(workspaces, stacks, cloud=cloud.name, project=project)
    return Found(
        expired=tuple(expired),
        failed=tuple(one for one in leftovers.failed(stacks) if one not in expired),
        roots=tuple(leftovers.lost_roots(stacks)),
        things=things,
        workspaces=tuple(lost),
    )


def _workspaces(environment: Environment) -> list[leftovers.Workspace]:
    """Those that know a cluster; one that cannot be read is none of our business here."""
    found = []
    for name, workspace in environment.workspaces().items():
        age = workspace.age
        if age is not None:
            found.append(leftovers.Workspace(name, workspace.order(), age))
    return found


def _expired(stack: Stack) -> Row:
    end = marks.moment(marks.expires(stack.tags) or 0)
    return _row(
        "cluster",
        stack.name,
        stack.name,
        f"it has expired at {end} ({stack.status})",
        f"cm cluster delete {stack.name}, or {FIX}",
        stack.id,
    )


def _failed(stack: Stack) -> Row:
    reason = f": {stack.reason}" if stack.reason else ""
    on = f"cm cluster create {stack.name}, or " if stack.status != "DELETE_FAILED" else ""
    steps = f"cm cluster explain {stack.name}; {on}cm cluster delete {stack.name}"
    return _row("cluster", stack.name, stack.name, f"{stack.status}{reason}", steps, stack.id)


def _lost_root(stack: Stack) -> Row:
    problem = "the cluster that it is a part of is gone"
    return _row("stack", stack.name, root_cluster(stack.name), problem, FIX, stack.id)


def _orphan(thing: Thing) -> Row:
    assert thing.mark is not None  # by it the thing was found
    name = thing.name or thing.id
    id = thing.id if thing.id != name else ""
    return _row(thing.kind, name, thing.mark.cluster, "its stack is gone", FIX, id)


def _lost(name: str) -> Row:
    return _row("workspace", name, name, "this machine has keys for it, the cloud has no such "
                "cluster", f"cm cluster delete {name}, or {FIX}", "")  # fmt: skip


def _row(kind: str, name: str, cluster: str, problem: str, next_step: str, id: str) -> Row:
    values = (kind, name, cluster, problem, next_step, id)
    return dict(zip(answers.FINDING, values, strict=True))


# ---- mending -------------------------------------------------------------------------------------


def _left_after_fixing(found: Found, cloud: Cloud, environment: Environment) -> Sequence[str]:
    """What could not be mended, and the clusters that failed: those are somebody's still."""
    left = [f"cluster {one.name}: {one.status}" for one in found.failed]
    left += _troubles(found.expired, cloud, environment)
    left += _root_troubles(found.roots, cloud, environment)
    outside = leftovers.Outside(cloud.compute, environment.clock, environment.progress)
    if found.things:
        for thing, why in leftovers.removed(found.things, outside).items():
            left.append(f"{thing.kind} {thing.name or thing.id}: {why}")
    for name in found.workspaces:
        workspace = environment.workspace(name)
        if (workspace.age or 0) >= leftovers.YOUNG:  # else a create of that name has begun since
            workspace.forget()
    environment.progress.close()
    for one in left:
        environment.progress.note(f"left: {one}")
    return left


def _root_troubles(stacks: Iterable[Stack], cloud: Cloud, environment: Environment) -> list[str]:
    """Delete what clusters that are gone have left of their root stacks; what came in the way."""
    doors = _doors(cloud, environment)
    troubles = []
    for stack in stacks:
        try:
            delete.deleted(stack.id, doors)
        except ClusterError as error:
            troubles.append(f"stack {stack.name}: {error.problem}")
    return troubles


def _doors(cloud: Cloud, environment: Environment) -> delete.Outside:
    return delete.Outside(cloud.heat, cloud.compute, environment.clock, environment.progress)


def _troubles(stacks: Iterable[Stack], cloud: Cloud, environment: Environment) -> list[str]:
    """Delete the clusters that have expired; what came in the way."""
    doors = _doors(cloud, environment)
    troubles = []
    for stack in stacks:
        try:
            if not is_ours(cloud.heat.stack(stack.id)):
                troubles.append(f"stack {stack.name}: cm cluster did not make it")
                continue
            delete.deleted(stack.id, doors)
        except StackNotFound:
            pass  # somebody was faster
        except ClusterError as error:
            troubles.append(f"cluster {stack.name}: {error.problem}")
            continue
        order = environment.workspace(stack.name).order()
        if order.get("cloud") == cloud.name and order.get("project") == cloud.compute.project:
            environment.workspace(stack.name).forget()
    return troubles
