"""Look at a cluster: its nodes as other programs read them, and what happened to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from cloudmesh_cluster.model.cluster import Event, Result
from cloudmesh_cluster.model.errors import (
    ClusterError,
    ExitStatus,
    NoCloud,
    NoCluster,
)
from cloudmesh_cluster.model.inventory import INVENTORIES
from cloudmesh_cluster.model.names import Outcome, cause, clipped, printable
from cloudmesh_cluster.shell import answers, finding, output, reaching
from cloudmesh_cluster.shell.environment import Cloud, Environment
from cloudmesh_cluster.steps.events import followed
from cloudmesh_cluster.steps.nodes import place, server_ids
from cloudmesh_cluster.steps.record import CONSOLE_LINES, LOGS, PATIENCE

Arguments = Mapping[str, Any]
Logs = Mapping[str, str | ClusterError]  # by node, or why they are not to be had
MOST = 2**19  # characters of a node's logs that are printed: it may have been told to say more


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
        found = _recorded_events(finding.record(name, gone, environment))
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


def _recorded_events(record: finding.Record) -> tuple[Event, ...]:
    try:
        told = json.loads(record.texts.get("events.json", "null"))
    except ValueError as error:
        raise ClusterError(f"{record.file} has no events: {error}") from error
    if not isinstance(told, list):  # why they were not to be had
        raise ClusterError(f"{record.file} has no events: {told}")
    return tuple(Event(**one) for one in told)


# ---- logs ----------------------------------------------------------------------------------------


def logs(arguments: Arguments, environment: Environment) -> int:
    """Print the logs, or the consoles, of the nodes; FAILED if one's are not to be had."""
    name, word = arguments["NAME"], arguments["NODE"]
    try:
        ask = _consoles if arguments["--console"] else _nodes_logs
        found = ask(name, word, environment)
    except (NoCluster, NoCloud) as gone:
        file = "console.log" if arguments["--console"] else "node.log"
        found = _recorded_logs(finding.record(name, gone, environment), file, name, word)
    told = {node: log for node, log in found.items() if isinstance(log, str)}
    if told:
        environment.answer("\n".join(_block(node, log) for node, log in told.items()))
    troubles = [one for one in found.values() if isinstance(one, ClusterError)]
    for trouble in troubles:
        environment.progress.note(str(trouble))
    return ExitStatus.FAILED if troubles else ExitStatus.DONE


def _nodes_logs(name: str, word: str | None, environment: Environment) -> Logs:
    access = finding.access(name, environment)
    targets = [finding.node(word, name, access)] if word else access.targets
    with reaching.fleet(name, access, environment) as fleet:
        outcomes = fleet.run(targets, LOGS, timeout=PATIENCE)
    return {node: _said(node, outcome) for node, outcome in outcomes.items()}


def _said(node: str, outcome: Outcome) -> str | ClusterError:
    if not isinstance(outcome, Result):
        return ClusterError(f"{node}: {cause(node, outcome)}")
    if not outcome.stdout:
        return ClusterError(
            f"{node}: exit status {outcome.exit_status}: {clipped(outcome.stderr, 300)}"
        )
    return outcome.stdout


def _consoles(name: str, word: str | None, environment: Environment) -> Logs:
    cloud, stack = finding.of_cloud(name, environment)
    servers = server_ids(cloud.heat.resources(stack.id))
    names = _meant(word, name, servers)
    if not names:
        raise ClusterError(f"{name} has no servers yet ({stack.status})")
    return {
        node: _had(node, partial(cloud.compute.console, servers[node], CONSOLE_LINES))
        for node in names
    }


def _had(node: str, console: Callable[[], str]) -> str | ClusterError:
    try:
        return console()
    except ClusterError as error:
        return ClusterError(f"{node}: {error.problem}")


def _recorded_logs(record: finding.Record, file: str, name: str, word: str | None) -> Logs:
    kept = {
        path.rpartition("/")[0]: text
        for path, text in record.texts.items()
        if path.endswith(f"/{file}")
    }
    if not kept:
        next_step = f"Look at what is: tar -tzf {record.file}"
        raise ClusterError(f"no node's {file} is in it", next_step)
    return {node: kept[node] for node in _meant(word, name, kept)}


def _meant(word: str | None, name: str, names: Mapping[str, object]) -> Sequence[str]:
    """The node that the word names, or all, the master first."""
    ordered = sorted(names, key=place)
    return [finding.node_name(word, name, ordered)] if word else ordered


def _block(node: str, log: str) -> str:
    text = printable(log[-MOST:].replace("\r\n", "\n"), keep="\n\t").rstrip("\n")
    left_out = f"... {len(log) - MOST} characters before this\n" if len(log) > MOST else ""
    return f"--- {node}\n{left_out}{text}"
