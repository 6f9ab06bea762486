"""The answers' schemas: what each command prints, in every format. docs/formats.rst shows them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from cloudmesh_cluster.model import marks
from cloudmesh_cluster.model import timeline as of_nodes
from cloudmesh_cluster.model.causes import Cause
from cloudmesh_cluster.model.checks import Check, Verdict
from cloudmesh_cluster.model.cluster import MASTER, WORKER, Event, Node, Result, Stack
from cloudmesh_cluster.model.demand import Needs
from cloudmesh_cluster.model.demand import Row as NeedsRow
from cloudmesh_cluster.model.names import Group, cause, printable
from cloudmesh_cluster.model.offer import Flavor
from cloudmesh_cluster.model.timeline import Timeline
from cloudmesh_cluster.shell import output
from cloudmesh_cluster.shell.output import Answer

if TYPE_CHECKING:
    from cloudmesh_cluster.local.cloud import Service
    from cloudmesh_cluster.local.images import CloudImage
    from cloudmesh_cluster.products import Page, Product
    from cloudmesh_cluster.shell.finding import Cluster
    from cloudmesh_cluster.steps.alter import Altered, Order
    from cloudmesh_cluster.steps.create import Created
    from cloudmesh_cluster.steps.preflight import Forecast

Row = dict[str, object]

NODE = ("name", "role", "status", "address", "public_address", "checks")
LISTED = ("name", "status", "servers", "product", "created", "expires", "expired")
PRODUCT = ("name", "summary", "variables")
SERVICE = ("name", "status", "pid", "memory_mb", "address")
IMAGE = ("name", "status", "product", "base", "size_mb", "packages", "created")
VERDICT = ("node", "check", "passed", "seen")
PAGE = ("what", "port", "open")
VARIABLE = ("name", "type", "default", "help")
EVENT = ("time", "resource", "status", "reason")
NEED = ("what", "needed", "limit", "used", "left", "state")
PROBLEM = ("what", "problem", "next_step")
MOMENTS = ("node", "role", "requested", "asked", "active", "ssh", "wired", "script", "verified",
           "failed", "skew")  # fmt: skip
FINDING = ("kind", "name", "cluster", "problem", "next_step", "id")
STAGE = ("stage", "nodes", "p50", "p95", "slowest", "node", "why")
CAUSE = ("cluster", "code", "verdict", "evidence", "likely", "next_step", "source")
CHANGE = ("node", "fate")
GROUP = ("nodes", "exit_status", "stdout", "stderr")


def created(name: str, cloud: str, product: str, made: Created) -> Row:
    """A cluster that create has made."""
    return {
        "name": name,
        "status": "CREATE_COMPLETE",
        "cloud": cloud,
        "product": product,
        "seconds": round(made.seconds, 1),
        "stages": {stage: round(seconds, 1) for stage, seconds in made.stages.items()},
        "missing": list(made.missing),
        "nodes": [node(one, made.verdicts) for one in made.nodes],
        "verdicts": [verdict(one) for one in made.verdicts],
    }


def altered(order: Order, cloud: str, done: Altered) -> Row:
    """A cluster that was changed."""
    return {
        "name": order.name,
        "status": done.status,
        "cloud": cloud,
        "product": order.after.plan.product,
        "seconds": round(done.seconds, 1),
        "added": list(order.added),
        "removed": list(order.removed),
        "replaced": sorted(order.anew),
        "nodes": [node(one, done.verdicts) for one in done.nodes],
        "verdicts": [verdict(one) for one in done.verdicts],
    }


def change(name: str, fate: str) -> Row:
    """What an update will do to a node: keep, add, remove or REPLACE."""
    return {"node": name, "fate": fate}


def planned(cloud: str, needs: Needs, found: Forecast) -> Row:
    """A cluster that create could make, or could not."""
    plan, chosen = needs.plan, needs.chosen
    return {
        "name": plan.cluster,
        "cloud": cloud,
        "product": plan.product,
        "image": chosen.image.name,
        "workers": len(plan.workers),
        "worker_flavor": _size(chosen.flavors[WORKER]),
        "master_flavor": _size(chosen.flavors[MASTER]),
        "network": chosen.network.name if chosen.network else "made by the stack",
        "floating_ip": plan.floating,
        "fits": not found.problems,
        "most_workers": found.most.workers,
        "then_short": list(found.most.short),
        "needs": [need(row) for row in found.rows],
        "problems": [vars(one) for one in found.problems],
    }


def _size(flavor: Flavor) -> str:
    cores = f"{flavor.vcpus} core" + ("s" if flavor.vcpus != 1 else "")
    return f"{flavor.name} ({cores}, {flavor.ram_mb} MiB)"


def need(row: NeedsRow) -> Row:
    """How much is needed of a thing, and what there is of it."""
    quota = row.quota
    return {
        "what": row.what,
        "needed": row.needed,
        "limit": quota.limit if quota else None,
        "used": quota.used if quota else None,
        "left": quota.left if quota else None,
        "state": row.state,
    }


def forecast(answer: Row, found: Forecast, format: str) -> Answer:
    """The answer of plan: a page with what is needed and what is wrong; CSV has the needs."""
    needs: Any = answer["needs"]
    problems: Any = answer["problems"]
    if format in ("json", "yaml"):
        return Answer(output.record(answer, format), tuple(needs))
    if format == "csv":
        return output.answer(needs, NEED, format)
    facts = {key: value for key, value in answer.items() if isinstance(value, str | int)}
    tables = _tables(
        needs,
        (output.properties(facts), output.PROPERTIES),
        (needs, NEED),
    )
    shortages = [(problems, PROBLEM)] if problems else []
    return Answer(
        "\n".join([tables.text, *found.told, found.answer]),
        tables.rows,
        (*tables.tables, *(output.table(*one) for one in shortages)),
    )


def shown(cluster: Cluster, pages: Sequence[Page]) -> Row:
    """A cluster that exists, and how the web pages of its product are reached."""
    return {
        "name": cluster.name,
        "status": cluster.stack.status,
        "cloud": cluster.cloud.name,
        "product": cluster.product,
        "created": cluster.stack.created,
        **lifetime(cluster.stack),
        "reason": cluster.stack.reason,
        "nodes": [node(one) for one in cluster.nodes],
        "pages": [
            {
                "what": one.what,
                "port": one.port,
                "open": f"cm cluster tunnel {cluster.name} {one.port}",
            }
            for one in pages
        ],
    }


def powered(cluster: Cluster, verdicts: Sequence[Verdict] | None) -> Row:
    """A cluster that was stopped or started; with verdicts where it was verified."""
    return {
        "name": cluster.name,
        "status": cluster.stack.status,
        "cloud": cluster.cloud.name,
        "product": cluster.product,
        "nodes": [node(one, verdicts) for one in cluster.nodes],
        "verdicts": [verdict(one) for one in verdicts or ()],
    }


def cluster(found: Row, format: str) -> Answer:
    """A cluster's answer: tables of it and of its nodes; its rows, and CSV, are the nodes alone."""
    nodes: Any = found["nodes"]
    if format in ("json", "yaml"):
        return Answer(output.record(found, format), tuple(nodes))
    if format == "csv":
        return output.answer(nodes, NODE, format)
    columns = [one for one in NODE if any(row.get(one) not in (None, "") for row in nodes)] or NODE
    facts = {key: value for key, value in found.items() if isinstance(value, str | float | int)}
    pages: Any = found.get("pages", [])
    return _tables(
        nodes,
        (output.properties(facts), output.PROPERTIES),
        (nodes, columns),
        *([(pages, PAGE)] if pages else []),
    )


