"""Save the evidence of a failure before anything is deleted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cloudmesh_cluster.model.checks import Verdict
from cloudmesh_cluster.model.cluster import Result
from cloudmesh_cluster.model.errors import ClusterError, NoAnswer
from cloudmesh_cluster.steps import timeline
from cloudmesh_cluster.steps.follow import Seen, Watch
from cloudmesh_cluster.steps.nodes import server_ids

PATIENCE = 20.0  # seconds for the nodes' logs: the bill runs while we read
CONSOLE_LINES = 400
# The logs of a node in one answer; only root reads cloud-init's.
LOGS = (
    "for file in /var/log/cm-cluster/*.log /var/log/cloud-init-output.log; do "
    'echo "==> $file <=="; sudo -n tail -c 65536 "$file" 2>&1; done'
)

TELLING_LINES = 8


def evidence(
    watch: Watch, seen: Seen, error: BaseException, verdicts: Sequence[Verdict], *, brief: bool
) -> dict[str, str]:
    """The files of a record; a part that cannot be had says why. ``brief`` asks no node."""
    servers = set(server_ids(seen.resources).values())
    parts: dict[str, Callable[[], Any]] = {
        "events.json": lambda: [asdict(one) for one in watch.heat.events(seen.stack_id)],
        "resources.json": lambda: [asdict(one) for one in watch.heat.resources(seen.stack_id)],
        "servers.json": lambda: [asdict(one) for one in watch.compute.servers(servers)],
    }
    files = {"error.txt": f"{type(error).__name__}: {error}\n"}
    if seen.stack_id:
        files |= _attempts(parts)
    files["reports.json"] = _json([asdict(one) for one in seen.reports.values()])
    files[timeline.FILE] = timeline.written(timeline.seen_by_create(seen, verdicts))
    files["verdicts.json"] = _json([_verdict(one) for one in verdicts])
    for name, server in server_ids(seen.resources).items():
        files[f"{name}/console.log"] = str(_attempt(_console(watch, server)))
    if not brief:
        files |= logs(watch, seen)
    return files


def _console(watch: Watch, server: str) -> Callable[[], str]:
    return lambda: watch.compute.console(server, CONSOLE_LINES)


def logs(watch: Watch, seen: Seen) -> dict[str, str]:
    """The nodes' own logs, by file name in the record; a node that is not reached says why."""
    access = seen.access
    reachable = access.targets and (not access.through_master or access.of("master"))
    if not reachable:
        return {}
    with watch.connects(access) as fleet:
        outcomes = fleet.run(access.targets, LOGS, timeout=PATIENCE)
    return {
        f"{name}/node.log": one.stdout if isinstance(one, Result) else str(one)
        for name, one in outcomes.items()
    }


def script_output(node_log: str, script: str) -> Sequence[str]:
    """The last lines that a script printed, from the node's logs."""
    _, _, after = node_log.partition(f"==> /var/log/cm-cluster/{script}.log <==\n")
    return after.partition("==> ")[0].strip().splitlines()[-TELLING_LINES:]


def _attempts(parts: Mapping[str, Callable[[], Any]]) -> dict[str, str]:
    """What the services tell; after a silence, which may take a minute, none is asked again."""
    told: dict[str, str] = {}
    silence = ""
    for name, part in parts.items():
        try:
            told[name] = _json(silence or _attempt(part))
        except NoAnswer as error:
            silence = f"not to be had: {error.problem}"
            told[name] = _json(silence)
    return told


def _attempt(part: Callable[[], Any]) -> Any:
    try:
        return part()
    except NoAnswer:
        raise
    except ClusterError as error:
        return f"not to be had: {error.problem}"


def _verdict(verdict: Verdict) -> dict[str, object]:
    return {
        "check": verdict.check.title,
        "node": verdict.node,
        "passed": verdict.passed,
        "seen": verdict.seen,
        "code": verdict.code,
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, default=str) + "\n"
