"""Tell when each node of a cluster reached each stage, and how long the next create may take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudmesh_cluster.model.errors import ClusterError, ExitStatus, NoCloud, NoCluster
from cloudmesh_cluster.model.timeline import Timeline, verdict
from cloudmesh_cluster.shell import answers, drawing, finding
from cloudmesh_cluster.shell.environment import Environment
from cloudmesh_cluster.steps import timeline as step

Arguments = Mapping[str, Any]


def timeline(arguments: Arguments, environment: Environment) -> int:
    """Tell a cluster's timeline; of one that is gone, that of its newest record."""
    name, format = arguments["NAME"], arguments["--format"]
    whole = found(name, environment)
    if arguments["--svg"]:
        _draw(whole, Path(arguments["--svg"]).expanduser())
    environment.answer(answers.timeline(whole, format))
    if whole.nodes:
        environment.progress.note(verdict(whole))
    for one in whole.nodes:
        if one.skew:
            environment.progress.note(
                f"{one.node}: its clock is {one.skew:.0f} s or more off; its moments were moved to "
                "where they can have been"
            )
    return ExitStatus.DONE


def found(name: str, environment: Environment) -> Timeline:
    """The timeline as this machine kept it, as the cloud tells it, or of the newest record."""
    workspace = environment.workspace(name)
    try:
        cloud, stack = finding.of_cloud(name, environment)
    except (NoCluster, NoCloud) as gone:
        return _recorded(finding.record(name, gone, environment))
    text = workspace.timeline()
    kept = step.read(text, f"{workspace.folder}/{step.FILE}") if text else None
    return step.reconstructed(cloud.heat, cloud.compute, stack, kept)


def _recorded(record: finding.Record) -> Timeline:
    text = record.texts.get(step.FILE)
    if text is None:
        raise ClusterError(f"{record.file} has no timeline")
    return step.read(text, f"{record.file}: {step.FILE}")


def _draw(found: Timeline, file: Path) -> None:
    try:
        file.write_bytes(drawing.svg(found))
    except OSError as error:
        raise ClusterError(f"{file}: cannot be written: {error.strerror}") from error
