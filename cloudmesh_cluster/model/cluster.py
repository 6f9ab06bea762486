"""What is asked of Heat, and what runs: requests, stacks, nodes and what nodes answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MASTER = "master"
WORKER = "worker"
ROLES = (MASTER, WORKER)


@dataclass(frozen=True)
class StackRequest:
    """All that one create sends to Heat.

    ``further`` are root stacks beside this one, whose parameters lack what this one is to give.
    """

    name: str
    template: str
    files: Mapping[str, str]
    parameters: Mapping[str, Any] = field(repr=False)
    tags: tuple[str, ...]
    timeout_mins: int
    further: tuple[StackRequest, ...] = ()


@dataclass(frozen=True)
class Stack:
    """A stack as Heat tells of it; the status is Heat's own word, such as ``CREATE_FAILED``."""

    id: str
    name: str
    status: str
    reason: str = ""
    tags: tuple[str, ...] = ()
    created: str = ""
    updated: str = ""  # when its last update began
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    outputs: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Resource:
    """One resource of a stack, at any depth, as Heat tells of it."""

    name: str
    type: str
    status: str
    reason: str
    physical_id: str
    stack_id: str


@dataclass(frozen=True)
class Event:
    """One event of a stack, at any depth."""

    id: str
    time: str
    resource: str
    status: str
    reason: str


@dataclass(frozen=True)
class Node:
    """One server of a cluster, as it runs."""

    name: str
    role: str
    address: str
    public_address: str = ""
    server_id: str = ""
    status: str = ""


@dataclass(frozen=True)
class Result:
    """What one command came to on one node; a command that ran out of time has status 124."""

    exit_status: int
    stdout: str
    stderr: str = ""
    seconds: float = 0.0
