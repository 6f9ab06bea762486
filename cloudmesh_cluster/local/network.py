"""The bridge that nodes and services share, its address, and the way out (NAT)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import time
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, ip_address
from itertools import chain
from pathlib import Path

from cloudmesh_cluster.local import kernel
from cloudmesh_cluster.local.home import Home, Settings
from cloudmesh_cluster.local.processes import run
from cloudmesh_cluster.model.errors import CloudError

POOLS = ("10.77.0.0/16", "172.29.0.0/16", "192.168.192.0/18")


def candidates(name: str) -> Iterator[IPv4Network]:
    """The subnets a cloud may take, in an order of its own, so that two seldom want the same."""
    subnets = list(chain.from_iterable(IPv4Network(pool).subnets(new_prefix=20) for pool in POOLS))
    first = int(hashlib.sha256(name.encode()).hexdigest(), 16) % len(subnets)
    return iter(subnets[first:] + subnets[:first])


def free_subnet(name: str, taken: Iterable[IPv4Network]) -> IPv4Network:
    """The first candidate that overlaps nothing this machine has a route to."""
    taken = tuple(taken)
    for subnet in candidates(name):
        if not any(subnet.overlaps(other) for other in taken):
            return subnet
    raise CloudError(
        f"every subnet this cloud could use is taken: {', '.join(POOLS)}",
        "See `ip route`; remove a route, or end another cloud.",
    )


def routed(routes: str, *, besides: str = "") -> tuple[IPv4Network, ...]:
    """The networks in the output of `ip -json route`, without the default and one device's."""
    found = []
    for route in json.loads(routes or "[]"):
        destination = route.get("dst", "default")
        if destination != "default" and route.get("dev") != besides:
            with contextlib.suppress(ValueError):
                found.append(IPv4Network(destination))
    return tuple(found)


def networks_of_others(home: Home) -> tuple[IPv4Network, ...]:
    """What this machine reaches by other devices than this cloud's bridge."""
    return routed(run("ip", "-json", "-4", "route", "show", "table", "main"), besides=home.name)


def host_mtu() -> int:
    """The MTU of the way out, so that what nodes send fits; 1500 without one."""
    routes = json.loads(run("ip", "-json", "-4", "route", "show", "default") or "[]")
    sizes = []
    for route in routes:
        with contextlib.suppress(OSError, KeyError):
            sizes.append(int(Path("/sys/class/net", route["dev"], "mtu").read_text()))
    return min([*sizes, 1500])


def name_servers(resolv_conf: str, upstream: str = "") -> tuple[str, ...]:
    """The name servers nodes can use: IPv4 and not on a loopback address.

    Behind a resolver on loopback (systemd-resolved) it is the servers that resolver asks.
    """
    for text in (resolv_conf, upstream):
        found = []
        for line in text.splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver":
                with contextlib.suppress(ValueError):
                    server = ip_address(words[1])
                    if isinstance(server, IPv4Address) and not server.is_loopback:
                        found.append(str(server))
        if found:
            return tuple(found)
    return ()


def host_name_servers() -> tuple[str, ...]:
    """What this machine asks for names, as far as a node can ask it too."""
    texts = []
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        with contextlib.suppress(OSError):
            texts.append(Path(path).read_text())
    return name_servers(*texts) if texts else ()


def search_domains() -> tuple[str, ...]:
    """The machine's search domains."""
    with contextlib.suppress(OSError):
        for line in Path("/etc/resolv.conf").read_text().splitlines():
            if line.startswith("search "):
                return tuple(line.split()[1:])
    return ()


def bridge_there(home: Home) -> bool:
    """Whether the cloud's bridge exists."""
    return Path("/sys/class/net", home.name).is_dir()


def rules(home: Home, settings: Settings) -> str:
    """The nftables rules: nodes go out under the machine's address; the broker is not for them."""
    return f"""
table ip {home.name} {{}}
delete table ip {home.name}
table ip {home.name} {{
    chain out {{
        type nat hook postrouting priority srcnat
        ip saddr {settings.subnet} ip daddr != {settings.subnet} masquerade
    }}
    chain through {{
        type filter hook forward priority filter
        iifname "{home.name}" tcp flags syn tcp option maxseg size set rt mtu
        oifname "{home.name}" tcp flags syn tcp option maxseg size set rt mtu
    }}
    chain in {{
        type filter hook input priority filter
        iifname "{home.name}" tcp dport 5672 drop
    }}
}}
"""


def up(home: Home, settings: Settings) -> None:
    """Make bridge, address, rules and forwarding; what is there already is put right."""
    overlapping = [net for net in networks_of_others(home) if net.overlaps(settings.network)]
    if overlapping:
        raise CloudError(
            f"this cloud's subnet {settings.subnet} is now taken by {overlapping[0]}",
            "Free it (see `ip route`), or begin anew: `cm cloud down --purge`, `cm cloud up`.",
        )
    name = home.name
    if not bridge_there(home):
        digest = hashlib.sha256(name.encode()).hexdigest()
        # A fixed address: a bridge without one takes that of its last port, and nodes lose it.
        mac = "02:" + ":".join(digest[at : at + 2] for at in range(0, 10, 2))
        run("ip", "link", "add", name, "address", mac, "type", "bridge", "forward_delay", 0)
    prefix = settings.network.prefixlen
    run("ip", "link", "set", name, "mtu", host_mtu(), "up")
    run("ip", "address", "replace", f"{settings.address}/{prefix}", "dev", name)
    run("nft", "--file", "-", stdin=rules(home, settings))
    kernel.apply(name)


def down(home: Home) -> None:
    """Take away bridge and rules; forwarding goes back to what it was before the first cloud."""
    kernel.take_back(home.name)
    if home.name in run("nft", "list", "tables"):
        run("nft", "delete", "table", "ip", home.name)
    if bridge_there(home):
        run("ip", "link", "delete", home.name)


def taken_ports(address: str, ports: Iterable[int], seconds: float = 5) -> tuple[int, ...]:
    """The ports of an address that somebody else listens on, and goes on to.

    Some patience: a killed process is gone before its last thread lets go of its sockets.
    """
    deadline = time.monotonic() + seconds
    while (taken := _taken_now(address, ports)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return taken


def _taken_now(address: str, ports: Iterable[int]) -> tuple[int, ...]:
    taken = []
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
                probe.listen()
            except OSError:
                taken.append(port)
    return tuple(taken)


def free_port() -> int:
    """A port on the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
