"""What a cluster will consist of: its nodes, how they are laid out in stacks, its network shape."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import count

from cloudmesh_cluster.model.cluster import MASTER, WORKER

# Heat's work on a resource grows with its stack, so large clusters are split. With fewer in each,
# 950 nodes would not fit into Heat's 1000 resources.
SHARD_SIZE = 60
# Workers of a root stack: with the master 950 nodes, which is what Heat's 1000 resources hold.
ROOT_SIZE = 949
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
    """Workers that share a nested stack; ``root`` is the number of the root stack it is in."""

    name: str
    nodes: tuple[PlannedNode, ...]
    root: int = 1


@dataclass(frozen=True)
class Plan:
    """The shape of a cluster: all that decides what its template looks like.

    A node never moves from one stack to another: Heat would make it anew.
    """

    cluster: str
    product: str
    master: PlannedNode
    flat_workers: tuple[PlannedNode, ...]  # in the first root stack, the one that wires left out
    shards: tuple[Shard, ...]
    wirer: PlannedNode | None  # wires the others, from the root stack, where it sees them all
    makes_network: bool
    floating: bool
    shard_size: int = SHARD_SIZE
    root_size: int = ROOT_SIZE
    roots: int = 1  # how many root stacks there have been at most
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
    def further(self) -> tuple[int, ...]:
        """The numbers of the root stacks beside the first."""
        return tuple(sorted({shard.root for shard in self.shards} - {1}))

    def shards_in(self, root: int) -> tuple[Shard, ...]:
        """The shards of the root stack of that number."""
        return tuple(shard for shard in self.shards if shard.root == root)

    @property
    def handles(self) -> tuple[str, ...]:
        """The handles of the first root stack; its own nodes signal to the first of them."""
        return tuple(dict.fromkeys([self._handle(1), *self.handles_in(1)]))

    def handles_in(self, root: int) -> tuple[str, ...]:
        """The handles that the shards of a root stack signal to, which are in the same."""
        return tuple(dict.fromkeys(map(self.handle_of, self.shards_in(root))))

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


def root_name(cluster: str, root: int) -> str:
    """The name of a root stack; a dot is in no cluster's name, so it can be no other cluster's."""
    return cluster if root == 1 else f"{cluster}.{root}"


def root_cluster(stack_name: str) -> str:
    """The name of the cluster that a root stack of that name is a part of."""
    return stack_name.partition(".")[0]


def root_number(stack_name: str) -> int:
    """The number of the root stack of that name."""
    digits = stack_name.rpartition(".")[2]
    return int(digits) if digits.isdigit() else 1


def planned(
    cluster: str,
    *,
    product: str,
    workers: int,
    makes_network: bool,
    floating: bool,
    shard_size: int = SHARD_SIZE,
    root_size: int = ROOT_SIZE,
) -> Plan:
    """The plan of a new cluster with that many equal workers.

    The last one wires them, if it sees them all: in several root stacks none does, and the client
    wires.
    """
    *rest, last = (worker(cluster, number) for number in range(1, workers + 1))
    few, many = workers <= min(shard_size, root_size), workers > root_size
    plan = Plan(
        cluster=cluster,
        product=product,
        master=PlannedNode(f"{cluster}-{MASTER}", MASTER, MASTER),
        flat_workers=tuple(rest) if few else (),
        shards=(),
        wirer=None if many else last,
        makes_network=makes_network,
        floating=floating,
        shard_size=shard_size,
        root_size=root_size,
    )
    return plan if few else _filled(plan, [*rest, last] if many else rest)


def grown(plan: Plan, numbers: Iterable[int]) -> Plan:
    """The plan with more workers, which the client wires: in the root while they are few."""
    new = [worker(plan.cluster, number) for number in sorted(numbers)]
    plan = without_wirer(plan)
    size = min(plan.shard_size, plan.root_size)
    room = 0 if plan.shards else max(0, size - len(plan.flat_workers))
    flat = tuple(sorted((*plan.flat_workers, *new[:room]), key=number))
    return _filled(replace(plan, flat_workers=flat), new[room:])


def without(plan: Plan, names: Iterable[str]) -> Plan:
    """The plan without the workers of these names; a shard that loses all is gone, too."""
    plan, names = without_wirer(plan), frozenset(names)
    shards = (
        replace(shard, nodes=tuple(node for node in shard.nodes if node.name not in names))
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


def _filled(plan: Plan, new: Sequence[PlannedNode]) -> Plan:
    """The plan with these workers as well: first where shards have room, then in new shards.

    A new shard is in the first root stack that has room.
    """
    waiting = deque(new)
    used = Counter({1: len(plan.flat_workers) + (plan.wirer is not None)})
    for shard in plan.shards:
        used[shard.root] += len(shard.nodes)

    def taken(root: int, most: int) -> list[PlannedNode]:
        fit = max(0, min(most, plan.root_size - used[root], len(waiting)))
        used[root] += fit
        return [waiting.popleft() for _ in range(fit)]

    def with_more(shard: Shard) -> Shard:
        more = taken(shard.root, plan.shard_size - len(shard.nodes))
        return replace(shard, nodes=tuple(sorted((*shard.nodes, *more), key=number)))

    shards = [with_more(shard) for shard in plan.shards]
    names = _free_names({shard.name for shard in shards})
    while waiting:
        root = next(one for one in count(1) if used[one] < plan.root_size)
        shards.append(Shard(next(names), tuple(taken(root, plan.shard_size)), root))
    roots = max([plan.roots, *(shard.root for shard in shards)])
    return replace(plan, shards=tuple(shards), roots=roots)


def _free_names(taken: AbstractSet[str]) -> Iterator[str]:
    return (name for name in map("shard{}".format, count(1)) if name not in taken)
