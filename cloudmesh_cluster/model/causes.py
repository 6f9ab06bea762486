"""From what was seen of a cluster to why it is so: code, evidence, likely cause, what to type.

Nothing here asks anybody: the facts come from a record, or from the living cluster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.names import clipped, folded

MOST_LINES = 8  # of evidence of one kind
LONGEST_LINE = 400  # characters; a script may print without an end
LAST_LINES = 3  # of a console or a log, where several are told
WIDTH = 300  # characters of a line of evidence

BOOTED, WIRED, FINISHED = PHASES = ("booted", "wired", "finished")
STOPPED = {"SHUTOFF", "STOPPED", "SUSPENDED", "PAUSED", "SHELVED", "SHELVED_OFFLOADED"}
SCRIPTS = {"product script": codes.PRODUCT_SCRIPT, "role script": codes.ROLE_SCRIPT}

# What Heat, Nova and Neutron say when they refuse; the first that fits counts.
WORDS = (
    (codes.QUOTA, r"quota|over ?limit|limit .*exceeded|exceeded .*limit|"
                  r"maximum (number of (?!retries)|resources)"),
    (codes.NO_VALID_HOST, r"no valid host|not enough hosts|NoValidHost"),
    (codes.KEYPAIR, r"key ?pair|key_name|\bkey_data\b"),
    (codes.FLAVOR, r"flavor"),
    (codes.STACK_STALLED, r"timed out|timeout"),
    (codes.SERVER_ERROR, r"went to status ERROR|exhausted all hosts|build of instance|"
                         r"fail\w* to (start|boot|spawn)|did not (start|boot)|"
                         r"nspawn|init\b"),
    (codes.IMAGE, r"\bimage"),
    (codes.NETWORK, r"network|subnet|\bport\b|floating|router|\bIP\b|security group|allocat"),
)  # fmt: skip


@dataclass(frozen=True)
class Reported:
    """What a node reported of one phase."""

    node: str
    phase: str
    exit_status: int
    reason: str


@dataclass(frozen=True)
class Failed:
    """A check that did not pass on a node; a code tells what kept us from running it there."""

    node: str
    check: str
    seen: str
    code: str = ""


@dataclass(frozen=True)
class Facts:
    """All that was seen; ``code`` and ``problem`` are those of the error that ended a command."""

    cluster: str
    code: str = ""
    problem: str = ""
    next_step: str = ""
    stack_status: str = ""
    reasons: Mapping[str, str] = field(default_factory=dict)  # by resource, of those that failed
    unmade: Mapping[str, str] = field(default_factory=dict)  # servers, with Heat's status
    servers: Mapping[str, str] = field(default_factory=dict)  # by node, Nova's status
    faults: Mapping[str, str] = field(default_factory=dict)  # by node, Nova's words
    reports: tuple[Reported, ...] = ()
    failed: tuple[Failed, ...] = ()
    logs: Mapping[str, str] = field(default_factory=dict)  # by node
    consoles: Mapping[str, str] = field(default_factory=dict)  # by node

    def without(self, phase: str) -> list[str]:
        """The nodes that have not reported a phase."""
        told = {one.node for one in self.reports if one.phase == phase}
        return [name for name in self.servers if name not in told]

    @property
    def troubles(self) -> list[Reported]:
        """The reports that tell of a failure."""
        return [one for one in self.reports if one.exit_status]


@dataclass(frozen=True)
class Cause:
    """Why a cluster is as it is."""

    code: str
    verdict: str  # one line
    evidence: tuple[str, ...]
    likely: str
    next_step: str


def cause(facts: Facts) -> Cause:
    """What the facts come to; of an error without one, what the living cluster shows."""
    code = _narrowed(facts) if facts.code else living(facts)
    meaning = codes.MEANINGS[code]
    evidence = [clipped(line, WIDTH) for line in _evidence(code, facts) if line.strip()]
    return Cause(
        code=code,
        verdict=_verdict(code, facts, evidence),
        evidence=tuple(evidence),
        likely=meaning.likely,
        next_step=meaning.next_step.format(cluster=facts.cluster),
    )


def _verdict(code: str, facts: Facts, evidence: Sequence[str]) -> str:
    """One line: the error's own first one, or what the code says of these nodes."""
    if facts.problem and facts.code:
        return clipped(facts.problem.partition("\n")[0], WIDTH)
    return f"{_concerned(code, facts) or facts.cluster}: {codes.MEANINGS[code].says}"