def _tables(rows: Sequence[Row], *tables: tuple[Sequence[Row], Sequence[str]]) -> Answer:
    """An answer of several tables, one below the other."""
    text = "\n".join(output.text(part, columns, "table") for part, columns in tables)
    return Answer(text, tuple(rows), tuple(output.table(*one) for one in tables))


def node(one: Node, verdicts: Sequence[Verdict] | None = None) -> Row:
    """A node, with how many of its checks passed where they were run."""
    mine = [verdict for verdict in verdicts or () if verdict.node == one.name]
    passed = sum(verdict.passed for verdict in mine)
    return {
        "name": one.name,
        "role": one.role,
        "status": one.status or "ACTIVE",
        "address": one.address,
        "public_address": one.public_address,
        "checks": None if verdicts is None else f"{passed}/{len(mine)} passed",
    }


def listed(stack: Stack, servers: Counter[str] | None = None) -> Row:
    """A cluster in a list; its tags say what it is, and Nova how its servers are."""
    tags = dict(tag.partition("=")[::2] for tag in stack.tags)
    return {
        "name": stack.name,
        "status": stack.status,
        "servers": ", ".join(f"{n} {status}" for status, n in sorted((servers or {}).items())),
        "product": tags.get("cm-cluster-product", ""),
        "created": stack.created,
        **lifetime(stack),
    }


def clusters(rows: Sequence[Row], format: str) -> Answer:
    """The answer of list; a table tells of expiry only where something expires."""
    empty = format == "table" and not any(row["expires"] for row in rows)
    return output.answer(rows, LISTED[:5] if empty else LISTED, format)


def lifetime(stack: Stack) -> Row:
    """When a cluster expires, and whether it has; null where it does not."""
    end = marks.expires(stack.tags)
    return {
        "expires": None if end is None else marks.moment(end),
        "expired": None if end is None else end <= time.time(),
    }


def product(one: Product) -> Row:
    """A product in a list."""
    return {
        "name": one.name,
        "summary": one.summary,
        "variables": [variable.name for variable in one.variables],
    }


def product_whole(one: Product, checks: Sequence[Check]) -> Row:
    """All that a product says of itself."""
    return {
        "name": one.name,
        "summary": one.summary,
        "least_ram_mb": one.least_ram_mb,
        "least_vcpus": one.least_vcpus,
        "folder": str(one.folder),
        "variables": [
            {**{key: getattr(variable, key) for key in VARIABLE}, "choices": list(variable.choices)}
            for variable in one.variables
        ],
        "packages": {role: list(names) for role, names in one.packages.items()},
        "pages": [vars(page) for page in one.pages],
        "checks": [
            {"role": check.role, "check": check.title, "within": check.within} for check in checks
        ],
    }


