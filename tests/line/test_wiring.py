"""Every node reaches every node by name, whatever the size: wiring is not a matter of luck."""

from __future__ import annotations

import pytest

from .conftest import Cm

pytestmark = pytest.mark.usefixtures("cloud", "nothing_left")

# 31 nodes make 1922 logins on one machine: the default key exchange is its dearest part.
SSH = "ssh -n -o BatchMode=yes -o KexAlgorithms=curve25519-sha256"


@pytest.mark.parametrize("workers", [1, 8, 30])
def test_every_node_logs_in_to_every_node(cm: Cm, workers: int) -> None:
    names = ["master", *(f"worker{number}" for number in range(1, workers + 1))]
    script = (
        f"for name in {' '.join(names)}; do\n"
        f'  [ $({SSH} $name hostname) = wire-$name ] || echo "$(hostname) to $name"\n'
        f'  [ $(sudo {SSH} wire-$name whoami) = root ] || echo "$(hostname) to $name as root"\n'
        "done\n"
    )

    cm.run("cluster", "create", "wire", f"--workers={workers}", "--flavor=local.tiny")
    answer = cm.run("cluster", "test", "wire", "--format=json", script=script)
    cm.run("cluster", "delete", "wire")

    assert [(len(group["nodes"]), group["stdout"]) for group in answer.json] == [(workers + 1, "")]
