"""Servers that do not become what was asked for, and a Nova that does not answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.access import Target
from cloudmesh_cluster.model.cluster import Result
from cloudmesh_cluster.model.errors import ExitStatus, NoAnswer, NodeError, Refused
from cloudmesh_cluster.model.names import Outcome
from cloudmesh_cluster.model.offer import Server
from cloudmesh_cluster.steps.power import Outside, PowerFailed, booted, started, stopped

IDS = {"demo-master": "id-m", "demo-worker1": "id-1", "demo-worker2": "id-2"}
NAMES = {server_id: name for name, server_id in IDS.items()}


@dataclass
class Clock:
    """Time that passes only by sleeping."""

    at: float = 0.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += max(seconds, 0.01)


class Progress:
    """Nobody listens."""

    def stage(self, name: str, done: int = 0, total: int = 0) -> None: ...

    def note(self, line: str) -> None: ...


@dataclass
class Nova:
    """Servers that take two looks to become what they are asked to be."""

    clock: Clock
    status: dict[str, str]
    task: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    hears: Callable[[str, str], None] = lambda verb, name: None  # may raise
    looks: Callable[[], None] = lambda: None  # may raise
    obeys: bool = True
    blames: str = ""
    fault: str = ""

    def servers(self, ids: Collection[str]) -> Sequence[Server]:
        self.looks()
        found = [
            Server(IDS[name], name, status, self.fault if status == "ERROR" else "",
                   self.task.get(name, ""))
            for name, status in self.status.items()
            if IDS[name] in ids
        ]  # fmt: skip
        for name, task in list(self.task.items()):
            self.status[name] = "SHUTOFF" if task == "powering-off" else "ACTIVE"
            del self.task[name]
        return found

    def stop(self, server_id: str) -> None:
        self._asked("stop", server_id, "powering-off")

    def start(self, server_id: str) -> None:
        self._asked("start", server_id, "powering-on")

    def trouble(self, server_id: str) -> str:
        return self.blames

    def _asked(self, verb: str, server_id: str, task: str) -> None:
        name = NAMES[server_id]
        self.hears(verb, name)
        self.asked.append(f"{verb} {name}")
        if self.obeys:
            self.task[name] = task


def nova(status: str = "ACTIVE", **given: Any) -> Nova:
    return Nova(Clock(), dict.fromkeys(IDS, status), **given)


def outside(cloud: Nova, seconds: float = 600.0) -> Outside:
    return Outside(cloud, cloud.clock, Progress(), cloud.clock.at + seconds)


def stop_fails(cloud: Nova) -> PowerFailed:
    with pytest.raises(PowerFailed) as caught:
        stopped("demo", IDS, outside(cloud))
    return caught.value


def raising(error: BaseException) -> Callable[..., None]:
    def raises(*_: object) -> None:
        raise error

    return raises


def test_the_master_goes_off_last_and_comes_on_first() -> None:
    cloud = nova()

    assert stopped("demo", IDS, outside(cloud))
    assert sorted(cloud.asked[:2]) == ["stop demo-worker1", "stop demo-worker2"]
    assert cloud.asked[2:] == ["stop demo-master"]
    cloud.asked.clear()

    assert started("demo", IDS, outside(cloud))
    assert cloud.asked[0] == "start demo-master"
    assert sorted(cloud.asked[1:]) == ["start demo-worker1", "start demo-worker2"]
    assert set(cloud.status.values()) == {"ACTIVE"}


@pytest.mark.parametrize(
    ("status", "step"), [("SHUTOFF", stopped), ("ACTIVE", started)], ids=["off", "on"]
)
def test_what_is_so_already_is_left_alone(status: str, step: Callable[..., bool]) -> None:
    cloud = nova(status)

    assert not step("demo", IDS, outside(cloud))
    assert cloud.asked == []


def test_one_that_is_on_its_way_is_waited_for_and_not_asked() -> None:
    cloud = nova("SHUTOFF")
    cloud.status["demo-worker1"], cloud.task["demo-worker1"] = "ACTIVE", "powering-off"

    assert stopped("demo", IDS, outside(cloud))
    assert cloud.asked == []


def test_one_that_is_still_going_off_is_started_when_it_is() -> None:
    cloud = nova()
    cloud.task["demo-worker1"] = "powering-off"

    assert started("demo", IDS, outside(cloud))
    assert cloud.asked == ["start demo-worker1"]


def test_a_refusal_of_what_has_come_about_meanwhile_is_no_trouble() -> None:
    cloud = nova()

    def somebody_was_faster(verb: str, name: str) -> None:
        cloud.status[name] = "SHUTOFF"
        raise Refused("server stop: Cannot 'stop' instance while it is in vm_state stopped")

    cloud.hears = somebody_was_faster

    assert stopped("demo", IDS, outside(cloud))


def test_a_refusal_that_lasts_is_told_in_nova_s_words() -> None:
    cloud = nova(hears=raising(Refused("server stop: Cannot 'stop' instance: it is locked")))

    error = stop_fails(cloud)

    assert error.problem.splitlines()[0] == "demo-worker[1-2] cannot be stopped"
    assert "demo-worker1: ACTIVE: server stop: Cannot 'stop' instance: it is locked" in str(error)
    assert cloud.clock.at < 60


def test_a_start_that_fails_again_and_again_is_told_with_nova_s_fault() -> None:
    cloud = nova("SHUTOFF", obeys=False, blames="Failed to power on instance: no image")

    with pytest.raises(PowerFailed) as caught:
        started("demo", IDS, outside(cloud))

    assert "demo-master: SHUTOFF: Failed to power on instance: no image" in caught.value.problem
    assert cloud.asked == ["start demo-master"] * 3
    assert caught.value.exit_status == ExitStatus.FAILED


@pytest.mark.parametrize(
    ("break_it", "line", "code"),
    [
        (lambda cloud: cloud.status.pop("demo-worker2"), "demo-worker2: gone", codes.NODE_GONE),
        (
            lambda cloud: cloud.status.update({"demo-worker2": "ERROR"}),
            "demo-worker2: ERROR: out of memory",
            codes.SERVER_ERROR,
        ),
    ],
    ids=["gone", "error"],
)
def test_a_broken_server_is_told_when_the_others_are_off(
    break_it: Callable[[Nova], object], line: str, code: str
) -> None:
    cloud = nova(fault="out of memory")
    break_it(cloud)

    error = stop_fails(cloud)

    assert error.problem.splitlines() == [
        "demo is stopped, except for demo-worker2",
        line,
    ]
    assert error.next_step.splitlines() == [
        "SHUTOFF: demo-master,demo-worker1",
        f"{line.split()[1].strip(':')}: demo-worker2",
        "Replace what is broken, when it is on again: cm cluster repair demo",
    ]
    assert error.code == code
    assert cloud.asked == ["stop demo-worker1", "stop demo-master"]


def test_a_server_that_breaks_as_it_starts_does_not_keep_the_others_off() -> None:
    cloud = nova("SHUTOFF", fault="no image")

    def breaks(verb: str, name: str) -> None:
        if name == "demo-master":
            cloud.status[name] = "ERROR"
            raise Refused("server start: Cannot 'start' instance while it is in vm_state error")

    cloud.hears = breaks

    with pytest.raises(PowerFailed) as caught:
        started("demo", IDS, outside(cloud))

    assert "demo-master: ERROR: no image" in caught.value.problem
    assert "ACTIVE: demo-worker[1-2]" in caught.value.next_step
    assert caught.value.code == codes.SERVER_ERROR


def test_servers_that_take_too_long_are_named_with_what_nova_does() -> None:
    class Slow(Nova):
        def servers(self, ids: Collection[str]) -> Sequence[Server]:
            return [
                Server(IDS[name], name, status, task_state=self.task.get(name, ""))
                for name, status in self.status.items()
            ]

    slow = Slow(Clock(), dict.fromkeys(IDS, "ACTIVE"))
    error = stop_fails(slow)

    assert error.problem.splitlines() == [
        "demo-worker[1-2] did not become SHUTOFF in the time there was",
        "demo-worker1: ACTIVE (powering-off)",
        "demo-worker2: ACTIVE (powering-off)",
    ]
    assert "ACTIVE: demo-master,demo-worker[1-2]" in error.next_step
    assert 600 <= slow.clock.at < 620


def silent_until(cloud: Nova, moment: float) -> Callable[..., None]:
    def silent(*_: object) -> None:
        if cloud.clock.at < moment:
            raise NoAnswer("server list: Service Unavailable (HTTP 503)")

    return silent


def test_a_nova_that_is_silent_for_a_while_is_waited_out() -> None:
    cloud = nova()
    cloud.looks = silent_until(cloud, 100)
    cloud.hears = silent_until(cloud, 200)

    assert stopped("demo", IDS, outside(cloud))
    assert sorted(cloud.asked) == [f"stop {name}" for name in IDS]


def test_a_nova_that_stays_silent_is_given_up() -> None:
    cloud = nova()
    cloud.looks = silent_until(cloud, 10_000)

    error = stop_fails(cloud)

    assert error.problem.startswith("Nova has not answered for 120 s: server list: Service Unav")
    assert error.code == codes.CLOUD_SILENT
    assert 120 <= cloud.clock.at < 130


def test_an_interruption_tells_what_is_off_and_what_is_on() -> None:
    cloud = nova()

    def at_the_master(verb: str, name: str) -> None:
        if name == "demo-master":
            raise KeyboardInterrupt

    cloud.hears = at_the_master

    error = stop_fails(cloud)

    assert error.exit_status == ExitStatus.INTERRUPTED
    assert error.problem.splitlines() == [
        "interrupted while stopping demo",
        "ACTIVE: demo-master",
        "SHUTOFF: demo-worker[1-2]",
    ]
    assert error.next_step == "Go on: cm cluster stop demo; or back: cm cluster start demo"


# ---- nodes that boot -----------------------------------------------------------------------------


TARGETS = [Target(name, "192.0.2.1", "root", ("ssh-ed25519 A",)) for name in IDS]


@dataclass
class Fleet:
    """Nodes of which each is reached when its moment has come."""

    clock: Clock
    ready: dict[str, float]
    trouble: Callable[[str], NodeError]
    asked: list[list[str]] = field(default_factory=list)

    def run(
        self,
        targets: Iterable[Target],
        command: str | tuple[str, ...],
        *,
        timeout: float,
        answered: Callable[[str, Outcome], None] | None = None,
        **_: Any,
    ) -> dict[str, Outcome]:
        names = [one.name for one in targets]
        self.asked.append(names)
        found: dict[str, Outcome] = {
            name: Result(0, "") if self.clock.at >= self.ready[name] else self.trouble(name)
            for name in names
        }
        for name, outcome in found.items():
            assert answered is not None
            answered(name, outcome)
        return found


def refused(name: str) -> NodeError:
    return NodeError(f"{name}: connection refused at 192.0.2.1:22")


def test_only_nodes_that_have_not_booted_are_asked_again() -> None:
    cloud = nova()
    fleet = Fleet(cloud.clock, {"demo-master": 0, "demo-worker1": 5, "demo-worker2": 3}, refused)

    booted("demo", IDS, TARGETS, fleet, outside(cloud))

    assert fleet.asked[0] == list(IDS)
    assert fleet.asked[1] == ["demo-worker1", "demo-worker2"]
    assert fleet.asked[-1] == ["demo-worker1"]


def test_a_server_that_goes_off_while_it_boots_is_started_again() -> None:
    cloud = nova()
    fleet = Fleet(cloud.clock, {**dict.fromkeys(IDS, 0.0), "demo-worker2": 30}, refused)

    def looks() -> None:
        if cloud.clock.at > 10 and not cloud.asked:
            cloud.status["demo-worker2"] = "SHUTOFF"

    cloud.looks = looks
    booted("demo", IDS, TARGETS, fleet, outside(cloud))

    assert cloud.asked == ["start demo-worker2"]


def test_a_node_that_never_boots_is_named_with_what_keeps_us_from_it() -> None:
    cloud = nova()
    fleet = Fleet(cloud.clock, {**dict.fromkeys(IDS, 0.0), "demo-worker2": 1e9}, refused)

    with pytest.raises(PowerFailed) as caught:
        booted("demo", IDS, TARGETS, fleet, outside(cloud))

    assert caught.value.problem.splitlines() == [
        "demo is on, but demo-worker2 cannot be logged in to",
        "demo-worker2: connection refused at 192.0.2.1:22",
    ]
    assert "cm cluster logs demo --console" in caught.value.next_step
    assert cloud.clock.at >= 600


def test_a_changed_host_key_is_told_at_once() -> None:
    def changed(name: str) -> NodeError:
        return NodeError(f"{name}: another host key", "Send nothing to it.", code=codes.HOST_KEY)

    cloud = nova()
    fleet = Fleet(cloud.clock, {**dict.fromkeys(IDS, 0.0), "demo-worker1": 1e9}, changed)

    with pytest.raises(PowerFailed) as caught:
        booted("demo", IDS, TARGETS, fleet, outside(cloud))

    assert caught.value.code == codes.HOST_KEY
    assert "Send nothing to it." in caught.value.next_step
    assert cloud.clock.at == 0
