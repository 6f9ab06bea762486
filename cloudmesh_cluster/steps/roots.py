"""A cluster's root stacks as if they were one, for Heat takes only so many resources in a tree.

The first has the cluster's name, its master and what all nodes share. Those beside it have more
workers; a tag names the first one's id, and the first one's parameter says that there are some. Of
a cluster without any nothing more is asked than if this were not here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from cloudmesh_cluster.model.cluster import Event, Resource, Stack, StackRequest
from cloudmesh_cluster.model.errors import CloudError, NameTaken, StackNotFound
from cloudmesh_cluster.model.marks import ROOT, first_root, root_tag
from cloudmesh_cluster.model.plan import root_number
from cloudmesh_cluster.render import TAG

COUNT = "roots"  # the parameter of a first root that says how many there may be
# What a further root has of the first one: its parameters, and the ids of its resources.
SAME = ("cluster", "image", "flavor", "public_key", "user_key")
SHARED = {"key_name": "keypair", "security_group": "security_group"}
OWN_NETWORK = {"network": "network"}
ROUTE = "router_interface"  # without it a node's first words do not reach Heat
READY = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
GONE = "DELETE_COMPLETE"


class Door(Protocol):
    """The orchestration service, which knows single stacks."""

    def create(self, request: StackRequest) -> str: ...

    def update(self, stack_id: str, request: StackRequest) -> None: ...

    def preview(self, stack_id: str, request: StackRequest) -> Mapping[str, str]: ...

    def template(self, stack_id: str) -> Mapping[str, Any]: ...

    def files(self, stack_id: str) -> Mapping[str, str]: ...

    def mark_unhealthy(self, stack_id: str, resource: str, reason: str) -> None: ...

    def stack(self, name_or_id: str) -> Stack: ...

    def status(self, stack_id: str) -> Stack: ...

    def stacks(
        self, *, tags: str | None = None, any_of: Sequence[str] = ()
    ) -> tuple[Stack, ...]: ...

    def resources(self, stack_id: str, *, depth: int = 2) -> tuple[Resource, ...]: ...

    def signals(self, stack_id: str, handle: str) -> Mapping[str, Mapping[str, Any]]: ...

    def events(self, stack_id: str, *, after: str = "") -> tuple[Event, ...]: ...

    def delete(self, stack_id: str) -> None: ...


@dataclass
class _Family:
    """The root stacks beside a first one, as this process knows them, and what is yet to do."""

    others: dict[str, str]  # ids by name
    updates: list[StackRequest] = field(default_factory=list)
    creations: list[StackRequest] = field(default_factory=list)
    leaving: set[str] = field(default_factory=set)  # ids of those that an update takes away
    before: dict[str, str] = field(default_factory=dict)  # by id, when the update before began
    ending: bool = False  # whether all are deleted

    @property
    def busy(self) -> bool:
        """Whether there is more to ask Heat for."""
        return bool(self.updates or self.creations or self.leaving)

    def state(self, stack: Stack) -> str:
        """The stack's status; an update that was asked for and has not begun is under way."""
        if stack.updated == self.before.get(stack.id):
            return "UPDATE_IN_PROGRESS"
        return stack.status


