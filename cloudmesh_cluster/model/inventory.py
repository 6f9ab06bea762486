"""A cluster's nodes told to other programs: Ansible, ssh, /etc/hosts, or any that reads JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from cloudmesh_cluster.model.access import SSH_PORT, Access, Target, ssh_config
from cloudmesh_cluster.model.cluster import MASTER, ROLES, WORKER

# Names of groups that Ansible or the roles have taken already.
TAKEN = ("all", "ungrouped", *ROLES)


def ansible(name: str, access: Access, folder: Path) -> str:
    """An Ansible inventory in INI: groups master, worker and the cluster's, of these two.

    The ssh_config brings the host keys and the way through the master. INI, since Ansible reads
    that whatever the file is called.
    """
    group = ansible_group(name)
    return "\n".join(
        [
            *(_group(role, access) for role in ROLES),
            f"[{group}:children]\n{MASTER}\n{WORKER}\n",
            f"[{group}:vars]",
            f"ansible_ssh_private_key_file={folder}/id_ed25519",
            f"ansible_ssh_common_args=-F {shlex.quote(f'{folder}/ssh_config')}",
        ]
    )


def ansible_group(name: str) -> str:
    """The cluster's group: its name as Ansible takes it, which has no hyphens in groups."""
    word = name.replace("-", "_")
    return f"cluster_{word}" if word in TAKEN else word


def _group(role: str, access: Access) -> str:
    return "\n".join([f"[{role}]", *(_ansible_host(one) for one in access.of(role)), ""])


def _ansible_host(one: Target) -> str:
    port = f" ansible_port={one.port}" if one.port != SSH_PORT else ""
    return f"{one.name} ansible_host={one.address} ansible_user={one.login}{port}"


def ssh(name: str, access: Access, folder: Path) -> str:
    """The ssh_config(5) that the workspace has."""
    return ssh_config(access, folder)


def hosts(name: str, access: Access, folder: Path) -> str:
    """Lines for /etc/hosts, with full names, which no other cluster has."""
    return "\n".join(f"{one.address} {one.name}" for one in access.targets)


def as_json(name: str, access: Access, folder: Path) -> str:
    """All of it as one JSON object."""
    return json.dumps(
        {
            "name": name,
            "identity_file": f"{folder}/id_ed25519",
            "known_hosts": f"{folder}/known_hosts",
            "ssh_config": f"{folder}/ssh_config",
            "nodes": [_told(one, access) for one in access.targets],
        },
        indent=2,
    )


def _told(one: Target, access: Access) -> dict[str, object]:
    behind = access.through_master and one.role != MASTER
    return {
        "name": one.name,
        "role": one.role,
        "address": one.address,
        "port": one.port,
        "login": one.login,
        "jump_host": access.master.name if behind else None,
        "host_keys": list(one.host_keys),
    }


INVENTORIES: Mapping[str, Callable[[str, Access, Path], str]] = {
    "ansible": ansible,
    "ssh": ssh,
    "hosts": hosts,
    "json": as_json,
}
