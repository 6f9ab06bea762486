"""OpenMPI over all workers by an ordinary user, whose home all nodes share."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping

import openstack
import pytest

from .conftest import Cm

pytestmark = pytest.mark.usefixtures("cloud")

WORKERS = ["ring-worker1", "ring-worker2"]
# Each rank adds itself to what it got from the rank before, so rank 0 gets the sum of all.
RING = r"""
#include <mpi.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int rank, size, sum = 0;
  char name[256];
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  gethostname(name, sizeof name);
  if (rank > 0) MPI_Recv(&sum, 1, MPI_INT, rank - 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  sum += rank;
  MPI_Send(&sum, 1, MPI_INT, (rank + 1) % size, 0, MPI_COMM_WORLD);
  if (rank == 0) {
    MPI_Recv(&sum, 1, MPI_INT, size - 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    printf("sum %d of %d\n", sum, size);
  }
  printf("rank %d on %s by user %d\n", rank, name, (int)getuid());
  return MPI_Finalize();
}
"""


@pytest.fixture(scope="module")
def ring(cloud: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cm]:
    """A command whose cluster ring has OpenMPI and a shared home."""
    cm = Cm(tmp_path_factory.mktemp("ring"), cloud)
    made = cm.run("cluster", "create", "ring", "--product=mpi", "--workers=2",
                  "--set=shared_home=yes", "--set=slots=2", "--format=json")  # fmt: skip
    cm.file("created.json", made.stdout)
    try:
        yield cm
    finally:
        cm.run("cluster", "delete", "ring")


def as_user(cm: Cm, node: str, script: str, status: int = 0) -> str:
    """What the script of the user cluster printed on that node."""
    words = ("cluster", "ssh", "ring", node, "--", "sudo -n -iu cluster bash -es")
    return cm.run(*words, script=script, status=status).stdout


def test_the_program_runs_on_every_worker_as_it_was_made(ring: Cm) -> None:
    verdicts = json.loads((ring.home / "created.json").read_text())["verdicts"]

    seen = {one["check"]: one for one in verdicts if one["node"] == "ring-master"}
    assert len(seen) == 1
    assert all(one["passed"] for one in verdicts)


def test_a_ring_across_all_workers_has_the_right_sum(ring: Cm) -> None:
    as_user(ring, "master", f"cat >ring.c <<'C'\n{RING}C\nmpicc -O -o ring ring.c\n")

    lines = as_user(ring, "master", "mpirun -np 4 ./ring").splitlines()

    assert sorted(lines) == [
        *(f"rank {rank} on {WORKERS[rank // 2]} by user 2000" for rank in range(4)),
        "sum 6 of 4",
    ]


def test_more_processes_than_there_are_slots_are_refused(ring: Cm) -> None:
    as_user(ring, "master", "mpirun -np 5 hostname", status=1)


def test_a_file_of_one_worker_is_on_all_nodes_and_belongs_to_the_user(ring: Cm) -> None:
    as_user(ring, "worker1", "echo from worker1 >seen; chmod 600 seen")

    assert seen_everywhere(ring) == 3 * ["cluster cluster 600 from worker1"]


def test_the_log_tells_how_the_home_is_shared(ring: Cm) -> None:
    log = "sudo grep -h 'shared home:' /var/log/cm-cluster/product.log | cut -d' ' -f2-"

    said = ring.run("cluster", "test", "ring", "--role=worker", log).stdout

    assert said.startswith("--- ring-worker[1-2]\n")
    assert re.search(r"ring-master's /home/cluster is here by (nfs|sshfs)$", said, re.MULTILINE)


def test_the_home_is_there_again_after_a_reboot(
    ring: Cm, user: openstack.connection.Connection
) -> None:
    as_user(ring, "worker2", "echo from worker2 >seen")
    ring.run("cluster", "ssh", "ring", "worker1", "--", "sudo touch /run/not-yet-rebooted")

    user.compute.reboot_server(user.compute.find_server("ring-worker1"), "HARD")

    wanted = 3 * ["cluster cluster 600 from worker2"]
    seen = seen_everywhere(ring)
    for _ in range(30):
        if seen == wanted:
            break
        time.sleep(2)
        seen = seen_everywhere(ring)
    assert seen == wanted


def seen_everywhere(cm: Cm) -> list[str]:
    """Owner, group, mode and content of the user's file `seen`, for each node that has it."""
    look = 'cd /home/cluster && echo $(stat -c "%U %G %a" seen) $(cat seen)'
    command = f"test ! -e /run/not-yet-rebooted && sudo bash -c '{look}'"
    with cm.start("cluster", "test", "ring", "--format=json", command) as test:
        answers, _ = test.communicate(timeout=120)
    groups = json.loads(answers or "[]")
    return [one.get("stdout", "").strip() for one in groups for _ in one["nodes"]]
