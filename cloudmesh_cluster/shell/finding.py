"""Find a cluster that exists: its stack, its nodes, and how to reach them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.cluster import Node, Stack
from cloudmesh_cluster.model.errors import (
    CloudError,
    ClusterError,
    NoCluster,
    NotFound,
    StackNotFound,
)
from cloudmesh_cluster.model.names import folded
from cloudmesh_cluster.model.spec import checked_name
from cloudmesh_cluster.render import TAG
from cloudmesh_cluster.shell.environment import Cloud, Environment
from cloudmesh_cluster.steps import nodes as of_stack
from cloudmesh_cluster.steps.power import GONE
from cloudmesh_cluster.steps.reports import signalled


@dataclass(frozen=True)
class Cluster:
    """A cluster as its cloud tells of it."""

    name: str
    cloud: Cloud
    stack: Stack
    nodes: tuple[Node, ...]
    access: Access

    @property
    def product(self) -> str:
        """What is installed, as the stack tells; empty where it does not."""
        told = self.stack.outputs.get("cm_cluster")
        return str(told.get("product", "")) if isinstance(told, Mapping) else ""


def cluster(name: str, environment: Environment) -> Cluster:
    """The cluster of that name; NoCluster lists those that there are.

    What the workspace does not know of its nodes' host keys, Heat's signals tell.
    """
    cloud, stack = of_cloud(name, environment)
    workspace = environment.workspace(name)
    resources = cloud.heat.resources(stack.id)
    nodes = of_stack.nodes(stack, resources)
    access = workspace.access()
    if access is None:
        reports = signalled(cloud.heat, of_stack.handles(resources))
        access = of_stack.access_reported(nodes, reports)
        if workspace.keypair() and len(access.targets) == len(nodes) > 0:
            workspace.save_access(access)
    servers = {one.id: one.status for one in cloud.compute.servers([n.server_id for n in nodes])}
    return Cluster(name, cloud, stack, _with_status(nodes, servers), access)


def of_cloud(name: str, environment: Environment) -> tuple[Cloud, Stack]:
    """The cloud of a cluster, and its stack there; NoCluster lists those that there are."""
    workspace = environment.workspace(checked_name(name))
    cloud = environment.cloud(workspace.order().get("cloud"))
    try:
        stack = cloud.heat.stack(name)
    except StackNotFound as error:
        raise _unknown(name, cloud) from error
    if not of_stack.is_ours(stack):
        raise ClusterError(f"stack {name} was not made by cm cluster")
    return cloud, stack


@dataclass(frozen=True)
class Record:
    """A record that was read: its file, and the texts in it by their names."""

    file: Path
    texts: Mapping[str, str]


def record(name: str, gone: NotFound, environment: Environment) -> Record:
    """The newest record of a cluster that is gone; without one, that it is gone is the answer."""
    workspace = environment.workspace(name)
    file = workspace.newest_record()
    if file is None:
        raise gone
    environment.progress.note(f"{gone.problem}; this is from its record {file}")
    return Record(file, workspace.read_record(file))


def servers(name: str, environment: Environment) -> dict[str, str]:
    """The status of each of the cluster's servers by name, in Nova's words; else ``gone``."""
    cloud, stack = of_cloud(name, environment)
    ids = of_stack.server_ids(cloud.heat.resources(stack.id))
    known = {one.id: one.status for one in cloud.compute.servers(list(ids.values()))}
    return {node: known.get(server_id, GONE) for node, server_id in ids.items()}


def states(cloud: Cloud) -> dict[str, Counter[str]]:
    """How many servers of each cluster have which status; nothing where Nova does not tell."""
    found: dict[str, Counter[str]] = {}
    with suppress(CloudError):
        for one in cloud.compute.servers():
            found.setdefault(one.cluster, Counter())[one.status] += 1
    return found


def product(name: str, environment: Environment) -> str:
    """What is installed on a cluster, from the workspace alone where that knows it."""
    known = environment.workspace(checked_name(name)).order().get("product")
    return str(known) if known else cluster(name, environment).product


def access(name: str, environment: Environment) -> Access:
    """How to reach the cluster's nodes, from the workspace alone where that knows it."""
    workspace = environment.workspace(checked_name(name))
    if known := workspace.access():
        return known
    found = cluster(name, environment)
    if workspace.keypair() is None:
        raise no_key(name, environment)
    if not found.access.targets:
        raise ClusterError(
            f"the nodes of {name} have not reported their host keys ({found.stack.status})",
            f"Try again when they have booted: cm cluster show {name}",
            code=codes.NOT_BOOTED,
        )
    return found.access


def no_key(name: str, environment: Environment) -> ClusterError:
    """The error of one whose workspace has no key for a cluster that is there."""
    return ClusterError(
        f"this machine has no key for {name}: the cluster was made elsewhere",
        f"Copy the folder {environment.workspace(name).folder} from the machine that made it.",
        code=codes.NO_KEY,
    )


def node(word: str, name: str, access: Access) -> Target:
    """The node that the word names, with or without the cluster's name in front."""
    targets = {one.name: one for one in access.targets}
    return targets[node_name(word, name, list(targets))]


def node_name(word: str, name: str, names: Sequence[str]) -> str:
    """The name that the word means, of these of the cluster's nodes."""
    for one in names:
        if word in (one, one.removeprefix(f"{name}-")):
            return one
    short = [one.removeprefix(f"{name}-") for one in names]
    near = get_close_matches(word, [*short, *names], 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise NotFound(
        f"{name} has no node {word!r}{hint}",
        f"It has: {folded(names)}. To run a command on the master: cm cluster ssh {name} -- {word}",
    )


def _unknown(name: str, cloud: Cloud) -> NoCluster:
    names = sorted(one.name for one in cloud.heat.stacks(tags=TAG))
    near = get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    there = f"There are: {', '.join(names)}." if names else "There is none yet."
    return NoCluster(f"there is no cluster {name} on cloud {cloud.name}{hint}", there)


def _with_status(nodes: tuple[Node, ...], status: dict[str, str]) -> tuple[Node, ...]:
    return tuple(replace(one, status=status.get(one.server_id, GONE)) for one in nodes)
