"""A cluster's root stacks as one, and what Heat is asked for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from cloudmesh_cluster.model.cluster import Event, Resource, Stack, StackRequest
from cloudmesh_cluster.model.errors import CloudError, NameTaken, NoAnswer, StackNotFound
from cloudmesh_cluster.model.marks import ROOT, root_tag
from cloudmesh_cluster.render import TAG
from cloudmesh_cluster.steps.roots import Roots

PARAMETERS = {
    "cluster": "demo",
    "image": "debian-12",
    "flavor": "small",
    "public_key": "ssh-ed25519 AAAA",
    "user_key": "",
    "network": "lan",
}
FURTHER = StackRequest("demo.2", "further", {}, {"deadline": 5}, (), 30)
THIRD = replace(FURTHER, name="demo.3")
SMALL = StackRequest("demo", "small", {}, PARAMETERS, (TAG,), 30)
LARGE = replace(SMALL, template="large", parameters={**PARAMETERS}, further=(FURTHER,))
OWN = ("keypair", "security_group", "network", "router_interface")


@dataclass
class Door:
    """Heat that makes nothing by itself: a test says what becomes of each stack."""

    there: dict[str, Stack] = field(default_factory=dict)  # by id, which is the name with a star
    made: dict[str, tuple[str, ...]] = field(default_factory=dict)  # complete resources, by id
    asked: list[str] = field(default_factory=list)
    sent: dict[str, StackRequest] = field(default_factory=dict)
    told: dict[str, list[Event]] = field(default_factory=dict)
    troubles: dict[str, list[Exception]] = field(default_factory=dict)  # of what is asked, in order

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.troubles.get(what):
            raise self.troubles[what].pop(0)

    def becomes(self, name: str, status: str, **more: Any) -> None:
        """What a stack is from now on."""
        self.there[f"{name}*"] = replace(self.there[f"{name}*"], status=status, **more)

    def gone(self, name: str) -> None:
        del self.there[f"{name}*"]

    def _of(self, word: str) -> Stack:
        stack = self.there.get(word) or self.there.get(f"{word}*")
        if stack is None:
            raise StackNotFound(word)
        return stack

    def create(self, request: StackRequest) -> str:
        self._ask(f"create {request.name}")
        if f"{request.name}*" in self.there:
            raise NameTaken(request.name)
        roots = {"roots": "2"} if request.further else {}
        self.sent[request.name] = request
        self.there[f"{request.name}*"] = Stack(
            id=f"{request.name}*",
            name=request.name,
            status="CREATE_IN_PROGRESS",
            tags=request.tags,
            parameters={**request.parameters, **roots},
        )
        return f"{request.name}*"

    def update(self, stack_id: str, request: StackRequest) -> None:
        self._ask(f"update {stack_id}")
        self.sent[request.name] = request

    def delete(self, stack_id: str) -> None:
        self._ask(f"delete {stack_id}")

    def status(self, stack_id: str) -> Stack:
        self._ask(f"status {stack_id}")
        return replace(self._of(stack_id), outputs={})

    def stack(self, name_or_id: str) -> Stack:
        self._ask(f"stack {name_or_id}")
        return self._of(name_or_id)

    def stacks(self, *, tags: str | None = None, any_of: Sequence[str] = ()) -> tuple[Stack, ...]:
        self._ask(f"stacks {tags or ' or '.join(any_of)}".strip())
        found = tuple(self.there.values())
        if any_of:
            found = tuple(one for one in found if {*any_of} & {*one.tags})
        return tuple(one for one in found if tags is None or tags in one.tags)

    def resources(self, stack_id: str, *, depth: int = 2) -> tuple[Resource, ...]:
        self._ask(f"resources {stack_id}" + (f" {depth}" if depth != 2 else ""))
        stack = self._of(stack_id)
        return tuple(
            Resource(name, "any", "CREATE_COMPLETE", "", f"id of {name}", stack.id)
            for name in self.made.get(stack.id, ())
        )

    def events(self, stack_id: str, *, after: str = "") -> tuple[Event, ...]:
        self._ask(f"events {stack_id} {after}".strip())
        told = self.told[stack_id]
        ids = [one.id for one in told]
        return tuple(told[ids.index(after) + 1 :] if after else told)

    def preview(self, stack_id: str, request: StackRequest) -> Mapping[str, str]:
        self._ask(f"preview {stack_id}")
        return {request.name: "replaced"}

    def template(self, stack_id: str) -> Mapping[str, Any]:
        raise NotImplementedError

    def files(self, stack_id: str) -> Mapping[str, str]:
        raise NotImplementedError

    def mark_unhealthy(self, stack_id: str, resource: str, reason: str) -> None:
        raise NotImplementedError

    def signals(self, stack_id: str, handle: str) -> Mapping[str, Mapping[str, Any]]:
        raise NotImplementedError


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def whole(door: Door) -> Roots:
    """A cluster of two root stacks, made, of which another process finds this."""
    maker = Roots(door)
    maker.create(LARGE)
    door.made["demo*"] = ("keypair", "security_group")
    maker.status("demo*")
    for name, host in (("demo", "10.0.0.1 demo-master master"), ("demo.2", "10.0.0.2 w w")):
        door.becomes(name, "CREATE_COMPLETE", outputs={"hosts": host})
    door.asked.clear()
    return Roots(door)


# ---- a cluster of one root stack -----------------------------------------------------------------


def test_of_a_cluster_of_one_root_nothing_more_is_asked(door: Door) -> None:
    heat = Roots(door)
    door.told["demo*"] = [Event("e1", "1", "demo", "CREATE_COMPLETE", "")]
    stack_id = heat.create(SMALL)

    uses: dict[str, Callable[[], object]] = {
        "status demo*": lambda: heat.status(stack_id),
        "resources demo*": lambda: heat.resources(stack_id),
        "events demo* e1": lambda: heat.events(stack_id, after="e1"),
        "stack demo": lambda: heat.stack("demo"),
        "update demo*": lambda: heat.update(stack_id, SMALL),
        "preview demo*": lambda: heat.preview(stack_id, SMALL),
        "stacks unique": lambda: heat.stacks(tags="unique"),
        "delete demo*": lambda: heat.delete(stack_id),
    }
    for use in uses.values():
        use()

    assert door.asked == ["create demo", *uses]
    assert heat.roots(stack_id) == {1: stack_id}


def test_one_that_was_found_by_name_is_not_asked_about_again(door: Door) -> None:
    Roots(door).create(SMALL)
    door.asked.clear()
    heat = Roots(door)

    heat.stack("demo")
    heat.resources("demo*")
    heat.delete("demo*")

    assert door.asked == ["stack demo", "resources demo*", "delete demo*"]


def test_a_stack_of_somebody_s_may_have_a_parameter_of_that_name(door: Door) -> None:
    stack = Stack("theirs*", "theirs", "CREATE_COMPLETE", parameters={"roots": "9", "cluster": "a"})
    door.there["theirs*"] = stack

    assert Roots(door).stack("theirs") == stack
    assert door.asked == ["stack theirs"]


# ---- making --------------------------------------------------------------------------------------


def test_a_further_root_is_made_as_soon_as_the_first_has_what_it_needs(door: Door) -> None:
    heat = Roots(door)
    heat.create(LARGE)
    assert heat.status("demo*").status == "CREATE_IN_PROGRESS"
    assert "demo.2" not in door.sent

    door.made["demo*"] = ("keypair", "security_group", "demo-master")
    heat.status("demo*")

    assert door.sent["demo.2"].parameters == {
        **{name: PARAMETERS[name] for name in ("cluster", "image", "flavor", "network")},
        **{name: PARAMETERS[name] for name in ("public_key", "user_key")},
        "stack": "demo*",
        "key_name": "id of keypair",
        "security_group": "id of security_group",
        "deadline": 5,
    }
    assert door.sent["demo.2"].tags == (ROOT, root_tag("demo*"))
    assert TAG not in door.sent["demo.2"].tags


def test_a_network_of_its_own_is_there_with_its_router(door: Door) -> None:
    heat = Roots(door)
    own = {name: one for name, one in PARAMETERS.items() if name != "network"}
    heat.create(replace(LARGE, parameters=own))
    door.made["demo*"] = OWN[:-1]
    heat.status("demo*")
    assert "demo.2" not in door.sent

    door.made["demo*"] = OWN
    heat.status("demo*")

    assert door.sent["demo.2"].parameters["network"] == "id of network"


def test_a_first_root_that_is_complete_is_not_yet_the_cluster(door: Door) -> None:
    heat = Roots(door)
    heat.create(LARGE)
    door.becomes("demo", "CREATE_COMPLETE")
    assert heat.status("demo*").status == "CREATE_IN_PROGRESS"

    door.made["demo*"] = ("keypair", "security_group")
    assert heat.status("demo*").status == "CREATE_IN_PROGRESS"

    door.becomes("demo.2", "CREATE_COMPLETE")
    assert heat.status("demo*").status == "CREATE_COMPLETE"


def test_nothing_more_is_begun_where_the_first_root_has_failed(door: Door) -> None:
    heat = Roots(door)
    heat.create(LARGE)
    door.becomes("demo", "CREATE_FAILED", reason="No valid host")
    door.made["demo*"] = ("keypair", "security_group")

    found = heat.status("demo*")

    assert (found.status, found.reason) == ("CREATE_FAILED", "demo: No valid host")
    assert "demo.2" not in door.sent


def test_a_further_root_whose_reply_was_lost_is_known_by_its_tag(door: Door) -> None:
    heat = Roots(door)
    heat.create(LARGE)
    door.made["demo*"] = ("keypair", "security_group")
    door.troubles["create demo.2"] = [NoAnswer("lost")]
    with pytest.raises(NoAnswer):
        heat.status("demo*")
    door.create(replace(FURTHER, tags=(ROOT, root_tag("demo*"))))  # Heat had it all the same

    heat.status("demo*")

    assert heat.roots("demo*") == {1: "demo*", 2: "demo.2*"}


def test_a_name_that_is_taken_is_told_before_anything_is_made(door: Door) -> None:
    door.create(replace(FURTHER, tags=()))

    with pytest.raises(NameTaken, match=r"there is a stack demo\.2 already"):
        Roots(door).create(LARGE)

    assert "demo" not in door.sent


def test_a_name_that_is_taken_meanwhile_is_no_reason_to_leave_the_first_root(door: Door) -> None:
    heat = Roots(door)
    heat.create(LARGE)
    door.made["demo*"] = ("keypair", "security_group")
    door.create(replace(FURTHER, tags=()))

    with pytest.raises(CloudError, match=r"there is a stack demo\.2 already") as caught:
        heat.status("demo*")

    assert not isinstance(caught.value, NameTaken)


# ---- looking -------------------------------------------------------------------------------------


def test_the_roots_are_one_stack(door: Door, whole: Roots) -> None:
    found = whole.stack("demo")

    assert (found.id, found.name, found.status) == ("demo*", "demo", "CREATE_COMPLETE")
    assert found.outputs["hosts"] == "10.0.0.1 demo-master master\n10.0.0.2 w w"
    assert whole.status("demo*").outputs == {}


@pytest.mark.parametrize(
    ("first", "other", "seen"),
    [
        ("CREATE_COMPLETE", "CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS"),
        ("CREATE_FAILED", "CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS"),
        ("CREATE_COMPLETE", "CREATE_FAILED", "CREATE_FAILED"),
        ("UPDATE_COMPLETE", "CREATE_COMPLETE", "UPDATE_COMPLETE"),
        ("UPDATE_COMPLETE", "DELETE_IN_PROGRESS", "UPDATE_IN_PROGRESS"),
        ("UPDATE_COMPLETE", "DELETE_COMPLETE", "UPDATE_COMPLETE"),
        ("UPDATE_COMPLETE", "DELETE_FAILED", "UPDATE_FAILED"),
    ],
)
def test_a_cluster_is_what_the_worst_of_its_roots_is(
    door: Door, whole: Roots, first: str, other: str, seen: str
) -> None:
    door.becomes("demo", first)
    door.becomes("demo.2", other)

    assert whole.status("demo*").status == seen


def test_resources_are_those_of_all_roots(door: Door, whole: Roots) -> None:
    door.made["demo.2*"] = ("demo-worker4",)

    found = [one.name for one in whole.resources("demo*")]

    assert found == ["keypair", "security_group", "demo-worker4"]


def test_a_root_that_goes_meanwhile_is_passed_over(door: Door, whole: Roots) -> None:
    whole.status("demo*")
    door.gone("demo.2")

    assert [one.name for one in whole.resources("demo*")] == ["keypair", "security_group"]
    assert whole.status("demo*").status == "CREATE_COMPLETE"


def test_events_of_all_roots_come_in_their_time_and_each_once(door: Door, whole: Roots) -> None:
    def event(id: str, time: str) -> Event:
        return Event(id, time, "r", "s", "")

    door.told = {"demo*": [event("a1", "1"), event("a2", "4")], "demo.2*": [event("b1", "2")]}
    first = [one.id for one in whole.events("demo*")]
    # One root's engine writes late what was before.
    door.told["demo.2*"] += [event("b2", "3"), event("b3", "5")]
    door.told["demo*"] += [event("a3", "6")]

    later = [one.id for one in whole.events("demo*", after=first[-1])]

    assert first == ["a1", "b1", "a2"]
    assert later == ["b2", "b3", "a3"]
    assert door.asked[-2:] == ["events demo* a2", "events demo.2* b1"]
    assert [one.id for one in whole.events("demo*", after="b1")] == ["b2", "a2", "b3", "a3"]


def test_a_list_has_a_row_for_a_cluster(door: Door, whole: Roots) -> None:
    door.becomes("demo.2", "UPDATE_FAILED", reason="no")
    door.there["other*"] = Stack("other*", "other", "CREATE_COMPLETE")

    rows = {one.name: one.status for one in whole.stacks(tags=TAG)}

    assert rows == {"demo": "CREATE_FAILED"}
    assert {one.name for one in whole.stacks()} == {"demo", "other"}
    assert door.asked == [f"stacks {TAG} or {ROOT}", "stacks"]


def test_a_root_whose_first_is_gone_is_listed_as_what_it_is(door: Door, whole: Roots) -> None:
    door.gone("demo")

    assert [one.name for one in whole.stacks()] == ["demo.2"]
    assert whole.stacks(tags=TAG) == ()


# ---- changing ------------------------------------------------------------------------------------


def test_an_update_is_one_of_all_roots(door: Door, whole: Roots) -> None:
    before = whole.status("demo*").updated
    whole.update("demo*", LARGE)
    assert whole.status("demo*").status == "UPDATE_IN_PROGRESS"  # though Heat says nothing yet
    assert "update demo.2*" in door.asked

    door.becomes("demo", "UPDATE_COMPLETE", updated="1")
    assert whole.status("demo*").status == "UPDATE_IN_PROGRESS"  # the other has not begun
    door.becomes("demo.2", "UPDATE_COMPLETE", updated="1")

    found = whole.status("demo*")
    assert found.status == "UPDATE_COMPLETE"
    assert found.updated != before


def test_an_update_makes_the_roots_that_come_and_deletes_those_that_leave(
    door: Door, whole: Roots
) -> None:
    whole.update("demo*", replace(LARGE, further=(THIRD,)))
    door.becomes("demo", "UPDATE_COMPLETE", updated="1")
    door.becomes("demo.2", "DELETE_IN_PROGRESS")
    assert whole.status("demo*").status == "UPDATE_IN_PROGRESS"
    assert {"delete demo.2*", "create demo.3"} <= {*door.asked}

    door.becomes("demo.3", "CREATE_COMPLETE")
    assert whole.status("demo*").status == "UPDATE_IN_PROGRESS"
    door.gone("demo.2")

    assert whole.status("demo*").status == "UPDATE_COMPLETE"
    assert whole.roots("demo*") == {1: "demo*", 3: "demo.3*"}


def test_a_cluster_of_one_root_may_get_another(door: Door) -> None:
    heat = Roots(door)
    heat.create(SMALL)
    door.becomes("demo", "CREATE_COMPLETE")
    door.made["demo*"] = ("keypair", "security_group")

    heat.update("demo*", LARGE)
    assert heat.status("demo*").status == "UPDATE_IN_PROGRESS"
    door.becomes("demo", "UPDATE_COMPLETE", updated="1")
    door.becomes("demo.2", "CREATE_COMPLETE")

    assert heat.status("demo*").status == "UPDATE_COMPLETE"


def test_a_further_root_that_heat_is_busy_with_is_asked_again(door: Door, whole: Roots) -> None:
    door.troubles["update demo.2*"] = [NameTaken("busy"), NameTaken("busy")]
    whole.update("demo*", LARGE)

    for _ in range(4):
        assert whole.status("demo*").status.endswith("IN_PROGRESS")

    assert door.asked.count("update demo.2*") == 3


def test_a_first_root_that_is_busy_takes_no_update_and_nothing_else_is_asked(
    door: Door, whole: Roots
) -> None:
    door.troubles["update demo*"] = [NameTaken("busy")]

    with pytest.raises(NameTaken):
        whole.update("demo*", replace(LARGE, further=()))

    assert "delete demo.2*" not in door.asked


def test_an_update_that_fails_in_the_first_root_waits_for_no_other(
    door: Door, whole: Roots
) -> None:
    whole.update("demo*", replace(LARGE, further=(FURTHER, THIRD)))
    door.becomes("demo", "UPDATE_FAILED", updated="1", reason="no")

    assert whole.status("demo*").status == "UPDATE_FAILED"
    assert {"update demo.2*", "create demo.3"}.isdisjoint(door.asked)


def test_a_root_that_is_being_deleted_is_made_anew_when_it_is_gone(
    door: Door, whole: Roots
) -> None:
    door.becomes("demo.2", "DELETE_IN_PROGRESS")
    assert whole.roots("demo*") == {1: "demo*"}
    whole.update("demo*", LARGE)
    door.becomes("demo", "UPDATE_COMPLETE", updated="1")
    assert whole.status("demo*").status == "UPDATE_IN_PROGRESS"
    assert "create demo.2" not in door.asked
    door.gone("demo.2")
    whole.status("demo*")

    assert whole.status("demo*").status == "UPDATE_IN_PROGRESS"
    assert door.asked.count("create demo.2") == 1


def test_what_an_update_would_do_is_told_of_all_roots_that_are_there(whole: Roots) -> None:
    told = whole.preview("demo*", replace(LARGE, further=(FURTHER, THIRD)))

    assert told == {"demo": "replaced", "demo.2": "replaced"}


# ---- ending --------------------------------------------------------------------------------------


def test_the_first_root_goes_when_the_others_are_gone(door: Door, whole: Roots) -> None:
    whole.delete("demo*")
    assert whole.status("demo*").status == "DELETE_IN_PROGRESS"
    door.becomes("demo.2", "DELETE_IN_PROGRESS")
    assert whole.status("demo*").status == "DELETE_IN_PROGRESS"
    assert "delete demo*" not in door.asked

    door.becomes("demo.2", "DELETE_COMPLETE")
    whole.status("demo*")

    assert "delete demo*" in door.asked
    door.gone("demo")
    with pytest.raises(StackNotFound):
        whole.status("demo*")


def test_a_root_that_cannot_be_deleted_is_told_and_may_be_asked_again(
    door: Door, whole: Roots
) -> None:
    whole.delete("demo*")
    door.becomes("demo.2", "DELETE_FAILED", reason="a port is used")
    found = whole.status("demo*")
    assert (found.status, found.reason) == ("DELETE_FAILED", "demo.2: a port is used")

    whole.delete("demo*")

    assert door.asked.count("delete demo.2*") == 2
    assert "delete demo*" not in door.asked


def test_a_create_that_is_taken_back_makes_no_more_roots(door: Door) -> None:
    heat = Roots(door)
    heat.create(LARGE)
    heat.status("demo*")
    door.made["demo*"] = ("keypair", "security_group")

    heat.delete("demo*")
    door.becomes("demo", "DELETE_IN_PROGRESS")

    assert heat.status("demo*").status == "DELETE_IN_PROGRESS"
    assert "create demo.2" not in door.asked
    assert door.asked.count("delete demo*") == 1


def test_what_is_gone_already_is_deleted(door: Door) -> None:
    Roots(door).delete("demo*")
    assert door.asked == ["status demo*"]
