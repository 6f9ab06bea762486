"""The one door to paramiko: a command on many nodes at once, over connections that stay open.

Nothing is trusted on first use: a node's host key is compared before we log in. Every wait has an
end: while a node is connected to, greeted and logged in to it is ``connect_timeout`` for each of
these, and then the command's own time.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import gc
import hashlib
import logging
import os
import queue
import selectors
import shlex
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import paramiko
from paramiko.packet import Packetizer

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.access import Target
from cloudmesh_cluster.model.cluster import Result
from cloudmesh_cluster.model.errors import NodeError
from cloudmesh_cluster.model.names import Outcome, cause

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # its trouble is told by ours

Command = str | tuple[str, ...]

TIMED_OUT = 124  # as timeout(1) reports it
AS_ROOT = ("sudo", "-n")
ENDED_BY_SIGNAL = 255  # the server told of no exit status; ssh(1) ends with 255 as well
KEPT_OPEN = 64  # connections kept between two runs
CLEARED_AWAY = 128  # closed connections; paramiko's refer to themselves, and so outlive their use
OPEN_AT_ONCE = 512  # sockets; half of what a process usually may have
KEPT_BYTES = 8 * 2**20  # of each stream of each node
KEPT_OF_ALL = 2**28  # of one stream of all nodes of a run together ...
KEPT_AT_LEAST = 2**18  # ... but so much of each, however many nodes there are
LARGEST_PACKET = 2**20  # bytes; OpenSSH's are of 256 KiB at most
PATIENCE = 0.5  # seconds a node may keep a place in the crew while we wait for it
GRACE = 5.0  # seconds between a command's time-out on the node and ours
AFTERTHOUGHT = 1.0  # seconds of output waited for after the command has ended
USERS_OF_A_WAY = 4  # paramiko loses a jump host's connection when more share it
WAYS_AT_ONCE = 8  # sshd turns away some of more than ten that are not logged in yet
CHUNK = 32768


class SshError(NodeError):
    """What kept us from a node; the problem begins with the node's name."""

    def __init__(self, node: str, cause: str, next_step: str = "") -> None:
        super().__init__(f"{node}: {cause}", next_step)
        self.node = node
        self.cause = cause


class ConnectionRefused(SshError):
    """Nothing listens at that port."""


class Unreachable(SshError):
    """No route, no such address, or no answer to the first packet."""


class Silent(SshError):
    """Something accepted the connection and then said nothing more."""


class HostKeyUnknown(SshError):
    """No host key to compare with, or none of the type that the node has."""

    code = codes.HOST_KEY


class HostKeyChanged(SshError):
    """The node shows another host key than the one that we know."""

    code = codes.HOST_KEY


class LoginRefused(SshError):
    """The node does not take our key for that login."""

    code = codes.LOGIN_REFUSED


class ConnectionLost(SshError):
    """The connection ended before its time."""


class IdentityUnusable(NodeError):
    """The identity file is missing, not readable, or no private key."""

    code = codes.NO_KEY


