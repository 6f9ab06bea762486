"""Where an embedded OpenStack lives, and the choices it keeps for life."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

REGION = "local"
IMAGE_NAME = "debian-12"
ACCOUNTS = ("admin", "demo", "glance", "placement", "neutron", "nova", "heat")


@dataclass(frozen=True)
class Home:
    """The folders of one embedded OpenStack."""

    state: Path
    software: Path

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Home:
        """The home that `CM_CLOUD_HOME` and `CM_CLOUD_SOFTWARE` name, or the default one."""
        user = Path(environ.get("HOME") or Path.home())
        state = Path(environ.get("CM_CLOUD_HOME") or user / ".cloudmesh" / "cloud").absolute()
        software = Path(environ.get("CM_CLOUD_SOFTWARE") or state / "software").absolute()
        return cls(state=state, software=software)

    @property
    def clouds_yaml(self) -> Path:
        """What the `openstack` command and every SDK read to find the cloud."""
        return self.state / "clouds.yaml"

    @property
    def name(self) -> str:
        """A short name that no other home on this machine has: of bridge, rules, machines."""
        digest = hashlib.sha256(str(self.state.resolve()).encode()).hexdigest()
        return f"cm-{digest[:8]}"

    @property
    def runtime(self) -> Path:
        """Where the sockets are: a path of a socket may have 107 bytes, a home may be longer."""
        return Path("/run") / f"cm-cloud-{self.name.removeprefix('cm-')}"

    @property
    def venv(self) -> Path:
        """The OpenStack venv."""
        return self.software / "venv"

    @property
    def settings(self) -> Path:
        """Where the choices are kept."""
        return self.state / "cloud.json"

    @property
    def nodes(self) -> Path:
        """The nodes' folders."""
        return self.state / "nodes"

    @property
    def log(self) -> Path:
        """The services' logs."""
        return self.state / "log"


@dataclass(frozen=True)
class Settings:
    """What is chosen once, when a cloud is first started, and must not change after."""

    subnet: str
    passwords: Mapping[str, str]
    filled: str = ""  # the fingerprint of what the cloud was last filled with

    @property
    def network(self) -> IPv4Network:
        """The subnet of bridge and nodes."""
        return IPv4Network(self.subnet)

    @property
    def address(self) -> IPv4Address:
        """The bridge's address, where every API listens."""
        return self.network[1]

    def filled_with(self, mark: str) -> Settings:
        """The same, once the cloud has its accounts, network, flavors and image."""
        return replace(self, filled=mark)


def fingerprint(wanted: Mapping[str, object]) -> str:
    """A short word that changes when what the cloud is to hold does."""
    text = json.dumps(wanted, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fresh_settings(subnet: IPv4Network) -> Settings:
    """Settings for a new cloud, with new random passwords."""
    words = {name: secrets.token_urlsafe(24) for name in ACCOUNTS}
    words["heat_domain_admin"] = secrets.token_urlsafe(24)
    words["rabbitmq"] = secrets.token_hex(24)
    words["heat_key"] = secrets.token_hex(16)
    return Settings(subnet=str(subnet), passwords=words)


def saved_settings(home: Home) -> Settings | None:
    """The settings of a cloud that was started before."""
    try:
        return Settings(**json.loads(home.settings.read_text()))
    except FileNotFoundError:
        return None


def save(home: Home, settings: Settings) -> None:
    """Keep the settings, readable by their owner only."""
    write_private(home.settings, json.dumps(asdict(settings), indent=1))


def write_private(path: Path, text: str) -> None:
    """Write a file whole or not at all, with mode 0600."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    partial.replace(path)


def private_folder(path: Path) -> Path:
    """A folder that only its owner can look into; made if need be."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path
