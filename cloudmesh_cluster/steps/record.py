"""Save the evidence of a failure before anything is deleted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.causes import Cause, Facts, Failed, Reported, cause
from cloudmesh_cluster.model.checks import Verdict
from cloudmesh_cluster.model.cluster import Resource, Result
from cloudmesh_cluster.model.errors import ClusterError, ExitStatus, NoAnswer
from cloudmesh_cluster.steps import timeline
from cloudmesh_cluster.steps.follow import Seen, Watch, plain
from cloudmesh_cluster.steps.nodes import SERVER_TYPE, server_ids

PATIENCE = 20.0  # seconds for the nodes' logs: the bill runs while we read
CONSOLE_LINES = 400
# The logs of a node in one answer; only root reads cloud-init's.
LOGS = (
    "for file in /var/log/cm-cluster/*.log /var/log/cloud-init-output.log; do "
    'echo "==> $file <=="; sudo -n tail -c 65536 "$file" 2>&1; done'
)


def evidence(
    name: str,
    watch: Watch,
    seen: Seen,
    error: BaseException,
    verdicts: Sequence[Verdict],
    *,
    brief: bool,
) -> dict[str, str]:
    """The files of a record; a part that cannot be had says why. ``brief`` asks no node."""
    files = _gathered(watch, seen, error, verdicts, brief=brief)
    return {"error.json": _json(told(name, error, files)), **files}


def _gathered(
    watch: Watch, seen: Seen, error: BaseException, verdicts: Sequence[Verdict], *, brief: bool
) -> dict[str, str]:
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
    files[timeline.FILE] = timeline.written(timeline.as_seen(seen, verdicts))
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


# ---- what a record comes to ----------------------------------------------------------------------


def told(name: str, error: BaseException, files: Mapping[str, str]) -> dict[str, Any]:
    """The failure of a cluster as ``error.json`` has it, with the code that the files lead to."""
    interrupted = isinstance(error, KeyboardInterrupt)
    status = ExitStatus.INTERRUPTED if interrupted else getattr(error, "exit_status", 1)
    raw = {
        "cluster": name,
        "code": code_of(error),
        "problem": f"interrupted while working on {name}"
        if interrupted
        else str(getattr(error, "problem", "") or f"{type(error).__name__}: {error}"),
        "next_step": str(getattr(error, "next_step", "")),
        "exit_status": int(status),
        "error": type(error).__name__,
    }
    found = explained({**files, "error.json": _json(raw)})
    return {**raw, "code": found.code, "next_step": raw["next_step"] or found.next_step}


def code_of(error: BaseException) -> str:
    """The code that an error has by itself, without what else is known."""
    if isinstance(error, KeyboardInterrupt):
        return codes.INTERRUPTED
    return error.code if isinstance(error, ClusterError) else codes.BUG


def explained(files: Mapping[str, str]) -> Cause:
    """Why a create failed, from the files of its record."""
    return cause(facts(files))


def facts(files: Mapping[str, str]) -> Facts:
    """What the files of a record tell; parts that were not to be had, or are odd, tell nothing."""
    error = _read(files, "error.json", dict)
    resources = [
        Resource(**{field.name: str(one.get(field.name, "")) for field in fields(Resource)})
        for one in _rows(files, "resources.json")
    ]
    made = [one for one in resources if one.type == SERVER_TYPE]
    servers = _rows(files, "servers.json")
    return Facts(
        cluster=str(error.get("cluster", "")),
        code=str(error.get("code", codes.UNKNOWN)),
        problem=str(error.get("problem", "")),
        next_step=str(error.get("next_step", "")),
        reasons=reasons(resources),
        unmade={
            one.name: f"{one.status} {one.reason}".strip()
            for one in made
            if not one.status.endswith("_COMPLETE")
        },
        servers={
            **{one.name: "" for one in made},
            **{str(one["name"]): str(one["status"]) for one in servers},
        },
        faults={str(one["name"]): str(one["fault"]) for one in servers if one["fault"]},
        reports=tuple(
            Reported(one["node"], one["phase"], int(one["exit_status"]), one["reason"])
            for one in _rows(files, "reports.json")
        ),
        failed=tuple(
            Failed(one["node"], one["check"], one["seen"], one.get("code", ""))
            for one in _rows(files, "verdicts.json")
            if not one["passed"]
        ),
        logs=_texts(files, "node.log"),
        consoles=_texts(files, "console.log"),
    )


def reasons(resources: Iterable[Resource]) -> dict[str, str]:
    """By name, why resources failed, in the cloud's words; not those that only hold others."""
    return {
        one.name: plain(one.reason)
        for one in resources
        if one.status.endswith("FAILED") and one.reason and not one.type.endswith(".yaml")
    }


def _rows(files: Mapping[str, str], name: str) -> list[dict[str, Any]]:
    return [one for one in _read(files, name, list) if isinstance(one, dict)]


def _read(files: Mapping[str, str], name: str, kind: type[Any]) -> Any:
    try:
        found = json.loads(files.get(name, "null"))
    except ValueError:
        return kind()
    return found if isinstance(found, kind) else kind()


def _texts(files: Mapping[str, str], file: str) -> dict[str, str]:
    return {
        name.rpartition("/")[0]: text for name, text in files.items() if name.endswith(f"/{file}")
    }


# ---- the parts -----------------------------------------------------------------------------------


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
