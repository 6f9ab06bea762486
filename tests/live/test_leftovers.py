"""What only a cloud with routers has of a cluster that is gone is found and removed, too."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import openstack
import pytest

from .test_live import cm

pytestmark = [pytest.mark.live, pytest.mark.timeout(10 * 60)]

DEAD = str(uuid.uuid4())  # the id of a stack that never was
MARK = f"cm cluster dead {DEAD}"
OTHERS = f"{MARK} or not"  # no mark, but as near to one as can be


def test_a_network_with_its_router_and_floating_ip_goes_and_nothing_else(home: Path) -> None:
    network = openstack.connect().network
    outside = next(iter(network.networks(is_router_external=True)), None)
    if outside is None:
        pytest.skip("this cloud has no external network")

    def made(description: str, cidr: str) -> list[tuple[str, str]]:
        """The kinds and ids of a network, router, port and floating IP that hang together."""
        inside = network.create_network(name="dead-network", description=description)
        subnet = network.create_subnet(network_id=inside.id, ip_version=4, cidr=cidr)
        router = network.create_router(
            name="dead-router",
            description=description,
            external_gateway_info={"network_id": outside.id},
        )
        network.add_interface_to_router(router, subnet_id=subnet.id)
        port = network.create_port(network_id=inside.id, name="dead-port", description=description)
        floating = network.create_ip(
            floating_network_id=outside.id, port_id=port.id, description=description
        )
        things = {"floating IP": floating, "port": port, "router": router, "network": inside}
        return [(kind, thing.id) for kind, thing in things.items()]

    def there(things: list[tuple[str, str]]) -> list[str]:
        finders = {
            "floating IP": network.find_ip,
            "port": network.find_port,
            "router": network.find_router,
            "network": network.find_network,
        }
        return [kind for kind, one in things if finders[kind](one) is not None]

    own = made(OTHERS, "10.77.1.0/24")
    dead = made(MARK, "10.77.2.0/24")
    kinds = [kind for kind, _ in dead]
    try:
        listed = json.loads(cm("cluster", "doctor", "--format=json", status=1))
        assert [one["kind"] for one in listed if one["cluster"] == "dead"] == kinds
        assert there(dead) == kinds

        cm("cluster", "doctor", "--fix")

        assert there(dead) == []
        assert there(own) == kinds
    finally:
        for things in (own, dead):
            removed(network, dict(things))


def removed(network: Any, things: dict[str, str]) -> None:
    """Delete them, where they are still there."""
    network.delete_ip(things["floating IP"])
    network.delete_port(things["port"])
    if network.find_router(things["router"]) is not None:
        for subnet in network.subnets(network_id=things["network"]):
            network.remove_interface_from_router(things["router"], subnet_id=subnet.id)
        network.delete_router(things["router"])
    network.delete_network(things["network"])
