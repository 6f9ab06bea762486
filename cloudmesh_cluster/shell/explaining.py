"""``cm cluster explain``: why a create failed, or what is the matter with a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cloudmesh_cluster import api
from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.access import Access
from cloudmesh_cluster.model.causes import Cause, Facts, cause
from cloudmesh_cluster.model.cluster import Stack
from cloudmesh_cluster.model.errors import ClusterError, ExitStatus, NoCloud, NoCluster
from cloudmesh_cluster.model.spec import checked_name
from cloudmesh_cluster.shell import answers, finding
from cloudmesh_cluster.shell.environment import Cloud, Environment
from cloudmesh_cluster.steps import explain as step
from cloudmesh_cluster.steps.record import explained

LIVING = "the cluster as it is"


def explain(arguments: Mapping[str, Any], environment: Environment) -> int:
    """Explain a record that is named, else the cluster, else its newest record."""
    name = checked_name(arguments["NAME"])
    found, source = _found(name, arguments["RECORD"], environment)
    row = answers.explained(name, found, source)
    environment.answer(answers.explanation(row, arguments["--format"]))
    return ExitStatus.DONE


def _found(name: str, word: str | None, environment: Environment) -> tuple[Cause, str]:
    workspace = environment.workspace(name)
    if word:
        file = workspace.record(word)
        return _of_record(finding.Record(file, workspace.read_record(file)))
    try:
        cloud, stack = finding.of_cloud(name, environment)
        return cause(_facts(name, cloud, stack, environment)), LIVING
    except (NoCluster, NoCloud) as gone:
        return _of_record(finding.record(name, gone, environment))
    except ClusterError as error:
        return _of_error(name, error), LIVING


def _of_record(record: finding.Record) -> tuple[Cause, str]:
    if "error.json" not in record.texts:
        raise ClusterError(f"{record.file} does not tell of a failure: it has no error.json")
    return explained(record.texts), str(record.file)


def _of_error(name: str, error: ClusterError) -> Cause:
    """What kept us from looking is the answer too."""
    found = cause(Facts(name, code=error.code, problem=error.problem))
    return replace(found, next_step=error.next_step or found.next_step)


def _facts(name: str, cloud: Cloud, stack: Stack, environment: Environment) -> Facts:
    workspace = environment.workspace(name)
    return step.facts(
        stack,
        _access(name, environment),
        lambda access: api.checks(name, access, environment),
        step.Outside(
            heat=cloud.heat,
            compute=cloud.compute,
            connects=lambda access: environment.fleet(workspace, access),
            clock=environment.clock,
            progress=environment.progress,
        ),
    )


def _access(name: str, environment: Environment) -> Access | None:
    """How the nodes are reached; None where this machine has no key for them."""
    try:
        return finding.access(name, environment)
    except ClusterError as error:
        if error.code == codes.NO_KEY:
            return None
        if error.code == codes.NOT_BOOTED:
            return Access(())
        raise
