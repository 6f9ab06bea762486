"""The supervisor that keeps the daemons, over its own socket and its own protocol."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
import xmlrpc.client
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cloudmesh_cluster.local.config import PLUGINS, service_environment, supervisor_socket
from cloudmesh_cluster.local.home import Home
from cloudmesh_cluster.local.processes import run
from cloudmesh_cluster.model.errors import CloudError


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _SocketTransport(xmlrpc.client.Transport):
    """XML-RPC over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _SocketConnection(self._path)


def _proxy(home: Home) -> Any:
    transport = _SocketTransport(supervisor_socket(home))
    return xmlrpc.client.ServerProxy("http://localhost", transport=transport).supervisor


def running(home: Home) -> bool:
    """Whether the supervisor answers."""
    try:
        return bool(_proxy(home).getState()["statename"] == "RUNNING")
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return False


def states(home: Home) -> dict[str, dict[str, Any]]:
    """What the supervisor says of each daemon, by name; empty when it does not answer."""
    try:
        return {one["name"]: one for one in _proxy(home).getAllProcessInfo()}
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return {}


def launch(home: Home) -> None:
    """Start the supervisor, and with it the daemons that come first."""
    supervisor_socket(home).unlink(missing_ok=True)
    run(
        home.venv / "bin/python3",
        PLUGINS / "warm.py",
        "--configuration",
        home.state / "etc/supervisord.conf",
        # The daemons begin in its process, so it has to begin as each of them would.
        environ=service_environment(home),
    )
    deadline = time.monotonic() + 20
    while not running(home):
        if time.monotonic() > deadline:
            raise CloudError("the supervisor does not answer", f"See {home.log}/supervisord.log.")
        time.sleep(0.05)
    _put_first(int(_proxy(home).getPID()))


def _put_first(pid: int) -> None:
    """Give the services more of the processors than booting nodes get.

    The kernel shares them out among sessions, and each node is one: without this, thirty nodes
    that boot would leave a thirtieth for the cloud that is to start them.
    """
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text("-10")


def start(home: Home, names: Iterable[str]) -> None:
    """Start those of the daemons that do not run; does not wait for them."""
    known = states(home)
    for name in names:
        if known.get(name, {}).get("statename") not in ("RUNNING", "STARTING", "BACKOFF"):
            with contextlib.suppress(xmlrpc.client.Fault):
                _proxy(home).startProcess(name, False)


def stop(home: Home, name: str) -> None:
    """Stop one daemon and wait until it has ended."""
    with contextlib.suppress(xmlrpc.client.Fault):
        _proxy(home).stopProcess(name, True)


def shut_down(home: Home) -> None:
    """Ask the supervisor to stop every daemon and itself; does not wait."""
    with contextlib.suppress(OSError, http.client.HTTPException, xmlrpc.client.Error):
        _proxy(home).shutdown()
