"""Reach the nodes; where one cannot be reached, the cloud is asked how its server is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.errors import ClusterError, NoCluster, NodeError
from cloudmesh_cluster.model.names import Outcome
from cloudmesh_cluster.shell import finding
from cloudmesh_cluster.shell.environment import Environment
from cloudmesh_cluster.steps.power import ERROR, GONE, OFF, ON
from cloudmesh_cluster.steps.verify import Runner


@contextmanager
def fleet(name: str, access: Access, environment: Environment) -> Iterator[Runner[Target]]:
    """SSH to the nodes of a cluster.

    Running a command raises NoCluster where the cloud says that the cluster is gone, and
    ClusterError where it is stopped.
    """
    with environment.fleet(environment.workspace(name), access) as ssh:
        yield _Explaining(ssh, Servers(name, environment))


def why(name: str, node: str, environment: Environment) -> str:
    """Why a node cannot be reached, with the next step; empty if the cloud knows no reason."""
    try:
        return Servers(name, environment).trouble(node)
    except ClusterError as error:
        return str(error)


@dataclass(frozen=True)
class Servers:
    """How a cluster's servers are; the cloud is asked at most once, and only if need be."""

    cluster: str
    environment: Environment

    @cached_property
    def states(self) -> Mapping[str, str]:
        """Nova's status of each, by name; nothing where the cloud cannot be asked.

        Raises NoCluster where there is no such cluster.
        """
        order = self.environment.workspace(self.cluster).order()
        try:
            # One that is down is not started for this.
            if self.environment.cloud_at_hand(order.get("cloud")) is None:
                return {}
            return finding.servers(self.cluster, self.environment)
        except NoCluster:
            raise
        except ClusterError:
            return {}

    def trouble(self, node: str) -> str:
        """What the cloud knows against a node; ClusterError where the cluster is stopped."""
        if self.states and set(self.states.values()) == {OFF}:
            raise stopped(self.cluster)
        state = self.states.get(node, ON)
        steps = {OFF: "start", ERROR: "repair", GONE: "repair"}
        step = f": cm cluster {steps[state]} {self.cluster}" if state in steps else ""
        return "" if state == ON else f"its server is {state}{step}"


def stopped(cluster: str) -> ClusterError:
    """The error of one who wants something of a cluster that is off."""
    return ClusterError(
        f"{cluster} is stopped: all its servers are {OFF}",
        f"Start it: cm cluster start {cluster}",
        code=codes.STOPPED,
    )


@dataclass(frozen=True)
class _Explaining:
    """A fleet whose unreached nodes tell how their servers are."""

    ssh: Runner[Target]
    servers: Servers

    def run(
        self,
        targets: Iterable[Target],
        command: str | tuple[str, ...],
        *,
        stdin: bytes | Mapping[str, bytes] = b"",
        timeout: float,
        answered: Callable[[str, Outcome], None] | None = None,
        encoding: str = "utf-8",
    ) -> dict[str, Outcome]:
        """What the command came to on each node; where that is nothing, why."""
        explained: dict[str, Outcome] = {}

        def explain(name: str, outcome: Outcome) -> None:
            explained[name] = self._explained(name, outcome)
            if answered is not None:
                answered(name, explained[name])

        asked = list(targets)
        self.ssh.run(
            asked, command, stdin=stdin, timeout=timeout, answered=explain, encoding=encoding
        )
        return {one.name: explained[one.name] for one in asked}

    def _explained(self, name: str, outcome: Outcome) -> Outcome:
        if not isinstance(outcome, NodeError) or outcome.code != codes.SSH_UNREACHABLE:
            return outcome
        trouble = self.servers.trouble(name)
        if not trouble:
            return outcome
        code = {OFF: codes.STOPPED, GONE: codes.NODE_GONE}.get(self.servers.states[name], "")
        return NodeError(f"{name}: {trouble}", outcome.next_step, code=code)