class Fleet:
    """Runs a command on many nodes at once; connections stay open until the fleet is closed."""

    def __init__(
        self,
        identity: Path,
        *,
        jump: Target | None = None,
        connect_timeout: float = 10.0,
        pool: int = 64,
    ) -> None:
        self._identity = identity
        self._connect_timeout = connect_timeout
        self._pool = pool
        self._jump = jump
        self._ways: list[_Connection] = []
        self._new_way = threading.Semaphore(WAYS_AT_ONCE)
        self._key: paramiko.PKey | None = None
        self._idle: dict[Target, _Connection] = {}
        self._live: set[_Connection] = set()
        self._closed = 0
        self._lock = threading.Lock()

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            connections = [*self._idle.values(), *self._ways]
            self._idle.clear()
            self._ways.clear()
        for connection in connections:
            self._close(connection)

    def run(
        self,
        targets: Iterable[Target],
        command: Command,
        *,
        stdin: bytes | Mapping[str, bytes] = b"",
        timeout: float,
        answered: Callable[[str, Outcome], None] | None = None,
        encoding: str = "utf-8",
    ) -> dict[str, Outcome]:
        """What the command came to on each node, by name, in the order of the targets.

        A text is for the node's login shell, as with ssh(1); a tuple is run as it is. ``stdin``
        may differ by node. After ``timeout`` seconds the command is ended on the node and the
        result has exit status 124. Of each stream 8 MiB are kept, less where nodes are
        many. ``answered`` is called, from this thread, as answers come.
        Raises IdentityUnusable before any node is called.
        """
        named = {target.name: target for target in targets}
        errand = _Errand(_line(command, timeout), stdin, timeout, encoding, _kept(len(named)))
        self._key = self._key or _private_key(self._identity)
        call = _Call(self, errand, _Crew(self._pool), queue.SimpleQueue())
        outcomes: dict[str, Outcome] = {}
        try:
            for name, outcome in call.answers_of(named):
                outcomes[name] = outcome
                if answered is not None:
                    answered(name, outcome)
        except BaseException:
            self._abandon()
            raise
        return {name: outcomes[name] for name in named}

    # What follows is for _Call, in this module.

    def _take_idle(self, target: Target) -> _Connection | None:
        with self._lock:
            return self._idle.pop(target, None)

    def _keep(self, connection: _Connection) -> None:
        with self._lock:
            keep = len(self._idle) < KEPT_OPEN and connection.alive
            if keep:
                self._idle[connection.target] = connection
        if not keep:
            self._close(connection)

    def _close(self, connection: _Connection) -> None:
        connection.close()
        with self._lock:
            self._live.discard(connection)
            if connection.way is not None:
                connection.way.users -= 1
                connection.way = None
            self._closed += 1
            many = self._closed % CLEARED_AWAY == 0
        if many:
            gc.collect()

    def _abandon(self) -> None:
        with self._lock:
            live = list(self._live)
        for connection in live:
            connection.abort()

    def _end_overdue(self) -> None:
        now = time.monotonic()
        with self._lock:
            overdue = [connection for connection in self._live if connection.deadline < now]
        for connection in overdue:
            connection.overdue = True
            connection.abort()

    def _logged_in(
        self, target: Target, sock: _Socket, crew: _Crew, way: _Connection | None = None
    ) -> _Connection:
        assert self._key is not None
        connection = _Connection(target, sock, self._connect_timeout, crew, way)
        with self._lock:
            self._live.add(connection)
        try:
            connection.greet()
            connection.log_in(self._key)
        except BaseException:
            self._close(connection)
            raise
        return connection

    def _is_direct(self, target: Target) -> bool:
        """Whether we connect ourselves: a jump host may not reach its own public address."""
        jump = self._jump
        return jump is None or (target.address, target.port) == (jump.address, jump.port)

    def _connected(self, target: Target, crew: _Crew) -> _Connection:
        """A new connection, opened from this thread."""
        if self._is_direct(target):
            return self._logged_in(target, _dialled(target, self._connect_timeout), crew)
        try:
            return self._connected_through(target, self._way(target, crew), crew)
        except ConnectionLost:  # the jump host's connection died under us; once more on another
            return self._connected_through(target, self._way(target, crew), crew)

    def _connected_through(self, target: Target, way: _Connection, crew: _Crew) -> _Connection:
        try:
            sock = way.channel_to(target)
        except BaseException:
            with self._lock:
                way.users -= 1
            raise
        return self._logged_in(target, sock, crew, way)

    def _way(self, target: Target, crew: _Crew) -> _Connection:
        """A connection to the jump host that can take one more user."""
        with self._new_way:
            if (way := self._shared_way()) is not None:
                return way
            assert self._jump is not None
            try:
                way = self._logged_in(self._jump, _dialled(self._jump, self._connect_timeout), crew)
            except SshError as error:
                raise _by_way_of(self._jump.name, target.name, error) from error
            way.users = 1
            with self._lock:
                self._ways.append(way)
            return way

    def _shared_way(self) -> _Connection | None:
        with self._lock:
            self._ways = [way for way in self._ways if way.alive or way.users]
            for way in self._ways:
                if way.alive and way.users < USERS_OF_A_WAY:
                    way.users += 1
                    return way
        return None


@dataclass(frozen=True)
class _Errand:
    line: str
    stdin: bytes | Mapping[str, bytes]
    timeout: float
    encoding: str
    kept: int  # bytes of each stream

    def stdin_of(self, name: str) -> bytes:
        return self.stdin if isinstance(self.stdin, bytes) else self.stdin.get(name, b"")


