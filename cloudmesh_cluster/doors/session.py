"""Which cloud, and how to speak to it: openstack.config finds the entry, keystoneauth1 speaks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from keystoneauth1.exceptions import ClientException, Unauthorized
from keystoneauth1.session import Session
from openstack.config import OpenStackConfig
from openstack.config.cloud_region import CloudRegion
from openstack.exceptions import ConfigException, SDKException

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.errors import CloudError, NotFound, UsageError

EMBEDDED = "local"
FROM_VARIABLES = "envvars"
AUTH = (
    "auth_url",
    "username",
    "password",
    "project_name",
    "project_id",
    "user_domain_name",
    "user_domain_id",
    "project_domain_name",
    "project_domain_id",
)


@dataclass(frozen=True)
class CloudEntry:
    """One cloud that we could speak to, and where it was found."""

    name: str
    source: str
    region: CloudRegion

    def session(self) -> Session:
        """A session that asks for a token when it is first used."""
        return self.region.get_session()


@dataclass(frozen=True)
class Places:
    """Where clouds are looked for; the environment is given, never read here."""

    environ: Mapping[str, str]
    home: Path
    embedded_file: Path

    def clouds_yaml(self) -> dict[str, Any]:
        """The entries of the user's clouds.yaml by name; empty when there is none."""
        return dict(self._config().cloud_config.get("clouds", {}))

    def _config(self) -> OpenStackConfig:
        try:
            return OpenStackConfig(load_envvars=True)
        except (ConfigException, yaml.YAMLError) as error:
            raise UsageError(f"clouds.yaml cannot be read: {error}") from error


def cloud_entry(name: str | None, places: Places) -> CloudEntry | None:
    """The cloud to use; None when nothing names one and the embedded cloud is left.

    In this order: the name given, OS_CLOUD, OS_* variables, the only entry of clouds.yaml, the
    OpenStack entry of ~/.cloudmesh/cloudmesh.yaml. Raises NotFound, listing the clouds there are,
    and UsageError when several fit.
    """
    name = name or places.environ.get("OS_CLOUD")
    if name:
        return named(name, places)
    if places.environ.get("OS_AUTH_URL"):
        return _from_config(FROM_VARIABLES, "OS_* variables", places)
    entries = _names(places)
    if len(entries) > 1:
        raise UsageError(
            f"there are several clouds: {', '.join(entries)}",
            "Name one with --cloud=CLOUD or OS_CLOUD.",
            code=codes.NO_CLOUD,
        )
    return named(entries[0], places) if entries else None


def named(name: str, places: Places) -> CloudEntry:
    """The cloud of that name; NotFound lists those there are."""
    if name in places.clouds_yaml():
        return _from_config(name, "clouds.yaml", places)
    cloudmesh = cloudmesh_entries(places.home)
    if name in cloudmesh:
        return CloudEntry(name, "cloudmesh.yaml", _region(cloudmesh[name], name))
    if name == EMBEDDED and places.embedded_file.exists():
        return embedded(places)
    known = ", ".join(dict.fromkeys([*_names(places), EMBEDDED]))
    raise NotFound(f"there is no cloud {name!r}", f"There are: {known}.", code=codes.NO_CLOUD)


def embedded(places: Places) -> CloudEntry:
    """The embedded cloud's entry; it must have been started once."""
    config = OpenStackConfig(config_files=[str(places.embedded_file)], load_envvars=False)
    return CloudEntry(EMBEDDED, "the embedded cloud", config.get_one(cloud=EMBEDDED))


def cloudmesh_entries(home: Path) -> dict[str, dict[str, Any]]:
    """The OpenStack entries of ~/.cloudmesh/cloudmesh.yaml, in openstack.config's terms.

    Both layouts are read: version 4's ``cloudmesh.clouds`` with OS_* credentials, and version 5's
    ``cloudmesh.cloud`` with an auth mapping, whose jetstream entry still has OS_* ones.
    """
    file = home / ".cloudmesh" / "cloudmesh.yaml"
    if not file.exists():
        return {}
    try:
        told = (yaml.safe_load(file.read_text()) or {}).get("cloudmesh", {})
        entries = {**told.get("clouds", {}), **told.get("cloud", {})}
        return {
            name: _auth(entry["credentials"]) for name, entry in entries.items() if _fits(entry)
        }
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error!r}") from error


def _fits(entry: Mapping[str, Any]) -> bool:
    kind = entry.get("cm_type") or entry.get("cm", {}).get("kind")
    return kind == "openstack" and bool(entry.get("credentials"))


def _auth(credentials: Mapping[str, Any]) -> dict[str, Any]:
    if "auth" in credentials:
        kept = ("region_name", "interface", "identity_api_version")
        return {
            "auth": dict(credentials["auth"]),
            **{key: credentials[key] for key in kept if credentials.get(key)},
        }
    auth = {
        key.removeprefix("OS_").lower(): value
        for key, value in credentials.items()
        if key.startswith("OS_") and key not in ("OS_REGION_NAME", "OS_CACERT", "OS_VERSION")
    }
    auth["project_name"] = auth.pop("tenant_name", None) or auth.get("project_name")
    for domain in ("user_domain_name", "project_domain_name"):
        auth.setdefault(domain, "Default")
    entry: dict[str, Any] = {"auth": {key: auth[key] for key in AUTH if auth.get(key)}}
    if credentials.get("OS_REGION_NAME"):
        entry["region_name"] = credentials["OS_REGION_NAME"]
    if credentials.get("OS_CACERT"):
        entry["cacert"] = credentials["OS_CACERT"]
    return entry


def _region(entry: dict[str, Any], name: str) -> CloudRegion:
    try:
        config = OpenStackConfig(load_yaml_config=False, load_envvars=False)
        config.cloud_config["clouds"] = {name: entry}
        return config.get_one(cloud=name)
    except (ConfigException, SDKException, ClientException) as error:
        raise UsageError(f"cloud {name} of cloudmesh.yaml: {error}") from error


def _from_config(name: str, source: str, places: Places) -> CloudEntry:
    try:
        return CloudEntry(name, source, places._config().get_one(cloud=name))
    except (ConfigException, SDKException, ClientException) as error:
        raise UsageError(f"cloud {name} of {source}: {error}") from error


def _names(places: Places) -> list[str]:
    known = [name for name in places.clouds_yaml() if name not in (FROM_VARIABLES, "defaults")]
    return known or list(cloudmesh_entries(places.home))


def checked(entry: CloudEntry) -> Session:
    """A session that has a token; CloudError says why the cloud gives none."""
    session = entry.session()
    try:
        session.get_token()
    except Unauthorized as error:
        raise CloudError(
            f"cloud {entry.name} does not let us in: {error}",
            f"Check the user name, password and project in {entry.source}.",
        ) from error
    except ClientException as error:
        start = "Start it with: cm cloud up." if entry.name == EMBEDDED else ""
        raise CloudError(
            f"cloud {entry.name} does not answer: {_cause(error)}",
            start or f"Check auth_url in {entry.source}, and the way to it.",
            code=codes.CLOUD_SILENT,
        ) from error
    return session


def _cause(error: Exception) -> str:
    """The end of a long story that urllib3 and keystoneauth tell."""
    where = re.search(r"https?://[^\s:/]+(:\d+)?", str(error))
    why = re.search(r"\[Errno -?\d+\] ([^'\")]+)", str(error))
    return f"{where[0]}: {why[1]}" if where and why else str(error)
