"""What makes nodes know each other: the names and host keys that every node of a cluster gets."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence

from cloudmesh_cluster.model.cluster import MASTER, Node


def alias(node: Node) -> str:
    """The node's name inside the cluster: ``master``, ``worker1``."""
    return MASTER if node.role == MASTER else node.name.rpartition("-")[2]


def hosts(nodes: Sequence[Node]) -> str:
    """The nodes as lines of /etc/hosts."""
    return "".join(f"{one.address} {one.name} {alias(one)}\n" for one in nodes)


def known_hosts(nodes: Sequence[Node], host_keys: Mapping[str, str]) -> str:
    """The nodes' host keys under every name that they have; those without a key are left out."""
    return "".join(
        f"{one.name},{alias(one)},{one.address} {host_keys[one.name]}\n"
        for one in nodes
        if one.name in host_keys
    )


def wiring(nodes: Sequence[Node], host_keys: Mapping[str, str]) -> bytes:
    """The tar that a node's ``wire`` takes on standard input (templates/user_data/bootstrap.sh)."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        texts = {"hosts": hosts(nodes), "known_hosts": known_hosts(nodes, host_keys)}
        for name, text in texts.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return raw.getvalue()