@dataclass(frozen=True)
class _Call:
    """One run of one fleet."""

    fleet: Fleet
    errand: _Errand
    crew: _Crew
    answers: queue.SimpleQueue[tuple[str, Outcome | Exception]]

    def answers_of(self, named: Mapping[str, Target]) -> Iterator[tuple[str, Outcome]]:
        with _Dialler(self.fleet._connect_timeout) as dialler:
            self._begin(named.values(), dialler)
            waiting = len(named)
            while waiting:
                self._dial(dialler)
                for name, answer in self._come(0.0 if dialler.busy else 0.25):
                    if not isinstance(answer, Result | NodeError):
                        raise answer
                    waiting -= 1
                    yield name, answer
                self.fleet._end_overdue()

    def _begin(self, targets: Iterable[Target], dialler: _Dialler) -> None:
        if self.fleet._jump is not None and (error := self._way_is_barred(targets)):
            for target in targets:
                told = type(error)(target.name, error.cause, error.next_step)
                self.answers.put((target.name, told))
            return
        for target in targets:
            connection = self.fleet._take_idle(target)
            if not target.host_keys:
                self.answers.put((target.name, HostKeyUnknown(target.name, _NO_HOST_KEY)))
            elif connection is not None or not self.fleet._is_direct(target):
                self._assign(target, partial(self._reconnected, target, connection))
            else:
                dialler.add(target)

    def _way_is_barred(self, targets: Iterable[Target]) -> SshError | None:
        """Try the jump host once, so that one that is dead costs one time-out and not many."""
        jump = self.fleet._jump
        assert jump is not None
        tried: queue.SimpleQueue[SshError | Exception | None] = queue.SimpleQueue()

        def attempt() -> None:
            try:
                way = self.fleet._way(jump, self.crew)
                with self.fleet._lock:
                    way.users -= 1
                tried.put(None)
            except Exception as error:  # told to the thread that waits for us
                tried.put(error)

        self.crew.do(attempt)
        while True:
            with contextlib.suppress(queue.Empty):
                error = tried.get(timeout=0.25)
                if error is None or isinstance(error, SshError):
                    return error
                raise error
            self.fleet._end_overdue()

    def _dial(self, dialler: _Dialler) -> None:
        room = OPEN_AT_ONCE - len(self.fleet._live) - self.crew.backlog
        for target, reached in dialler.step(room):
            if isinstance(reached, SshError):
                self.answers.put((target.name, reached))
            else:
                self._assign(target, partial(self.fleet._logged_in, target, reached, self.crew))

    def _come(self, seconds: float) -> Iterator[tuple[str, Outcome | Exception]]:
        with contextlib.suppress(queue.Empty):
            yield self.answers.get(timeout=seconds) if seconds else self.answers.get_nowait()
            while True:
                yield self.answers.get_nowait()

    def _assign(self, target: Target, connect: Callable[[], _Connection]) -> None:
        self.crew.do(partial(self._serve, target, connect))

    def _serve(self, target: Target, connect: Callable[[], _Connection]) -> None:
        try:
            connection = connect()
            try:
                result = connection.run(self.errand)
            except BaseException:
                self.fleet._close(connection)
                raise
            self.fleet._keep(connection)
            self.answers.put((target.name, result))
        except Exception as error:  # a thread's error is told, or raised, by the one that waits
            self.answers.put((target.name, error))

    def _reconnected(self, target: Target, idle: _Connection | None) -> _Connection:
        if idle is not None:
            try:
                idle.open_session()
                idle.crew = self.crew
                return idle
            except SshError:  # it died while it was idle
                self.fleet._close(idle)
        return self.fleet._connected(target, self.crew)


# --- one connection ------------------------------------------------------------------------------

_Socket = socket.socket | paramiko.Channel
_NO_HOST_KEY = "unknown host key: none is known to compare with"


class _Packets(Packetizer):
    """Ours is the watch over handshakes: no timer thread for each. No packet is without measure."""

    def start_handshake(self, timeout: float) -> None:
        pass

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        # paramiko would set memory aside for up to 4 GiB, if a node or an impostor said so.
        if n > LARGEST_PACKET:
            raise paramiko.SSHException(f"it announced a packet of {n} bytes")
        return super().read_all(n, check_rekey)


