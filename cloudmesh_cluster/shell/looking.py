"""Look at a cluster: its nodes as other programs read them, and what happened to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudmesh_cluster.model.cluster import Event
from cloudmesh_cluster.model.errors import (
    ClusterError,
    ExitStatus,
    NoCloud,
    NoCluster,
    NotFound,
)
from cloudmesh_cluster.model.inventory import INVENTORIES
from cloudmesh_cluster.shell import answers, finding, output
from cloudmesh_cluster.shell.environment import Cloud, Environment
from cloudmesh_cluster.steps.events import followed

Arguments = Mapping[str, Any]


def inventory(arguments: Arguments, environment: Environment) -> int:
    """Print the nodes as another program reads them."""
    name = arguments["NAME"]
    access = finding.access(name, environment)
    folder = environment.workspace(name).folder
    environment.answer(INVENTORIES[arguments["--format"]](name, access, folder))
    return ExitStatus.DONE


# ---- events --------------------------------------------------------------------------------------


def events(arguments: Arguments, environment: Environment) -> int:
    """Tell a stack's events; of one that is gone, those of the newest record."""
    name, format = arguments["NAME"], arguments["--format"]
    try:
        cloud, stack = finding.of_cloud(name, environment)
    except (NoCluster, NoCloud) as gone:
        found = _recorded_events(_record(name, gone, environment))
    else:
        if arguments["--follow"]:
            return _follow(cloud, stack.id, format, environment)
        found = cloud.heat.events(stack.id)
    rows = [answers.event(one) for one in found]
    environment.answer(output.answer(rows, answers.EVENT, format))
    return ExitStatus.DONE


def _follow(cloud: Cloud, stack_id: str, format: str, environment: Environment) -> int:
    first = True
    try:
        for batch in followed(cloud.heat, stack_id, environment.clock):
            rows = [answers.event(one) for one in batch]
            environment.answer(output.stream(rows, answers.EVENT, format, first=first))
            environment.stdout.flush()
            first = False
    except KeyboardInterrupt:
        return ExitStatus.DONE
    return ExitStatus.DONE


def _recorded_events(record: Path) -> tuple[Event, ...]:
    try:
        told = json.loads((record / "events.json").read_text())
    except (OSError, ValueError) as error:
        raise ClusterError(f"{record} has no events: {error}") from error
    if not isinstance(told, list):  # why they were not to be had
        raise ClusterError(f"{record} has no events: {told}")
    return tuple(Event(**one) for one in told)


def _record(name: str, gone: NotFound, environment: Environment) -> Path:
    """The newest record of a cluster that is gone; without one, that it is gone is the answer."""
    record = environment.workspace(name).newest_record()
    if record is None:
        raise gone
    environment.progress.note(f"{gone.problem}; this is from its record {record}")
    return record
