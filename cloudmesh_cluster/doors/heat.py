"""Heat, through python-heatclient: the only place that knows its client and its exceptions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from heatclient import exc
from heatclient.v1.client import Client
from keystoneauth1.exceptions import ClientException, EndpointNotFound
from keystoneauth1.session import Session

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.cluster import Event, Resource, Stack, StackRequest
from cloudmesh_cluster.model.errors import CloudError, NameTaken, NoAnswer, StackNotFound


class Heat:
    """What we ask of Heat, in our own words; every method raises CloudError or a child of ours."""

    def __init__(
        self, session: Session, *, region: str | None = None, interface: str | None = None
    ):
        self._client = Client(
            session=session,
            region_name=region,
            interface=interface or "public",
            service_type="orchestration",
        )

    def create(self, request: StackRequest) -> str:
        """The id of the new stack. Raises NameTaken, or NoAnswer when the reply was lost."""
        with translated("stack create"):
            answer = self._client.stacks.create(
                stack_name=request.name,
                template=request.template,
                files=dict(request.files),
                parameters=dict(request.parameters),
                tags=",".join(request.tags),
                timeout_mins=request.timeout_mins,
                disable_rollback=True,
            )
        return str(answer["stack"]["id"])

    def update(self, stack_id: str, request: StackRequest) -> None:
        """Start an update to what the request has; parameters that it leaves out stay as they are.

        Heat is not asked to observe what is there (``converge``): it would see properties that the
        services have added, and try to change them.
        """
        with translated(f"stack update {stack_id}"):
            self._client.stacks.update(stack_id, **_changes(request))

    def preview(self, stack_id: str, request: StackRequest) -> dict[str, str]:
        """By resource name, what an update would do: ``added``, ``replaced``, ``deleted`` ..."""
        with translated(f"stack update preview {stack_id}"):
            told = self._client.stacks.preview_update(
                stack_id, show_nested=True, **_changes(request)
            )
        changes = told.get("resource_changes", {})
        return {
            str(one.get("resource_name")): fate
            for fate in ("unchanged", "updated", "added", "deleted", "replaced")
            for one in changes.get(fate, [])
        }

    def template(self, stack_id: str) -> Mapping[str, Any]:
        """The stack's own template, as it was last asked for."""
        with translated(f"stack template show {stack_id}"):
            return dict(self._client.stacks.template(stack_id))

    def files(self, stack_id: str) -> Mapping[str, str]:
        """The files that came with the stack's template, by name."""
        with translated(f"stack file list {stack_id}"):
            return dict(self._client.stacks.files(stack_id))

    def mark_unhealthy(self, stack_id: str, resource: str, reason: str) -> None:
        """Have the next update of the stack make this resource anew."""
        with translated(f"stack resource mark unhealthy {stack_id} {resource}"):
            self._client.resources.mark_unhealthy(stack_id, resource, True, reason)

    def stack(self, name_or_id: str) -> Stack:
        """The stack with its outputs; StackNotFound when there is none."""
        with translated(f"stack show {name_or_id}"):
            return _stack(self._client.stacks.get(name_or_id))

    def status(self, stack_id: str) -> Stack:
        """The stack without its outputs, which Heat answers much sooner."""
        with translated(f"stack show {stack_id}"):
            return _stack(self._client.stacks.get(stack_id, resolve_outputs=False))

    def stacks(self, *, tags: str | None = None, any_of: Sequence[str] = ()) -> tuple[Stack, ...]:
        """The project's stacks, only those with the tag, or with one of these, if any is given."""
        with translated("stack list"):
            return tuple(
                _stack(one)
                for one in self._client.stacks.list(tags=tags, tags_any=",".join(any_of))
            )

    def resources(self, stack_id: str, *, depth: int = 2) -> tuple[Resource, ...]:
        """Every resource of the stack and of those nested in it, down to that depth."""
        with translated(f"stack resource list {stack_id}"):
            return tuple(
                _resource(one) for one in self._client.resources.list(stack_id, nested_depth=depth)
            )

    def signals(self, stack_id: str, handle: str) -> dict[str, Mapping[str, Any]]:
        """By signal id, the data that nodes have given a handle so far."""
        with translated(f"stack resource metadata {stack_id} {handle}"):
            told = self._client.resources.metadata(stack_id, handle)
        return {name: _data(one) for name, one in told.items() if isinstance(one, Mapping)}

    def events(self, stack_id: str, *, after: str = "") -> tuple[Event, ...]:
        """The events that Heat keeps, of all depths, the oldest first; only those after an id.

        Heat tells whole seconds, so within one its own order counts.
        """
        with translated(f"stack event list {stack_id}"):
            told = self._client.events.list(
                stack_id, nested_depth=2, sort_dir="asc", marker=after or None
            )
            found = [_event(one) for one in told]
        return tuple(sorted(found, key=lambda event: event.time))

    def delete(self, stack_id: str) -> None:
        """Start the deletion; a stack that is gone is no error."""
        try:
            with translated(f"stack delete {stack_id}"):
                self._client.stacks.delete(stack_id)
        except StackNotFound:
            return


