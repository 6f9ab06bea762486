"""What is taken for a leftover, what only looks like one, and what becomes of those."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

import pytest

from cloudmesh_cluster.model.cluster import Stack
from cloudmesh_cluster.model.errors import Refused
from cloudmesh_cluster.model.marks import ROOT, Mark, Thing, root_tag
from cloudmesh_cluster.steps import leftovers
from cloudmesh_cluster.steps.leftovers import Outside, Workspace

from .test_create import Clock, Progress

DEAD = Mark("dead", "11111111-1111-1111-1111-111111111111")
ALIVE = Mark("alive", "22222222-2222-2222-2222-222222222222")
LIVING = Stack(ALIVE.stack_id, "alive", "CREATE_FAILED", tags=("cm-cluster",))

ORPHANS = (
    Thing("server", "s1", "dead-master", DEAD),
    Thing("floating IP", "f1", "198.51.100.7", DEAD, owner="p1"),
    Thing("floating IP", "f2", "198.51.100.8", DEAD),
    Thing("port", "p1", "dead-master_port", DEAD, owner="s1", near=("g1",)),
    Thing("router", "r1", "", DEAD),
    Thing("network", "n1", "", DEAD),
    Thing("security group", "g1", "", DEAD),
    Thing("keypair", "dead-1", "dead-1", DEAD),
)
OTHERS = (
    Thing("server", "s2", "dead-worker1"),
    Thing("server", "s3", "alive-master", ALIVE),
    Thing("port", "p2", "of a server of the user's in our group", owner="s2", near=("g1",)),
    Thing("port", "p3", "of a server that is there", ALIVE, owner="s3", near=("g2",)),
    Thing("port", "p4", "of no server, in our group", near=("g1",)),
    Thing("port", "p5", "of a gone server, in a group of the user's too", owner="s9",
          near=("g1", "g3")),
    Thing("port", "p6", "of a gone server, in no group", owner="s9"),
    Thing("floating IP", "f3", "198.51.100.9", DEAD, owner="p2"),
    Thing("floating IP", "f4", "198.51.100.10"),
    Thing("security group", "g2", "alive", ALIVE),
    Thing("security group", "g3", "default"),
    Thing("keypair", "mine", "mine"),
    Thing("keypair", "alive-2", "alive-2", ALIVE),
    Thing("network", "n2", "private"),
)  # fmt: skip
LATE_PORT = Thing("port", "p7", "", owner="s8", near=("g1",))  # Nova's, of a worker that is gone


@dataclass
class Cloud:
    """A project, which forgets what is removed from it; it notes what it was asked, in order."""

    has: tuple[Thing, ...]
    living: tuple[Stack, ...] = (LIVING,)
    refuses: frozenset[str] = frozenset()
    lingers: dict[str, int] = field(default_factory=dict)  # how often it is listed afterwards
    asked: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)

    def things(self) -> tuple[Thing, ...]:
        self.asked.append("things")
        listed = tuple(one for one in self.has if self._is_listed(one.id))
        return listed

    def _is_listed(self, id: str) -> bool:
        if id not in self.gone:
            return True
        self.lingers[id] = self.lingers.get(id, 0) - 1
        return self.lingers[id] >= 0

    def stacks(self, *, tags: str | None = None) -> tuple[Stack, ...]:
        assert tags is None  # a stack whose tags are lost is living all the same
        self.asked.append("stacks")
        return self.living

    def remove(self, thing: Thing, networks: Collection[str]) -> None:
        assert networks == {"n1"}
        self.asked.append(thing.id)
        if thing.id in self.refuses:
            raise Refused(f"{thing.kind}: it is in use")
        self.gone.add(thing.id)


def outside(cloud: Cloud) -> Outside:
    return Outside(cloud, Clock(), Progress())


def test_orphans_are_ours_and_nothing_else() -> None:
    cloud = Cloud((*OTHERS, *reversed(ORPHANS)))
    assert leftovers.orphans(cloud, cloud) == ORPHANS


def test_things_are_listed_before_stacks_so_that_a_create_that_runs_is_safe() -> None:
    cloud = Cloud(ORPHANS)
    leftovers.orphans(cloud, cloud)
    assert cloud.asked == ["things", "stacks"]


def test_what_belongs_to_a_stack_that_is_there_is_left_whatever_its_status() -> None:
    stack = replace(LIVING, id=DEAD.stack_id, status="DELETE_FAILED", tags=())
    cloud = Cloud(ORPHANS, living=(stack,))
    assert leftovers.orphans(cloud, cloud) == ()


def test_a_port_that_nova_made_for_a_server_that_is_gone_is_found_by_its_group() -> None:
    cloud = Cloud((*OTHERS, *ORPHANS, LATE_PORT))
    found = leftovers.orphans(cloud, cloud)
    assert set(found) - set(ORPHANS) == {replace(LATE_PORT, mark=DEAD)}


def test_what_a_stack_left_is_found_by_its_id() -> None:
    cloud = Cloud((*OTHERS, *ORPHANS))
    assert leftovers.of_stack(DEAD.stack_id, cloud) == ORPHANS
    assert {one.id for one in leftovers.of_stack(ALIVE.stack_id, cloud)} == {
        "s3", "p3", "g2", "alive-2"
    }  # fmt: skip
    assert "stacks" not in cloud.asked


def test_things_are_removed_before_what_they_use() -> None:
    cloud = Cloud((*OTHERS, *ORPHANS))

    assert leftovers.removed(ORPHANS, outside(cloud)) == {}

    assert [one for one in cloud.asked if one != "things"] == [one.id for one in ORPHANS]
    assert {one.id for one in cloud.things()} == {one.id for one in OTHERS}


def test_ports_wait_until_servers_are_gone() -> None:
    cloud = Cloud(ORPHANS, lingers={"s1": 5})

    assert leftovers.removed(ORPHANS, outside(cloud)) == {}

    between = cloud.asked[cloud.asked.index("s1") : cloud.asked.index("p1")]
    assert between.count("things") == 6


def test_what_cannot_be_removed_is_told_and_the_rest_goes_on() -> None:
    cloud = Cloud(ORPHANS, refuses=frozenset({"g1"}), lingers={"p1": 10**6})

    left = leftovers.removed(ORPHANS, outside(cloud))

    assert {one.id: why for one, why in left.items()} == {
        "g1": "security group: it is in use",
        "p1": "it is still there",
    }
    assert "dead-1" in cloud.gone


def test_what_refused_but_is_gone_is_no_trouble() -> None:
    cloud = Cloud(ORPHANS[:1], refuses=frozenset({"s1"}), lingers={"s1": 0}, gone={"s1"})
    cloud.has = (*ORPHANS[5:6], *ORPHANS[:1])
    assert leftovers.removed((ORPHANS[0], ORPHANS[5]), outside(cloud)) == {}


# ---- workspaces and stacks -----------------------------------------------------------------------

LOST = Workspace("lost", {"cloud": "local", "project": "p"}, age=3600.0)


@pytest.mark.parametrize(
    "other",
    [
        replace(LOST, age=60.0),
        replace(LOST, name="alive"),
        replace(LOST, order={"cloud": "other", "project": "p"}),
        replace(LOST, order={"cloud": "local", "project": "q"}),
        replace(LOST, order={"cloud": "local"}),
        replace(LOST, order={}),
        replace(LOST, order={**LOST.order, "template": True}),
    ],
    ids=["new", "living", "another cloud", "another project", "no project", "no order", "template"],
)
def test_only_a_workspace_that_is_surely_lost_is_taken_for_lost(other: Workspace) -> None:
    found = leftovers.lost_workspaces([LOST, other], [LIVING], cloud="local", project="p")
    assert found == ["lost"]


def test_clusters_that_failed_or_expired_are_told_apart_from_other_stacks() -> None:
    stacks = [
        LIVING,
        Stack("3", "old", "CREATE_COMPLETE", tags=("cm-cluster", "cm-cluster-expires=1000")),
        Stack("4", "new", "CREATE_COMPLETE", tags=("cm-cluster", "cm-cluster-expires=1001")),
        Stack("5", "user", "CREATE_FAILED", tags=("cm-cluster-expires=1000",)),
        Stack("6", "for ever", "UPDATE_COMPLETE", tags=("cm-cluster", "cm-cluster-expires=no")),
    ]
    assert [one.name for one in leftovers.failed(stacks)] == ["alive"]
    assert [one.name for one in leftovers.expired(stacks, 1000.0)] == ["old"]


def test_a_root_stack_is_left_over_when_the_first_of_its_cluster_is_gone() -> None:
    mine = Stack("b", "alive.2", "CREATE_COMPLETE", tags=(ROOT, root_tag(ALIVE.stack_id)))
    lost = Stack("c", "dead.2", "CREATE_COMPLETE", tags=(ROOT, root_tag(DEAD.stack_id)))
    theirs = Stack("d", "their.2", "CREATE_COMPLETE")

    assert leftovers.lost_roots([LIVING, mine, lost, theirs]) == [lost]
    assert leftovers.ours([LIVING, mine, lost, theirs]) == [LIVING]
