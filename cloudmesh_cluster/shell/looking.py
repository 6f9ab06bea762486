"""Look at a cluster: its nodes as other programs read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cloudmesh_cluster.model.errors import ExitStatus
from cloudmesh_cluster.model.inventory import INVENTORIES
from cloudmesh_cluster.shell import finding
from cloudmesh_cluster.shell.environment import Environment

Arguments = Mapping[str, Any]


def inventory(arguments: Arguments, environment: Environment) -> int:
    """Print the nodes as another program reads them."""
    name = arguments["NAME"]
    access = finding.access(name, environment)
    folder = environment.workspace(name).folder
    environment.answer(INVENTORIES[arguments["--format"]](name, access, folder))
    return ExitStatus.DONE
