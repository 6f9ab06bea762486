"""Give the nodes another keypair for their logins to each other; the one before is worth nothing.

The first one was in user_data, which any user of a node can read.
"""

from __future__ import annotations

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.errors import NodeError
from cloudmesh_cluster.model.keys import KeyPair
from cloudmesh_cluster.model.names import clipped
from cloudmesh_cluster.products import TEMPLATES
from cloudmesh_cluster.steps.progress import Progress
from cloudmesh_cluster.steps.verify import Runner

PHASES = ("accept", "use", "drop")  # each once every node has passed the one before
SECONDS = 300.0  # that a phase may take on a node; it waits for logins that are in progress


def rekeyed(access: Access, fleet: Runner[Target], keypair: KeyPair, progress: Progress) -> None:
    """Return when this is the nodes' only keypair, for root and for the login user.

    Logins from node to node go on meanwhile. It may be run again, with the same keypair or with
    another, also after it was cut off, and for nodes whose keypairs differ. Raises NodeError that
    names every node that did not take it; then the keypairs before are still taken by some.
    """
    script = (TEMPLATES / "rekey.sh").read_text()
    for step, phase in enumerate(PHASES):
        progress.stage("keys of the nodes replaced", step, len(PHASES))
        outcomes = fleet.run(
            access.targets,
            ("sudo", "-n", "bash", "-c", script, "rekey", phase),
            stdin=keypair.private.encode() if phase == "accept" else b"",
            timeout=SECONDS,
        )
        troubles = []
        for name, outcome in outcomes.items():
            if isinstance(outcome, NodeError):
                troubles.append(outcome.problem)
            elif outcome.exit_status:
                said = clipped(outcome.stderr, 300) or f"exit status {outcome.exit_status}"
                troubles.append(f"{name} did not {phase} the nodes' new key: {said}")
        if troubles:
            unreached = [one.code for one in outcomes.values() if isinstance(one, NodeError)]
            raise NodeError("\n".join(troubles), code=next(iter(unreached), codes.NOT_REKEYED))
    progress.stage("keys of the nodes replaced", len(PHASES), len(PHASES))
