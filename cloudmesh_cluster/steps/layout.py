"""The plan of a cluster that is there, read from the template that Heat keeps of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from cloudmesh_cluster.model.cluster import MASTER, WORKER
from cloudmesh_cluster.model.errors import ClusterError
from cloudmesh_cluster.model.plan import ROOT_SIZE, Plan, PlannedNode, Shard, worker
from cloudmesh_cluster.steps.nodes import MARK, SERVER_TYPE
from cloudmesh_cluster.steps.outside import Heat
from cloudmesh_cluster.steps.reports import HANDLE_TYPE
from cloudmesh_cluster.steps.roots import COUNT

NETWORK_TYPE = "OS::Neutron::Net"
FLOATING_TYPE = "OS::Neutron::FloatingIP"


def plan_of(cluster: str, stack_id: str, heat: Heat) -> Plan:
    """The plan by which the cluster was last asked for, whatever has become of it.

    Raises ClusterError when the stack's template is none of ours.
    """
    template = heat.template(stack_id)
    resources: Mapping[str, Mapping[str, Any]] = template.get("resources", {})
    types = {str(one.get("type")) for one in resources.values()}
    try:
        product = str(template["outputs"][MARK]["value"]["product"])
    except (KeyError, TypeError) as error:
        raise ClusterError(
            f"the template of stack {cluster} is none of cm cluster's",
            f"Look at it: openstack stack template show {cluster}",
        ) from error
    shards = list(_shards(cluster, 1, resources, heat.files(stack_id)))
    generation = _generation(resources)
    for number, root in sorted(heat.roots(stack_id).items())[1:]:
        further = heat.template(root).get("resources", {})
        shards += _shards(cluster, number, further, heat.files(root))
        generation = max(generation, _generation(further))
    return Plan(
        cluster=cluster,
        product=product,
        master=PlannedNode(f"{cluster}-{MASTER}", MASTER, MASTER),
        flat_workers=_workers(cluster, resources),
        shards=tuple(shards),
        wirer=None,
        makes_network=NETWORK_TYPE in types,
        floating=FLOATING_TYPE in types,
        root_size=ROOT_SIZE,
        roots=int(template.get("parameters", {}).get(COUNT, {}).get("default", 1)),
        generation=generation,
    )


def _shards(
    cluster: str,
    root: int,
    resources: Mapping[str, Mapping[str, Any]],
    files: Mapping[str, str],
) -> Iterator[Shard]:
    """The shards among the resources of a root stack."""
    for name, one in resources.items():
        if str(one.get("type")) == f"{name}.yaml":
            nested = yaml.safe_load(files[f"{name}.yaml"])["resources"]
            yield Shard(name, _workers(cluster, nested), root)


def _workers(cluster: str, resources: Mapping[str, Any]) -> tuple[PlannedNode, ...]:
    """The workers among these resources, by number."""
    names = [name for name, one in resources.items() if one.get("type") == SERVER_TYPE]
    found = (re.fullmatch(rf"{re.escape(cluster)}-{WORKER}([0-9]+)", name) for name in names)
    return tuple(worker(cluster, number) for number in sorted(int(one[1]) for one in found if one))


def _generation(resources: Mapping[str, Mapping[str, Any]]) -> int:
    handles = [name for name, one in resources.items() if one.get("type") == HANDLE_TYPE]
    return max((_number(name) for name in handles), default=1)


def _number(handle: str) -> int:
    digits = handle.rpartition("_")[2]
    return int(digits) if digits.isdigit() else 1


def numbers(names: Iterable[str]) -> tuple[int, ...]:
    """The numbers of the workers among these names."""
    found = (re.search(rf"-{WORKER}([0-9]+)$", name) for name in names)
    return tuple(sorted(int(one[1]) for one in found if one))
