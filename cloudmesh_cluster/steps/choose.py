"""From a spec and a cloud to what a stack needs: what the user left open, the cloud decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Protocol, TypeVar

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.cluster import MASTER, WORKER
from cloudmesh_cluster.model.errors import ClusterError, NotFound, UsageError
from cloudmesh_cluster.model.offer import Chosen, Flavor, Image, Network
from cloudmesh_cluster.model.spec import Spec

CODES = {"image": codes.IMAGE, "flavor": codes.FLAVOR, "network": codes.NETWORK}


class Named(Protocol):
    """Something of the cloud that has a name and an id."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...


class Cloud(Protocol):
    """What is needed of the cloud."""

    def images(self) -> Sequence[Image]: ...

    def flavors(self) -> Sequence[Flavor]: ...

    def networks(self) -> Sequence[Network]: ...

    def external_network_of(self, network_id: str) -> str | None: ...


@dataclass(frozen=True)
class Choice:
    """Everything of the cloud's that a cluster is made with; networks by id, the rest by name."""

    image: str
    flavor: str
    master_flavor: str
    network: str | None
    external_network: str | None
    baked: str = ""  # the image's name, if it was taken because the product is in it
    chosen: Chosen | None = field(default=None, compare=False)  # None: no cloud was asked

    @property
    def makes_network(self) -> bool:
        """Whether the stack makes a network of its own."""
        return self.network is None

    @property
    def floating(self) -> bool:
        """Whether only the master is reached from outside, by a floating IP."""
        return self.external_network is not None


N = TypeVar("N", bound=Named)
T = TypeVar("T")


def choice(
    spec: Spec, cloud: Cloud, *, product: str, least_ram_mb: int, least_vcpus: int
) -> Choice:
    """What the spec names, found in the cloud, and what it leaves open, chosen.

    Raises NotFound, listing what there is, and UsageError where the user must choose; of several
    such troubles all are told.
    """
    troubles: list[ClusterError] = []
    flavors = cloud.flavors()
    image = tried(troubles, lambda: chosen_image(spec, cloud.images(), product))
    ram, disk = (image.min_ram_mb, image.min_disk_gb) if image else (0, 0)
    flavor = tried(
        troubles,
        lambda: (
            found(spec.flavor, flavors, "flavor")
            if spec.flavor
            else smallest_flavor(flavors, max(least_ram_mb, ram), least_vcpus, disk)
        ),
    )
    master = flavor
    if spec.master_flavor:
        name = spec.master_flavor
        master = tried(troubles, lambda: found(name, flavors, "flavor"))
    networks = tried(troubles, lambda: chosen_networks(spec, cloud))
    if not (image and flavor and master and networks):
        raise together(troubles)
    network, external = networks
    return Choice(
        image=image.id,
        flavor=flavor.name,
        master_flavor=master.name,
        network=network.id if network else None,
        external_network=external,
        baked=image.name if image.product and not spec.image else "",
        chosen=Chosen(
            image,
            {MASTER: master, WORKER: flavor},
            network,
            external,
            route_asked=bool(spec.network and spec.external_network),
        ),
    )


def tried(troubles: list[ClusterError], find: Callable[[], T]) -> T | None:
    """What is found; None where it cannot be, and the trouble is kept."""
    try:
        return find()
    except (NotFound, UsageError) as error:
        troubles.append(error)
        return None


def together(troubles: Sequence[ClusterError]) -> ClusterError:
    """One error that tells them all, each with its next step; the first one's kind."""
    if len(troubles) == 1:
        return troubles[0]
    told = [
        "\n".join([f"  {one.problem}", *(f"    {line}" for line in one.next_step.splitlines())])
        for one in troubles
    ]
    problem = "\n".join([f"{len(troubles)} problems:", *told])
    return type(troubles[0])(problem, code=troubles[0].code)


def found(name: str, things: Iterable[N], kind: str) -> N:
    """The thing of that name or id; NotFound lists what there is."""
    things = list(things)
    matches = [one for one in things if name in (one.id, one.name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        ids = ", ".join(one.id for one in matches)
        raise UsageError(
            f"there are several of {kind} {name!r}", f"Use an id: {ids}.", code=CODES[kind]
        )
    names = sorted({one.name for one in things})
    near = get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise NotFound(
        f"the cloud has no {kind} {name!r}{hint}",
        f"It has: {', '.join(names) or 'none'}.",
        code=CODES[kind],
    )


def chosen_image(spec: Spec, images: Sequence[Image], product: str) -> Image:
    """The image named, or the one that was baked for the product, or the only other one.

    What was baked for another product is only taken when it is named.
    """
    if spec.image:
        return found(spec.image, images, "image")
    baked = [one for one in images if one.product == product]
    return only(baked or [one for one in images if not one.product], "image")


def smallest_flavor(flavors: Sequence[Flavor], ram_mb: int, vcpus: int, disk_gb: int) -> Flavor:
    """The smallest flavor that is large enough; a disk of 0 is the image's own."""
    for flavor in flavors:
        large = flavor.ram_mb >= ram_mb and flavor.vcpus >= vcpus
        if large and (flavor.disk_gb >= disk_gb or flavor.disk_gb == 0):
            return flavor
    raise NotFound(
        f"the cloud has no flavor with {vcpus} cores, {ram_mb} MB and a disk of {disk_gb} GB",
        f"It has: {', '.join(one.name for one in flavors) or 'none'}.",
        code=codes.FLAVOR,
    )


def chosen_networks(spec: Spec, cloud: Cloud) -> tuple[Network | None, str | None]:
    """The network of the nodes, and by id the external one of the floating IP.

    No first one: the stack makes it. No second one: nodes are reached directly. A network behind a
    router is not reached from outside, so its router's external network is taken.
    """
    networks = cloud.networks()
    external = external_network(spec.external_network, networks)
    if external and not spec.network:
        return None, external
    named = found(spec.network, networks, "network") if spec.network else None
    network = named or only_network(networks)
    if external is None and not network.external:
        external = cloud.external_network_of(network.id)
    return network, external


def external_network(name: str | None, networks: Sequence[Network]) -> str | None:
    """The id of the network of that name, which must be external; None without a name."""
    if name is None:
        return None
    network = found(name, networks, "network")
    if not network.external:
        others = ", ".join(one.name for one in networks if one.external)
        raise UsageError(
            f"network {name} is not external, so it has no floating IPs",
            f"External are: {others or 'none'}; to put nodes on {name}: --network={name}",
            code=codes.NETWORK,
        )
    return network.id


def only_network(networks: Sequence[Network]) -> Network:
    """The only network there is; of several the user says which."""
    outer = [one.name for one in networks if one.external]
    if len(networks) > 1 and outer:
        names = ", ".join(sorted(one.name for one in networks))
        raise UsageError(
            f"the cloud has several networks: {names}",
            f"Say which with --network=NAME, or let the cluster have its own behind {outer[0]}: "
            f"--external-network={outer[0]}.",
            code=codes.NETWORK,
        )
    return only(networks, "network")


def only(things: Sequence[N], kind: str) -> N:
    """The single thing there is; UsageError asks which, NotFound when there is none."""
    if len(things) == 1:
        return things[0]
    if not things:
        raise NotFound(f"the cloud has no {kind} that this project sees", code=CODES[kind])
    names = ", ".join(sorted({one.name for one in things}))
    raise UsageError(
        f"the cloud has several {kind}s: {names}",
        f"Say which with --{kind}=NAME.",
        code=CODES[kind],
    )
