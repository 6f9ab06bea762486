"""Real OpenSSH servers on loopback addresses, and the things that only look like one."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin") or ""
MISSING = "" if SSHD and shutil.which("ssh-keygen") else "needs openssh-server and openssh-client"
LOGIN = getpass.getuser()
ADDRESSES_A_SERVER = 16  # sshd listens on no more


def keypair(path: Path, kind: str = "ed25519") -> str:
    """Make a private key at the path; its public line without the comment."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path.with_name(path.name + ".pub").read_text().strip()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", 0))
        return int(sock.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """What a client needs to know of running servers."""

    addresses: tuple[str, ...]
    port: int
    identity: Path
    host_key: str
    login: str = LOGIN


@contextlib.contextmanager
def servers(
    folder: Path,
    addresses: Sequence[str] = ("127.0.0.1",),
    *options: str,
    key_kind: str = "ed25519",
    prefix: Sequence[str] = (),
) -> Iterator[Server]:
    """Servers with one host key and one identity; ended on exit, each by its own id."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    host_key = keypair(folder / "host_key", key_kind)
    (folder / "authorized").write_text(keypair(folder / "identity") + "\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    running: list[subprocess.Popen[bytes]] = []
    with contextlib.ExitStack() as stack:
        for number in range(0, len(addresses), ADDRESSES_A_SERVER):
            config = folder / f"config{number}"
            config.write_text(
                _config(folder, addresses[number : number + ADDRESSES_A_SERVER], port, options)
            )
            log = stack.enter_context((folder / "log").open("ab"))
            running.append(
                subprocess.Popen(
                    [*prefix, SSHD, "-D", "-e", "-f", str(config)],
                    stdin=subprocess.DEVNULL,
                    stderr=log,
                )
            )
        stack.callback(_end, running)
        for address in addresses:
            _wait_listening(address, port, folder / "log")
        yield Server(tuple(addresses), port, folder / "identity", host_key)


def _config(folder: Path, addresses: Sequence[str], port: int, options: Sequence[str]) -> str:
    return "\n".join(
        [
            *options,
            f"Port {port}",
            *(f"ListenAddress {address}" for address in addresses),
            f"HostKey {folder / 'host_key'}",
            f"AuthorizedKeysFile {folder / 'authorized'}",
            "PermitRootLogin yes",
            "StrictModes no",
            "UsePAM no",
            "PidFile none",
            "MaxStartups 4000",
            "LogLevel ERROR",
            "",
        ]
    )


def _wait_listening(address: str, port: int, log: Path) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((address, port), timeout=5).close()
            return
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise RuntimeError(f"sshd did not start: {log.read_text()}") from None
            time.sleep(0.02)


def _end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in running:
        process.terminate()
    for process in running:
        process.wait()


@contextlib.contextmanager
def impostor(
    address: str = "127.0.0.1", *, says: bytes = b"", hangs_up: bool = False, port: int = 0
) -> Iterator[int]:
    """The port of something that accepts connections, says a few bytes and is silent."""
    with socket.create_server((address, port), backlog=512) as listener:
        taken: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                    sock.sendall(says)
                except OSError:
                    return
                if hangs_up:
                    sock.close()
                else:
                    taken.append(sock)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for sock in taken:
            sock.close()


@contextlib.contextmanager
def full_house(address: str = "127.0.0.1", *, port: int = 0) -> Iterator[int]:
    """The port of a listener whose queue is full, so that further SYN packets are dropped."""
    with socket.socket() as listener, contextlib.ExitStack() as guests:
        listener.bind((address, port))
        listener.listen(0)
        port = int(listener.getsockname()[1])
        for _ in range(4):
            guest = guests.enter_context(socket.socket())
            guest.setblocking(False)
            guest.connect_ex((address, port))
        time.sleep(0.1)
        yield port
