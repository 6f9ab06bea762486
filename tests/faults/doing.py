"""Do a run on an embedded cloud, and tell what came of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import openstack

from cloudmesh_cluster.local import cloud
from cloudmesh_cluster.local.home import Home
from cloudmesh_cluster.model.errors import ExitStatus

from ..line.conftest import Cm, connection, things
from . import breaking, model

NAME = "broken"
TIME = "--timeout=10"  # minutes
LATE = 900.0  # seconds after which a command has not ended
# Seconds that commands in which nothing breaks take on 2 idle processors: when they are hit is a
# share of it.
USUAL = {
    model.CREATE: 11.5,
    model.UPDATE: 10.0,
    model.STOP: 4.0,
    model.START: 7.5,
    model.DELETE: 5.0,
}
WORDS: Mapping[str, tuple[str, ...]] = {
    model.CREATE: ("create", NAME, "--product=plain", "--workers=1", "--flavor=local.tiny", TIME),
    model.UPDATE: ("update", NAME, "--workers=2", TIME),
    model.STOP: ("stop", NAME),
    model.START: ("start", NAME),
    model.DELETE: ("delete", NAME),
    model.RESUME: ("create", NAME),
}
PROGRAM = (sys.executable, "-m", "cloudmesh_cluster", "cluster")
ENDS = {int(one) for one in ExitStatus} - {ExitStatus.USAGE}


class Broken(AssertionError):
    """A run that did not end as it should."""


@dataclass
class Site:
    """A cloud to break, who uses it, and how many times longer than usual commands take now."""

    home: Home
    scratch: Path
    say: Callable[[str], None]
    pace: float = 1.0

    @property
    def variables(self) -> dict[str, str]:
        """How clients find the cloud."""
        return cloud.exports(self.home)


@dataclass
class Outcome:
    """What came of a run."""

    run: model.Run
    asked: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
    leaks: list[str] = field(default_factory=list)
    trouble: str = ""
    seconds: float = 0.0
    said: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        end = self.trouble.partition("\n")[0] or "ok"
        leaks = f"; leaks: {', '.join(self.leaks)}" if self.leaks else ""
        hit = f"; hit: {', '.join(self.hit)}" if self.hit else ""
        return f"{self.run}: {end}{hit}{leaks} ({self.seconds:.0f} s)"


def done(run: model.Run, site: Site) -> Outcome:
    """What came of the run; afterwards the cloud is as it was, if it was not broken for good."""
    outcome = Outcome(run)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=site.scratch, prefix="home-") as folder:
        cm = Cm(Path(folder), site.variables)
        with breaking.small_disk(site.home, site.scratch / "disk.img"):
            try:
                before = counted(site, cm)
                _acts(run, site, cm, outcome)
                after = counted(site, cm)
                outcome.leaks = [f"{n} {kind}" for kind, n in (after - before).items()]
            except AssertionError as error:
                outcome.trouble = str(error) or type(error).__name__
            except Exception as error:  # the next run is not to suffer from it
                outcome.trouble = f"{type(error).__name__}\n{traceback.format_exc()}"
            if outcome.trouble or outcome.leaks:
                _tidy(site, cm, outcome)
    outcome.seconds = time.monotonic() - begun
    return outcome


def _acts(run: model.Run, site: Site, cm: Cm, outcome: Outcome) -> None:
    for act in run.acts:
        status = _act(act, site, cm, outcome)
        breaking.healed(site.home)
        if act.fault and act.fault.kind == model.DISK:
            _room(site)
        if status != 0 and act is not run.acts[-1]:
            # What comes next wants a cluster; to be gone on with is what is promised of it.
            _must(act.verb, site, cm, outcome)
    if run.resumed:
        last = run.acts[-1].verb
        again = last if last in (model.STOP, model.START) else model.RESUME
        _must(again if is_there(cm) else model.CREATE, site, cm, outcome)
    _must(model.DELETE, site, cm, outcome)


def is_there(cm: Cm) -> bool:
    """Whether the cloud has the cluster."""
    with cm.start("cluster", "show", NAME) as process:
        process.communicate(timeout=LATE)
    return process.returncode == 0


def _act(act: model.Act, site: Site, cm: Cm, outcome: Outcome) -> int:
    """The exit status of a command in which something broke."""
    if act.fault is None:
        begun = time.monotonic()
        status = _must(act.verb, site, cm, outcome)
        site.pace = (time.monotonic() - begun) / USUAL[act.verb]
        return status
    fault = act.fault
    outcome.asked[fault.kind] += 1
    with _running(act.verb, cm, outcome) as process:
        strike = time.monotonic() + fault.share * USUAL[act.verb] * site.pace
        node = None
        while process.poll() is None:
            there = breaking.nodes(site.home)
            if time.monotonic() >= strike and (there or fault.kind not in model.OF_NODES):
                node = there[int(fault.pick * len(there))] if there else None
                break
            time.sleep(0.1)
        if process.poll() is None:
            outcome.said.append(f"-- {fault.kind}")
            try:
                with breaking.broken(fault, site.home, node, process):
                    outcome.hit[fault.kind] += 1
                    _rest(process, fault.seconds * max(1.0, site.pace / 2))
            except breaking.Impossible as error:
                outcome.said.append(f"-- not broken: {error}")
    killed = fault.kind == model.CLIENT and outcome.hit[model.CLIENT]
    if process.returncode not in ENDS and not killed:
        raise Broken(f"{act.verb} ended with {process.returncode}")
    return int(process.returncode)


def _rest(process: subprocess.Popen[str], seconds: float) -> None:
    """Let it be for so long, or until the command has ended."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _must(verb: str, site: Site, cm: Cm, outcome: Outcome) -> int:
    """Zero, which is how the command has to end."""
    with _running(verb, cm, outcome) as process:
        pass
    if process.returncode:
        raise Broken(f"{verb} ended with {process.returncode}")
    return 0


