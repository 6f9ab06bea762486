"""Verify N nodes by SSH, and let clush, ssh2-python and ansible do the same work.

Real OpenSSH servers on loopback addresses; every client runs the same script, which is what one
small check comes to, checks the host key, and is a process of its own, so that its start counts.
The servers share the machine with the client: beyond a few dozen nodes they are the limit.

    python benchmarks/verify.py [N...]         (default 10 100 500 1000)

Then 100 nodes beside ansible, 100 of which some are in trouble, and 100 through one jump host.
Needs openssh-server, and the extras "bench": ClusterShell, ssh2-python and ansible-core.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

SIZES = (10, 100, 500, 1000)
ROUNDS = 3
POOL = 64  # connections at once, for every client
TIMEOUT = 5.0  # seconds, where some nodes hang
WALL_LIMIT = 1.3  # times the best of the others
CPU_LIMIT = 6.0  # ms a node
LARGE = 1000  # nodes, from which on these three are promised as well
LARGE_WALL_LIMIT = 1.15  # times ssh2-python's
LARGE_CPU_LIMIT = 1 / 3  # of clush's
LARGE_MEMORY_LIMIT = 64.0  # MB
ANSIBLE_LIMIT = 10.0  # times our CPU: an order
# Installed programs have their bytecode compiled; a checkout may forbid to keep it.
ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}


# --- the clients, each a process -----------------------------------------------------------------


def small_check() -> Any:
    from cloudmesh_cluster.model.checks import Check, Expectation

    return Check("command", "echo fine", expect=Expectation(stdout="fine"))


def ours(task: dict[str, Any]) -> dict[str, int]:
    from cloudmesh_cluster.doors.ssh import Fleet
    from cloudmesh_cluster.model.access import Target
    from cloudmesh_cluster.steps.verify import verdicts
    from cloudmesh_cluster.steps.wait import SystemClock

    class Quiet:
        def stage(self, name: str, done: int = 0, total: int = 0) -> None:
            pass

        def note(self, line: str) -> None:
            pass

    targets = [
        Target(address, address, task["login"], (task["host_key"],), task["port"])
        for address in task["addresses"]
    ]
    jump = targets[0] if task.get("jump") else None
    with Fleet(Path(task["identity"]), jump=jump, connect_timeout=TIMEOUT, pool=POOL) as fleet:
        found = verdicts({"worker": targets}, [small_check()], fleet, SystemClock(), Quiet())
    return {
        "fine": sum(verdict.passed for verdict in found),
        "refused": sum("connection refused" in verdict.seen for verdict in found),
        "silent": sum("no SSH greeting" in verdict.seen for verdict in found),
        "named": len({verdict.node for verdict in found}),
    }


def ssh2_python(task: dict[str, Any]) -> dict[str, int]:
    import base64
    import socket

    from ssh2.session import Session

    expected = base64.b64decode(task["host_key"].split()[1])
    script = task["script"].encode()

    def one(address: str) -> bool:
        sock = socket.create_connection((address, task["port"]), timeout=TIMEOUT)
        sock.settimeout(None)
        session = Session()
        session.set_timeout(int(TIMEOUT * 1000))
        session.handshake(sock)
        if session.hostkey()[0] != expected:
            raise ValueError("host key changed")
        session.userauth_publickey_fromfile(task["login"], task["identity"])
        channel = session.open_session()
        channel.execute("bash -s")
        channel.write(script)
        channel.send_eof()
        output = b""
        while (read := channel.read(65536))[0] > 0:
            output += read[1]
        channel.wait_eof()
        channel.close()
        channel.wait_closed()
        status = channel.get_exit_status()
        del channel, session  # before the socket: freeing a session touches its descriptor
        sock.close()
        return status == 0 and b"fine" in output

    def attempt(address: str) -> str:
        try:
            return "fine" if one(address) else "wrong"
        except ConnectionRefusedError:
            return "refused"
        except Exception as error:
            return type(error).__name__

    with ThreadPoolExecutor(POOL) as pool:
        answers = list(pool.map(attempt, task["addresses"]))
    return {answer: answers.count(answer) for answer in set(answers)}


CLIENTS = {"cm": ours, "ssh2-python": ssh2_python}
ALL = (*CLIENTS, "clush")


# --- running them --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What one client took for one task."""

    wall: float
    cpu: float
    memory: float  # MB, the most at any time
    answers: dict[str, int]


def cost(client: str, task: dict[str, Any]) -> Cost:
    command = COMMANDS.get(client)
    argv = command(task) if command else [sys.executable, __file__, "--client", client]
    stdin = None if command else json.dumps(task).encode()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as given:
        given.write(stdin or b"")
        given.seek(0)
        began = time.monotonic()
        process = subprocess.Popen(argv, stdin=given, stdout=output, env=ENVIRONMENT)
        _, _, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = 0  # reaped above, where its use of the CPU is told
        output.seek(0)
        said = output.read()
    answers = {"fine": said.count(b"fine\n")} if command else json.loads(said)
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, answers)


