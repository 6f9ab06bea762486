"""Nova, Glance and Neutron, through openstacksdk: what there is to choose from, and evidence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from keystoneauth1.exceptions import ClientException, RetriableConnectionFailure
from openstack.config.cloud_region import CloudRegion
from openstack.connection import Connection
from openstack.exceptions import (
    ConflictException,
    HttpException,
    NotFoundException,
    SDKException,
)

from cloudmesh_cluster.model import codes, demand, marks
from cloudmesh_cluster.model.demand import Quota
from cloudmesh_cluster.model.errors import CloudError, NoAnswer, Refused
from cloudmesh_cluster.model.marks import (
    FLOATING_IP,
    GROUP,
    KEYPAIR,
    NETWORK,
    PORT,
    ROUTER,
    SERVER,
    Thing,
)
from cloudmesh_cluster.model.offer import Flavor, Image, Network, Server

# Kernels and ramdisks are listed as images, but no server starts from one.
PARTS_OF_IMAGES = ("aki", "ari")
# How a service says that it does not know, or not tell, its quotas.
UNTOLD = (400, 403, 404, 405, 501)
# How a service, or what stands before it, answers while it is not well.
UNWELL = (500, 502, 503, 504)
NEUTRON_QUOTAS = {
    demand.PORTS: "ports",
    demand.GROUPS: "security_groups",
    demand.RULES: "security_group_rules",
    demand.FLOATING: "floating_ips",
    demand.NETWORKS: "networks",
    demand.SUBNETS: "subnets",
    demand.ROUTERS: "routers",
}


class Compute:
    """What we ask of the cloud besides stacks; every method raises CloudError."""

    def __init__(self, region: CloudRegion) -> None:
        self._cloud = Connection(config=region)

    @property
    def project(self) -> str:
        """The id of the project that we speak for."""
        return str(self._cloud.current_project_id)

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
        return next(iter(self.external_networks_of(network_id)), None)

    def external_networks_of(self, network_id: str) -> tuple[str, ...]:
        """The ids of the external networks behind the routers that we see of a network."""
        with translated("router show"):
            ports = self._cloud.network.ports(network_id=network_id)
            routers = {
                port.device_id
                for port in ports
                if (port.device_owner or "").startswith("network:router_interface")
                or port.device_owner == "network:ha_router_replicated_interface"
            }
            gateways = [
                self._cloud.network.get_router(router).external_gateway_info for router in routers
            ]
        return tuple(str(gateway["network_id"]) for gateway in gateways if gateway)

    def quotas(self) -> dict[str, Quota]:
        """The project's quotas with what is used; those that the cloud does not tell are absent.

        Nova and Neutron are asked at the same time.
        """
        asked = (self._nova_quotas, self._neutron_quotas)
        with translated("quota show"), ThreadPoolExecutor(len(asked)) as pool:
            answers = [pool.submit(_told, one) for one in asked]
            return {what: quota for one in answers for what, quota in one.result().items()}

    def _nova_quotas(self) -> dict[str, Quota]:
        told = self._cloud.compute.get_limits().absolute
        pairs = {
            demand.SERVERS: (told.instances, told.instances_used),
            demand.CORES: (told.total_cores, told.total_cores_used),
            demand.MEMORY: (told.total_ram, told.total_ram_used),
            demand.KEYPAIRS: (told.keypairs, len(list(self._cloud.compute.keypairs()))),
        }
        return {
            what: Quota(limit, used)
            for what, (limit, used) in pairs.items()
            if limit is not None and used is not None
        }

    def _neutron_quotas(self) -> dict[str, Quota]:
        project = str(self._cloud.current_project_id)
        told = self._cloud.network.get_quota(project, details=True)
        found = {what: getattr(told, name, None) for what, name in NEUTRON_QUOTAS.items()}
        return {
            what: Quota(one["limit"], one["used"] + int(one.get("reserved") or 0))
            for what, one in found.items()
            if isinstance(one, Mapping)
        }

    def servers(self, ids: Collection[str] | None = None) -> tuple[Server, ...]:
        """The project's servers, or those that have these ids, asked for in one list."""
        with translated("server list"):
            return tuple(
                _server(one)
                for one in self._cloud.compute.servers()
                if ids is None or one.id in ids
            )

    def stop(self, server_id: str) -> None:
        """Ask Nova to shut the server down; Refused where it does not do that now."""
        with translated("server stop"):
            self._cloud.compute.stop_server(server_id)

    def start(self, server_id: str) -> None:
        """Ask Nova to start the server again; Refused where it does not do that now."""
        with translated("server start"):
            self._cloud.compute.start_server(server_id)

    def trouble(self, server_id: str) -> str:
        """Why the newest of what was asked of the server failed; empty if it did not.

        Nova tells a fault with the server only where that is in ERROR.
        """
        with translated("server event list"):
            actions = self._cloud.compute.server_actions(server_id)
            newest = max(actions, key=lambda one: str(one.start_time), default=None)
            if newest is None or newest.message != "Error":
                return ""
            told = self._cloud.compute.get_server_action(newest.request_id, server_id)
        details = [one.get("details") for one in told.events or () if one.get("result") == "Error"]
        return next((str(one) for one in details if one), f"{newest.action} failed")

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

    def things(self) -> tuple[Thing, ...]:
        """All that the project has of what clusters are made of, with our marks.

        Ports are listed before servers: a port's server that is not listed is gone.
        """
        with translated("listing what there is"):
            listed = self._things(details=True)
            return tuple(
                _thing(kind, one, self.project)
                for kind in sorted(listed, key=lambda kind: kind != PORT)
                for one in listed[kind]
            )

    def remove(self, thing: Thing, networks: Collection[str]) -> None:
        """Ask for the thing's removal; one that is gone is no error, one that is used is Refused.

        A router is first taken off these networks.
        """
        network, compute = self._cloud.network, self._cloud.compute
        removals: dict[str, Callable[..., object]] = {
            SERVER: compute.delete_server,
            KEYPAIR: compute.delete_keypair,
            PORT: network.delete_port,
            FLOATING_IP: network.delete_ip,
            ROUTER: network.delete_router,
            NETWORK: network.delete_network,
            GROUP: network.delete_security_group,
        }
        with translated(f"{thing.kind} {thing.name or thing.id}"):
            if thing.kind == ROUTER:
                for port in network.ports(device_id=thing.id):
                    if port.network_id in networks:
                        network.remove_interface_from_router(thing.id, None, port.id)
            removals[thing.kind](thing.id, ignore_missing=True)

    def _things(self, *, details: bool = False) -> dict[str, Iterable[Any]]:
        network = self._cloud.network
        return {
            SERVER: self._cloud.compute.servers(details=details),
            KEYPAIR: self._cloud.compute.keypairs(),
            PORT: network.ports(project_id=self._cloud.current_project_id),
            GROUP: network.security_groups(project_id=self._cloud.current_project_id),
            FLOATING_IP: _offered(network.ips(project_id=self._cloud.current_project_id)),
            NETWORK: network.networks(project_id=self._cloud.current_project_id),
            ROUTER: _offered(network.routers(project_id=self._cloud.current_project_id)),
        }


