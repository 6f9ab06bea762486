"""What the steps need of the outside world; the doors give it, and tests may."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.cluster import Event, Resource, Stack, StackRequest
from cloudmesh_cluster.model.demand import Quota
from cloudmesh_cluster.model.keys import KeyPair
from cloudmesh_cluster.model.offer import Flavor, Image, Network, Server
from cloudmesh_cluster.steps.verify import Runner


class Heat(Protocol):
    """The orchestration service."""

    def create(self, request: StackRequest) -> str: ...

    def stack(self, name_or_id: str) -> Stack: ...

    def status(self, stack_id: str) -> Stack: ...

    def stacks(self, *, tags: str | None = None) -> tuple[Stack, ...]: ...

    def resources(self, stack_id: str) -> tuple[Resource, ...]: ...

    def signals(self, stack_id: str, handle: str) -> Mapping[str, Mapping[str, Any]]: ...

    def events(self, stack_id: str, *, after: str = "") -> tuple[Event, ...]: ...

    def delete(self, stack_id: str) -> None: ...


class Compute(Protocol):
    """The services that hold images, flavors, networks and servers."""

    def images(self) -> Sequence[Image]: ...

    def flavors(self) -> Sequence[Flavor]: ...

    def networks(self) -> Sequence[Network]: ...

    def external_network_of(self, network_id: str) -> str | None: ...

    def external_networks_of(self, network_id: str) -> Sequence[str]: ...

    def quotas(self) -> Mapping[str, Quota]: ...

    def servers(self, ids: Collection[str]) -> Sequence[Server]: ...

    def console(self, server_id: str, lines: int = 60) -> str: ...

    def left(self, ids: Collection[str]) -> Sequence[str]: ...


class Workspace(Protocol):
    """The cluster's folder on the user's machine."""

    @property
    def folder(self) -> Path: ...

    def save_keypair(self, keypair: KeyPair) -> None: ...

    def save_access(self, access: Access) -> None: ...

    def save_order(self, order: Mapping[str, Any]) -> None: ...

    def save_record(self, parts: Mapping[str, str]) -> Path: ...

    def forget(self) -> None: ...


class Connects(Protocol):
    """Gives a fleet that reaches nodes, through the master where the access says so."""

    def __call__(self, access: Access) -> AbstractContextManager[Runner[Target]]: ...
