"""The SSH door against real OpenSSH servers on loopback, and against things that are none."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import paramiko
import pytest

from cloudmesh_cluster.doors import ssh
from cloudmesh_cluster.doors.ssh import (
    ConnectionLost,
    ConnectionRefused,
    Fleet,
    HostKeyChanged,
    HostKeyUnknown,
    IdentityUnusable,
    LoginRefused,
    Silent,
    Target,
    Unreachable,
)
from cloudmesh_cluster.model.cluster import Result
from cloudmesh_cluster.model.errors import NodeError
from cloudmesh_cluster.model.names import Outcome
from tests.sshd import (
    MISSING,
    Server,
    free_port,
    full_house,
    impostor,
    keypair,
    servers,
)

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

NODES = tuple(f"127.81.0.{number}" for number in range(1, 21))
JUMP = "127.81.1.1"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Real servers on 21 addresses, the last of which is the jump host's."""
    with servers(tmp_path_factory.mktemp("sshd"), [*NODES, JUMP]) as running:
        yield running


@pytest.fixture
def node(server: Server) -> Target:
    return target(server, "n1", NODES[0])


@pytest.fixture
def fleet(server: Server) -> Iterator[Fleet]:
    with Fleet(server.identity, connect_timeout=5.0) as fleet:
        yield fleet


def target(server: Server, name: str, address: str) -> Target:
    return Target(name, address, server.login, (server.host_key,), server.port)


def result(outcome: Outcome) -> Result:
    assert isinstance(outcome, Result), outcome
    return outcome


def trouble(fleet: Fleet, node: Target) -> NodeError:
    """What keeps us from the node, which is named."""
    outcome = fleet.run([node], "true", timeout=5.0)[node.name]
    assert isinstance(outcome, NodeError), outcome
    assert outcome.problem.startswith(f"{node.name}: ")
    return outcome


class Watch:
    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began


# --- commands ------------------------------------------------------------------------------------


def test_a_command_gives_its_streams_and_exit_status(fleet: Fleet, node: Target) -> None:
    got = result(fleet.run([node], "echo out; echo err >&2; exit 7", timeout=5.0)["n1"])
    assert (got.exit_status, got.stdout, got.stderr) == (7, "out\n", "err\n")
    assert 0 < got.seconds < 5


def test_a_text_is_for_the_shell_as_ssh_has_it(fleet: Fleet, node: Target) -> None:
    line = """for i in 1 2; do echo "$i 'q'"; done | wc -l; cd / && pwd"""
    assert result(fleet.run([node], line, timeout=5.0)["n1"]).stdout == "2\n/\n"


def test_a_tuple_is_run_as_it_is(fleet: Fleet, node: Target) -> None:
    got = fleet.run([node], ("echo", "$HOME", "a  b;", "'"), timeout=5.0)["n1"]
    assert result(got).stdout == "$HOME a  b; '\n"


def test_stdin_carries_a_script(fleet: Fleet, node: Target) -> None:
    script = b'read -r first\nthis line is read\necho "got $first"\nexit 3\n'
    got = result(fleet.run([node], ("bash", "-s"), stdin=script, timeout=5.0)["n1"])
    assert (got.exit_status, got.stdout) == (3, "got this line is read\n")


def test_stdin_may_differ_by_node(fleet: Fleet, server: Server) -> None:
    nodes = [target(server, f"n{i}", NODES[i]) for i in range(3)]
    got = fleet.run(nodes, "cat", stdin={"n0": b"zero", "n1": b"one"}, timeout=5.0)
    assert [result(outcome).stdout for outcome in got.values()] == ["zero", "one", ""]


def test_stdin_and_output_larger_than_every_window_pass(fleet: Fleet, node: Target) -> None:
    got = fleet.run([node], "tee /dev/stderr", stdin=b"x" * 7_000_000, timeout=30.0)["n1"]
    assert (len(result(got).stdout), len(result(got).stderr)) == (7_000_000, 7_000_000)


def test_stdin_that_nobody_reads_is_no_trouble(fleet: Fleet, node: Target) -> None:
    got = result(fleet.run([node], "exit 4", stdin=b"x" * 5_000_000, timeout=10.0)["n1"])
    assert got.exit_status == 4


