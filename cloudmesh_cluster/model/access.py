"""How the nodes of a cluster are reached: addresses, login user, host keys, the way through the master."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cloudmesh_cluster.model.cluster import MASTER


@dataclass(frozen=True)
class Entrance:
    """One node's door: where it listens, whom it lets in, which host key proves it."""

    name: str
    role: str
    address: str
    login: str
    host_key: str
    port: int = 22

    @property
    def host_keys(self) -> tuple[str, ...]:
        """The keys that may prove the node."""
        return (self.host_key,)


@dataclass(frozen=True)
class Access:
    """All nodes' doors; behind a jump host, only the master's is reached from outside."""

    entrances: tuple[Entrance, ...]
    through_master: bool = False

    @property
    def master(self) -> Entrance:
        """The master's door."""
        return next(one for one in self.entrances if one.role == MASTER)

    def of(self, role: str | None) -> tuple[Entrance, ...]:
        """The doors of a role's nodes, or of all."""
        return tuple(one for one in self.entrances if role in (None, one.role))

    def told(self) -> dict[str, Any]:
        """This as plain values, for a file."""
        return {"through_master": self.through_master, "nodes": [asdict(e) for e in self.entrances]}

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Access:
        """What ``told`` gave, read again."""
        return cls(tuple(Entrance(**one) for one in told["nodes"]), bool(told["through_master"]))


def known_hosts(access: Access) -> str:
    """The nodes' host keys as a known_hosts file, by name and address."""
    return "".join(f"{one.name},{one.address} {one.host_key}\n" for one in access.entrances)


def ssh_config(access: Access, folder: Path) -> str:
    """An ssh_config(5) by which plain ssh, scp and rsync reach every node by its name."""
    blocks = [_host(one, access) for one in access.entrances]
    common = (
        "Host *\n"
        f'  IdentityFile "{folder}/id_ed25519"\n'
        "  IdentitiesOnly yes\n"
        f'  UserKnownHostsFile "{folder}/known_hosts"\n'
        "  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n"
        "  ServerAliveInterval 30\n"
    )
    return "\n".join([*blocks, common])


def _host(entrance: Entrance, access: Access) -> str:
    alias = "master" if entrance.role == MASTER else entrance.name.rpartition("-")[2]
    lines = [
        f"Host {entrance.name} {alias}",
        f"  HostName {entrance.address}",
        f"  HostKeyAlias {entrance.name}",
        f"  User {entrance.login}",
    ]
    if access.through_master and entrance.role != MASTER:
        lines.append(f"  ProxyJump {access.master.name}")
    return "\n".join(lines) + "\n"
