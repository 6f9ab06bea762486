"""Subnets, routes and name servers, from text alone."""

from __future__ import annotations

import json
from ipaddress import IPv4Network

import pytest

from cloudmesh_cluster.local.network import candidates, free_subnet, name_servers, routed
from cloudmesh_cluster.model.errors import CloudError


def test_a_cloud_takes_the_first_subnet_that_nobody_uses() -> None:
    first, second = list(candidates("cm-one"))[:2]
    assert free_subnet("cm-one", []) == first
    assert free_subnet("cm-one", [first]) == second


def test_a_route_within_a_subnet_makes_it_taken() -> None:
    first, second = list(candidates("cm-one"))[:2]
    assert free_subnet("cm-one", [next(first.subnets(new_prefix=28))]) == second


def test_clouds_of_two_homes_do_not_begin_with_the_same_subnet() -> None:
    assert next(candidates("cm-6c497b07")) != next(candidates("cm-e08427a3"))


def test_the_same_home_always_asks_for_the_same_subnets() -> None:
    assert list(candidates("cm-one")) == list(candidates("cm-one"))


def test_no_free_subnet_is_told_with_a_remedy() -> None:
    with pytest.raises(CloudError) as caught:
        free_subnet("cm-one", [IPv4Network("0.0.0.0/0")])
    assert "every subnet" in caught.value.problem
    assert "ip route" in caught.value.next_step


def test_the_default_route_and_the_own_bridge_take_no_subnet() -> None:
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "10.77.0.0/20", "dev": "cm-one"},
        {"dst": "192.0.2.0/24", "dev": "eth0"},
        {"dst": "198.51.100.7", "dev": "eth0"},
    ]
    assert routed(json.dumps(routes), besides="cm-one") == (
        IPv4Network("192.0.2.0/24"),
        IPv4Network("198.51.100.7/32"),
    )


def test_nodes_ask_the_name_servers_of_the_machine() -> None:
    assert name_servers("# a\nnameserver 192.0.2.53\nnameserver ::1\n") == ("192.0.2.53",)


def test_behind_a_resolver_on_loopback_nodes_ask_the_servers_it_asks() -> None:
    upstream = "nameserver 192.0.2.1\nnameserver 192.0.2.2\n"
    assert name_servers("nameserver 127.0.0.53\n", upstream) == ("192.0.2.1", "192.0.2.2")


def test_no_name_server_is_better_than_one_nodes_cannot_reach() -> None:
    assert name_servers("nameserver 127.0.0.1\n") == ()
