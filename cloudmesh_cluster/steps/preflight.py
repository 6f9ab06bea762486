"""Whether a cluster can be made, before anything is touched: all that stands against it at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.demand import (
    CORES,
    MEMORY,
    PORTS,
    SERVERS,
    Most,
    Needs,
    Problem,
    Row,
    most_workers,
    problems,
    rows,
    too_small,
)
from cloudmesh_cluster.model.errors import ClusterError
from cloudmesh_cluster.steps.outside import Compute


@dataclass(frozen=True)
class Forecast:
    """What a cluster takes and what is left, what is wrong with it, and how large it could be."""

    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    most: Most

    @property
    def told(self) -> list[str]:
        """The problems in words, each with its next step."""
        count = f"{len(self.problems)} problems:" if len(self.problems) > 1 else "1 problem:"
        lines = [f"  {one.what}: {one.problem}\n    {one.next_step}" for one in self.problems]
        return [count, *lines] if lines else []

    @property
    def answer(self) -> str:
        """How many workers there could be, in a sentence."""
        count = f"{self.most.workers} worker" + ("s" if self.most.workers != 1 else "")
        if not self.most.short:
            return f"With what is left, at most {count}: one cluster takes no more."
        short = " and ".join(self.most.short)
        return f"With what is left, at most {count}; one more would be short of {short}."


class DoesNotFit(ClusterError):
    """The cluster cannot be made, and nothing was tried."""


def forecast(needs: Needs, cloud: Compute, *, taken: ClusterError | None = None) -> Forecast:
    """What would come of this cluster, whose name may be taken; the cloud is left as it is."""
    quotas = cloud.quotas()
    found = rows(needs, quotas)
    name = (Problem("name", taken.problem, taken.next_step),) if taken else ()
    troubles = (*name, *too_small(needs.chosen), *_no_route(needs, cloud), *problems(found))
    return Forecast(found, troubles, most_workers(needs, quotas))


def insist(name: str, needs: Needs, cloud: Compute) -> None:
    """Nothing, if the cluster can be made; DoesNotFit tells every problem if it cannot."""
    found = forecast(needs, cloud)
    if found.problems:
        raise DoesNotFit(
            f"{name} cannot be made: " + "\n".join(found.told),
            f"{found.answer}\nNothing was made. "
            f"To see all that it takes, plan with the same words: cm cluster plan {name}",
            code=_code(found.problems[0]),
        )


def _code(problem: Problem) -> str:
    """What the problem is known as: of a flavor, of a network, else of a quota or limit."""
    return {"flavor": codes.FLAVOR, "network": codes.NETWORK}.get(
        problem.what.partition(" ")[0], codes.QUOTA
    )


def insist_growth(name: str, workers: int, parameters: Mapping[str, Any], cloud: Compute) -> None:
    """Nothing, if so many more workers fit; DoesNotFit tells every quota that they exceed."""
    if not workers:
        return
    quotas = cloud.quotas()
    flavor = next((f for f in cloud.flavors() if parameters.get("flavor") in (f.name, f.id)), None)
    needed = {SERVERS: workers, PORTS: workers}
    if flavor:
        needed |= {CORES: workers * flavor.vcpus, MEMORY: workers * flavor.ram_mb}
    found = problems(tuple(Row(what, count, quotas.get(what)) for what, count in needed.items()))
    if found:
        lines = [f"  {one.what}: {one.problem}\n    {one.next_step}" for one in found]
        raise DoesNotFit("\n".join([f"{name} cannot grow by {workers}:", *lines]),
                         "Nothing was changed.", code=codes.QUOTA)  # fmt: skip


def _no_route(needs: Needs, cloud: Compute) -> tuple[Problem, ...]:
    """A floating IP needs a router between the two networks that the user named.

    Of a shared network we may not see the router, so nothing is said then.
    """
    chosen, network = needs.chosen, needs.chosen.network
    if not (chosen.route_asked and network) or network.shared:
        return ()
    if chosen.external_network in cloud.external_networks_of(network.id):
        return ()
    return (
        Problem(
            f"network {network.name}",
            "no router leads from it to the external network, so it can have no floating IP",
            "Leave out --network, and the cluster has a network of its own; or add a router: "
            "openstack router set --external-gateway, openstack router add subnet.",
        ),
    )
