"""A timeline from what create saw, and from what a cloud still tells when nobody here saw it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from cloudmesh_cluster.model.checks import LOGIN, Verdict
from cloudmesh_cluster.model.cluster import Event, Resource, Stack
from cloudmesh_cluster.model.errors import ClusterError
from cloudmesh_cluster.model.offer import Server
from cloudmesh_cluster.model.timeline import Moments, Timeline, clock
from cloudmesh_cluster.steps import timeline
from cloudmesh_cluster.steps.follow import Seen
from cloudmesh_cluster.steps.reports import Report

BEGAN = clock("2026-11-28T02:20:00Z") or 0.0
STACK = Stack("s1", "demo", "CREATE_COMPLETE", created="2026-11-28T02:20:00Z")
SERVERS = tuple(
    Resource(f"demo-{name}", "OS::Nova::Server", "CREATE_COMPLETE", "", f"id-{name}", "s1")
    for name in ("worker1", "master")
)
HANDLE = Resource("handle", "OS::Heat::WaitConditionHandle", "CREATE_COMPLETE", "", "h", "s1")


def report(node: str, phase: str, at: float, status: int = 0, server: str = "") -> Report:
    return Report(node, phase, status, "", "debian", "ssh-ed25519 A", int(BEGAN + at), server)


def seen() -> Seen:
    """What create has of two nodes; its clock stood at 100 when it asked."""
    phases = (("booted", 20), ("wired", 25), ("finished", 30))
    nodes = [one.name for one in SERVERS]
    heard = {(node, phase): 100.5 + at for node in nodes for phase, at in phases}
    heard |= {(node, "asked"): 104.0 for node in nodes} | {
        (node, "active"): 109.0 for node in nodes
    }
    return Seen(
        stack_id="s1",
        stack=STACK,
        resources=(*SERVERS, HANDLE),
        reports={(n, phase): report(n, phase, at) for n in nodes for phase, at in phases},
        reached={"requested": 100.0},
        heard=heard,
    )


def test_create_has_the_moments_of_every_node_the_master_first() -> None:
    of = seen()
    of.hear([("demo-master", "verified"), ("demo-worker1", "verified")], 133.0)
    of.hear([("demo-master", "verified")], 150.0)  # that it is heard again is no news

    found = timeline.as_seen(of)

    assert (found.cluster, found.stack_id) == ("demo", "s1")
    assert [one.node for one in found.nodes] == ["demo-master", "demo-worker1"]
    assert found.nodes[0] == Moments(
        "demo-master", "master", "id-master", "2026-11-28T02:20:00Z", asked=4.0, active=9.0,
        ssh=20.0, wired=25.0, script=30.0, verified=33.0,
    )  # fmt: skip


def test_a_node_whose_clock_is_ahead_is_held_to_when_we_heard_of_it() -> None:
    of = seen()
    of.reports["demo-worker1", "finished"] = report("demo-worker1", "finished", 3600)

    found = {one.node: one for one in timeline.as_seen(of).nodes}

    assert found["demo-worker1"].script == 30.5
    assert found["demo-worker1"].skew == 3569.5
    assert found["demo-master"].skew == 0


def test_a_create_that_failed_tells_where_each_node_was() -> None:
    of = seen()
    del of.reports["demo-master", "finished"]
    of.reports["demo-worker1", "finished"] = report("demo-worker1", "finished", 30, status=7)

    master, worker = timeline.as_seen(of).nodes

    assert (master.failed, master.script) == ("", None)
    assert (worker.failed, worker.script) == ("script", 30.0)


def test_a_check_that_did_not_pass_fails_the_node_in_that_stage() -> None:
    of = seen()
    of.hear([("demo-master", "verified")], 140.0)

    found = timeline.as_seen(of, [Verdict(LOGIN, "demo-master", passed=False, seen="no")])

    assert [one.failed for one in found.nodes] == ["verified", ""]


def test_of_an_update_only_what_was_seen_counts() -> None:
    of = seen()
    of.reached.clear()

    master = timeline.as_seen(of).nodes[0]

    assert (master.requested, master.skew) == ("", 0)
    assert (master.asked, master.active, master.ssh, master.script) == (0.0, 5.0, 16.5, 26.5)


def test_a_create_that_never_came_to_servers_is_a_timeline_without_nodes() -> None:
    assert timeline.as_seen(Seen()).nodes == ()
    assert timeline.as_seen(Seen(reached={"requested": 5.0})).nodes == ()


# ---- made elsewhere ------------------------------------------------------------------------------


def server(role: str, created: str, launched: str) -> Server:
    return Server(f"id-{role}", f"demo-{role}", "ACTIVE", created=created, launched=launched)


@dataclass(frozen=True)
class Cloud:
    """Heat and Nova of a cluster that another machine made; a worker came an hour later."""

    servers_known: bool = True
    signalled: tuple[Report, ...] = ()
    happened: tuple[Event, ...] = ()
    asked: bool = True

    def resources(self, stack_id: str) -> tuple[Resource, ...]:
        return (*SERVERS, HANDLE)

    def events(self, stack_id: str, *, after: str = "") -> tuple[Event, ...]:
        assert self.asked, "nobody was to ask for events"
        return self.happened

    def signals(self, stack_id: str, handle: str) -> Mapping[str, Mapping[str, Any]]:
        assert (stack_id, handle) == ("s1", "handle")
        return {
            str(number): {**vars(one), "exit": one.exit_status}
            for number, one in enumerate(self.signalled)
        }

    def servers(self, ids: Collection[str]) -> tuple[Server, ...]:
        if not self.servers_known:
            return ()
        times = ("2026-11-28T02:20:03Z", "2026-11-28T02:20:08.000000")
        later = ("2026-11-28T03:20:02Z", "2026-11-28T03:20:06.000000")
        return (
            server("master", *times),
            server("worker1", *later),
        )


def event(time: str, resource: str, status: str) -> Event:
    return Event(f"{time}{resource}{status}", f"2026-11-28T{time}Z", resource, status, "")


EVENTS = (
    event("02:20:00", "demo", "CREATE_IN_PROGRESS"),
    event("02:20:02", "demo-master", "CREATE_IN_PROGRESS"),
    event("02:20:09", "demo-master", "CREATE_COMPLETE"),
    event("03:20:00", "demo", "UPDATE_IN_PROGRESS"),
    event("03:20:01", "demo-worker1", "CREATE_IN_PROGRESS"),
    event("03:20:07", "demo-worker1", "CREATE_COMPLETE"),
)
SIGNALS = (
    report("demo-master", "booted", 20),
    report("demo-worker1", "booted", 3615, server="id-worker1"),
    report("demo-worker1", "wired", 3620, server="id-worker1"),
    report("demo-worker1", "finished", 40, server="one that it replaced"),
)


def reconstructed(cloud: Any, kept: Timeline | None = None) -> Timeline:
    return timeline.reconstructed(cloud, cloud, STACK, kept)


def test_a_cluster_made_elsewhere_is_told_by_its_cloud() -> None:
    master, worker = reconstructed(Cloud(signalled=SIGNALS, happened=EVENTS)).nodes

    assert (master.requested, master.asked, master.active) == ("2026-11-28T02:20:00Z", 3.0, 8.0)
    assert (master.ssh, master.wired, master.verified) == (20.0, None, None)
    assert worker.requested == "2026-11-28T03:20:00Z"
    assert (worker.asked, worker.active, worker.ssh, worker.wired) == (2.0, 6.0, 15.0, 20.0)
    assert worker.script is None


def test_where_nova_does_not_tell_heats_events_do() -> None:
    master, worker = reconstructed(Cloud(servers_known=False, happened=EVENTS)).nodes

    assert (master.asked, master.active) == (2.0, 9.0)
    assert (worker.asked, worker.active) == (1.0, 7.0)


def test_where_heat_has_dropped_its_events_the_stack_tells_when_it_was_requested() -> None:
    master, _ = reconstructed(Cloud()).nodes
    assert (master.requested, master.active) == ("2026-11-28T02:20:00Z", 8.0)


def test_what_this_machine_kept_is_kept_and_the_rest_is_asked_for() -> None:
    kept = Timeline("demo", "s1", (Moments("demo-master", "master", "id-master", verified=33.0),))

    master, worker = reconstructed(Cloud(signalled=SIGNALS, happened=EVENTS), kept).nodes

    assert master == kept.nodes[0]
    assert worker.ssh == 15.0


def test_what_was_kept_of_another_stack_of_the_name_is_worth_nothing() -> None:
    kept = Timeline("demo", "s0", (Moments("demo-master", "master", "id-master", verified=33.0),))
    assert reconstructed(Cloud(happened=EVENTS), kept).nodes[0].verified is None


def test_the_cloud_is_not_asked_for_what_is_known() -> None:
    kept = timeline.as_seen(seen())
    assert reconstructed(Cloud(asked=False), kept) == replace(kept, cluster="demo")


def test_an_update_keeps_what_was_known_and_adds_the_nodes_that_came() -> None:
    good = Moments("demo-master", "master", "id-master", verified=33.0)
    broken = Moments("demo-worker1", "worker", "id-1", failed="script")
    came = Moments("demo-worker2", "worker", "id-2", verified=9.0)
    seen_only = Moments("demo-master", "master", "id-master", asked=0.0)
    unfit = Moments("demo-worker3", "worker", "id-3", verified=40.0, failed="verified")
    kept = Timeline("demo", "s1", (good, broken, unfit))

    now = timeline.gone_on(kept, Timeline("demo", "s1", (seen_only, came)), {"id-master", "id-1"})
    fresh = timeline.gone_on(kept, Timeline("demo", "s2", (came,)), ())

    assert now.nodes == (good, came)
    assert fresh.nodes == (came,)


def test_a_timeline_is_written_and_read() -> None:
    found = timeline.as_seen(seen())
    assert timeline.read(timeline.written(found), "timeline.json") == found
    with pytest.raises(ClusterError, match=r"timeline.json cannot be read"):
        timeline.read("{", "timeline.json")
