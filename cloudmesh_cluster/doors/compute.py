"""Nova, Glance and Neutron, through openstacksdk: what there is to choose from, and evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from keystoneauth1.exceptions import ClientException
from openstack.config.cloud_region import CloudRegion
from openstack.connection import Connection
from openstack.exceptions import NotFoundException, SDKException

from cloudmesh_cluster.model.errors import CloudError


@dataclass(frozen=True)
class Image:
    """An image, with the least that it asks of a flavor."""

    id: str
    name: str
    min_ram_mb: int
    min_disk_gb: int


@dataclass(frozen=True)
class Flavor:
    """A flavor and its size."""

    id: str
    name: str
    ram_mb: int
    vcpus: int
    disk_gb: int


@dataclass(frozen=True)
class Network:
    """A network; external ones are where floating IPs come from."""

    id: str
    name: str
    external: bool
    shared: bool


@dataclass(frozen=True)
class Server:
    """A server as Nova tells of it; the fault is Nova's own text."""

    id: str
    name: str
    status: str
    fault: str = ""


class Compute:
    """What we ask of the cloud besides stacks; every method raises CloudError."""

    def __init__(self, region: CloudRegion) -> None:
        self._cloud = Connection(config=region)

    def images(self) -> tuple[Image, ...]:
        """The active images that the project sees."""
        with translated("image list"):
            return tuple(
                Image(one.id, one.name or "", one.min_ram or 0, one.min_disk or 0)
                for one in self._cloud.image.images(status="active")
            )

    def flavors(self) -> tuple[Flavor, ...]:
        """The flavors, the smallest first."""
        with translated("flavor list"):
            found = [
                Flavor(one.id, one.name, one.ram, one.vcpus, one.disk)
                for one in self._cloud.compute.flavors()
            ]
        return tuple(sorted(found, key=lambda one: (one.ram_mb, one.vcpus, one.disk_gb, one.name)))

    def networks(self) -> tuple[Network, ...]:
        """The networks that the project sees."""
        with translated("network list"):
            return tuple(
                Network(one.id, one.name, bool(one.is_router_external), bool(one.is_shared))
                for one in self._cloud.network.networks()
            )

    def external_network_of(self, network_id: str) -> str | None:
        """The id of the external network behind a network's router; None without one."""
        with translated("router show"):
            ports = self._cloud.network.ports(network_id=network_id)
            routers = {
                port.device_id
                for port in ports
                if (port.device_owner or "").startswith("network:router_interface")
                or port.device_owner == "network:ha_router_replicated_interface"
            }
            for router in routers:
                gateway = self._cloud.network.get_router(router).external_gateway_info
                if gateway:
                    return str(gateway["network_id"])
        return None

    def servers(self, ids: Mapping[str, str] | None = None) -> tuple[Server, ...]:
        """The project's servers, or those whose ids are given, asked for in one list."""
        with translated("server list"):
            found = [
                Server(one.id, one.name, one.status, (one.fault or {}).get("message", ""))
                for one in self._cloud.compute.servers()
            ]
        return tuple(one for one in found if ids is None or one.id in ids)

    def console(self, server_id: str, lines: int = 60) -> str:
        """The end of the server's console log."""
        with translated("console log show"):
            told = self._cloud.compute.get_server_console_output(server_id, length=lines)
        return str(told.get("output") or "")

    def count(self) -> dict[str, int]:
        """How much the project has of each thing that a cluster is made of."""
        with translated("counting the project's resources"):
            network = self._cloud.network
            project = self._cloud.current_project_id
            return {
                "servers": _count(self._cloud.compute.servers(details=False)),
                "keypairs": _count(self._cloud.compute.keypairs()),
                "ports": _count(network.ports(project_id=project)),
                "security groups": _count(network.security_groups(project_id=project)),
                "floating IPs": _count(network.ips(project_id=project)),
                "networks": _count(network.networks(project_id=project)),
                "routers": _count(network.routers(project_id=project)),
            }

    def gone(self, server_id: str) -> bool:
        """Whether Nova knows the server no more."""
        try:
            with translated("server show"):
                self._cloud.compute.get_server(server_id)
        except CloudError as error:
            if isinstance(error.__cause__, NotFoundException):
                return True
            raise
        return False


@contextmanager
def translated(what: str) -> Iterator[None]:
    """openstacksdk's and keystoneauth's exceptions as ours."""
    try:
        yield
    except (SDKException, ClientException) as error:
        raise CloudError(f"{what}: {_words(error)}") from error


def _words(error: Any) -> str:
    details = getattr(error, "details", None)
    return str(details or error)


def _count(things: Any) -> int:
    return sum(1 for _ in things)
