"""What tells that a thing in the cloud was made for a cluster of ours, and for which stack."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

SERVER, KEYPAIR, PORT, GROUP = "server", "keypair", "port", "security group"
FLOATING_IP, NETWORK, ROUTER = "floating IP", "network", "router"

EXPIRES = "cm-cluster-expires"  # a stack's tag, with seconds since 1970
ROOT = "cm-cluster-root"  # the tag of a root stack beside a cluster's first
UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
CLUSTER = "[a-z](?:[a-z0-9-]*[a-z0-9])?"
DESCRIPTION = re.compile(f"cm cluster ({CLUSTER}) ({UUID})")
KEYPAIR_NAME = re.compile(f"({CLUSTER})-({UUID})-(.+)")


@dataclass(frozen=True)
class Mark:
    """The cluster's name, and the id of its root stack."""

    cluster: str
    stack_id: str


@dataclass(frozen=True)
class Thing:
    """Something that a project has; the mark is None where none of ours is on it.

    ``owner`` is the id of the server that a port belongs to, or of the port of a floating IP;
    ``near`` are the security groups of a port.
    """

    kind: str
    id: str
    name: str = ""
    mark: Mark | None = None
    owner: str = ""
    near: tuple[str, ...] = ()


def by_description(text: str) -> Mark | None:
    """The mark on what Neutron keeps: ``cm cluster NAME STACK``, and no word more."""
    match = DESCRIPTION.fullmatch(text)
    return Mark(match[1], match[2]) if match else None


def by_metadata(told: Mapping[str, str]) -> Mark | None:
    """The mark on a server."""
    return by_description(f"cm cluster {told.get('cm_cluster')} {told.get('cm_stack')}")


def by_keypair(name: str, project: str) -> Mark | None:
    """The mark on a keypair of this project: a user has the same keypairs in all projects."""
    match = KEYPAIR_NAME.fullmatch(name)
    return Mark(match[1], match[2]) if match and match[3] == project else None


def root_tag(first_id: str) -> str:
    """The tag of the root stacks that stand beside the first one of that id."""
    return f"{ROOT}-of={first_id}"


def first_root(tags: Sequence[str]) -> str | None:
    """The id of the first root stack of a cluster, as another one names it; None on that itself."""
    return _told(tags, f"{ROOT}-of=(.+)")


def expiry_tag(moment: int) -> str:
    """The tag of a stack that expires at that many seconds since 1970."""
    return f"{EXPIRES}={moment}"


def expires(tags: Sequence[str]) -> int | None:
    """When a stack expires, in seconds since 1970; None without such a tag."""
    told = _told(tags, f"{EXPIRES}=([0-9]{{1,11}})")
    return None if told is None else int(told)


def _told(tags: Sequence[str], pattern: str) -> str | None:
    """What the first tag that matches has in the pattern's group."""
    return next((match[1] for one in tags if (match := re.fullmatch(pattern, one))), None)


def moment(seconds: float) -> str:
    """Seconds since 1970 as Heat writes a time."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