@contextmanager
def _running(verb: str, cm: Cm, outcome: Outcome) -> Iterator[subprocess.Popen[str]]:
    """The command, which has ended when this does; what it said is kept."""
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+", dir=cm.home) as said:
        process = subprocess.Popen(
            [*PROGRAM, *WORDS[verb]],
            env=cm.environ(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
        try:
            yield process
            process.wait(max(1.0, LATE - (time.monotonic() - begun)))
        except subprocess.TimeoutExpired as error:
            raise Broken(f"{verb} has not ended after {LATE:.0f} s") from error
        finally:
            process.kill()
            process.wait()
            said.seek(0)
            text = said.read()
            took = time.monotonic() - begun
            outcome.said += [f"$ cm cluster {' '.join(WORDS[verb])}", text.rstrip()]
            outcome.said.append(f"-- status {process.returncode} after {took:.0f} s")
    if "Traceback (most recent call last)" in text:
        raise Broken(f"{verb} ended in a traceback")


def _room(site: Site) -> None:
    """Return when the scheduler knows that the disk has room again."""
    admin = connection(site.variables, "local-admin")
    deadline = time.monotonic() + 300
    while True:
        told = admin.placement.get("/resource_providers").json()["resource_providers"]
        paths = [f"/resource_providers/{one['uuid']}/inventories" for one in told]
        rows = [admin.placement.get(path).json()["inventories"] for path in paths]
        if rows and all(one.get("DISK_GB", {}).get("total", 0) > 4 for one in rows):
            return
        if time.monotonic() > deadline:
            raise AssertionError("the scheduler has not heard that the disk has room again")
        time.sleep(2)


def counted(site: Site, cm: Cm) -> Counter[str]:
    """All that clusters are made of, in the cloud and on this machine."""
    user: openstack.connection.Connection = connection(site.variables, "local")
    project = user.current_project_id
    found = things(user)
    with contextlib.suppress(openstack.exceptions.NotFoundException):  # a Neutron without them
        found["floating IPs"] = len(list(user.network.ips(project_id=project)))
    found["secrets"] = len(secrets(cm.home))
    found["processes"] = len(processes(cm.home))
    found["nodes"] = len(breaking.nodes(site.home))
    return found


def secrets(home: Path) -> list[Path]:
    """The files in which there is a private key."""
    files = (one for one in home.rglob("*") if one.is_file())
    return [one for one in files if b"PRIVATE KEY-----" in one.read_bytes()]


def processes(home: Path) -> list[int]:
    """The commands of this home that run, and what they have started."""
    word = f"HOME={home}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if word in (path / "environ").read_bytes().split(b"\0"):
                found.append(int(path.name))
        except OSError:
            continue
    return found


def _tidy(site: Site, cm: Cm, outcome: Outcome) -> None:
    """What a broken run has left is no trouble of the next one."""
    outcome.said.append("-- tidying up")
    try:
        breaking.healed(site.home)
        for words in (("delete", NAME), ("doctor", "--fix")):
            told = subprocess.run(
                [*PROGRAM, *words],
                env=cm.environ(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=LATE,
                check=False,
            )
            outcome.said += [f"$ cm cluster {' '.join(words)}", told.stdout, told.stderr]
    except (AssertionError, subprocess.SubprocessError) as error:
        outcome.said.append(f"-- {error}")


def measured(site: Site) -> float:
    """How many times longer than usual commands take, by a cluster in which nothing breaks."""
    outcome = Outcome(model.Run(0, (), False))
    with tempfile.TemporaryDirectory(dir=site.scratch, prefix="home-") as folder:
        cm = Cm(Path(folder), site.variables)
        begun = time.monotonic()
        try:
            _must(model.CREATE, site, cm, outcome)
            took = time.monotonic() - begun
            _must(model.DELETE, site, cm, outcome)
        except Broken as error:
            raise Broken("\n".join([str(error), *outcome.said])) from error
    return took / USUAL[model.CREATE]