class _Connection:
    """A connection to one node; one command at a time."""

    def __init__(
        self,
        target: Target,
        sock: _Socket,
        patience: float,
        crew: _Crew,
        way: _Connection | None,
    ) -> None:
        self.target = target
        self.crew = crew
        self.way = way
        self.users = 0
        self.deadline = float("inf")
        self.overdue = False
        self._sock = sock
        self._seconds = patience
        self._doing = ""
        self._channel: paramiko.Channel | None = None
        self._transport = paramiko.Transport(sock, packetizer_class=_Packets)
        sock.settimeout(60.0)  # the reader thread would else wake ten times a second

    @property
    def alive(self) -> bool:
        return self._transport.is_active() and not self.overdue

    def greet(self) -> None:
        """Agree on keys, and see that the node is the one it should be."""
        with self._step("the SSH greeting"):
            known = _known(self.target.host_keys)
            options = self._transport.get_security_options()
            types = _negotiable(known, options.key_types)
            if not types:
                raise HostKeyUnknown(self.target.name, _NO_HOST_KEY)
            options.key_types = types
            options.ciphers = _authenticated_first(options.ciphers)
            done = threading.Event()
            self._transport.start_client(done)
            self._wait(done)
            if not self._transport.is_active():
                raise self._transport.get_exception() or EOFError()
            self._compare(known)

    def _compare(self, known: Mapping[str, set[bytes]]) -> None:
        key = self._transport.get_remote_server_key()
        expected = known.get(key.get_name(), set())
        if key.asbytes() not in expected:
            raise HostKeyChanged(
                self.target.name,
                f"host key changed: it shows {key.get_name()} {_fingerprint(key.asbytes())}, "
                f"expected {' or '.join(map(_fingerprint, sorted(expected)))}",
                "Nothing was sent to it. If the node was rebuilt, its new key must be recorded.",
            )

    def log_in(self, key: paramiko.PKey) -> None:
        with self._step("the login"):
            done = threading.Event()
            self._transport.auth_publickey(self.target.login, key, done)
            self._wait(done)
            if self._transport.is_authenticated():
                return
            error = self._transport.get_exception()
            if self._transport.is_active() or isinstance(error, paramiko.AuthenticationException):
                raise LoginRefused(
                    self.target.name,
                    f"login as {self.target.login} refused with our key{_also_taken(error)}",
                )
            raise error or EOFError()

    def open_session(self) -> None:
        with self._step("the opening of a session"):
            self._channel = self._transport.open_session(timeout=2 * self._seconds)

    def channel_to(self, target: Target) -> paramiko.Channel:
        """A connection from this node, a jump host, on to another."""
        name = self.target.name
        try:
            return self._transport.open_channel(
                "direct-tcpip",
                (target.address, target.port),
                ("127.0.0.1", 0),
                timeout=self._seconds,
            )
        except paramiko.ChannelException as error:
            where = f"{target.address}:{target.port}"
            raise Unreachable(
                target.name, f"jump host {name} cannot connect to {where}: {error.text}"
            ) from error
        except Exception as error:  # paramiko hands on whatever broke its reader thread
            if self._transport.is_active():
                raise Unreachable(
                    target.name, f"jump host {name} could not connect within {self._seconds:g} s"
                ) from error
            raise ConnectionLost(target.name, f"connection to jump host {name} lost") from error

    def run(self, errand: _Errand) -> Result:
        if self._channel is None:
            self.open_session()
        assert self._channel is not None
        channel, self._channel = self._channel, None
        began = time.monotonic()
        with self._step("the command", errand.timeout + 2 * GRACE):
            channel.exec_command(errand.line)
            talk = _Talk(channel, errand.stdin_of(self.target.name), errand.kept, self.crew)
            ended = talk.until(time.monotonic() + errand.timeout + GRACE)
            seconds = time.monotonic() - began
            channel.close()
            if self.way is not None:
                _wait_closed(channel)
            status = self._status(channel, errand.timeout, seconds) if ended else TIMED_OUT
        if not ended:
            self.abort()
        return Result(
            exit_status=status,
            stdout=talk.stdout.text(errand.encoding),
            stderr=talk.stderr.text(errand.encoding),
            seconds=seconds,
        )

    def _status(self, channel: paramiko.Channel, timeout: float, seconds: float) -> int:
        status = channel.exit_status
        if status >= 0:
            # timeout(1) tells 128 + SIGKILL, not 124, where it had to insist
            return TIMED_OUT if status == 137 and seconds >= timeout else status
        if self._transport.is_active():
            return TIMED_OUT if seconds >= timeout else ENDED_BY_SIGNAL
        raise self._transport.get_exception() or EOFError()

    def _wait(self, done: threading.Event) -> None:
        """Until the event; an overdue connection is aborted from outside, which sets it."""
        if not done.wait(PATIENCE):
            with self.crew.away():
                done.wait()

    @contextlib.contextmanager
    def _step(self, doing: str, seconds: float | None = None) -> Iterator[None]:
        self._doing = doing
        self.deadline = time.monotonic() + (self._seconds if seconds is None else seconds)
        try:
            yield
        except NodeError:
            raise
        except Exception as error:  # paramiko hands on whatever broke its reader thread
            raise self._trouble(error) from error
        finally:
            self.deadline = float("inf")

    def _trouble(self, error: Exception) -> SshError:
        name = self.target.name
        if self.overdue:
            return Silent(name, f"no answer to {self._doing} within {self._seconds:g} s")
        if isinstance(error, paramiko.ssh_exception.IncompatiblePeer):
            if "host key" in str(error):
                return HostKeyUnknown(
                    name, "unknown host key: it has none of the type that is known"
                )
            return ConnectionLost(name, f"no common way to speak SSH: {error}")
        words = str(error) or "it closed the connection"
        return ConnectionLost(name, f"connection lost during {self._doing}: {words}")

    def abort(self) -> None:
        """End it from any thread; whoever waits on it learns at once."""
        with contextlib.suppress(OSError, EOFError):
            if isinstance(self._sock, socket.socket):
                self._sock.shutdown(socket.SHUT_RDWR)
            else:
                self._sock.close()

    def close(self) -> None:
        self.abort()
        self._transport.close()


