"""Slurm clusters that really compute: every job here runs on nodes of the embedded cloud."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping

import openstack
import pytest
import requests

from .conftest import Cm

pytestmark = pytest.mark.usefixtures("cloud")

WORKERS = 2


@pytest.fixture(scope="module")
def slurm(cloud: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cm]:
    """A command whose Slurm cluster stands while this module's tests run."""
    cm = Cm(tmp_path_factory.mktemp("slurm"), cloud)
    cm.run("cluster", "create", "sl", "--product=slurm", f"--workers={WORKERS}",
           "--set=accounting=yes", "--set=rest=yes")  # fmt: skip
    try:
        yield cm
    finally:
        cm.run("cluster", "delete", "sl")


def on_master(cm: Cm, command: str, status: int = 0) -> str:
    """What a command of the ordinary user prints on the master."""
    words = f"sudo -iu cluster timeout 120 bash -c '{command}'"
    return cm.run("cluster", "ssh", "sl", "--", words, status=status).stdout


def until(holds: Callable[[], bool], seconds: float) -> bool:
    """Whether it holds before the time is over."""
    end = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(1)
    return held


def idle(cm: Cm) -> bool:
    return on_master(cm, 'sinfo --noheader --format="%D %T"') == f"{WORKERS} idle\n"


def test_exactly_the_workers_are_idle(slurm: Cm) -> None:
    assert until(lambda: idle(slurm), 30)


def test_srun_reaches_every_worker(slurm: Cm) -> None:
    names = on_master(slurm, f"srun --nodes={WORKERS} hostname").split()

    assert sorted(names) == ["sl-worker1", "sl-worker2"]


def test_an_array_of_jobs_finishes_with_the_right_output(slurm: Cm) -> None:
    wrap = "echo $((SLURM_ARRAY_TASK_ID * SLURM_ARRAY_TASK_ID))"

    on_master(slurm, f'sbatch --wait --array=1-6 --output=/tmp/square-%a --wrap="{wrap}"'
              .replace("$", "\\$"))  # fmt: skip
    answer = slurm.run("cluster", "test", "sl", "--role=worker", "--format=json",
                       "cd /tmp; grep -H . square-*")  # fmt: skip

    lines = "".join(group["stdout"] for group in answer.json).split()
    assert sorted(lines) == [f"square-{n}:{n * n}" for n in range(1, 7)]


def test_what_jobs_used_is_accounted(slurm: Cm) -> None:
    on_master(slurm, "srun --job-name=counted true")

    def states() -> list[str]:
        told = on_master(slurm, "sacct -X --noheader --parsable2 --name=counted --format=state")
        return told.split()

    assert until(lambda: states() == ["COMPLETED"], 30)


def test_a_job_survives_a_test(slurm: Cm) -> None:
    on_master(slurm, f'sbatch --nodes={WORKERS} --job-name=long --wrap="sleep 60"')
    assert until(lambda: on_master(slurm, "squeue --noheader --format=%T") == "RUNNING\n", 30)

    slurm.run("cluster", "test", "sl")

    assert on_master(slurm, "squeue --noheader --format=%T") == "RUNNING\n"
    on_master(slurm, "scancel --name=long")
    assert until(lambda: idle(slurm), 60)


@pytest.fixture
def rest(slurm: Cm) -> Iterator[str]:
    """The URL of Slurm's REST on this machine, at the near end of a tunnel."""
    tunnel = slurm.start("cluster", "tunnel", "sl")
    assert tunnel.stderr is not None
    line = tunnel.stderr.readline()
    url = line.split()[0]
    assert line == f"{url} is Slurm REST on sl-master:6820\n"
    port = int(url.rpartition(":")[2])
    assert until(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 20)
    yield url
    tunnel.send_signal(signal.SIGINT)
    tunnel.communicate(timeout=20)
    assert tunnel.returncode == 0


