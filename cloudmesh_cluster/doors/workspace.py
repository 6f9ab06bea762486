"""The folder of one cluster on the user's machine: its keys, scripts, known hosts and records."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml

from cloudmesh_cluster.doors.records import packed, unpacked
from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.access import Access, known_hosts, ssh_config
from cloudmesh_cluster.model.cluster import ROLES
from cloudmesh_cluster.model.errors import ClusterError, NotFound
from cloudmesh_cluster.model.keys import KeyPair

PRIVATE = 0o600
RECORD = ".tar.gz"
STAMP = "%Y-%m-%dT%H-%M-%S"  # of a record, in UTC
STAMPS = "????-??-??T??-??-??"
RECORDS = 20  # that are kept of a cluster
SECRETS = ("id_ed25519", "id_ed25519.pub", "known_hosts", "ssh_config", "access.yaml")


@dataclass(frozen=True)
class Workspace:
    """Everything we keep of a cluster; Heat, not this folder, knows whether it exists."""

    folder: Path

    @property
    def identity(self) -> Path:
        """The identity file that logs in to every node."""
        return self.folder / "id_ed25519"

    @property
    def ssh_config(self) -> Path:
        """An ssh_config(5) that reaches every node by its name."""
        return self.folder / "ssh_config"

    @property
    def age(self) -> float | None:
        """Seconds since its keys or its order were last written; None if it has neither."""
        files = [self.folder / name for name in (*SECRETS, "cluster.yaml")]
        written = [file.stat().st_mtime for file in files if file.exists()]
        return max(0.0, time.time() - max(written)) if written else None

    # ---- keys ----

    def save_keypair(self, keypair: KeyPair) -> None:
        """Keep the cluster's keypair as an identity file."""
        self._write("id_ed25519", keypair.private.encode())
        self._write("id_ed25519.pub", keypair.public.encode() + b"\n")

    def keypair(self) -> KeyPair | None:
        """The keypair that is kept, if there is one."""
        public = self.folder / "id_ed25519.pub"
        if not (self.identity.exists() and public.exists()):
            return None
        return KeyPair(public.read_text().strip(), self.identity.read_text())

    # ---- how to reach the nodes ----

    def save_access(self, access: Access) -> None:
        """Keep how each node is reached and by which host key it is known."""
        self._write("access.yaml", yaml.safe_dump(access.told()).encode())
        self._write("known_hosts", known_hosts(access).encode())
        self._write("ssh_config", ssh_config(access, self.folder).encode())

    def access(self) -> Access | None:
        """How each node is reached, if that is known here."""
        file = self.folder / "access.yaml"
        return Access.read(yaml.safe_load(file.read_text())) if file.exists() else None

    # ---- what the user said ----

    def save_script(self, role: str, script: bytes) -> Path:
        """Keep a role's script, byte by byte as it was given."""
        return self._write(f"scripts/{role}", script)

    def script(self, role: str) -> bytes | None:
        """The role's script, if one was written."""
        file = self.folder / "scripts" / role
        return file.read_bytes() if file.exists() else None

    def save_applied(self, scripts: Mapping[str, bytes]) -> None:
        """Keep the roles' scripts that the nodes have run, so that a change can be taken back."""
        for role, script in scripts.items():
            self._write(f"applied/{role}", script)

    def applied(self, role: str) -> bytes | None:
        """The role's script that the nodes have run, if there is one."""
        file = self.folder / "applied" / role
        return file.read_bytes() if file.exists() else None

    def save_order(self, order: Mapping[str, Any]) -> None:
        """Keep what the cluster was asked to be, for ``test`` and ``show``."""
        self._write("cluster.yaml", yaml.safe_dump(dict(order), sort_keys=False).encode())

    def order(self) -> dict[str, Any]:
        """What the cluster was asked to be; empty when this machine does not know."""
        file = self.folder / "cluster.yaml"
        return dict(yaml.safe_load(file.read_text()) or {}) if file.exists() else {}

    # ---- what happened ----

    def save_timeline(self, timeline: str) -> None:
        """Keep when each node reached each stage."""
        self._write("timeline.json", timeline.encode())

    def timeline(self) -> str:
        """When each node reached each stage; empty when this machine does not know."""
        file = self.folder / "timeline.json"
        return file.read_text() if file.exists() else ""

    def save_record(self, parts: Mapping[str, str]) -> Path:
        """A new record with these files in it, without their secrets; the oldest ones make room."""
        stamp = self._stamp(datetime.now(timezone.utc))
        known = [keypair.private for keypair in (self.keypair(),) if keypair]
        content = packed(f"{self.folder.name}-{stamp}", parts, secrets=known)
        file = self._write(f"records/{stamp}{RECORD}", content)
        for old in self.records()[:-RECORDS]:
            old.unlink(missing_ok=True)
        return file

    def _stamp(self, now: datetime) -> str:
        """The time, or the next second after the newest record's."""
        stamp = now.strftime(STAMP)
        newest = self.newest_record()
        if newest is None or newest.name < f"{stamp}{RECORD}":
            return stamp
        latest = datetime.strptime(newest.name.removesuffix(RECORD), STAMP)
        return (latest + timedelta(seconds=1)).strftime(STAMP)

    def records(self) -> list[Path]:
        """The files of the records, the newest last."""
        return sorted((self.folder / "records").glob(f"{STAMPS}{RECORD}"))

    def newest_record(self) -> Path | None:
        """The file of the newest record, if there is one."""
        return max(self.records(), default=None)

    def record(self, word: str) -> Path:
        """The record that a word names: its time, or a file anywhere; NotFound lists those here."""
        known = {file.name.removesuffix(RECORD): file for file in self.records()}
        if word.removesuffix(RECORD) in known:
            return known[word.removesuffix(RECORD)]
        if Path(word).is_file():
            return Path(word)
        raise NotFound(
            f"there is no record {word}",
            f"There are: {', '.join(known) or 'none'}; or give a file.",
        )

    def read_record(self, file: Path) -> dict[str, str]:
        """The files in a record, by their names there; ClusterError if it is none."""
        return unpacked(file)

    def forget(self) -> None:
        """Remove the secrets and what they reach; scripts and records stay."""
        applied = (f"applied/{role}" for role in ROLES)
        for name in (*SECRETS, *applied, "cluster.yaml", "timeline.json"):
            (self.folder / name).unlink(missing_ok=True)

    def _write(self, name: str, content: bytes) -> Path:
        """The file, written whole or not at all, and for nobody else to read."""
        file = self.folder / name
        new = file.with_name(f".{file.name}.new")
        try:
            inner = [one for one in reversed(file.parents) if self.folder in one.parents]
            for folder in (self.folder, *inner):  # mkdir's mode is for the last folder only
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "wb") as out:
                out.write(content)
            new.replace(file)
        except OSError as error:
            raise ClusterError(
                f"{file} cannot be written: {error.strerror}",
                f"Free space at {self.folder} or correct its permissions.",
                code=codes.WORKSPACE,
            ) from error
        return file
