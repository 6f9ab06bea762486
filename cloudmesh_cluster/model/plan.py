"""What a cluster will consist of: its nodes, how they are laid out in stacks, its network shape."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from cloudmesh_cluster.model.cluster import MASTER, WORKER

# Heat's work on a resource grows with its stack, so large clusters are split. With fewer in each,
# 950 nodes would not fit into Heat's 1000 resources.
SHARD_SIZE = 60
# A handle keeps its signals in one row of Heat's database, which each signal writes anew: so many
# shards share one that the row stays some hundred kilobytes.
HANDLE_SHARDS = 6


@dataclass(frozen=True)
class PlannedNode:
    """A node to be made; the alias is its name inside the cluster."""

    name: str
    role: str
    alias: str


@dataclass(frozen=True)
class Shard:
    """Workers that share a nested stack."""

    name: str
    nodes: tuple[PlannedNode, ...]


@dataclass(frozen=True)
class Plan:
    """The shape of a cluster: all that decides what its template looks like.

    A node never moves from one stack to another: Heat would make it anew.
    """

    cluster: str
    product: str
    master: PlannedNode
    flat_workers: tuple[PlannedNode, ...]  # in the root stack, the one that wires left out
    shards: tuple[Shard, ...]
    wirer: PlannedNode | None  # wires the others, from the root stack, where it sees them all
    makes_network: bool
    floating: bool
    shard_size: int = SHARD_SIZE
    generation: int = 1  # how often the cluster was asked for; each has handles of its own

    @property
    def workers(self) -> tuple[PlannedNode, ...]:
        """All workers, in the order of their numbers."""
        sharded = [node for shard in self.shards for node in shard.nodes]
        wirer = () if self.wirer is None else (self.wirer,)
        return tuple(sorted((*self.flat_workers, *sharded, *wirer), key=number))

    @property
    def last_worker(self) -> PlannedNode:
        """The worker with the highest number."""
        return self.workers[-1]

    @property
    def handles(self) -> tuple[str, ...]:
        """The handles, all in the root stack; its own nodes signal to the first."""
        return tuple(dict.fromkeys([self._handle(1), *map(self.handle_of, self.shards)]))

    def handle_of(self, shard: Shard) -> str:
        """The handle that the nodes of a shard signal to."""
        place = int(shard.name.removeprefix("shard")) - 1
        return self._handle(place // HANDLE_SHARDS + 1)

    def _handle(self, number: int) -> str:
        one = "handle" if number == 1 else f"handle{number}"
        return one if self.generation == 1 else f"{one}_{self.generation}"

    @property
    def nodes(self) -> tuple[PlannedNode, ...]:
        """All nodes, the master first."""
        return (self.master, *self.workers)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all nodes, the master's first."""
        return tuple(node.name for node in self.nodes)


def number(node: PlannedNode) -> int:
    """A worker's number."""
    return int(node.alias.removeprefix(WORKER))


def worker(cluster: str, number: int) -> PlannedNode:
    """The worker of that number."""
    return PlannedNode(f"{cluster}-{WORKER}{number}", WORKER, f"{WORKER}{number}")


def planned(
    cluster: str,
    *,
    product: str,
    workers: int,
    makes_network: bool,
    floating: bool,
    shard_size: int = SHARD_SIZE,
) -> Plan:
    """The plan of a new cluster with that many equal workers; the last one wires them."""
    *rest, last = (worker(cluster, number) for number in range(1, workers + 1))
    few = workers <= shard_size
    return Plan(
        cluster=cluster,
        product=product,
        master=PlannedNode(f"{cluster}-{MASTER}", MASTER, MASTER),
        flat_workers=tuple(rest) if few else (),
        shards=() if few else _shards(rest, shard_size, ()),
        wirer=last,
        makes_network=makes_network,
        floating=floating,
        shard_size=shard_size,
    )


def grown(plan: Plan, numbers: Iterable[int]) -> Plan:
    """The plan with more workers, which the client wires: in the root while they are few."""
    new = [worker(plan.cluster, number) for number in sorted(numbers)]
    plan = without_wirer(plan)
    room = 0 if plan.shards else max(0, plan.shard_size - len(plan.flat_workers))
    flat = tuple(sorted((*plan.flat_workers, *new[:room]), key=number))
    return replace(plan, flat_workers=flat, shards=_filled(plan, new[room:]))


def without(plan: Plan, names: Collection[str]) -> Plan:
    """The plan without the workers of these names; a shard that loses all is gone, too."""
    plan = without_wirer(plan)
    shards = (
        Shard(shard.name, tuple(node for node in shard.nodes if node.name not in names))
        for shard in plan.shards
    )
    return replace(
        plan,
        flat_workers=tuple(node for node in plan.flat_workers if node.name not in names),
        shards=tuple(shard for shard in shards if shard.nodes),
    )


def without_wirer(plan: Plan) -> Plan:
    """The plan of a cluster that the client wires: all workers are alike."""
    if plan.wirer is None:
        return plan
    flat = tuple(sorted((*plan.flat_workers, plan.wirer), key=number))
    return replace(plan, flat_workers=flat, wirer=None)


def free_numbers(plan: Plan, count: int) -> tuple[int, ...]:
    """The lowest numbers that no worker has, so many of them."""
    taken = {number(node) for node in plan.workers}
    most = count + len(taken)
    return tuple(one for one in range(1, most + 1) if one not in taken)[:count]


def _filled(plan: Plan, new: list[PlannedNode]) -> tuple[Shard, ...]:
    """The shards with these workers as well: first where there is room, then in new shards."""
    filled: list[Shard] = []
    for shard in plan.shards:
        room = plan.shard_size - len(shard.nodes)
        filled.append(Shard(shard.name, tuple(sorted((*shard.nodes, *new[:room]), key=number))))
        new = new[room:]
    return (*filled, *_shards(new, plan.shard_size, [shard.name for shard in filled]))


def _shards(nodes: list[PlannedNode], size: int, taken: Collection[str]) -> tuple[Shard, ...]:
    parts = [tuple(nodes[start : start + size]) for start in range(0, len(nodes), size)]
    names = (f"shard{one}" for one in range(1, len(taken) + len(parts) + 1))
    free = [name for name in names if name not in taken]
    return tuple(Shard(name, part) for name, part in zip(free, parts, strict=False))