def test_rest_answers_through_a_tunnel_who_has_a_token(slurm: Cm, rest: str) -> None:
    token = slurm.run("cluster", "ssh", "sl", "--", "sudo scontrol token username=cluster")
    word = token.stdout.strip().removeprefix("SLURM_JWT=")
    headers = {"X-SLURM-USER-NAME": "cluster", "X-SLURM-USER-TOKEN": word}
    url = f"{rest}/slurm/v0.0.38/nodes"

    answer = requests.get(url, headers=headers, timeout=20)

    assert [node["name"] for node in answer.json()["nodes"]] == ["sl-worker1", "sl-worker2"]
    assert requests.get(url, timeout=20).status_code == 401


def test_a_stopped_slurmd_is_named_until_it_is_started(slurm: Cm) -> None:
    slurm.run("cluster", "ssh", "sl", "worker2", "--", "sudo systemctl stop slurmd")

    verdicts = slurm.run("cluster", "test", "sl", "--role=worker", "--format=json", status=3).json
    slurm.run("cluster", "ssh", "sl", "worker2", "--", "sudo systemctl start slurmd")

    failed = [(one["node"], one["check"]) for one in verdicts if not one["passed"]]
    assert failed == [("sl-worker2", "service slurmd")]
    assert until(lambda: idle(slurm), 60)
    slurm.run("cluster", "test", "sl")


def test_a_worker_that_was_rebooted_comes_back_by_itself(
    slurm: Cm, user: openstack.connection.Connection
) -> None:
    slurm.run("cluster", "ssh", "sl", "worker1", "--", "sudo touch /run/before-the-reboot")
    server = user.compute.find_server("sl-worker1", ignore_missing=False)

    user.compute.reboot_server(server, "HARD")

    def rebooted() -> bool:
        answer = slurm.start("cluster", "ssh", "sl", "worker1", "test ! -e /run/before-the-reboot")
        answer.communicate(timeout=120)
        return answer.returncode == 0

    assert until(rebooted, 90)
    assert until(lambda: idle(slurm), 90)
    names = on_master(slurm, f"srun --nodes={WORKERS} hostname").split()
    assert sorted(names) == ["sl-worker1", "sl-worker2"]


def test_the_role_scripts_run_twice_end_the_same(slurm: Cm) -> None:
    again = "sudo env HOME=/root LANG=C.UTF-8 bash /var/lib/cm-cluster/scripts/product"

    for role in ("master", "worker"):
        slurm.run("cluster", "test", "sl", f"--role={role}", again)

    assert until(lambda: idle(slurm), 60)
    slurm.run("cluster", "test", "sl")


def state(cm: Cm, job: str) -> str:
    """What Slurm says of a job, in its own word."""
    told = on_master(cm, f"scontrol show job {job}")
    return told.partition("JobState=")[2].split()[0]


def test_workers_join_and_leave_while_jobs_go_on(slurm: Cm) -> None:
    """Also when the command is killed while it waits for a job."""
    submit = "cd /tmp; sbatch --parsable --output=/dev/null"
    staying = on_master(slurm, f'{submit} --nodelist=sl-worker1 --wrap="sleep 3000"').strip()

    slurm.run("cluster", "update", "sl", "--workers=3")

    joined = on_master(slurm, "srun --nodelist=sl-worker3 hostname")
    leaving = on_master(slurm, f'{submit} --nodelist=sl-worker3 --wrap="sleep 40"').strip()

    states = "sinfo --noheader --nodes=sl-worker3 --format=%T"
    with slurm.start("cluster", "update", "sl", "--remove=worker3") as update:
        draining = until(lambda: "drain" in on_master(slurm, states), 60)
        update.kill()
        update.communicate()
    running = state(slurm, leaving)
    slurm.run("cluster", "create", "sl")

    assert draining
    assert running == "RUNNING"
    assert joined == "sl-worker3\n"
    assert state(slurm, staying) == "RUNNING"
    assert state(slurm, leaving) == "COMPLETED"  # it was waited for
    on_master(slurm, f"scancel {staying}")
    assert until(lambda: idle(slurm), 60)
