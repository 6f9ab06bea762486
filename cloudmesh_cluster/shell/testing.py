"""``cm cluster test``: the expectations again, a command, or a script, on the nodes of a role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cloudmesh_cluster import api
from cloudmesh_cluster.model.access import Access
from cloudmesh_cluster.model.checks import Verdict
from cloudmesh_cluster.model.cluster import Result
from cloudmesh_cluster.model.errors import ClusterError, ExitStatus, UsageError
from cloudmesh_cluster.model.names import grouped
from cloudmesh_cluster.model.spec import checked_name
from cloudmesh_cluster.shell import answers, files, finding, output
from cloudmesh_cluster.shell.environment import Environment


def test(arguments: Mapping[str, Any], environment: Environment) -> int:
    """Run what was asked for and print what came of it; UNVERIFIED if anything failed."""
    name = checked_name(arguments["NAME"])
    role = arguments["--role"]
    chosen = None if role == "all" else files.role(role, "all")
    given = [(one, files.text(one)) for one in arguments["--expect"]]
    access = finding.access(name, environment)
    command = " ".join(arguments["COMMAND"])
    script = b"" if command else files.piped_script(environment)
    if (command or script) and (given or arguments["--junit"]):
        raise UsageError(
            "--expect and --junit go with the expectations, not with a command or a script",
            f"Run one after the other; to have no script on stdin: test {name} </dev/null",
        )
    if command:
        return _command(access, name, chosen, (command, b""), arguments["--format"], environment)
    if script:
        return _command(access, name, chosen, (api.RUN, script), arguments["--format"], environment)
    found = api.verdicts(name, access, chosen, given, environment)
    if arguments["--junit"]:
        _write_junit(arguments["--junit"], name, found)
    rows = [answers.verdict(one) for one in found]
    environment.answer(output.answer(rows, answers.VERDICT, arguments["--format"]))
    failed = [one for one in found if not one.passed]
    environment.progress.note(f"{len(found) - len(failed)} of {len(found)} checks passed")
    return ExitStatus.UNVERIFIED if failed else ExitStatus.DONE


def _command(
    access: Access,
    name: str,
    role: str | None,
    command: tuple[str, bytes],
    format: str,
    environment: Environment,
) -> int:
    outcomes = api.outcomes(name, access, access.of(role), command, environment=environment)
    environment.answer(answers.groups(grouped(outcomes), format))
    good = all(isinstance(one, Result) and not one.exit_status for one in outcomes.values())
    return ExitStatus.DONE if good else ExitStatus.UNVERIFIED


def _write_junit(name: str, cluster: str, found: Sequence[Verdict]) -> None:
    failed = sum(not one.passed for one in found)
    suite = ElementTree.Element(
        "testsuite", name=f"cm cluster test {cluster}", tests=str(len(found)), failures=str(failed)
    )
    for one in found:
        case = ElementTree.SubElement(suite, "testcase", classname=one.node, name=one.check.title)
        if not one.passed:
            ElementTree.SubElement(case, "failure", message=one.seen)
    try:
        ElementTree.ElementTree(suite).write(Path(name), encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise ClusterError(f"{name}: cannot be written: {error.strerror}") from error
