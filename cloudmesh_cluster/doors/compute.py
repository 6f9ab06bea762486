"""Nova, Glance and Neutron, through openstacksdk: what there is to choose from, and evidence."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from keystoneauth1.exceptions import ClientException
from openstack.config.cloud_region import CloudRegion
from openstack.connection import Connection
from openstack.exceptions import NotFoundException, SDKException

from cloudmesh_cluster.model.errors import CloudError
from cloudmesh_cluster.model.offer import Flavor, Image, Network, Server

# Kernels and ramdisks are listed as images, but no server starts from one.
PARTS_OF_IMAGES = ("aki", "ari")


class Compute:
    """What we ask of the cloud besides stacks; every method raises CloudError."""

    def __init__(self, region: CloudRegion) -> None:
        self._cloud = Connection(config=region)

    def images(self) -> tuple[Image, ...]:
        """The active images that the project sees and a server can start from."""
        with translated("image list"):
            return tuple(
                Image(
                    one.id,
                    one.name or "",
                    one.min_ram or 0,
                    one.min_disk or 0,
                    product=str((one.properties or {}).get("cm_product", "")),
                )
                for one in self._cloud.image.images(status="active")
                if one.disk_format not in PARTS_OF_IMAGES
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

    def servers(self, ids: Collection[str]) -> tuple[Server, ...]:
        """Those of the project's servers that have these ids, asked for in one list."""
        with translated("server list"):
            return tuple(
                Server(one.id, one.name, one.status, (one.fault or {}).get("message", ""))
                for one in self._cloud.compute.servers()
                if one.id in ids
            )

    def console(self, server_id: str, lines: int = 60) -> str:
        """The end of the server's console log."""
        with translated("console log show"):
            told = self._cloud.compute.get_server_console_output(server_id, length=lines)
        return str(told.get("output") or "")

    def left(self, ids: Collection[str]) -> tuple[str, ...]:
        """Those of these things that the project still has, each as ``kind name``.

        A port also counts when one of these servers owns it: Nova makes such ports by itself.
        """
        with translated("counting what is left"):
            return tuple(
                f"{kind} {one.name or one.id}"
                for kind, things in self._things().items()
                for one in things
                if one.id in ids or getattr(one, "device_id", None) in ids
            )

    def _things(self) -> dict[str, Iterable[Any]]:
        network = self._cloud.network
        return {
            "server": self._cloud.compute.servers(details=False),
            "keypair": self._cloud.compute.keypairs(),
            "port": network.ports(project_id=self._cloud.current_project_id),
            "security group": network.security_groups(project_id=self._cloud.current_project_id),
            "floating IP": _offered(network.ips(project_id=self._cloud.current_project_id)),
            "network": network.networks(project_id=self._cloud.current_project_id),
            "router": _offered(network.routers(project_id=self._cloud.current_project_id)),
        }


@contextmanager
def translated(what: str) -> Iterator[None]:
    """openstacksdk's and keystoneauth's exceptions as ours."""
    try:
        yield
    except (SDKException, ClientException) as error:
        raise CloudError(f"{what}: {_words(error)}") from error


def _offered(things: Iterable[Any]) -> Iterator[Any]:
    """The things; none where Neutron has no extension for them."""
    try:
        yield from things
    except NotFoundException:
        return


def _words(error: Any) -> str:
    details = getattr(error, "details", None)
    return str(details or error)