def test_a_command_that_never_ends_is_ended_on_the_node(fleet: Fleet, node: Target) -> None:
    watch = Watch()
    got = result(fleet.run([node], "echo $$; exec sleep 60", timeout=1.0)["n1"])
    assert got.exit_status == 124
    assert watch.seconds < 20
    eventually(lambda: not Path(f"/proc/{got.stdout.strip()}").exists())


def test_a_command_that_will_not_be_ended_is_killed(fleet: Fleet, node: Target) -> None:
    watch = Watch()
    line = "trap '' TERM; (echo $BASHPID; while :; do sleep 0.1; done) & echo $$; wait; wait"
    got = result(fleet.run([node], ("bash", "-c", line), timeout=1.0)["n1"])
    assert got.exit_status == 124
    assert watch.seconds < 20
    assert len(got.stdout.split()) == 2
    for process in got.stdout.split():
        eventually(lambda process=process: not Path(f"/proc/{process}").exists())


def test_a_drip_of_output_does_not_put_off_the_end(fleet: Fleet, node: Target) -> None:
    watch = Watch()
    got = result(fleet.run([node], "while :; do printf .; sleep 0.5; done", timeout=2.0)["n1"])
    assert got.exit_status == 124
    assert 2 <= len(got.stdout) <= 5
    assert watch.seconds < 20


def test_much_output_is_cut_and_the_exit_status_kept(fleet: Fleet, node: Target) -> None:
    line = "head -c 20000000 /dev/zero | tr '\\0' x; exit 5"
    got = result(fleet.run([node], line, timeout=60.0)["n1"])
    assert got.exit_status == 5
    assert got.stdout.endswith("x\n[cut after 8 MiB]\n")
    assert len(got.stdout) < 8 * 2**20 + 100


FLOOD = """
import resource, sys
from pathlib import Path
from cloudmesh_cluster.doors.ssh import Fleet, Target
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
identity, address, port, login, host_key = sys.argv[1:]
node = Target("n1", address, login, (host_key,), int(port))
with Fleet(Path(identity)) as fleet:
    fleet.run([node], "true", timeout=20)
    before = peak()
    got = fleet.run([node], "cat /dev/zero & cat /dev/zero >&2", timeout=4)["n1"]
    cut = [one.endswith("[cut after 8 MiB]\\n") for one in (got.stdout, got.stderr)]
    print(got.exit_status, *cut, peak() - before)
"""