def _changes(request: StackRequest) -> dict[str, Any]:
    return {
        "existing": True,
        "template": request.template,
        "files": dict(request.files),
        "parameters": dict(request.parameters),
        "timeout_mins": request.timeout_mins,
        "disable_rollback": True,
    }


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Heat's and keystoneauth's exceptions as ours: two families come through this door."""
    try:
        yield
    except exc.HTTPConflict as error:
        raise NameTaken(_words(error)) from error
    except exc.HTTPNotFound as error:
        if "type" not in _told(error):  # of a proxy, or of another program at Heat's address
            raise NoAnswer(f"{what}: something else answers at Heat's address") from error
        raise StackNotFound(_words(error)) from error
    except (exc.HTTPUnauthorized, exc.HTTPForbidden) as error:
        raise CloudError(
            f"{what}: Heat refuses: {_words(error)}",
            "The user needs the project's role heat_stack_owner or member.",
        ) from error
    except exc.BaseException as error:
        if getattr(error, "code", 0) in (500, 502, 503, 504) or isinstance(
            error, exc.CommunicationError
        ):
            raise NoAnswer(f"{what}: Heat does not answer: {_words(error)}") from error
        raise CloudError(f"{what}: {_words(error)}") from error
    except EndpointNotFound as error:
        raise no_heat(error) from error
    except ClientException as error:
        raise NoAnswer(f"{what}: {error}") from error


def no_heat(error: Exception) -> CloudError:
    """The error for a cloud without Heat in its catalog."""
    return CloudError(
        f"the cloud has no Heat: its catalog has no orchestration service ({error})",
        "Ask its administrator for Heat, or use the embedded cloud: cm cloud up.",
        code=codes.NO_HEAT,
    )


def _words(error: Exception) -> str:
    """What Heat said, without the traceback and status line around it."""
    return str(_told(error).get("message") or error).strip()


def _told(error: Exception) -> Mapping[str, Any]:
    """The error in Heat's JSON; heatclient makes one up, without a type, of any other answer."""
    told = getattr(error, "error", None)
    inner = told.get("error") if isinstance(told, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _stack(told: Any) -> Stack:
    parameters = getattr(told, "parameters", None) or {}
    outputs = getattr(told, "outputs", None) or []
    return Stack(
        id=told.id,
        name=told.stack_name,
        status=told.stack_status,
        reason=getattr(told, "stack_status_reason", "") or "",
        tags=tuple(getattr(told, "tags", None) or ()),
        created=getattr(told, "creation_time", "") or "",
        updated=getattr(told, "updated_time", "") or "",
        parameters=parameters,
        outputs={one["output_key"]: one.get("output_value") for one in outputs},
    )


def _resource(told: Any) -> Resource:
    stack_id = next(
        (link["href"].rsplit("/", 1)[-1] for link in told.links if link["rel"] == "stack"), ""
    )
    return Resource(
        name=told.resource_name,
        type=told.resource_type,
        status=told.resource_status,
        reason=told.resource_status_reason or "",
        physical_id=told.physical_resource_id or "",
        stack_id=stack_id,
    )


def _event(told: Any) -> Event:
    return Event(
        id=told.id,
        time=told.event_time,
        resource=told.resource_name,
        status=told.resource_status,
        reason=getattr(told, "resource_status_reason", "") or "",
    )


def _data(signal: Mapping[str, Any]) -> Mapping[str, Any]:
    data = signal.get("data")
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except ValueError:
            data = None
    return data if isinstance(data, Mapping) else {}
