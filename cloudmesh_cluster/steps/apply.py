"""Bring nodes what they are to have: each other's names, and the scripts of their role.

The nodes' ends are in templates/user_data/bootstrap.sh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.cluster import Node, Result
from cloudmesh_cluster.model.errors import NodeError
from cloudmesh_cluster.model.names import Outcome, clipped, folded
from cloudmesh_cluster.model.wiring import wiring
from cloudmesh_cluster.render import Scripts
from cloudmesh_cluster.steps.progress import Progress
from cloudmesh_cluster.steps.verify import Runner
from cloudmesh_cluster.steps.wait import Clock

WIRE = ("sudo", "-n", "/var/lib/cm-cluster/wire")
APPLY = ("sudo", "-n", "/var/lib/cm-cluster/apply")
LOOK = (
    "sudo", "-n", "bash", "-c",
    "cd /var/lib/cm-cluster; test -e wired && echo wired; "
    "for one in product role; do echo $one $(cat ran/$one 2>/dev/null); done",
)  # fmt: skip
PATIENCE = 120.0  # seconds for what a node does at once
TRIES = 3  # how often a node is asked to which the connection is lost
PAUSE = 5.0  # seconds before it is asked again


class NotTaken(NodeError):
    """Some nodes did not do what they were asked; the problem names each."""

    def __init__(self, problem: str, nodes: Sequence[str]) -> None:
        scripts = {"product script": codes.PRODUCT_SCRIPT, "role script": codes.ROLE_SCRIPT}
        said = [code for words, code in scripts.items() if f": {words} ended" in problem]
        super().__init__(problem, code=said[0] if said else "")
        self.nodes = tuple(nodes)


def wired(nodes: Sequence[Node], access: Access, fleet: Runner[Target]) -> None:
    """Return when all nodes that can be reached know all nodes by name and by host key.

    Raises NotTaken.
    """
    keys = {one.name: one.host_keys[0] for one in access.targets}
    outcomes = fleet.run(access.targets, WIRE, stdin=wiring(nodes, keys), timeout=PATIENCE)
    _insist(outcomes, "did not take the names of the others")


def prepared(
    access: Access,
    scripts: Mapping[str, Scripts],
    fleet: Runner[Target],
    *,
    workers: int,
    again: bool = False,
) -> None:
    """Return when each node has its role's scripts; ``again`` is for a product that ran there.

    Nothing runs yet: what a node has published for others under another script is gone first.
    Raises NotTaken.
    """
    packed = {one.name: scripts[one.role].packed() for one in access.targets}
    words = (*APPLY, "prepare", str(workers), *(["again"] if again else []))
    outcomes = fleet.run(access.targets, words, stdin=packed, timeout=PATIENCE)
    _insist(outcomes, "did not take its scripts")


def applied(
    access: Access,
    fleet: Runner[Target],
    *,
    seconds: float,
    clock: Clock,
    progress: Progress,
    ended: Callable[[str], None],
) -> None:
    """Return when on every node the scripts have ended well; those that have do not run again.

    ``ended`` is called with the name of each node where they have. A node whose connection is lost
    is asked again. Raises NotTaken as soon as a script fails, for others may wait for what it was
    to bring.
    """
    end = clock.now() + seconds
    total, count = len(access.targets), 0
    waiting: Sequence[Target] = access.targets
    lost: dict[str, Outcome] = {}

    def answered(name: str, outcome: Outcome) -> None:
        nonlocal count
        if isinstance(outcome, NodeError):
            return
        _insist({name: outcome}, "has not ended its scripts")
        count += 1
        ended(name)
        progress.stage("scripts ended", count, total)

    progress.stage("scripts ended", 0, total)
    for _ in range(TRIES):
        left = max(1.0, end - clock.now())
        outcomes = fleet.run(waiting, (*APPLY, "run"), timeout=left, answered=answered)
        lost = {name: one for name, one in outcomes.items() if isinstance(one, NodeError)}
        if not lost:
            return
        waiting = [one for one in waiting if one.name in lost]
        clock.sleep(PAUSE)
    _insist(lost, "")


def unsettled(
    access: Access, scripts: Mapping[str, Scripts], fleet: Runner[Target]
) -> dict[str, str]:
    """By name, the nodes that are not as they should be, and why; nothing is changed there."""
    outcomes = fleet.run(access.targets, LOOK, timeout=PATIENCE)
    roles = {one.name: one.role for one in access.targets}
    found = {name: _lack(one, scripts[roles[name]]) for name, one in outcomes.items()}
    return {name: lack for name, lack in found.items() if lack}


def _lack(outcome: Outcome, scripts: Scripts) -> str:
    if isinstance(outcome, NodeError):
        return outcome.problem
    lines = [line.split() for line in outcome.stdout.splitlines()]
    if ["wired"] not in lines:
        return "is not wired"
    ran = {words[0]: " ".join(words[1:]) for words in lines}
    for name, content in (("product", scripts.product), ("role", scripts.role)):
        if content and ran.get(name) != f"{hashlib.sha256(content).hexdigest()} -":
            return f"its {name} script has not ended well"
    return ""


def _insist(outcomes: Mapping[str, Outcome], what: str) -> None:
    """Raise NotTaken when a node was not reached or did not end well, nodes alike together."""
    alike: dict[str, list[str]] = {}
    for name, outcome in outcomes.items():
        if words := _trouble(name, outcome, what):
            alike.setdefault(words, []).append(name)
    if alike:
        lines = [f"{folded(names)}: {words}" for words, names in alike.items()]
        raise NotTaken("\n".join(lines), [name for names in alike.values() for name in names])


def _trouble(name: str, outcome: Outcome, what: str) -> str:
    if isinstance(outcome, NodeError):
        return outcome.problem.removeprefix(f"{name}: ")
    if not outcome.exit_status:
        return ""
    said = [clipped(line, 200) for line in outcome.stderr.strip().splitlines()[-9:]]
    return "\n".join(said) or _ended(outcome, what)


def _ended(outcome: Result, what: str) -> str:
    return f"{what}: exit status {outcome.exit_status}"
