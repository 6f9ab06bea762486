"""What a cluster will consist of: its nodes, how they are laid out in stacks, its network shape."""

from __future__ import annotations

from dataclasses import dataclass

from cloudmesh_cluster.model.cluster import MASTER, WORKER

# Heat works on one stack at a time, so large clusters are split. Measured on Heat 27 with 962
# nodes: 37 x 26 took 91 s, flat was 40 % done after 430 s. Small ones gain nothing by it.
SHARD_SIZE = 26


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
    """The shape of a cluster: all that decides what its template looks like."""

    cluster: str
    product: str
    master: PlannedNode
    workers: tuple[PlannedNode, ...]
    makes_network: bool
    floating: bool
    shard_size: int = SHARD_SIZE

    @property
    def last_worker(self) -> PlannedNode:
        """The node that wires the others; it stays in the root stack, where it sees them all."""
        return self.workers[-1]

    @property
    def flat_workers(self) -> tuple[PlannedNode, ...]:
        """The workers in the root stack, the last one left out."""
        return () if self.shards else self.workers[:-1]

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The nested stacks; none when all workers fit into the root."""
        if len(self.workers) <= self.shard_size:
            return ()
        rest = self.workers[:-1]
        starts = range(0, len(rest), self.shard_size)
        return tuple(
            Shard(f"shard{number}", rest[start : start + self.shard_size])
            for number, start in enumerate(starts, 1)
        )

    @property
    def nodes(self) -> tuple[PlannedNode, ...]:
        """All nodes, the master first."""
        return (self.master, *self.workers)


def planned(
    cluster: str,
    *,
    product: str,
    workers: int,
    makes_network: bool,
    floating: bool,
    shard_size: int = SHARD_SIZE,
) -> Plan:
    """The plan of a cluster with that many equal workers."""
    return Plan(
        cluster=cluster,
        product=product,
        master=PlannedNode(f"{cluster}-{MASTER}", MASTER, MASTER),
        workers=tuple(
            PlannedNode(f"{cluster}-{WORKER}{number}", WORKER, f"{WORKER}{number}")
            for number in range(1, workers + 1)
        ),
        makes_network=makes_network,
        floating=floating,
        shard_size=shard_size,
    )
