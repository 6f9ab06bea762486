"""Which nodes a stack has: their addresses from its outputs, their servers from its resources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.cluster import MASTER, WORKER, Node, Resource, Stack
from cloudmesh_cluster.steps.reports import HANDLE_TYPE, Reports

SERVER_TYPE = "OS::Nova::Server"
MARK = "cm_cluster"  # the output by which a stack is known to be ours


def is_ours(stack: Stack) -> bool:
    """Whether cm cluster made the stack, by itself or by its template."""
    return MARK in stack.outputs or stack.parameters.get("cluster") == stack.name


def nodes(stack: Stack, resources: Iterable[Resource] = ()) -> tuple[Node, ...]:
    """The stack's nodes, the master first; only the master has a public address of its own.

    A node of a stack that is half made has no address yet, and is left out.
    """
    hosts = [line.split() for line in str(stack.outputs.get("hosts") or "").splitlines()]
    lines = [line for line in hosts if len(line) == 3]
    servers = server_ids(resources)
    outside = str(stack.outputs.get("master_address") or "")
    found = [
        Node(
            name=name,
            role=MASTER if alias == MASTER else WORKER,
            address=address,
            public_address=outside if alias == MASTER and outside != address else "",
            server_id=servers.get(name, ""),
        )
        for address, name, alias in lines
    ]
    return tuple(sorted(found, key=lambda node: place(node.name)))


def place(name: str) -> tuple[bool, int]:
    """Where a node stands among the others of its cluster: the master first."""
    digits = name.rpartition(WORKER)[2]
    return not name.endswith(f"-{MASTER}"), int(digits) if digits.isdigit() else 0


def server_ids(resources: Iterable[Resource]) -> dict[str, str]:
    """The servers' ids by their names."""
    return {
        one.name: one.physical_id
        for one in resources
        if one.type == SERVER_TYPE and one.physical_id
    }


def handles(resources: Iterable[Resource]) -> tuple[tuple[str, str], ...]:
    """Where nodes signal: each a stack's id and its handle's name."""
    return tuple(
        (one.stack_id, one.name) for one in resources if one.type == HANDLE_TYPE and one.physical_id
    )


def access(
    nodes: Sequence[Node], logins: Mapping[str, str], host_keys: Mapping[str, str]
) -> Access:
    """How to reach the nodes; behind a floating IP, through the master."""
    targets = tuple(
        Target(
            name=node.name,
            address=node.public_address or node.address,
            login=logins[node.name],
            host_keys=(host_keys[node.name],),
            role=node.role,
            server=node.server_id,
        )
        for node in nodes
        if node.name in logins and node.name in host_keys
    )
    return Access(targets, through_master=any(node.public_address for node in nodes))


def access_reported(nodes: Sequence[Node], reports: Reports) -> Access:
    """How to reach those nodes that have reported their host key."""
    latest = {one.node: one for one in reports.values()}
    return access(
        nodes,
        {name: one.login for name, one in latest.items()},
        {name: one.host_key for name, one in latest.items()},
    )