def _wait_closed(channel: paramiko.Channel) -> None:
    """Until the node has closed it too: data after that would end the jump host's connection."""
    end = time.monotonic() + 1.0
    while not channel.closed and time.monotonic() < end:
        time.sleep(0.005)


class _Stream:
    """What came by one stream, up to a limit."""

    def __init__(self, kept: int) -> None:
        self._pieces: list[bytes] = []
        self._kept = kept
        self._room = kept
        self._cut = False

    def add(self, data: bytes) -> None:
        kept = data[: self._room]
        self._cut = self._cut or len(kept) < len(data)
        self._room -= len(kept)
        if kept:
            self._pieces.append(kept)

    def text(self, encoding: str) -> str:
        mark = f"\n[cut after {_size(self._kept)}]\n" if self._cut else ""
        return b"".join(self._pieces).decode(encoding, "replace") + mark


def _kept(nodes: int) -> int:
    """How many bytes are kept of each stream of each node: many nodes share what there is."""
    return min(KEPT_BYTES, max(KEPT_AT_LEAST, KEPT_OF_ALL // max(1, nodes)))


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 2**20 else f"{count >> 10} KiB"


class _Bell:
    """Rings for either of two buffers; only who waits for it silences it."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def clear(self) -> None:
        pass

    def wait(self, seconds: float) -> bool:
        rung = self._event.wait(seconds)
        self._event.clear()
        return rung


class _Talk:
    """Sends stdin and takes both streams until the command has ended and said all."""

    def __init__(self, channel: paramiko.Channel, stdin: bytes, kept: int, crew: _Crew) -> None:
        self.stdout = _Stream(kept)
        self.stderr = _Stream(kept)
        self._channel = channel
        self._stdin = memoryview(stdin)
        self._crew = crew
        self._bell = _Bell()
        buffers: Any = (channel.in_buffer, channel.in_stderr_buffer)
        for buffer in buffers:
            buffer.set_event(self._bell)
        self._sent_all = False

    def until(self, deadline: float) -> bool:
        """Whether it ended before the deadline."""
        impatient = time.monotonic() + PATIENCE
        with contextlib.ExitStack() as stack:
            away = False
            while True:
                self._send()
                self._receive()
                now = time.monotonic()
                if self._channel.eof_received or self._channel.closed:
                    return self._last_words(deadline - now)
                if now >= deadline:
                    return False
                if now >= impatient and not away:
                    away = True
                    stack.enter_context(self._crew.away())
                rung = self._bell.wait(min(self._pause(), deadline - now))
                if not rung and self._channel.exit_status_ready() and self._sent_all:
                    self._receive()
                    return True  # something it left in the background holds the streams

    def _last_words(self, seconds: float) -> bool:
        """After the end of the streams: what is still buffered, and the exit status."""
        ended = self._channel.status_event.wait(max(0.0, seconds))
        self._receive()
        return ended

    def _pause(self) -> float:
        return AFTERTHOUGHT if self._sent_all else 0.02

    def _send(self) -> None:
        while not self._sent_all and self._channel.send_ready():
            if not self._stdin:
                self._sent_all = True
                self._channel.shutdown_write()
                return
            try:
                self._stdin = self._stdin[self._channel.send(self._stdin[:CHUNK].tobytes()) :]
            except OSError:  # it does not care for more, or has ended
                self._sent_all = True

    def _receive(self) -> None:
        while self._channel.recv_ready():
            self.stdout.add(self._channel.recv(2**20))
        while self._channel.recv_stderr_ready():
            self.stderr.add(self._channel.recv_stderr(2**20))


# --- places --------------------------------------------------------------------------------------


class _Crew:
    """Daemon threads for many jobs; more than ``size`` only while the others wait for a node.

    A few dozen threads are best for paramiko, whose connections each have a thread besides; but a
    node that hangs must not hold up the others, so whoever waits long does it ``away``.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._busy = 0
        self._jobs: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()

    @property
    def backlog(self) -> int:
        return len(self._jobs)

    def do(self, job: Callable[[], None]) -> None:
        with self._lock:
            self._jobs.append(job)
            self._hire()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        with self._lock:
            self._busy -= 1
            self._hire()
        try:
            yield
        finally:
            with self._lock:
                self._busy += 1

    def _hire(self) -> None:
        if self._jobs and self._busy < self._size:
            self._busy += 1
            threading.Thread(target=self._work, name="cm-ssh", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._jobs or self._busy > self._size:
                    self._busy -= 1
                    return
                job = self._jobs.popleft()
            job()


# --- dialling ------------------------------------------------------------------------------------


class _Dialler:
    """Connects to many addresses from one thread, and waits for each to say its first word.

    So nodes that are down, filtered or stuck cost one time-out together, and no thread.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._selector = selectors.DefaultSelector()
        self._todo: deque[Target] = deque()
        self._pending: dict[socket.socket, tuple[Target, float]] = {}

    def __enter__(self) -> _Dialler:
        return self

    def __exit__(self, *exception: object) -> None:
        for sock in self._pending:
            sock.close()
        self._selector.close()

    @property
    def busy(self) -> bool:
        return bool(self._todo or self._pending)

    def add(self, target: Target) -> None:
        self._todo.append(target)

    def step(self, room: int) -> list[tuple[Target, socket.socket | SshError]]:
        """Go on for a moment; who was reached and who was not. ``room`` is for how many sockets."""
        reached: list[tuple[Target, socket.socket | SshError]] = []
        while self._todo and len(self._pending) < room:
            target = self._todo.popleft()
            if (error := self._start(target)) is not None:
                reached.append((target, error))
        if self.busy and not reached:
            for key, _ in self._selector.select(0.05):
                assert isinstance(key.fileobj, socket.socket)
                reached.extend(self._event(key.fileobj, key.events))
        return reached + self._expired()

    def _start(self, target: Target) -> SshError | None:
        # bytes, where they will do: for text Python would first load its tables for IDNA
        host = target.address.encode() if target.address.isascii() else target.address
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, target.port, type=socket.SOCK_STREAM
            )[0]
            sock = socket.socket(family, kind, protocol)
        except OSError as error:
            return _unreachable(target, error)
        except ValueError:  # a NUL, or a name too long to be one
            return Unreachable(target.name, f"cannot connect to {target.address!r}: no address")
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        status = sock.connect_ex(address)
        if status not in (0, errno.EINPROGRESS):
            sock.close()
            return _unreachable(target, OSError(status, os.strerror(status)))
        self._pending[sock] = (target, time.monotonic() + self._seconds)
        self._selector.register(sock, selectors.EVENT_WRITE)
        return None

    def _event(
        self, sock: socket.socket, events: int
    ) -> Iterator[tuple[Target, socket.socket | SshError]]:
        target = self._pending[sock][0]
        if events == selectors.EVENT_WRITE:
            if status := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._drop(sock)
                yield target, _unreachable(target, OSError(status, os.strerror(status)))
            else:
                self._selector.modify(sock, selectors.EVENT_READ)
            return
        try:
            first = sock.recv(1, socket.MSG_PEEK)
            trouble = "" if first else "it closed the connection before the SSH greeting"
        except OSError as error:
            trouble = f"connection lost before the SSH greeting: {error.strerror}"
        self._drop(sock, close=bool(trouble))
        yield target, ConnectionLost(target.name, trouble) if trouble else sock

    def _expired(self) -> list[tuple[Target, socket.socket | SshError]]:
        now = time.monotonic()
        expired: list[tuple[Target, socket.socket | SshError]] = []
        for sock, (target, end) in list(self._pending.items()):
            if end > now:
                break  # they were begun in this order
            silent = self._selector.get_key(sock).events == selectors.EVENT_READ
            self._drop(sock)
            expired.append((target, self._timed_out(target, silent)))
        return expired

    def _timed_out(self, target: Target, silent: bool) -> SshError:
        if silent:
            return Silent(
                target.name,
                f"accepted the connection, but sent no SSH greeting within {self._seconds:g} s",
            )
        return Unreachable(
            target.name,
            f"no answer from {target.address}:{target.port} within {self._seconds:g} s",
        )

    def _drop(self, sock: socket.socket, close: bool = True) -> None:
        del self._pending[sock]
        self._selector.unregister(sock)
        if close:
            sock.close()


def _dialled(target: Target, seconds: float) -> socket.socket:
    with _Dialler(seconds) as dialler:
        dialler.add(target)
        while not (reached := dialler.step(1)):
            pass
    found = reached[0][1]
    if isinstance(found, SshError):
        raise found
    return found


def _unreachable(target: Target, error: OSError) -> SshError:
    where = f"{target.address}:{target.port}"
    if error.errno == errno.ECONNREFUSED:
        return ConnectionRefused(target.name, f"connection refused at {where}")
    return Unreachable(target.name, f"cannot connect to {where}: {error.strerror}")


def _by_way_of(jump: str, node: str, error: SshError) -> SshError:
    return type(error)(node, f"jump host {jump}: {cause(jump, error)}", error.next_step)


# --- keys and words ------------------------------------------------------------------------------


def _private_key(path: Path) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(path)
    except OSError as error:
        raise IdentityUnusable(f"identity file {path}: {error.strerror}") from error
    except Exception as error:  # of a dozen kinds, by what is wrong with the file
        words = "it has a passphrase" if "password" in str(error).lower() else "no private key"
        raise IdentityUnusable(f"identity file {path}: {words}") from None


def _known(host_keys: Iterable[str]) -> dict[str, set[bytes]]:
    known: dict[str, set[bytes]] = {}
    for line in host_keys:
        kind, _, rest = line.strip().partition(" ")
        with contextlib.suppress(ValueError, IndexError):
            known.setdefault(kind, set()).add(base64.b64decode(rest.split()[0], validate=True))
    return known


def _negotiable(known: Iterable[str], supported: Iterable[str]) -> tuple[str, ...]:
    """The signature types by which the known keys can be proved, in the order of preference."""
    wanted = {kind for kind in known if kind != "ssh-rsa"}
    if "ssh-rsa" in known:
        wanted |= {"rsa-sha2-512", "rsa-sha2-256"}
    return tuple(kind for kind in supported if kind in wanted)


def _authenticated_first(ciphers: Iterable[str]) -> tuple[str, ...]:
    """AES-GCM first: paramiko compares the separate MAC of others byte by byte in Python."""
    return tuple(sorted(ciphers, key=lambda cipher: "-gcm@" not in cipher))


def _fingerprint(key: bytes) -> str:
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def _also_taken(error: BaseException | None) -> str:
    kinds = getattr(error, "allowed_types", None)
    return f" (it takes {', '.join(kinds)})" if kinds else ""


def _line(command: Command, timeout: float) -> str:
    """The command with its end built in: closing a channel does not end what runs on the node."""
    ends = ("timeout", "-k", "1", f"{timeout:.3f}")
    if isinstance(command, tuple):
        # Only root ends what runs as root.
        place = len(AS_ROOT) if command[: len(AS_ROOT)] == AS_ROOT else 0
        return shlex.join([*command[:place], *ends, *command[place:]])
    # sh stays between, so that a command ended by a signal has an exit status, 128 + signal
    inner = f'"$SHELL" -c {shlex.quote(command)}; exit $?'
    return shlex.join([*ends, "sh", "-c", inner])
