"""Verification: which checks run where, what is tried again, and what is said at the end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cloudmesh_cluster.doors.ssh import Fleet, Target
from cloudmesh_cluster.model.checks import LOGIN, Check, Expectation
from cloudmesh_cluster.model.cluster import MASTER, WORKER, Result
from cloudmesh_cluster.model.errors import NodeError
from cloudmesh_cluster.model.names import Outcome
from cloudmesh_cluster.steps.verify import verdicts
from tests.sshd import MISSING, free_port, servers


@dataclass(frozen=True)
class Node:
    name: str


@dataclass
class FakeClock:
    time: float = 1000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.time += seconds


@dataclass
class Told:
    stages: list[tuple[str, int, int]] = field(default_factory=list)

    def stage(self, name: str, done: int = 0, total: int = 0) -> None:
        self.stages.append((name, done, total))

    def note(self, line: str) -> None:
        raise AssertionError(line)


Answer = Callable[[str, bytes], Outcome]


@dataclass
class FakeFleet:
    """Answers each node as told for each run, and refuses a run that was not prepared."""

    runs: Iterator[Mapping[str, Answer]]
    asked: list[list[str]] = field(default_factory=list)

    def run(
        self,
        targets: Iterable[Node],
        command: str | tuple[str, ...],
        *,
        stdin: bytes | Mapping[str, bytes] = b"",
        timeout: float,
        answered: Callable[[str, Outcome], None] | None = None,
        encoding: str = "utf-8",
    ) -> dict[str, Outcome]:
        assert (command, encoding) == (("bash", "-s"), "latin-1")
        assert isinstance(stdin, Mapping)
        assert timeout >= 60
        assert answered is not None
        prepared = next(self.runs)
        names = [target.name for target in targets]
        self.asked.append(names)
        assert set(names) == set(prepared)
        outcomes = {name: prepared[name](name, stdin[name]) for name in names}
        for name in reversed(names):  # answers come in any order
            answered(name, outcomes[name])
        return outcomes


def here(name: str, text: bytes) -> Outcome:
    """Run the script on this machine."""
    done = subprocess.run(["bash", "-s"], input=text, capture_output=True)
    return Result(done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1"))


def lost(name: str, text: bytes) -> Outcome:
    return NodeError(f"{name}: connection refused at 10.0.0.1:22")


def answer(result: Result) -> Answer:
    return lambda name, text: result


def fleet(*runs: Mapping[str, Answer]) -> FakeFleet:
    return FakeFleet(iter(runs))


def command(line: str, *, role: str = "all", within: float = 0.0, stdout: str = "") -> Check:
    return Check("command", line, role, Expectation(stdout=stdout or None), within)


NODES = {MASTER: [Node("m")], WORKER: [Node("w1"), Node("w2")]}


def test_every_check_runs_on_the_nodes_of_its_role_in_a_stable_order() -> None:
    checks = [
        command("echo a"),
        command("echo b", role=WORKER),
        command("exit 3", role=MASTER),
    ]
    door = fleet({"m": here, "w1": here, "w2": here})
    found = verdicts(NODES, checks, door, FakeClock(), Told())
    assert [(v.node, v.check.subject, v.passed, v.seen) for v in found] == [
        ("m", "echo a", True, "a"),
        ("m", "exit 3", False, "exit status 3, expected 0"),
        ("w1", "echo a", True, "a"),
        ("w1", "echo b", True, "b"),
        ("w2", "echo a", True, "a"),
        ("w2", "echo b", True, "b"),
    ]


def test_a_node_without_checks_is_logged_in_to_all_the_same() -> None:
    door = fleet({"m": here, "w1": here, "w2": lost})
    found = verdicts(NODES, [command("true", role=MASTER)], door, FakeClock(), Told())
    assert [(v.node, v.check, v.passed, v.seen) for v in found[1:]] == [
        ("w1", LOGIN, True, "logged in"),
        ("w2", LOGIN, False, "connection refused at 10.0.0.1:22"),
    ]


def test_a_node_that_cannot_be_reached_fails_all_its_checks() -> None:
    door = fleet({"m": lost})
    found = verdicts({MASTER: [Node("m")]}, [command("a"), command("b")], door, FakeClock(), Told())
    assert [(v.passed, v.seen) for v in found] == [(False, "connection refused at 10.0.0.1:22")] * 2


def test_only_what_failed_and_has_time_left_is_tried_again(tmp_path: Path) -> None:
    counted = tmp_path / "count"
    checks = [
        command("true", within=30),
        command(f"echo x >> {counted}; wc -l < {counted}", within=30, stdout="3"),
        command("false"),
    ]
    door = fleet(*[{"m": here}] * 3)
    clock = FakeClock()
    found = verdicts({MASTER: [Node("m")]}, checks, door, clock, Told())
    assert [v.passed for v in found] == [True, True, False]
    assert clock.time == 1002.0


def test_a_check_that_never_holds_fails_when_its_time_is_up() -> None:
    clock = FakeClock()
    door = fleet(*[{"m": here}] * 3)
    (found,) = verdicts({MASTER: [Node("m")]}, [command("false", within=3)], door, clock, Told())
    assert found.seen == "exit status 1, expected 0 (not within 3 s)"
    assert clock.time == 1003.0


def test_a_node_that_comes_up_in_time_passes() -> None:
    door = fleet({"m": lost}, {"m": lost}, {"m": here})
    (found,) = verdicts(
        {MASTER: [Node("m")]}, [command("true", within=30)], door, FakeClock(), Told()
    )
    assert found.passed


def test_only_the_nodes_with_something_left_are_called_again() -> None:
    door = fleet({"m": here, "w1": here, "w2": lost}, {"w2": here})
    found = verdicts(NODES, [command("true", within=30)], door, FakeClock(), Told())
    assert all(v.passed for v in found)
    assert door.asked == [["m", "w1", "w2"], ["w2"]]


@pytest.mark.parametrize(
    ("result", "seen"),
    [
        (
            Result(127, "", "timeout: failed to run command 'bash'\n"),
            "the checks did not run: exit status 127: timeout: failed to run command 'bash'",
        ),
        (
            Result(124, "cm checks 1\n"),
            "the checks did not run: exit status 124: the node's answer has no result 0",
        ),
        (
            Result(0, "\x1b[2J"),
            "the checks did not run: exit status 0: the node's answer has no results",
        ),
    ],
)
def test_an_answer_without_results_is_told(result: Result, seen: str) -> None:
    door = fleet({"m": answer(result)})
    (found,) = verdicts({MASTER: [Node("m")]}, [command("true")], door, FakeClock(), Told())
    assert (found.passed, found.seen) == (False, seen)


def test_words_of_a_node_are_shown_safely() -> None:
    door = fleet({"m": here})
    line = r"printf '\033[2J\033]0;pwned\007' >&2; exit 1"
    (found,) = verdicts({MASTER: [Node("m")]}, [command(line)], door, FakeClock(), Told())
    assert found.seen == r"exit status 1, expected 0: \x1b[2J\x1b]0;pwned\x07"


def test_progress_counts_what_is_settled() -> None:
    told = Told()
    door = fleet({"m": here, "w1": here, "w2": lost}, {"w2": here})
    verdicts(NODES, [command("true", within=30)], door, FakeClock(), told)
    assert told.stages == [
        ("verify", 0, 3), ("verify", 0, 3), ("verify", 1, 3), ("verify", 2, 3),
        ("verify", 2, 3), ("verify", 3, 3),
    ]  # fmt: skip


def test_no_nodes_have_no_verdicts() -> None:
    assert verdicts({}, [command("true")], fleet(), FakeClock(), Told()) == ()


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_real_nodes_are_verified(tmp_path: Path) -> None:
    addresses = ["127.82.0.1", "127.82.0.2"]
    with servers(tmp_path, addresses) as server, Fleet(server.identity) as door:
        nodes = [
            Target(f"w{i}", address, server.login, (server.host_key,), server.port)
            for i, address in enumerate(addresses)
        ]
        dead = Target("w2", addresses[0], server.login, (server.host_key,), free_port())
        checks = [
            Check("port", str(server.port)),
            Check("file", "/etc/hosts"),
            command("printf 'a\\0\\377é'; exit 3"),
        ]
        found = verdicts({WORKER: [*nodes, dead]}, checks, door, FakeClock(), Told())
    assert [v.passed for v in found] == [True, True, False] * 2 + [False] * 3
    assert found[0].seen == "listening"
    assert found[-1].seen.startswith("connection refused at 127.82.0.1:")