def described(found: Row, format: str) -> Answer:
    """A product's answer: tables of it, its variables, packages and checks; CSV has variables."""
    variables: Any = found["variables"]
    packages: Any = found["packages"]
    checks: Any = found["checks"]
    if format in ("json", "yaml"):
        return Answer(output.record(found, format), tuple(variables))
    if format == "csv":
        return output.answer(variables, VARIABLE, format)
    facts = {key: value for key, value in found.items() if isinstance(value, str | int)}
    by_role = [{"role": role, "packages": names} for role, names in packages.items()]
    return _tables(
        variables,
        (output.properties(facts), output.PROPERTIES),
        (variables, VARIABLE),
        *([(by_role, ("role", "packages"))] if by_role else []),
        *([(checks, ("role", "check", "within"))] if checks else []),
    )


def service(one: Service) -> Row:
    """A service of the embedded cloud."""
    return {
        "name": one.name,
        "status": one.status,
        "pid": one.pid,
        "memory_mb": round(one.memory_mb),
        "address": one.address,
    }


def image(one: CloudImage) -> Row:
    """An image of the embedded cloud."""
    return {**vars(one), "packages": list(one.packages)}


def verdict(one: Verdict) -> Row:
    """A check's verdict on one node."""
    return {
        "node": one.node,
        "check": one.check.title,
        "passed": one.passed,
        "seen": one.seen,
    }


def event(one: Event) -> Row:
    """An event of a stack, in Heat's words."""
    return {column: getattr(one, column) for column in EVENT}


def timeline(found: Timeline, format: str) -> Answer:
    """When nodes reached each stage: tables of nodes and of stages, JSON lines or CSV of nodes."""
    nodes = [{column: getattr(one, column) for column in MOMENTS} for one in found.nodes]
    stages = [
        {**vars(one), **{key: round(getattr(one, key), 1) for key in ("p50", "p95", "slowest")}}
        for one in of_nodes.stages(found)
    ]
    if format == "json":
        return Answer("\n".join(output.json_line(row) for row in nodes), tuple(nodes))
    if format == "yaml":
        whole = {"name": found.cluster, "nodes": nodes, "stages": stages}
        return Answer(output.record(whole, format), tuple(nodes))
    if format == "csv":
        return output.answer(nodes, MOMENTS, format)
    requests = {row["requested"] for row in nodes}
    dull = {"asked"} | ({"requested"} if len(requests) < 2 else set())
    columns = [one for one in MOMENTS if one not in dull and any(row[one] for row in nodes)]
    return _tables(nodes, (nodes, columns or MOMENTS), *([(stages, STAGE)] if stages else []))


def explained(name: str, found: Cause, source: str) -> Row:
    """Why a cluster is as it is, and what that was seen in: a record's file, or the cluster."""
    return {"cluster": name, **asdict(found), "evidence": list(found.evidence), "source": source}


def explanation(row: Row, format: str) -> Answer:
    """The answer of explain: for people a few lines, the code and the verdict first."""
    row = {column: row[column] for column in CAUSE}
    if format != "table":
        return Answer(output.record(row, format), (row,))
    evidence: Any = row["evidence"]
    lines = [
        f"{row['code']}: {row['verdict']}",
        *(f"  {line}" for line in evidence),
        *([f"Likely: {row['likely']}"] if row["likely"] else []),
        f"Next: {row['next_step']}",
        f"Seen in: {row['source']}",
    ]
    text = "\n".join(printable(line) for line in lines)
    return Answer(text, (row,), (output.table(output.properties(row), output.PROPERTIES),))


def group(one: Group) -> Row:
    """What nodes answered that answered alike."""
    if isinstance(one.outcome, Result):
        return {
            "nodes": list(one.names),
            "exit_status": one.outcome.exit_status,
            "stdout": one.outcome.stdout,
            "stderr": one.outcome.stderr,
        }
    return {
        "nodes": list(one.names),
        "exit_status": None,
        "stdout": "",
        "stderr": cause(one.names[0], one.outcome),
    }


def groups(found: Sequence[Group], format: str) -> Answer:
    """What a command came to: for people a block of text for each group, else rows."""
    rows = [group(one) for one in found]
    if format != "table":
        return output.answer(rows, GROUP, format)
    text = "\n".join(_block(one, row) for one, row in zip(found, rows, strict=True))
    return Answer(text, tuple(rows))


def _block(one: Group, row: Row) -> str:
    status = row["exit_status"]
    head = f"--- {one.label}" + (f": exit status {status}" if status else "")
    said = (str(row["stdout"]), str(row["stderr"]))
    lines = [printable(text, keep="\n\t").rstrip("\n") for text in said if text.strip()]
    return "\n".join([head, *lines])
