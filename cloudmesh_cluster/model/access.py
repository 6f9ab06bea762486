"""How the nodes of a cluster are reached: address, login user, host key, way through the master."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cloudmesh_cluster.model.cluster import MASTER

SSH_PORT = 22


@dataclass(frozen=True)
class Target:
    """A node as SSH needs it; the host keys, ``ssh-ed25519 AAAA...``, are what proves it."""

    name: str
    address: str
    login: str
    host_keys: tuple[str, ...]
    port: int = SSH_PORT
    role: str = ""
    server: str = ""  # the id of the server that has these host keys


@dataclass(frozen=True)
class Access:
    """All nodes; through the master where only that is reached from outside."""

    targets: tuple[Target, ...]
    through_master: bool = False

    @property
    def master(self) -> Target:
        """The master."""
        return next(one for one in self.targets if one.role == MASTER)

    def of(self, role: str | None) -> tuple[Target, ...]:
        """The nodes of a role, or all."""
        return tuple(one for one in self.targets if role in (None, one.role))

    def told(self) -> dict[str, Any]:
        """This as plain values, for a file."""
        nodes = [{**asdict(one), "host_keys": list(one.host_keys)} for one in self.targets]
        return {"through_master": self.through_master, "nodes": nodes}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Access:
        """What ``told`` gave, read again."""
        targets = tuple(
            Target(**{**one, "host_keys": tuple(one["host_keys"])}) for one in told["nodes"]
        )
        return cls(targets, bool(told["through_master"]))


def known_hosts(access: Access) -> str:
    """The nodes' host keys as a known_hosts file, by name and address."""
    return "".join(
        f"{one.name},{one.address} {key}\n" for one in access.targets for key in one.host_keys
    )


def ssh_config(access: Access, folder: Path) -> str:
    """An ssh_config(5) by which plain ssh, scp and rsync reach every node, by name or address."""
    blocks = [_host(one, access) for one in access.targets]
    common = (
        "Host *\n"
        f'  IdentityFile "{folder}/id_ed25519"\n'
        "  IdentitiesOnly yes\n"
        f'  UserKnownHostsFile "{folder}/known_hosts"\n'
        "  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n"
        "  ServerAliveInterval 30\n"
        "  ConnectTimeout 20\n"
    )
    return "\n".join([*blocks, common])


def _host(target: Target, access: Access) -> str:
    alias = "master" if target.role == MASTER else target.name.rpartition("-")[2]
    lines = [
        f"Host {target.name} {alias} {target.address}",
        f"  HostName {target.address}",
        f"  HostKeyAlias {target.name}",
        f"  User {target.login}",
    ]
    if target.port != SSH_PORT:
        lines.append(f"  Port {target.port}")
    if access.through_master and target.role != MASTER:
        lines.append(f"  ProxyJump {access.master.name}")
    return "\n".join(lines) + "\n"
