"""What nodes say of themselves: by signals to Heat, or over SSH where Heat cannot be reached."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cloudmesh_cluster.model.cluster import Node, Result
from cloudmesh_cluster.model.names import clipped

BOOTED = "booted"  # has its keys, and its host key is known
WIRED = "wired"  # knows every other node by name
FINISHED = "finished"  # its role's scripts have ended
PHASES = (BOOTED, WIRED, FINISHED)

HANDLE_TYPE = "OS::Heat::WaitConditionHandle"
STATUS_FILES = "cat /var/lib/cm-cluster/status/*"
# cloud-init prints each node's public host keys to the console between these lines.
CONSOLE_KEYS = re.compile(
    r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL
)
# What systemd prints when cloud-init has failed before it came to our script, by the older and the
# newer names of its units.
CLOUD_INIT_FAILED = re.compile(r"Failed to start ((Initial )?cloud-init\b[^\r\n]*)", re.IGNORECASE)
# A node may say what it likes, and its words become lines of an ssh_config and of known_hosts.
LOGIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
HOST_KEY = re.compile(r"[a-z0-9@.-]{1,64} [A-Za-z0-9+/]{1,4096}={0,2}")
SERVER_ID = re.compile(r"[A-Za-z0-9-]{0,64}")
REASON_LENGTH = 300
KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")  # as bootstrap.sh prefers them


@dataclass(frozen=True)
class Report:
    """One phase of one node, in its own words; ``at`` is seconds since 1970 on its clock.

    ``server`` is Nova's id, by which a node is told from one of the same name that it replaced.
    """

    node: str
    phase: str
    exit_status: int
    reason: str
    login: str
    host_key: str
    at: int
    server: str = ""


Reports = Mapping[tuple[str, str], Report]


class Signals(Protocol):
    """What is needed of Heat."""

    def signals(self, stack_id: str, handle: str) -> Mapping[str, Mapping[str, Any]]:
        """By signal id, the data that nodes have given a handle."""


def report(told: Mapping[str, Any]) -> Report | None:
    """The report that a signal's data or a status file's makes; None when it is none."""
    try:
        found = Report(
            node=str(told["node"]),
            phase=str(told["phase"]),
            exit_status=int(told["exit"]),
            reason=clipped(str(told["reason"]), REASON_LENGTH),
            login=str(told["login"]),
            host_key=str(told["host_key"]),
            at=int(told["at"]),
            server=str(told.get("server", "")),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return found if _is_sound(found) else None


def _is_sound(found: Report) -> bool:
    return bool(
        found.phase in PHASES
        and LOGIN_NAME.fullmatch(found.login)
        and HOST_KEY.fullmatch(found.host_key)
        and SERVER_ID.fullmatch(found.server)
    )


def signalled(heat: Signals, handles: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Report]:
    """The reports that Heat has, by node and phase; a handle is a stack's id and a name."""
    told = [
        report(data)
        for stack_id, handle in handles
        for data in heat.signals(stack_id, handle).values()
    ]
    return {(one.node, one.phase): one for one in told if one}


def of_servers(reports: Reports, nodes: Iterable[Node]) -> dict[tuple[str, str], Report]:
    """Those of the reports that a server of another id, which had the name before, did not send."""
    servers = {node.name: node.server_id for node in nodes}
    return {
        key: one
        for key, one in reports.items()
        if not one.server or one.server == servers.get(one.node, one.server)
    }


def read_from(node: str, result: Result) -> dict[tuple[str, str], Report]:
    """The reports that a node printed of its own status files; of others it has nothing to say."""
    found = {}
    for line in result.stdout.splitlines():
        try:
            one = report(json.loads(line)["data"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if one and one.node == node:
            found[(one.node, one.phase)] = one
    return found


def console_host_key(console: str) -> str | None:
    """The host key that a node printed to its console, ``type base64``; None before it did."""
    printed = CONSOLE_KEYS.findall(console)
    if not printed:
        return None
    keys = {
        words[0]: " ".join(words[:2])
        for words in (line.split() for line in printed[-1].splitlines())
        if len(words) >= 2
    }
    return next((keys[kind] for kind in KEY_TYPES if kind in keys), None)


def boot_failure(console: str) -> str | None:
    """What of cloud-init a node's console says has failed to start; None when it does not."""
    told = CLOUD_INIT_FAILED.search(console)
    return clipped(told[1].strip(), REASON_LENGTH) if told else None


def failed(reports: Reports) -> list[Report]:
    """The reports that tell of a failure."""
    return [one for one in reports.values() if one.exit_status]