def _concerned(code: str, facts: Facts) -> str:
    """The nodes that a code is about, where it is about some."""
    unreached = [one.node for one in facts.failed if one.code == code]
    states = {codes.STOPPED: STOPPED, codes.NODE_GONE: {"gone"}, codes.SERVER_ERROR: {"ERROR"}}
    down = [name for name, status in facts.servers.items() if status in states.get(code, ())]
    failed = [one.node for one in facts.failed] if code == codes.CHECK else []
    late = facts.without(FINISHED) if code == codes.UNFINISHED else []
    scripts = [one.node for one in facts.troubles] if code in SCRIPTS.values() else []
    return folded(dict.fromkeys([*unreached, *down, *failed, *late, *scripts]))


# ---- which code ----------------------------------------------------------------------------------


def _narrowed(facts: Facts) -> str:
    """The error's code, or a closer one that the rest of the facts give."""
    closer = _CLOSER.get(facts.code)
    return closer(facts) if closer else known(facts.code)


def known(code: str) -> str:
    """The code itself; one of a later version is unknown here."""
    return code if code in codes.MEANINGS else codes.UNKNOWN


def of_words(words: Iterable[str], otherwise: str) -> str:
    """The code that what the cloud said comes to: in the order of WORDS, over all that it said."""
    said = "\n".join(words)
    for code, pattern in WORDS:
        if re.search(pattern, said, re.IGNORECASE):
            return code
    return otherwise


def _of_stack(facts: Facts) -> str:
    """Nova's own faults are closer to the cause than what Heat makes of them."""
    said = [*facts.faults.values(), *facts.reasons.values(), *([] if facts.reasons else
            [facts.problem])]  # fmt: skip
    return of_words(said, codes.STACK_FAILED)


def _of_reports(facts: Facts) -> str:
    """What the nodes' failures come to; the ones that never booted are behind all others."""
    unbooted = facts.without(BOOTED)
    troubles = facts.troubles
    if not troubles and facts.code in SCRIPTS.values():  # of an update, whose scripts we run
        return facts.code
    if unbooted and all(one.phase == WIRED for one in troubles):
        return codes.NOT_BOOTED
    for one in troubles:
        if one.phase == FINISHED:
            return SCRIPTS.get(one.reason, codes.NOT_CARRIED)
    return codes.NOT_WIRED


def _of_silence(facts: Facts) -> str:
    """What was missing when the time was up."""
    if facts.unmade:
        return codes.STACK_STALLED
    if facts.troubles:
        return _of_reports(facts)
    if facts.without(BOOTED):
        return codes.NOT_BOOTED
    return codes.NOT_WIRED if facts.without(WIRED) else codes.TIME_OUT


def _of_checks(facts: Facts) -> str:
    """A node that was not reached comes before a check that did not pass."""
    return next((known(one.code) for one in facts.failed if one.code), codes.CHECK)


_CLOSER: Mapping[str, Callable[[Facts], str]] = {
    codes.STACK_FAILED: _of_stack,
    codes.ROLE_SCRIPT: _of_reports,
    codes.PRODUCT_SCRIPT: _of_reports,
    codes.TIME_OUT: _of_silence,
    codes.CHECK: _of_checks,
}


def living(facts: Facts) -> str:
    """What is the matter with a cluster that is there."""
    making = facts.stack_status.startswith("CREATE_")
    if facts.stack_status.endswith("_IN_PROGRESS"):
        return codes.BUSY
    if making and facts.reasons:
        return _of_stack(facts)
    if down := _of_servers(facts):
        return down
    if facts.reasons or facts.stack_status.endswith("_FAILED"):
        return codes.NOT_DELETED if facts.stack_status.startswith("DELETE_") else _of_stack(facts)
    if unreached := next((known(one.code) for one in facts.failed if one.code), ""):
        return unreached
    if facts.troubles:
        return _of_reports(facts)
    if facts.reports and facts.without(FINISHED):
        return codes.UNFINISHED
    return codes.CHECK if facts.failed else codes.HEALTHY