@contextmanager
def translated(what: str) -> Iterator[None]:
    """openstacksdk's and keystoneauth's exceptions as ours."""
    try:
        yield
    except (ConflictException, NotFoundException) as error:
        raise Refused(f"{what}: {_words(error)}") from error
    except RetriableConnectionFailure as error:
        raise NoAnswer(f"{what}: {_words(error)}", code=codes.CLOUD_SILENT) from error
    except (SDKException, ClientException) as error:
        unwell = getattr(error, "status_code", None) or getattr(error, "http_status", None)
        if unwell in UNWELL:
            words = f"{what}: {_words(error)} (HTTP {unwell})"
            raise NoAnswer(words, code=codes.CLOUD_SILENT) from error
        raise CloudError(f"{what}: {_words(error)}") from error


def _thing(kind: str, told: Any, project: str) -> Thing:
    if kind == SERVER:
        mark = marks.by_metadata(told.metadata or {})
    elif kind == KEYPAIR:
        mark = marks.by_keypair(told.name, project)
    else:
        mark = marks.by_description(told.description or "")
    thing = Thing(kind, told.id, told.name or "", mark)
    if kind == FLOATING_IP:
        return replace(thing, name=told.floating_ip_address, owner=told.port_id or "")
    if kind == PORT and (told.device_owner or "").startswith("compute:"):
        return replace(thing, owner=told.device_id, near=tuple(told.security_group_ids or ()))
    return thing


def _server(told: Any) -> Server:
    return Server(
        told.id,
        told.name,
        told.status,
        fault=(told.fault or {}).get("message", ""),
        task_state=told.task_state or "",
        cluster=str((told.metadata or {}).get("cm_cluster", "")),
        created=told.created_at or "",
        launched=told.launched_at or "",
    )


def _told(ask: Callable[[], dict[str, Quota]]) -> dict[str, Quota]:
    """The quotas; none where the service, or its policy, does not tell them."""
    try:
        return ask()
    except HttpException as error:
        if error.status_code in UNTOLD:
            return {}
        raise


def _offered(things: Iterable[Any]) -> Iterator[Any]:
    """The things; none where Neutron has no extension for them."""
    try:
        yield from things
    except NotFoundException:
        return


def _words(error: Any) -> str:
    details = getattr(error, "details", None)
    return str(details or error)
