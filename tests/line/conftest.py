"""The program as a user runs it, against the embedded OpenStack; nothing here is a fake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openstack
import pytest
import yaml


@dataclass(frozen=True)
class Cm:
    """The command, in a home of its own."""

    home: Path
    variables: Mapping[str, str]
    extra: Mapping[str, str] = field(default_factory=dict)

    def environ(self) -> dict[str, str]:
        """The variables that the command sees."""
        return {**os.environ, **self.variables, "HOME": str(self.home), **self.extra}

    def start(self, *words: str, **streams: Any) -> subprocess.Popen[str]:
        """The command, running."""
        return subprocess.Popen(
            [sys.executable, "-m", "cloudmesh_cluster", *words],
            env=self.environ(),
            text=True,
            stdin=streams.get("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=streams.get("stderr", subprocess.PIPE),
        )

    def run(self, *words: str, script: str | None = None, status: int = 0) -> Answer:
        """What the command came to; its exit status must be the one expected."""
        stdin = subprocess.DEVNULL if script is None else subprocess.PIPE
        with self.start(*words, stdin=stdin) as process:
            try:
                stdout, stderr = process.communicate(script, timeout=600)
            except BaseException:
                process.kill()  # else it is waited for here, however long it takes
                raise
        assert process.returncode == status, f"{words}: {process.returncode}\n{stdout}\n{stderr}"
        return Answer(stdout, stderr)

    def write(self, name: str, role: str, script: str) -> None:
        """Keep a role's script."""
        self.run("cluster", "write", name, role, script=script)

    def file(self, name: str, text: str) -> str:
        """The path of a new file with this text."""
        path = self.home / name
        path.write_text(text)
        return str(path)

    def workspace(self, name: str) -> Path:
        """Where the command keeps what it knows of a cluster."""
        return self.home / ".cloudmesh" / "cluster" / name

    def record_file(self, name: str) -> Path:
        """The file of the newest record of a cluster."""
        return max((self.workspace(name) / "records").iterdir())

    def record(self, name: str) -> Path:
        """The folder that the newest record of a cluster unpacks to."""
        file = self.record_file(name)
        stem = file.name.removesuffix(".tar.gz")
        place = self.home / "unpacked"
        place.mkdir(exist_ok=True)
        subprocess.run(["tar", "-C", place, "-xzf", file], check=True)
        return place / f"{name}-{stem}"


@dataclass(frozen=True)
class Answer:
    """Both streams of a command that has ended."""

    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The answer, read as JSON."""
        return json.loads(self.stdout)


@pytest.fixture
def cm(home: Path, cloud: Mapping[str, str]) -> Cm:
    """The command against the embedded cloud."""
    return Cm(home, cloud)


@pytest.fixture(scope="session")
def admin(cloud: Mapping[str, str]) -> openstack.connection.Connection:
    """The embedded cloud's administrator, for breaking and counting things."""
    return connection(cloud, "local-admin")


@pytest.fixture(scope="session")
def user(cloud: Mapping[str, str]) -> openstack.connection.Connection:
    """The ordinary user, whose clusters these are."""
    return connection(cloud, "local")


def connection(cloud: Mapping[str, str], name: str) -> openstack.connection.Connection:
    """A connection to the embedded cloud by one of its entries."""
    entries = yaml.safe_load(Path(cloud["OS_CLIENT_CONFIG_FILE"]).read_text())["clouds"]
    return openstack.connect(load_yaml_config=False, load_envvars=False, **entries[name])


def things(user: openstack.connection.Connection) -> Counter[str]:
    """How much the project has of each thing that a cluster is made of."""
    project = user.current_project_id
    return Counter(
        {
            "servers": len(list(user.compute.servers())),
            "keypairs": len(list(user.compute.keypairs())),
            "ports": len(list(user.network.ports(project_id=project))),
            "security groups": len(list(user.network.security_groups(project_id=project))),
            "stacks": len(list(user.orchestration.stacks())),
        }
    )


@pytest.fixture
def nothing_left(user: openstack.connection.Connection) -> Iterator[None]:
    """The project has afterwards what it had before, of every kind."""
    before = things(user)
    yield
    assert things(user) == before