def test_a_flood_without_end_is_bounded_in_memory_and_time(server: Server, node: Target) -> None:
    words = [server.identity, node.address, node.port, node.login, node.host_keys[0]]
    done = subprocess.run(
        [sys.executable, "-c", FLOOD, *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    status, *cut, megabytes = done.stdout.split()
    assert (status, cut) == ("124", ["True", "True"])
    assert int(megabytes) < 150


def test_many_nodes_that_say_much_share_what_is_kept(
    fleet: Fleet, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudmesh_cluster.doors.ssh.KEPT_OF_ALL", 2**20)
    nodes = [target(server, f"n{number}", address) for number, address in enumerate(NODES[:2])]
    one = fleet.run(nodes[:1], "head -c 700000 /dev/zero", timeout=20.0)
    two = fleet.run(nodes, "head -c 700000 /dev/zero", timeout=20.0)
    assert len(result(one["n0"]).stdout) == 700_000
    for outcome in two.values():
        assert result(outcome).stdout == "\0" * 2**19 + "\n[cut after 512 KiB]\n"


def test_a_command_ended_by_a_signal_has_its_number(fleet: Fleet, node: Target) -> None:
    assert result(fleet.run([node], "kill -SEGV $$", timeout=5.0)["n1"]).exit_status == 128 + 11


def test_what_is_left_in_the_background_does_not_hold_us_up(fleet: Fleet, node: Target) -> None:
    watch = Watch()
    got = result(fleet.run([node], "sleep 30 & echo $!", timeout=20.0)["n1"])
    os.kill(int(got.stdout), signal.SIGTERM)
    assert got.exit_status == 0
    assert watch.seconds < 15


def test_output_that_is_no_utf8_is_still_text(fleet: Fleet, node: Target) -> None:
    line = "printf 'a\\377\\303\\251'"
    assert result(fleet.run([node], line, timeout=5.0)["n1"]).stdout == "a\ufffdé"
    bytewise = fleet.run([node], line, timeout=5.0, encoding="latin-1")["n1"]
    assert result(bytewise).stdout.encode("latin-1") == b"a\xff\xc3\xa9"


# --- many nodes ----------------------------------------------------------------------------------


def test_outcomes_come_in_the_order_of_the_targets(fleet: Fleet, server: Server) -> None:
    nodes = [target(server, f"n{i}", address) for i, address in enumerate(NODES)]
    told: list[str] = []
    got = fleet.run(
        nodes,
        "echo $SSH_CONNECTION",
        timeout=10.0,
        answered=lambda name, outcome: told.append(name),
    )
    assert list(got) == [node.name for node in nodes]
    assert sorted(told) == sorted(got)
    assert [result(outcome).stdout.split()[2] for outcome in got.values()] == list(NODES)


def test_no_targets_are_no_work(fleet: Fleet) -> None:
    assert fleet.run([], "true", timeout=5.0) == {}


def test_connections_stay_open_between_runs(fleet: Fleet, node: Target) -> None:
    first, second = (
        result(fleet.run([node], "echo $SSH_CONNECTION", timeout=5.0)["n1"]) for _ in "ab"
    )
    assert first.stdout == second.stdout


def test_closed_connections_do_not_pile_up_in_memory(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "KEPT_OPEN", 1)
    monkeypatch.setattr(ssh, "CLEARED_AWAY", 4)
    made: list[weakref.ref[paramiko.Transport]] = []
    making = paramiko.Transport.__init__

    def noted(self: paramiko.Transport, *given: Any, **named: Any) -> None:
        making(self, *given, **named)
        made.append(weakref.ref(self))

    monkeypatch.setattr(paramiko.Transport, "__init__", noted)
    gc.disable()  # it would clear them away, but too late where there are hundreds
    try:
        with Fleet(server.identity, pool=1) as fleet:
            fleet.run([target(server, name, name) for name in NODES], "true", timeout=10)
            assert len(made) == len(NODES)
            assert sum(one() is not None for one in made) < 10
    finally:
        gc.enable()


def test_hanging_commands_on_many_nodes_cost_one_time_out(server: Server) -> None:
    nodes = [target(server, f"n{i}", address) for i, address in enumerate(NODES)]
    watch = Watch()
    with Fleet(server.identity, pool=2) as fleet:
        got = fleet.run(nodes, ("sleep", "30"), timeout=4.0)
    assert {result(outcome).exit_status for outcome in got.values()} == {124}
    assert watch.seconds < 30  # two at a time they would take 40


def test_nodes_that_hang_at_every_stage_cost_one_time_out_together(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        quiet = stack.enter_context(impostor())
        stuck = stack.enter_context(impostor(says=b"SSH-2.0-OpenSSH_9.2p1\r\n"))
        full = stack.enter_context(full_house())
        closed = free_port()
        here = target(server, "x", "127.0.0.1")
        nodes = [
            replace(here, name=f"{kind}{number}", port=port)
            for kind, port in [
                ("quiet", quiet), ("stuck", stuck), ("full", full), ("closed", closed),
            ]
            for number in range(12)
        ] + [target(server, f"good{i}", address) for i, address in enumerate(NODES)]  # fmt: skip
        watch = Watch()
        with Fleet(server.identity, connect_timeout=4.0, pool=2) as fleet:
            got = fleet.run(nodes, ("echo", "hi"), timeout=20.0)
        seconds = watch.seconds
    kinds = {
        kind: {type(outcome) for name, outcome in got.items() if name.strip("0123456789") == kind}
        for kind in ("quiet", "stuck", "full", "closed", "good")
    }
    assert kinds == {
        "quiet": {Silent},
        "stuck": {Silent},
        "full": {Unreachable},
        "closed": {ConnectionRefused},
        "good": {Result},
    }
    assert seconds < 20  # two at a time, the stuck ones alone would take 24


# --- trouble, each kind for real -----------------------------------------------------------------


def test_a_closed_port_is_named(fleet: Fleet, node: Target) -> None:
    error = trouble(fleet, replace(node, port=free_port()))
    assert isinstance(error, ConnectionRefused)
    assert "connection refused at 127.81.0.1:" in error.problem


def test_no_answer_to_the_first_packet_is_named(server: Server, node: Target) -> None:
    with full_house() as port, Fleet(server.identity, connect_timeout=1.0) as fleet:
        error = trouble(fleet, replace(node, address="127.0.0.1", port=port))
    assert isinstance(error, Unreachable)
    assert f"no answer from 127.0.0.1:{port} within 1 s" in error.problem


@pytest.mark.parametrize("address", ["no such host.invalid", "127.0.0.1.1.1", "a\0b", "ü" * 70])
def test_an_address_that_is_none_is_named(fleet: Fleet, node: Target, address: str) -> None:
    assert isinstance(trouble(fleet, replace(node, address=address)), Unreachable)


def test_silence_after_the_connection_is_named(server: Server, node: Target) -> None:
    with impostor() as port, Fleet(server.identity, connect_timeout=1.0) as fleet:
        error = trouble(fleet, replace(node, address="127.0.0.1", port=port))
    assert isinstance(error, Silent)
    assert "accepted the connection, but sent no SSH greeting within 1 s" in error.problem


def test_silence_after_the_banner_is_named(server: Server, node: Target) -> None:
    with (
        impostor(says=b"SSH-2.0-OpenSSH_9.2p1\r\n") as port,
        Fleet(server.identity, connect_timeout=1.0) as fleet,
    ):
        error = trouble(fleet, replace(node, address="127.0.0.1", port=port))
    assert isinstance(error, Silent)
    assert "no answer to the SSH greeting within 1 s" in error.problem


@pytest.mark.parametrize("says", [b"", b"SSH-2.0-OpenSSH_9.2p1\r\n", b"HTTP/1.1 400 Bad\r\n\r\n"])
def test_a_connection_that_is_closed_at_once_is_named(
    fleet: Fleet, node: Target, says: bytes
) -> None:
    with impostor(says=says, hangs_up=True) as port:
        error = trouble(fleet, replace(node, address="127.0.0.1", port=port))
    assert isinstance(error, ConnectionLost)


def test_a_packet_without_measure_is_not_waited_for(fleet: Fleet, node: Target) -> None:
    says = b"SSH-2.0-OpenSSH_9.2p1\r\n" + b"\x7f\xff\xff\xfc" + bytes(200)
    with impostor(says=says) as port:
        error = trouble(fleet, replace(node, address="127.0.0.1", port=port))
    assert isinstance(error, ConnectionLost)
    assert "it announced a packet of" in error.problem


def test_a_key_that_the_node_does_not_take_is_named(
    server: Server, node: Target, tmp_path: Path
) -> None:
    keypair(tmp_path / "other")
    with Fleet(tmp_path / "other") as fleet:
        error = trouble(fleet, node)
    assert isinstance(error, LoginRefused)
    assert f"login as {server.login} refused with our key" in error.problem


def test_a_login_that_the_node_does_not_have_is_named(fleet: Fleet, node: Target) -> None:
    error = trouble(fleet, replace(node, login="nobody-of-that-name"))
    assert isinstance(error, LoginRefused)
    assert "login as nobody-of-that-name refused" in error.problem


def test_a_node_without_a_known_host_key_is_not_spoken_to(fleet: Fleet, node: Target) -> None:
    error = trouble(fleet, replace(node, host_keys=()))
    assert isinstance(error, HostKeyUnknown)


def test_a_host_key_of_another_type_is_unknown(fleet: Fleet, node: Target, tmp_path: Path) -> None:
    ecdsa = keypair(tmp_path / "ecdsa", "ecdsa")
    error = trouble(fleet, replace(node, host_keys=(ecdsa,)))
    assert isinstance(error, HostKeyUnknown)
    assert "unknown host key" in error.problem


def test_a_changed_host_key_is_named_and_the_login_not_tried(
    server: Server, node: Target, tmp_path: Path
) -> None:
    other = keypair(tmp_path / "other")
    with Fleet(server.identity) as fleet:
        error = trouble(fleet, replace(node, host_keys=(other,)))
    assert isinstance(error, HostKeyChanged)
    assert "host key changed: it shows ssh-ed25519 SHA256:" in error.problem


@pytest.mark.parametrize("kind", ["rsa", "ecdsa", "ed25519"])
def test_every_usual_type_of_host_key_can_be_proved(kind: str, tmp_path: Path) -> None:
    unrelated = keypair(tmp_path / "unrelated", "rsa" if kind == "ed25519" else "ed25519")
    with servers(tmp_path / "sshd", key_kind=kind) as server, Fleet(server.identity) as fleet:
        node = Target("n1", "127.0.0.1", server.login, (server.host_key,), server.port)
        assert result(fleet.run([node], "true", timeout=5.0)["n1"]).exit_status == 0
        both = replace(node, host_keys=(server.host_key, unrelated + " a comment"))
        assert result(fleet.run([both], "true", timeout=5.0)["n1"]).exit_status == 0


def test_a_connection_lost_during_the_command_is_named(fleet: Fleet, node: Target) -> None:
    error = fleet.run([node], f"{END_OWN_SSHD}; sleep 20", timeout=30.0)["n1"]
    assert isinstance(error, ConnectionLost)
    assert "connection lost during the command" in error.problem


# The command's own ancestor that is an sshd.
END_OWN_SSHD = """
pid=$$
while read -r name < /proc/$pid/comm; [ "${name#sshd}" = "$name" ]; do
  while read -r key value _; do [ "$key" = PPid: ] && parent=$value; done < /proc/$pid/status
  pid=$parent
done
kill -9 $pid
"""


def test_a_connection_that_ends_between_runs_is_opened_anew(fleet: Fleet, node: Target) -> None:
    line = "echo $SSH_CONNECTION"
    before = result(fleet.run([node], line, timeout=5.0)["n1"])
    later = END_OWN_SSHD.replace("kill", "(sleep 0.3; kill").rstrip()
    fleet.run([node], f"{later}) >/dev/null 2>&1 </dev/null &", timeout=5.0)
    time.sleep(0.6)
    after = result(fleet.run([node], line, timeout=5.0)["n1"])
    assert after.exit_status == 0
    assert after.stdout != before.stdout


@pytest.mark.parametrize("content", [None, b"", b"no key", b"-----BEGIN OPENSSH PRIVATE KEY-----"])
def test_an_identity_file_that_is_none_is_refused_before_any_call(
    node: Target, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "identity"
    if content is not None:
        path.write_bytes(content)
    with Fleet(path) as fleet, pytest.raises(IdentityUnusable, match="identity file"):
        fleet.run([node], "true", timeout=5.0)


def test_an_identity_file_with_a_passphrase_is_refused(node: Target, tmp_path: Path) -> None:
    path = tmp_path / "identity"
    subprocess.run(["ssh-keygen", "-q", "-N", "secret", "-f", str(path)], check=True)
    with Fleet(path) as fleet, pytest.raises(IdentityUnusable, match="it has a passphrase"):
        fleet.run([node], "true", timeout=5.0)


# --- through a jump host -------------------------------------------------------------------------


@pytest.fixture
def jump(server: Server) -> Target:
    return target(server, "demo-master", JUMP)


def test_twenty_nodes_are_reached_through_a_jump_host(server: Server, jump: Target) -> None:
    nodes = [target(server, f"n{i}", address) for i, address in enumerate(NODES)]
    with Fleet(server.identity, jump=jump) as fleet:
        for _ in range(3):
            got = fleet.run(nodes, ("printenv", "SSH_CONNECTION"), timeout=20.0)
            ways = [result(outcome).stdout.split() for outcome in got.values()]
            assert [way[2] for way in ways] == list(NODES)


def test_the_jump_host_itself_is_not_reached_through_itself(tmp_path: Path) -> None:
    with servers(tmp_path / "sshd", [JUMP], "AllowTcpForwarding no") as running:
        master = target(running, "demo-master", JUMP)
        with Fleet(running.identity, jump=master) as fleet:
            for _ in range(2):
                got = fleet.run([master], "echo here", timeout=5.0)
                assert result(got["demo-master"]).stdout == "here\n"


def test_a_changed_host_key_is_seen_through_the_jump_host(
    server: Server, jump: Target, node: Target, tmp_path: Path
) -> None:
    other = keypair(tmp_path / "other")
    with Fleet(server.identity, jump=jump) as fleet:
        got = fleet.run([node, replace(node, name="n2", host_keys=(other,))], "true", timeout=5.0)
    assert isinstance(got["n1"], Result)
    assert isinstance(got["n2"], HostKeyChanged)


def test_a_changed_host_key_of_the_jump_host_ends_it(
    server: Server, jump: Target, node: Target, tmp_path: Path
) -> None:
    changed = replace(jump, host_keys=(keypair(tmp_path / "other"),))
    with Fleet(server.identity, jump=changed) as fleet:
        error = trouble(fleet, node)
    assert isinstance(error, HostKeyChanged)
    assert error.problem.startswith("n1: jump host demo-master: host key changed")


def test_a_jump_host_that_does_not_answer_costs_one_time_out(server: Server, jump: Target) -> None:
    nodes = [target(server, f"n{i}", address) for i, address in enumerate(NODES)]
    watch = Watch()
    with impostor(JUMP) as port, Fleet(
        server.identity, jump=replace(jump, port=port), connect_timeout=2.0
    ) as fleet:  # fmt: skip
        got = fleet.run(nodes, "true", timeout=5.0)
    assert watch.seconds < 5
    assert {type(outcome) for outcome in got.values()} == {Silent}


def test_a_node_that_the_jump_host_cannot_reach_is_named(
    server: Server, jump: Target, node: Target
) -> None:
    with Fleet(server.identity, jump=jump) as fleet:
        error = trouble(fleet, replace(node, port=free_port()))
    assert isinstance(error, Unreachable)
    assert "jump host demo-master cannot connect to 127.81.0.1:" in error.problem


def test_a_silent_node_behind_the_jump_host_is_named(
    server: Server, jump: Target, node: Target
) -> None:
    with impostor(NODES[0]) as port, Fleet(
        server.identity, jump=jump, connect_timeout=1.0
    ) as fleet:  # fmt: skip
        assert isinstance(trouble(fleet, replace(node, port=port)), Silent)


# --- ends ----------------------------------------------------------------------------------------


def test_nothing_of_ours_is_left_when_the_fleet_is_closed(server: Server, node: Target) -> None:
    before = threading.active_count()
    with Fleet(server.identity) as fleet:
        fleet.run([node], "true", timeout=5.0)
        assert threading.active_count() > before
    eventually(lambda: threading.active_count() <= before)


def test_an_error_of_the_listener_ends_the_run_at_once(fleet: Fleet, node: Target) -> None:
    def answered(name: str, outcome: Outcome) -> None:
        raise RuntimeError(name)

    watch = Watch()
    with impostor() as port, pytest.raises(RuntimeError, match="n1"):
        fleet.run(
            [node, replace(node, name="n2", address="127.0.0.1", port=port)],
            "true",
            timeout=5.0,
            answered=answered,
        )
    assert watch.seconds < 4


def test_ctrl_c_ends_it_promptly(server: Server) -> None:
    program = f"""
from pathlib import Path
from cloudmesh_cluster.doors.ssh import Fleet, Target
nodes = [Target(f"n{{i}}", f"127.81.0.{{i}}", {server.login!r}, ({server.host_key!r},),
                {server.port}) for i in range(1, 11)]
with Fleet(Path({str(server.identity)!r})) as fleet:
    print("ready", flush=True)
    fleet.run(nodes, "sleep 30", timeout=60.0)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=15) != 0
    process.stdout.close()


def eventually(claim: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.05)
