"""What a cloud has to choose from, and how its servers do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Image:
    """An image, with the least that it asks of a flavor, and what was baked into it."""

    id: str
    name: str
    min_ram_mb: int
    min_disk_gb: int
    product: str = ""


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
class Chosen:
    """What a cluster is made with: the image, a flavor for each role, an existing network."""

    image: Image
    flavors: Mapping[str, Flavor]
    network: Network | None = None
    external_network: str | None = None  # by id
    route_asked: bool = False  # the user named both networks, so nobody looked for a router


@dataclass(frozen=True)
class Server:
    """A server as Nova tells of it; the fault is Nova's own text, times are in UTC."""

    id: str
    name: str
    status: str
    fault: str = ""
    task_state: str = ""  # what Nova is doing with it, such as ``powering-off``
    cluster: str = ""  # whose node it is
    created: str = ""
    launched: str = ""