def _of_servers(facts: Facts) -> str:
    """What the servers' status comes to; empty if all run."""
    states = set(facts.servers.values())
    if "gone" in states:
        return codes.NODE_GONE
    if "ERROR" in states:
        return codes.SERVER_ERROR
    return codes.STOPPED if states & STOPPED else ""


# ---- the evidence --------------------------------------------------------------------------------


def _evidence(code: str, facts: Facts) -> list[str]:
    """The few lines that show it, from what is nearest to the cause."""
    if unreached := [one for one in facts.failed if one.code == code]:
        silent = [one.node for one in unreached]
        return [*_of_verdicts(unreached), *_tails(facts.consoles, silent)]
    if code in (codes.ROLE_SCRIPT, codes.PRODUCT_SCRIPT, codes.NOT_CARRIED):
        return _of_scripts(facts) or _details(facts)
    if code == codes.NOT_BOOTED:
        return [*_unheard(facts, BOOTED), *_tails(facts.consoles, facts.without(BOOTED))]
    if code == codes.NOT_WIRED:
        return [*_unheard(facts, WIRED), *_said(facts.troubles)]
    if code in (codes.TIME_OUT, codes.UNFINISHED):
        return [*_unheard(facts, FINISHED), *_tails(facts.logs, facts.without(FINISHED))]
    if facts.failed:
        return _of_verdicts(facts.failed)
    return _of_cloud(facts) or _details(facts)


def _details(facts: Facts) -> list[str]:
    """The error's lines after its first."""
    return [line.strip() for line in facts.problem.splitlines()[1:]][:MOST_LINES]


def _of_cloud(facts: Facts) -> list[str]:
    """What Heat and Nova said, each thing once, and which servers do not run."""
    faults = {f"{name}: Nova: {fault}" for name, fault in facts.faults.items() if fault}
    reasons = {f"{name}: {reason}" for name, reason in facts.reasons.items() if reason}
    unmade = [f"{name}: {status}" for name, status in facts.unmade.items()]
    down: dict[str, list[str]] = {}
    for name, status in facts.servers.items():
        if status != "ACTIVE" and name not in facts.unmade:
            down.setdefault(status, []).append(name)
    servers = [f"{folded(names)}: {status}" for status, names in down.items() if status]
    return [*sorted(reasons), *sorted(faults), *servers, *unmade][:MOST_LINES]


def _said(troubles: Iterable[Reported]) -> list[str]:
    return [f"{one.node}: {one.reason} (exit status {one.exit_status})" for one in troubles][
        :MOST_LINES
    ]


def _of_scripts(facts: Facts) -> list[str]:
    """The scripts that failed, and what the first of them printed last."""
    troubles = [one for one in facts.troubles if one.phase == FINISHED]
    lines = [
        line
        for one in troubles[:1]
        for line in script_output(facts.logs.get(one.node, ""), one.reason.partition(" ")[0])
    ]
    return [*(_said(troubles) if len(troubles) > 1 or not facts.problem else []), *lines]


def script_output(node_log: str, script: str) -> Sequence[str]:
    """The last lines that a script printed, from the node's logs."""
    _, _, after = node_log.partition(f"==> /var/log/cm-cluster/{script}.log <==\n")
    lines = after.partition("==> ")[0].strip().splitlines()[-MOST_LINES:]
    return [line[:LONGEST_LINE] for line in lines]


def _unheard(facts: Facts, phase: str) -> list[str]:
    missing = facts.without(phase)
    return [f"{folded(missing)}: not reported: {phase}"] if missing else []


def _tails(texts: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """The last lines of these nodes' texts."""
    return [
        f"{name}: {line.strip()}"
        for name in names[:LAST_LINES]
        for line in [line for line in texts.get(name, "").splitlines() if line.strip()][
            -LAST_LINES:
        ]
    ]


def _of_verdicts(failed: Iterable[Failed]) -> list[str]:
    nodes: dict[tuple[str, str], list[str]] = {}
    for one in failed:
        nodes.setdefault((one.check, one.seen), []).append(one.node)
    lines = [f"{folded(names)}: {check}: {seen}" for (check, seen), names in nodes.items()]
    return lines[:MOST_LINES]