def installed(program: str, package: str) -> str:
    """The path of a program that came with the extras."""
    path = shutil.which(program, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert path, f"{package} is not installed"
    return path


def clush(task: dict[str, Any]) -> list[str]:
    program = installed("clush", "ClusterShell")
    if not task["addresses"]:
        return [program, "--version"]
    options = (
        f"-F none -i {task['identity']} -p {task['port']} -o BatchMode=yes "
        f"-o StrictHostKeyChecking=yes -o UserKnownHostsFile={task['known_hosts']} "
        # its default, a post-quantum key exchange, would cost five times as much
        "-o KexAlgorithms=curve25519-sha256"
    )
    return [
        program, "-w", ",".join(task["addresses"]), "-l", task["login"], "-f", str(POOL),
        "-t", str(TIMEOUT), "-u", "30", "-o", options, "-N", "--nostdin",
        f"bash -c {shlex.quote(task['script'])}",
    ]  # fmt: skip


def ansible(task: dict[str, Any]) -> list[str]:
    program = installed("ansible", "ansible-core")
    script = base64.b64encode(task["script"].encode()).decode()  # ansible would template it
    options = (
        f"-o BatchMode=yes -o StrictHostKeyChecking=yes -p {task['port']} "
        f"-o UserKnownHostsFile={task['known_hosts']} -o KexAlgorithms=curve25519-sha256 "
        "-o ControlMaster=no"
    )
    return [
        program, "all", "-i", ",".join([*task["addresses"], ""]), "-u", task["login"], "-f",
        str(POOL), "--private-key", task["identity"], f"--ssh-common-args={options}", "-m", "raw",
        "-a", f"echo {script} | base64 -d | bash",
    ]  # fmt: skip


COMMANDS = {"clush": clush, "ansible": ansible}  # clients that are programs of others


@contextlib.contextmanager
def task_for(addresses: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Servers on all addresses, and what a client has to know of them."""
    from cloudmesh_cluster.model.checks import script
    from tests.sshd import servers

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with servers(folder / "sshd", addresses, prefix=_plain_shell()) as server:
            known_hosts = folder / "known_hosts"
            known_hosts.write_text(f"* {server.host_key}\n")
            yield {
                "addresses": list(addresses),
                "port": server.port,
                "login": server.login,
                "identity": str(server.identity),
                "host_key": server.host_key,
                "known_hosts": str(known_hosts),
                "script": script([small_check()]),
            }


def _plain_shell() -> list[str]:
    """Hide our own ~/.bashrc from the servers: it may cost more than the whole handshake."""
    bashrc = Path.home() / ".bashrc"
    if os.geteuid() != 0 or not shutil.which("unshare") or not bashrc.exists():
        print("note: the servers read this user's ~/.bashrc, which may cost much", flush=True)
        return []
    hide = f'mount --bind /dev/null {shlex.quote(str(bashrc))} && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", hide, "sh"]


def addresses_of(count: int, net: int = 1) -> list[str]:
    return [f"127.{net}.{number // 250}.{number % 250 + 1}" for number in range(count)]


# --- the two comparisons -------------------------------------------------------------------------


def compare(sizes: Sequence[int]) -> None:
    with bytecode_kept(), task_for(addresses_of(max(sizes))) as task:
        starts = {client: start_of(client, task) for client in ALL}
        print(
            f"{'nodes':>5}  {'client':<12} {'wall s':>7} {'less start':>11} {'nodes/s':>8}", end=""
        )
        print(f" {'CPU s':>7} {'less start, ms/node':>20} {'MB':>5}")
        for client, start in starts.items():
            print(f"start  {client:<12} {start.wall:>7.2f} {'':>11} {'':>8} {start.cpu:>7.2f}")
        for size in sizes:
            part = {**task, "addresses": task["addresses"][:size]}
            costs: dict[str, list[Cost]] = {client: [] for client in ALL}
            for _ in range(ROUNDS):
                for client in ALL:
                    costs[client].append(cost(client, part))
            figures = {client: Figures.of(costs[client], starts[client], size) for client in ALL}
            for client in ALL:
                told(size, client, figures[client], costs[client])
            judged(size, figures)


def start_of(client: str, task: dict[str, Any]) -> Cost:
    """What it takes to start and call nobody."""
    cost(client, {**task, "addresses": task["addresses"][:1]})  # compiles what it imports
    costs = [cost(client, {**task, "addresses": []}) for _ in range(ROUNDS)]
    return Cost(min(c.wall for c in costs), min(c.cpu for c in costs), 0.0, {})


@contextlib.contextmanager
def bytecode_kept() -> Iterator[None]:
    """A place of our own for compiled modules, so that the checkout stays clean."""
    with tempfile.TemporaryDirectory() as folder:
        ENVIRONMENT["PYTHONPYCACHEPREFIX"] = folder
        yield
        del ENVIRONMENT["PYTHONPYCACHEPREFIX"]


@dataclass(frozen=True)
class Figures:
    """The least wall and CPU of all rounds, with and without the client's start."""

    wall: float
    net_wall: float
    cpu: float
    net_cpu_ms: float
    memory: float

    @classmethod
    def of(cls, costs: Sequence[Cost], start: Cost, size: int) -> Figures:
        wall = min(one.wall for one in costs)
        cpu = min(one.cpu for one in costs)
        net_cpu_ms = (cpu - start.cpu) * 1000 / size
        return cls(wall, wall - start.wall, cpu, net_cpu_ms, max(one.memory for one in costs))


def told(size: int, client: str, figures: Figures, costs: Sequence[Cost]) -> None:
    for one in costs:
        if one.answers.get("fine") != size:
            print(f"       {client} reached only {one.answers}")
    print(
        f"{size:>5}  {client:<12} {figures.wall:>7.2f} {figures.net_wall:>11.2f} "
        f"{size / figures.wall:>8.0f} {figures.cpu:>7.2f} {figures.net_cpu_ms:>20.2f} "
        f"{figures.memory:>5.0f}",
        flush=True,
    )


def judged(size: int, figures: dict[str, Figures]) -> None:
    mine = figures["cm"]
    others = [one for client, one in figures.items() if client != "cm"]
    ratio = mine.wall / min(one.wall for one in others)
    net_ratio = mine.net_wall / min(one.net_wall for one in others)
    print(
        f"       cm: wall {ratio:.2f} x the best other, {net_ratio:.2f} x less start "
        f"({met(net_ratio <= WALL_LIMIT)} {WALL_LIMIT}); CPU {mine.net_cpu_ms:.1f} ms a node "
        f"({met(mine.net_cpu_ms <= CPU_LIMIT)} {CPU_LIMIT:g})",
        flush=True,
    )
    if size >= LARGE:
        wall = mine.wall / figures["ssh2-python"].wall
        cpu = mine.cpu / figures["clush"].cpu
        print(
            f"       cm: wall {wall:.2f} x ssh2-python's "
            f"({met(wall <= LARGE_WALL_LIMIT)} {LARGE_WALL_LIMIT}); CPU {cpu:.2f} x clush's "
            f"({met(cpu <= LARGE_CPU_LIMIT)} {LARGE_CPU_LIMIT:.2f}); {mine.memory:.0f} MB "
            f"({met(mine.memory <= LARGE_MEMORY_LIMIT)} {LARGE_MEMORY_LIMIT:g})",
            flush=True,
        )


def beside_ansible(size: int = 100) -> None:
    """The same script by ansible's raw module, which is the least that it can do."""
    with bytecode_kept(), task_for(addresses_of(size)) as task:
        mine, other = (
            min_of([cost(client, task) for _ in range(2)]) for client in ("cm", "ansible")
        )
    ratio = other.cpu / mine.cpu
    print(
        f"\n{size} nodes by ansible: {other.answers}, {ratio:.1f} x our CPU "
        f"({met(ratio >= ANSIBLE_LIMIT)} {ANSIBLE_LIMIT:g} and more), "
        f"{other.wall / mine.wall:.1f} x our wall"
    )


def min_of(costs: Sequence[Cost]) -> Cost:
    return min(costs, key=lambda one: one.cpu)


def through_a_jump_host(size: int = 100, rounds: int = 5) -> None:
    """All nodes through the first one; a connection that is lost shows as a node not fine."""
    with bytecode_kept(), task_for(addresses_of(size)) as task:
        direct = [cost("cm", task) for _ in range(rounds)]
        jumped = [cost("cm", {**task, "jump": True}) for _ in range(rounds)]
    lost = sum(size - one.answers["fine"] for one in jumped)
    ratio = min(one.wall for one in jumped) / min(one.wall for one in direct)
    print(
        f"\n{size} nodes through one jump host, {rounds} rounds: {lost} lost ({met(lost == 0)} 0), "
        f"{ratio:.2f} x the wall of going directly"
    )


def met(claim: bool) -> str:
    return "within" if claim else "NOT within"


def with_trouble(size: int = 100) -> None:
    """One node in ten refuses, one in twenty accepts and is silent."""
    from tests.sshd import impostor

    refusing, silent = addresses_of(size // 10, net=2), addresses_of(size // 20, net=3)
    with task_for(addresses_of(size - len(refusing) - len(silent))) as task:
        well = min(cost("cm", task).wall for _ in range(2))
        with contextlib.ExitStack() as stack:
            for address in silent:
                stack.enter_context(impostor(address, port=task["port"]))
            mixed = [*refusing, *task["addresses"], *silent]
            ill = cost("cm", {**task, "addresses": mixed})
    print(
        f"\n{size} nodes, {len(refusing)} refusing and {len(silent)} silent, "
        f"time-out {TIMEOUT:g} s: {ill.wall:.2f} s, and {well:.2f} s without them: "
        f"{met(ill.wall <= TIMEOUT + well + 1)} one time-out\n  verdicts: {ill.answers}"
    )


def main(argv: Sequence[str]) -> int:
    if argv[:1] == ["--client"]:
        print(json.dumps(CLIENTS[argv[1]](json.load(sys.stdin))))
        return 0
    compare([int(word) for word in argv] or SIZES)
    beside_ansible()
    with_trouble()
    through_a_jump_host()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