class Roots:
    """Heat, to which a cluster is one stack: it goes by the name and id of its first root."""

    def __init__(self, door: Door):
        self._door = door
        self._families: dict[str, _Family | None] = {}  # by the first one's id; None: no others
        self._promised: dict[str, tuple[StackRequest, ...]] = {}  # by the first one's name
        self._told: dict[str, list[tuple[str, str]]] = {}  # events that were told, with the stack

    # ---- making and changing --------------------------------------------------------------------

    def create(self, request: StackRequest) -> str:
        """The id of the first root; ``status`` makes the others when that has what they need.

        Raises NameTaken when one of their names is taken, and what the door raises.
        """
        for one in request.further:
            self._insist_free(one.name)
        if request.further:
            self._promised[request.name] = request.further
        stack_id = self._door.create(request)
        if not request.further:
            self._families[stack_id] = None
        return stack_id

    def _insist_free(self, name: str) -> None:
        try:
            self._door.status(name)
        except StackNotFound:
            return
        raise NameTaken(
            f"there is a stack {name} already, and a cluster of so many workers needs that name",
            "Choose another name for the cluster. If that stack is what a cluster has left: "
            "cm cluster doctor",
        )

    def update(self, stack_id: str, request: StackRequest) -> None:
        """Start an update of all roots; ``status`` goes on with those that have to wait.

        Raises NameTaken while Heat is still at the first one.
        """
        family = self._known(stack_id)
        if family is None and not request.further:
            self._door.update(stack_id, request)
            return
        there = {one.name: one for one in self._listed(stack_id)}
        wanted = {one.name: one for one in request.further}
        ending = {one.name for one in there.values() if one.status.startswith("DELETE")}
        staying = {name for name in there if name in wanted and name not in ending}
        before = [self._door.status(stack_id), *(there[name] for name in staying)]
        self._door.update(stack_id, request)
        leaving = [one for name, one in there.items() if name not in staying]
        for one in leaving:
            self._door.delete(one.id)
        self._families[stack_id] = _Family(
            others={name: one.id for name, one in there.items()},
            updates=[one for name, one in wanted.items() if name in staying],
            creations=[one for name, one in wanted.items() if name not in staying],
            leaving={one.id for one in leaving},
            before={one.id: one.updated for one in before},
        )

    def preview(self, stack_id: str, request: StackRequest) -> dict[str, str]:
        """By resource name, what an update would do; a root that is not there yet is left out."""
        family = self._known(stack_id)
        told = dict(self._door.preview(stack_id, request))
        for one in request.further:
            if family and one.name in family.others:
                told |= self._door.preview(family.others[one.name], one)
        return told

    def delete(self, stack_id: str) -> None:
        """Start the deletion; the first root, whose network the others use, goes after them."""
        try:
            family = self._known(stack_id)
        except StackNotFound:
            return
        if family is None:
            self._door.delete(stack_id)
            return
        # Anew, for one may have come that we were not told of.
        family = _Family({one.name: one.id for one in self._listed(stack_id)}, ending=True)
        self._families[stack_id] = family
        for other in family.others.values() or (stack_id,):
            self._door.delete(other)

    def mark_unhealthy(self, stack_id: str, resource: str, reason: str) -> None:
        """Have the next update make this resource anew; the stack is the one that it is in."""
        self._door.mark_unhealthy(stack_id, resource, reason)

    # ---- looking ---------------------------------------------------------------------------------

    def stack(self, name_or_id: str) -> Stack:
        """The cluster as one stack, with the outputs of all; StackNotFound when there is none."""
        return self._whole(self._door.stack(name_or_id), self._door.stack)

    def status(self, stack_id: str) -> Stack:
        """The cluster as one stack without outputs; goes on with what an update or create began."""
        return self._whole(self._door.status(stack_id), self._door.status)

    def stacks(self, *, tags: str | None = None) -> tuple[Stack, ...]:
        """The project's stacks, a cluster's as one; only those with the tag if one is given."""
        if tags is None:
            return _folded(self._door.stacks())
        if tags == TAG:
            listed = self._door.stacks(any_of=(TAG, ROOT))
            return tuple(one for one in _folded(listed) if TAG in one.tags)
        return self._door.stacks(tags=tags)

    def roots(self, stack_id: str) -> dict[int, str]:
        """The ids of the root stacks by their numbers, without those that are being deleted."""
        found = {1: stack_id}
        if self._known(stack_id) is not None:
            for one in self._listed(stack_id):
                if not one.status.startswith("DELETE"):
                    found[root_number(one.name)] = one.id
        return found

    def resources(self, stack_id: str) -> tuple[Resource, ...]:
        """Every resource of all the cluster's stacks, at any depth."""
        family = self._known(stack_id)
        found = self._door.resources(stack_id)
        for other in family.others.values() if family else ():
            try:
                found += self._door.resources(other)
            except StackNotFound:
                continue
        return found

    def events(self, stack_id: str, *, after: str = "") -> tuple[Event, ...]:
        """The events of all the cluster's stacks, the oldest first; only those after an id."""
        family = self._known(stack_id)
        if family is None:
            return self._door.events(stack_id, after=after)
        known = self._told.setdefault(stack_id, [])
        found: list[tuple[str, Event]] = []
        for one in (stack_id, *family.others.values()):
            try:
                told = self._door.events(one, after=_marker(known, one, after))
            except StackNotFound:
                if one == stack_id:
                    raise
                continue
            found += [(one, event) for event in told]
        found.sort(key=lambda pair: pair[1].time)
        old = set(known)
        known += [key for key in ((one, event.id) for one, event in found) if key not in old]
        return tuple(event for _, event in found)

    def template(self, stack_id: str) -> Mapping[str, Any]:
        """A single stack's own template, as it was last asked for."""
        return self._door.template(stack_id)

    def files(self, stack_id: str) -> Mapping[str, str]:
        """The files that came with a single stack's template, by name."""
        return self._door.files(stack_id)

    def signals(self, stack_id: str, handle: str) -> Mapping[str, Mapping[str, Any]]:
        """What nodes have given a handle so far; the stack is the one that it is in."""
        return self._door.signals(stack_id, handle)

    # ---- a family --------------------------------------------------------------------------------

    def _known(self, stack_id: str) -> _Family | None:
        if stack_id not in self._families:
            self._of(self._door.status(stack_id))
        return self._families[stack_id]

    def _of(self, first: Stack) -> _Family | None:
        if first.id not in self._families:
            promised = self._promised.get(first.name, ())
            family = None
            if promised or _count(first) > 1:
                others = {one.name: one.id for one in self._listed(first.id)}
                coming = [one for one in promised if one.name not in others]
                family = _Family(others, creations=coming)
            self._families[first.id] = family
        return self._families[first.id]

    def _listed(self, first_id: str) -> tuple[Stack, ...]:
        return self._door.stacks(tags=root_tag(first_id))

    def _whole(self, first: Stack, look: Callable[[str], Stack]) -> Stack:
        family = self._of(first)
        if family is None:
            return first
        first = replace(first, status=family.state(first))
        if not family.ending:
            self._go_on(first, family)
        others = self._others(family, look)
        if family.ending:
            return self._parting(first, others)
        return _combined(first, others, busy=family.busy)

    def _others(self, family: _Family, look: Callable[[str], Stack]) -> list[Stack]:
        found = []
        for name, other in list(family.others.items()):
            try:
                stack = look(other)
            except StackNotFound:
                stack = Stack(other, name, GONE)
            if stack.status == GONE:
                del family.others[name]
                family.leaving.discard(other)
                continue
            if stack.status == "DELETE_FAILED":
                family.leaving.discard(other)  # it is told, and nobody waits for it
            found.append(replace(stack, status=family.state(stack)))
        return found

    def _parting(self, first: Stack, others: Sequence[Stack]) -> Stack:
        """The cluster while it goes; the first root is asked to go when it is alone."""
        if not others:
            if not first.status.startswith("DELETE"):
                self._door.delete(first.id)
            return first
        failed = [one for one in others if one.status == "DELETE_FAILED"]
        if len(failed) < len(others):
            return replace(first, status="DELETE_IN_PROGRESS")
        return replace(first, status="DELETE_FAILED", reason=_reasons(failed))

    def _go_on(self, first: Stack, family: _Family) -> None:
        """Ask Heat for what had to wait; nothing more is begun where the first root has failed."""
        if first.status.endswith("_FAILED"):
            family.updates.clear()
            family.creations.clear()
            family.before.clear()  # nobody waits for what was not begun
        for one in list(family.updates):
            try:
                self._door.update(family.others[one.name], one)
            except NameTaken:  # Heat's 409: it is still at something else
                continue
            family.updates.remove(one)
        # One of a name that is still being deleted has to wait.
        ready = [one for one in family.creations if one.name not in family.others]
        given = self._given(first) if ready else None
        if given is None:
            return
        for one in ready:
            whole = replace(
                one,
                parameters={**given, **one.parameters},
                tags=(ROOT, root_tag(first.id)),
            )
            family.others[one.name] = self._made(first, whole)
            family.creations.remove(one)

    def _given(self, first: Stack) -> dict[str, Any] | None:
        """What the first root gives the others; None as long as it has not got all of it."""
        own = "network" not in first.parameters
        shared = {**SHARED, **(OWN_NETWORK if own else {})}
        made = {
            one.name: one.physical_id
            for one in self._door.resources(first.id, depth=0)
            if one.status in READY and one.physical_id
        }
        if not made.keys() >= {*shared.values(), *([ROUTE] if own else [])}:
            return None
        network = {} if own else {"network": first.parameters["network"]}
        return {
            **{name: first.parameters[name] for name in SAME},
            **network,
            **{name: made[resource] for name, resource in shared.items()},
            "stack": first.id,
        }

    def _made(self, first: Stack, request: StackRequest) -> str:
        """The id of a further root; one whose making was asked for before is taken as it is."""
        try:
            return self._door.create(request)
        except NameTaken as error:
            there = {one.name: one.id for one in self._listed(first.id)}
            if request.name in there:
                return there[request.name]
            raise CloudError(
                f"there is a stack {request.name} already, and {first.name} needs that name",
                f"Look at it: openstack stack show {request.name}",
            ) from error


