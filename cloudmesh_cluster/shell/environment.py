"""What a command finds around it; doors are built here alone, and only when asked for."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from cloudmesh_cluster.model.errors import NoCloud
from cloudmesh_cluster.steps.wait import Clock, SystemClock

if TYPE_CHECKING:
    from cloudmesh_cluster.doors.compute import Compute
    from cloudmesh_cluster.doors.history import History
    from cloudmesh_cluster.doors.session import CloudEntry, Places
    from cloudmesh_cluster.doors.ssh import Fleet
    from cloudmesh_cluster.doors.workspace import Workspace
    from cloudmesh_cluster.local.cloud import Home
    from cloudmesh_cluster.model.access import Access
    from cloudmesh_cluster.model.keys import KeyPair
    from cloudmesh_cluster.shell.output import Answer
    from cloudmesh_cluster.shell.progress import Stages
    from cloudmesh_cluster.steps.roots import Roots


@dataclass(frozen=True)
class Cloud:
    """One cloud, ready to be spoken to."""

    name: str
    source: str
    heat: Roots
    compute: Compute


@dataclass(frozen=True)
class Environment:
    """The streams, the variables, the home folder, the clock."""

    environ: Mapping[str, str]
    home: Path
    stdin: BinaryIO
    stdout: TextIO
    stderr: TextIO
    clock: Clock = field(default_factory=SystemClock)

    @classmethod
    def from_system(cls) -> Environment:
        """This process's own; what libraries log goes nowhere, for we tell it ourselves."""
        logging.getLogger().addHandler(logging.NullHandler())
        return cls(
            environ=os.environ,
            home=Path.home(),
            stdin=sys.stdin.buffer,
            stdout=sys.stdout,
            stderr=sys.stderr,
        )

    @cached_property
    def progress(self) -> Stages:
        """Progress on stderr, in the way that suits it."""
        from cloudmesh_cluster.shell.progress import progress_for

        return progress_for(self.stderr, self.environ)

    def answer(self, answer: Answer | str) -> None:
        """Print the answer of a command."""
        text = answer if isinstance(answer, str) else answer.text
        self.progress.close()
        self.stdout.write(text if text.endswith("\n") else text + "\n")

    def run(self, words: Sequence[str], *, interactive: bool) -> int:
        """Run another program on our own streams; gives its exit status.

        Into an ``interactive`` one somebody wants to type.
        """
        import subprocess

        self.progress.close()
        return subprocess.run(words, check=False).returncode

    @property
    def ways_to_give_a_script(self) -> str:
        """The next step for one who gave no script."""
        return (
            "Give a file, or pipe it in: echo 'apt-get install -y htop' | cm cluster write "
            "NAME worker"
        )

    # ---- folders ----

    @property
    def clusters(self) -> Path:
        """Where the clusters' workspaces are."""
        return self.home / ".cloudmesh" / "cluster"

    @property
    def products_folder(self) -> Path:
        """Where the user's own products are."""
        return self.clusters / "products"

    def workspace(self, name: str) -> Workspace:
        """The workspace of a cluster, whether it exists or not."""
        from cloudmesh_cluster.doors.workspace import Workspace

        return Workspace(self.clusters / name)

    def workspaces(self) -> dict[str, Workspace]:
        """The workspaces that there are, by their clusters' names."""
        from cloudmesh_cluster.model.spec import NAME, RESERVED

        found = self.clusters.iterdir() if self.clusters.is_dir() else ()
        names = sorted(one.name for one in found if one.is_dir())
        return {
            name: self.workspace(name)
            for name in names
            if NAME.fullmatch(name) and name != RESERVED
        }

    def history(self, cloud: str) -> History:
        """How long creates took on that cloud."""
        from cloudmesh_cluster.doors.history import History

        return History(self.clusters / ".history", cloud)

    @property
    def embedded(self) -> Home:
        """Where the embedded cloud lives."""
        from cloudmesh_cluster.local.cloud import Home

        return Home.from_environment(self.environ)

    # ---- doors ----

    def keypair(self, comment: str) -> KeyPair:
        """A new keypair."""
        from cloudmesh_cluster.doors.keys import new_keypair

        return new_keypair(comment)

    def cloud(self, name: str | None, *, new: bool = False) -> Cloud:
        """The cloud of that name, or the one that is meant when none is named.

        The embedded cloud is started if it is the one and is down. Only for a ``new`` cluster is
        it set up for the first time, which takes minutes; else NoCloud is raised.
        """
        entry = self._named_entry(name)
        return self._spoken_to(entry or self._started_entry(new))

    def cloud_at_hand(self, name: str | None) -> Cloud | None:
        """The cloud that is meant, if it can be asked without starting anything."""
        from cloudmesh_cluster.local import cloud

        entry = self._named_entry(name)
        if entry is None and cloud.is_up(self.embedded):
            entry = self._started_entry(new=False)
        return self._spoken_to(entry) if entry else None

    def _spoken_to(self, entry: CloudEntry) -> Cloud:
        from cloudmesh_cluster.doors.compute import Compute
        from cloudmesh_cluster.doors.heat import Heat
        from cloudmesh_cluster.doors.session import checked
        from cloudmesh_cluster.steps.roots import Roots

        session = checked(entry)
        config = entry.region
        heat = Heat(
            session,
            region=config.get_region_name() or None,
            interface=str(config.get_interface("orchestration") or "public"),
        )
        return Cloud(entry.name, entry.source, Roots(heat), Compute(config))

    @property
    def _places(self) -> Places:
        from cloudmesh_cluster.doors.session import Places

        return Places(self.environ, self.home, self.embedded.clouds_yaml)

    def _named_entry(self, name: str | None) -> CloudEntry | None:
        """The entry that is named or configured; None means the embedded cloud."""
        from cloudmesh_cluster.doors import session

        meant = name or self.environ.get("OS_CLOUD")
        if meant == session.EMBEDDED and meant not in self._places.clouds_yaml():
            return None
        return session.cloud_entry(name, self._places)

    def _started_entry(self, new: bool) -> CloudEntry:
        """The embedded cloud's entry, once that is up."""
        from cloudmesh_cluster.doors import session
        from cloudmesh_cluster.local import cloud

        home = self.embedded
        if not new and not home.clouds_yaml.exists():
            raise NoCloud(
                "no cloud is configured, and the embedded one was never started",
                "Name yours with --cloud or OS_CLOUD, or start the embedded one: cm cloud up",
            )
        if not cloud.is_up(home):
            self.progress.note("No cloud is configured: starting the embedded one.")
            cloud.up(home, self.progress.note)
        return session.embedded(self._places)

    def fleet(self, workspace: Workspace, access: Access) -> Fleet:
        """SSH to the nodes, through the master where only it can be reached."""
        from cloudmesh_cluster.doors.ssh import Fleet

        return Fleet(workspace.identity, jump=access.master if access.through_master else None)
