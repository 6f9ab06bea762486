"""What a cluster needs of a cloud, against what the cloud has left; nothing here asks it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cloudmesh_cluster.model.cluster import MASTER, WORKER
from cloudmesh_cluster.model.offer import Chosen, Flavor
from cloudmesh_cluster.model.plan import Plan, planned
from cloudmesh_cluster.model.spec import MOST_WORKERS

UNLIMITED = -1

SERVERS = "servers"
CORES = "cores"
MEMORY = "memory in MiB"
KEYPAIRS = "keypairs"
PORTS = "ports"
GROUPS = "security groups"
RULES = "security group rules"
FLOATING = "floating IPs"
NETWORKS = "networks"
SUBNETS = "subnets"
ROUTERS = "routers"
RESOURCES = "Heat resources"
TEMPLATE = "bytes of a template"
REQUEST = "bytes of the request"
USER_DATA = "bytes of user_data"
NAME = "characters of a name"

FEWER = "Ask for fewer workers, delete what you no longer need, or ask the cloud for more quota."
SMALLER = (
    "Ask for fewer workers, or a smaller flavor (--flavor=FLAVOR), delete what you no longer need, "
    "or ask the cloud for more quota."
)
OTHER_NETWORK = "Put the nodes on a network that is there, --network=NETWORK, or delete one."
NEXT_STEPS = {
    SERVERS: FEWER,
    CORES: SMALLER,
    MEMORY: SMALLER,
    KEYPAIRS: "Delete one that you no longer need: openstack keypair list.",
    PORTS: FEWER,
    GROUPS: "Delete one that you no longer need: openstack security group list.",
    RULES: "Delete a security group that you no longer need: openstack security group list.",
    FLOATING: "Release one that you no longer need: openstack floating ip list.",
    NETWORKS: OTHER_NETWORK,
    SUBNETS: OTHER_NETWORK,
    ROUTERS: OTHER_NETWORK,
    RESOURCES: "Ask for fewer workers.",
    TEMPLATE: "Ask for fewer workers.",
    REQUEST: "Ask for fewer workers.",
    USER_DATA: "Ask for fewer workers, or give the cluster a shorter name.",
    NAME: "Give the cluster a shorter name.",
}


@dataclass(frozen=True)
class Quota:
    """A limit and what of it is taken; a limit below zero is none."""

    limit: int
    used: int = 0

    @property
    def unlimited(self) -> bool:
        """Whether there is no end to it."""
        return self.limit < 0

    @property
    def left(self) -> int | None:
        """What is left; None without a limit. A quota may have been lowered below its use."""
        return None if self.unlimited else max(0, self.limit - self.used)


# What no cloud tells: Heat's defaults (heat/common/config.py and wsgi.py), Nova's schema.
FIXED = {
    RESOURCES: Quota(1000),
    TEMPLATE: Quota(512 * 1024),
    REQUEST: Quota(1024 * 1024),
    USER_DATA: Quota(65_535),
    NAME: Quota(53),
}


@dataclass(frozen=True)
class Needs:
    """All that decides what a cluster takes of a cloud; sizes are in bytes."""

    plan: Plan
    chosen: Chosen
    master_user_data: int  # before base64
    worker_user_data: int  # of the last worker, without its table of hosts
    bare_user_data: int = 0  # the same without its scripts, which the client may carry instead
    template: int = 0  # the largest of all; 0 is not rendered
    request: int = 0

    @property
    def flavors(self) -> tuple[Flavor, ...]:
        """The flavor of each node, the master first."""
        workers = (self.chosen.flavors[WORKER],) * len(self.plan.workers)
        return (self.chosen.flavors[MASTER], *workers)


@dataclass(frozen=True)
class Row:
    """How much is needed of a thing; no quota where the cloud does not tell it."""

    what: str
    needed: int
    quota: Quota | None

    @property
    def state(self) -> str:
        """``fits``, ``short``, ``unlimited`` or ``unknown``."""
        if self.quota is None:
            return "unknown"
        if self.quota.left is None:
            return "unlimited"
        return "fits" if self.needed <= self.quota.left else "short"


@dataclass(frozen=True)
class Problem:
    """What keeps a cluster from being made, and what to do."""

    what: str
    problem: str
    next_step: str


@dataclass(frozen=True)
class Most:
    """How many workers there could be, and what one more would be short of."""

    workers: int
    short: tuple[str, ...] = ()


def demand(needs: Needs) -> dict[str, int]:
    """How much of each thing the cluster takes; what it does not need is left out."""
    plan, own = needs.plan, int(needs.plan.makes_network)
    taken = {
        SERVERS: len(plan.nodes),
        CORES: sum(flavor.vcpus for flavor in needs.flavors),
        MEMORY: sum(flavor.ram_mb for flavor in needs.flavors),
        KEYPAIRS: 1,
        PORTS: len(plan.nodes) + 2 * own,  # the router's, and that of DHCP or metadata
        GROUPS: 1,
        RULES: 6,  # four are ours, two Neutron adds for what goes out
        FLOATING: int(plan.floating),
        NETWORKS: own,
        SUBNETS: own,
        ROUTERS: own,
        RESOURCES: resources(plan),
        TEMPLATE: needs.template,
        REQUEST: needs.request,
        USER_DATA: encoded(max(needs.master_user_data, needs.worker_user_data + hosts(plan))),
        NAME: max(len(plan.master.name), len(plan.last_worker.name)),
    }
    return {what: amount for what, amount in taken.items() if amount}


def resources(plan: Plan) -> int:
    """The resources of the largest tree of stacks, as Heat counts them: for each root alone."""
    own = 6 + int(plan.floating) + 4 * int(plan.makes_network)
    nodes = (plan.master, *plan.flat_workers, *([plan.wirer] if plan.wirer else []))
    first = own + int(plan.wirer is not None) + len(nodes) + len(plan.handles)
    further = [2 + len(plan.handles_in(root)) + _sharded(plan, root) for root in plan.further]
    return max([first + _sharded(plan, 1), *further])


def _sharded(plan: Plan, root: int) -> int:
    """A root's shards, what the nodes of each hang on, and their nodes."""
    return sum(2 + len(shard.nodes) for shard in plan.shards_in(root))