def _combined(first: Stack, others: Sequence[Stack], *, busy: bool = False) -> Stack:
    """The roots as one stack: under way while one is, failed if one has."""
    whole = (first, *others)
    failed = [one for one in whole if one.status.endswith("_FAILED")]
    if any(one.status.endswith("_IN_PROGRESS") for one in whole) or (busy and not failed):
        outcome = "IN_PROGRESS"
    else:
        outcome = "FAILED" if failed else "COMPLETE"
    hosts = [str(one.outputs["hosts"]) for one in whole if one.outputs.get("hosts")]
    return replace(
        first,
        status=f"{first.status.partition('_')[0]}_{outcome}",
        reason=_reasons(failed) or first.reason,
        outputs={**first.outputs, "hosts": "\n".join(hosts)} if first.outputs else {},
    )


def _count(first: Stack) -> int:
    """How many root stacks there may be; a stack that is none of ours says what it likes."""
    told = str(first.parameters.get(COUNT, ""))
    ours = first.parameters.get("cluster") == first.name
    return int(told) if ours and told.isdigit() else 1


def _reasons(failed: Iterable[Stack]) -> str:
    return "; ".join(f"{one.name}: {one.reason}" for one in failed)


def _folded(stacks: Sequence[Stack]) -> tuple[Stack, ...]:
    """The stacks, further roots as part of their first; one whose first is not there stays."""
    ids = {one.id for one in stacks}
    others: dict[str, list[Stack]] = {}
    for one in stacks:
        if (first := first_root(one.tags)) in ids:
            others.setdefault(str(first), []).append(one)
    return tuple(
        _combined(one, others[one.id]) if one.id in others else one
        for one in stacks
        if first_root(one.tags) not in ids
    )


def _marker(told: Sequence[tuple[str, str]], stack_id: str, after: str) -> str:
    """The last event of the stack that was told before or with the one of that id; else empty."""
    ids = [event for _, event in told]
    if after not in ids:
        return ""
    upto = told[: ids.index(after) + 1]
    return next((event for one, event in reversed(upto) if one == stack_id), "")
