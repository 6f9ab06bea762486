"""Log in to nodes, and reach their web pages, with plain ssh and the cluster's ssh_config."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudmesh_cluster import products
from cloudmesh_cluster.model.access import Access
from cloudmesh_cluster.model.cluster import MASTER
from cloudmesh_cluster.model.errors import ClusterError, ExitStatus, NotFound, UsageError
from cloudmesh_cluster.products import Page
from cloudmesh_cluster.shell import finding, reaching
from cloudmesh_cluster.shell.environment import Environment

Arguments = Mapping[str, Any]
SSH_FAILED = 255  # ssh's own exit status, though a command may have it as well
END = re.compile(r"(?:(?P<node>[^:]+):)?(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class End:
    """The far end of a tunnel."""

    node: str
    port: int
    what: str = ""


def ssh(arguments: Arguments, environment: Environment) -> int:
    """Log in to a node, or run a command there; the exit status is ssh's."""
    name = arguments["NAME"]
    access = finding.access(name, environment)
    node = finding.node(arguments["NODE"] or "master", name, access)
    command = arguments["COMMAND"]
    forwards = [word for one in arguments["--forward"] for word in ("-L", one)]
    # ssh joins its words by spaces itself; -- keeps them from being its options.
    words = [*forwards, node.name, "--", *command]
    return _ssh(name, words, node.name, environment, interactive=not command)


def tunnel(arguments: Arguments, environment: Environment) -> int:
    """Hold ports of this machine open to the product's web pages, or to one port, until Ctrl-C."""
    name = arguments["NAME"]
    access = finding.access(name, environment)
    word = arguments["PORT"]
    ends = [end(word, name, access)] if word else _pages(name, access, environment)
    words = ["-N", "-o", "ExitOnForwardFailure=yes"]
    for one in ends:
        port = free_port(one.port)
        words += ["-L", f"127.0.0.1:{port}:{one.node}:{one.port}"]
        here = f"http://localhost:{port} is {one.what} on" if one.what else f"localhost:{port} is"
        environment.progress.note(f"{here} {one.node}:{one.port}")
    environment.progress.note("Ctrl-C ends the tunnel.")
    try:
        master = access.master.name
        return _ssh(name, [*words, master], master, environment, interactive=False)
    except KeyboardInterrupt:
        return ExitStatus.DONE


def end(word: str, name: str, access: Access) -> End:
    """The end that ``9870`` or ``worker1:9864`` names; a port alone is the master's."""
    match = END.fullmatch(word)
    if not match or not 1 <= int(match["port"]) <= 65535:
        raise UsageError(f"tunnel takes PORT or NODE:PORT, not {word!r}")
    return End(finding.node(match["node"] or "master", name, access).name, int(match["port"]))


def pages(name: str, product: str, environment: Environment) -> Sequence[Page]:
    """The master's pages of a cluster; none where this machine does not have its product."""
    try:
        one = products.product(product, products.folders(environment.products_folder))
    except NotFound:
        return ()
    values = environment.workspace(name).order().get("values") or one.values({})
    return [page for page in one.pages_with(values) if page.role == MASTER]


def _pages(name: str, access: Access, environment: Environment) -> list[End]:
    product = finding.product(name, environment)
    found = pages(name, product, environment)
    if not found:
        raise UsageError(
            f"{name} has no web page of {product}'s", f"Name a port: cm cluster tunnel {name} 8080"
        )
    return [End(access.master.name, one.port, one.what) for one in found]


def free_port(wanted: int) -> int:
    """The wanted port of this machine, or another where that is taken or not ours to take."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ClusterError("this machine has no free port")


def _ssh(
    name: str, words: Sequence[str], node: str, environment: Environment, *, interactive: bool
) -> int:
    """Run ssh; where it fails, and the cloud knows why, that is told."""
    config = environment.workspace(name).ssh_config
    try:
        status = environment.run(["ssh", "-F", str(config), *words], interactive=interactive)
    except FileNotFoundError as error:
        raise ClusterError(
            "there is no ssh on this machine", "Install it: apt-get install openssh-client"
        ) from error
    if status == SSH_FAILED:
        for line in reaching.why(name, node, environment).splitlines():
            environment.progress.note(line)
    return status
