"""Two clouds that start in the same moment share a kernel and a routing table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloudmesh_cluster.local import checks, cloud, locks, network
from cloudmesh_cluster.local.home import Home, Settings, saved_settings
from cloudmesh_cluster.model.errors import CloudError

pytestmark = pytest.mark.cloud


def slow(function: Callable[..., object]) -> Callable[..., object]:
    """The same function, whose answer is old when it comes."""

    def slowed(*arguments: object, **named: object) -> object:
        answer = function(*arguments, **named)
        time.sleep(0.3)
        return answer

    return slowed


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Home, Home]]:
    """The homes of two clouds; their bridges are gone when the test is done."""
    homes = Home(tmp_path / "one", tmp_path), Home(tmp_path / "two", tmp_path)
    for home in homes:
        home.state.mkdir()
    yield homes
    for home in homes:
        network.down(home)


def test_two_clouds_at_once_do_not_take_each_other_s_probes_for_a_lack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checks, "_tried", slow(checks._tried))
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(checks.refuse_kernel) for _ in range(2)]:
            done.result()


def test_a_probe_that_a_killed_run_left_is_not_taken_for_a_lack() -> None:
    with locks.machine():
        assert checks._tried("ip", "link", "add", "cmprobe0", "type", "bridge")
    checks.refuse_kernel()
    assert not Path("/sys/class/net/cmprobe0").exists()


def test_two_clouds_at_once_choose_two_subnets(
    two: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = list(network.candidates(two[0].name))
    monkeypatch.setattr(network, "candidates", lambda _: iter(wanted))
    monkeypatch.setattr(network, "networks_of_others", slow(network.networks_of_others))
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda home: cloud._claim(home, print), two)
    assert not first.network.overlaps(second.network)
    kept: list[Settings | None] = [saved_settings(home) for home in two]
    assert kept == [first, second]


def test_a_lock_that_is_not_let_go_is_told_at_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with (
        locks.held(tmp_path / "lock", "one is at work", seconds=1, say=said.append),
        pytest.raises(CloudError, match=r"one is at work, and has been for 0.3 s"),
        locks.held(tmp_path / "lock", "one is at work", seconds=0.3, say=said.append),
    ):
        raise AssertionError("both hold it")
    assert said == ["one is at work; waiting for it to finish"]