def hosts(plan: Plan) -> int:
    """The bytes of the table of hosts that the last node brings, at most."""
    if plan.wirer is None:
        return 0
    address = len("255.255.255.255")
    others = (plan.master, *plan.workers[:-1])
    return sum(address + len(node.alias) + 2 for node in others)


def encoded(size: int) -> int:
    """How many bytes these are after base64, which is how Nova counts."""
    return (size + 2) // 3 * 4


def rows(needs: Needs, quotas: Mapping[str, Quota]) -> tuple[Row, ...]:
    """Each thing that the cluster needs, against its quota."""
    limits = {**quotas, **FIXED}
    return tuple(Row(what, amount, limits.get(what)) for what, amount in demand(needs).items())


def problems(found: tuple[Row, ...]) -> tuple[Problem, ...]:
    """What there is not enough of."""
    return tuple(_shortage(row) for row in found if row.state == "short")


def _shortage(row: Row) -> Problem:
    assert row.quota is not None
    taken = f" (quota {row.quota.limit}, {row.quota.used} used)" if row.what not in FIXED else ""
    return Problem(
        row.what, f"{row.needed} needed, {row.quota.left} left{taken}", NEXT_STEPS[row.what]
    )


def too_small(chosen: Chosen) -> tuple[Problem, ...]:
    """The flavors that cannot hold the image; a flavor's disk of 0 is the image's own size."""
    image = chosen.image
    small = [
        one
        for one in dict.fromkeys(chosen.flavors.values())
        if one.ram_mb < image.min_ram_mb or 0 < one.disk_gb < image.min_disk_gb
    ]
    return tuple(
        Problem(
            f"flavor {one.name}",
            f"image {image.name} needs {image.min_ram_mb} MiB and a disk of "
            f"{image.min_disk_gb} GiB; the flavor has {one.ram_mb} MiB and {one.disk_gb} GiB",
            "Choose a larger flavor: --flavor=FLAVOR, --master-flavor=FLAVOR.",
        )
        for one in small
    )


def most_workers(needs: Needs, quotas: Mapping[str, Quota]) -> Most:
    """How many workers there could be with what is left; 0 when not even one fits.

    Sizes of templates are left out: with the most workers of one cluster they are within limits.
    So are scripts: where they are too large for user_data, the client carries them.
    """

    def short(workers: int) -> tuple[str, ...]:
        found = rows(_with_workers(needs, workers), quotas)
        return tuple(row.what for row in found if row.state == "short")

    # The first number that does not fit stands behind as many that do. Where one root stack ends,
    # so does what its last node has to hold.
    for end in (needs.plan.root_size, MOST_WORKERS):
        fit = bisect_left(range(1, end + 1), True, key=lambda number: bool(short(number)))
        if fit < end:
            return Most(fit, short(fit + 1))
    return Most(MOST_WORKERS)


def _with_workers(needs: Needs, workers: int) -> Needs:
    plan = needs.plan
    other = planned(
        plan.cluster,
        product=plan.product,
        workers=workers,
        makes_network=plan.makes_network,
        floating=plan.floating,
        shard_size=plan.shard_size,
        root_size=plan.root_size,
    )
    return replace(
        needs,
        plan=other,
        master_user_data=0,
        worker_user_data=needs.bare_user_data,
        template=0,
        request=0,
    )
