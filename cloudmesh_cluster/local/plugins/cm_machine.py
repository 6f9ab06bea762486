"""One node as files, mounts and processes: a systemd-nspawn machine on an overlay.

Everything about it is read from its folder and the kernel each time, so that it outlives
a restart of nova-compute, and every step can be done again over what a killed run left.

    NODES/<uuid>/node.json     its name, image and network ports
                 upper, work   what the node wrote, over the image
                 root          the overlay, mounted while the node runs
                 console.log   what it wrote to its console
                 leader        pid and start time of the shell that keeps its systemd-nspawn
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
START_SECONDS = 30
KILL_SECONDS = 15
# Each node in a control group of its own: two systemds in one would end each other's services.
# 133 is how systemd-nspawn ends when the node rebooted itself; then it is started again.
KEEPER = """
while [ "$1" != -- ]; do echo $$ >"$1" || exit 1; shift; done; shift
trap 'kill -TERM "$machine"' TERM
while :; do
    "$@" & machine=$!
    while :; do
        wait "$machine"; status=$?
        kill -0 "$machine" 2>/dev/null || break
    done
    [ "$status" = 133 ] || exit "$status"
done
"""


@dataclass(frozen=True)
class Vif:
    """A network port as the node sees it."""

    port: str
    mac: str

    @property
    def cable(self) -> str:
        """The name of the host's end of its cable; the kernel allows 15 characters."""
        return f"cmv{self.port[:11]}"


@dataclass(frozen=True)
class Record:
    """What has to be remembered of a node."""

    name: str
    image: str
    vifs: tuple[Vif, ...]


@dataclass(frozen=True)
class Machine:
    """A node of this machine by its id; it need not exist."""

    uuid: str
    home: Path
    cloud: str
    bridge: str
    mtu: int
    resolv_conf: Path

    # -- files

    @property
    def folder(self) -> Path:
        """Where everything of this node is kept."""
        return self.home / self.uuid

    @property
    def root(self) -> Path:
        """The node's file system, while it is mounted."""
        return self.folder / "root"

    def exists(self) -> bool:
        """Whether the node has been made and not been destroyed."""
        return (self.folder / "node.json").is_file()

    def record(self) -> Record:
        """What was remembered when the node was made or plugged."""
        words = json.loads((self.folder / "node.json").read_text())
        vifs = tuple(Vif(**vif) for vif in words["vifs"])
        return Record(name=words["name"], image=words["image"], vifs=vifs)

    def create(self, name: str, *, image: Path, vifs: Iterable[Vif]) -> None:
        """Make the node's folder; it is not started."""
        for part in ("upper", "work", "root"):
            (self.folder / part).mkdir(parents=True)
        # The overlay's top folder, and so the node's /, is like `upper`, whatever our umask.
        (self.folder / "upper").chmod(0o755)
        self._remember(Record(name=name, image=str(image), vifs=tuple(vifs)))

    def replug(self, vifs: Iterable[Vif]) -> None:
        """Remember other ports for the next start."""
        old = self.record()
        self._remember(Record(name=old.name, image=old.image, vifs=tuple(vifs)))

    def _remember(self, record: Record) -> None:
        path = self.folder / "node.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(record)))
        partial.replace(path)

    def write_config_drive(self, files: Iterable[tuple[str, str | bytes]]) -> None:
        """Write what cloud-init reads at boot, where it looks for a mounted config drive."""
        # Through the overlay: folders made in `upper` would hide the modes of the image's own.
        self._mount()
        seed = self.root / "var/lib/cloud/seed/config_drive"
        seed.mkdir(parents=True, mode=0o700)
        for path, content in files:
            target = seed / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
            target.chmod(0o600)

    def console_tail(self, count: int) -> bytes:
        """The last `count` bytes of the console."""
        try:
            with (self.folder / "console.log").open("rb") as console:
                console.seek(0, os.SEEK_END)
                console.seek(max(0, console.tell() - count))
                return console.read()
        except FileNotFoundError:
            return b""

    # -- processes

    def running(self) -> bool:
        """Whether its keeper lives: the very process that was started for it."""
        return self._keeper() is not None

    def start(self) -> None:
        """Boot the node, unless it runs; returns when its network is plugged."""
        if self.running():
            self.plug_missing()
            return
        self.sweep()
        self._mount()
        self._write_resolv_conf()
        groups = self._make_groups()
        with (self.folder / "console.log").open("ab") as console:
            child = subprocess.Popen(
                ["/bin/sh", "-c", KEEPER, "node", *groups, "--", *self._command()],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                cwd="/",
                env={
                    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                    # The console is read as text, not on a terminal.
                    "TERM": "dumb",
                    "CM_CLOUD": self.cloud,
                    "CM_CLOUD_NODE": self.uuid,
                },
                start_new_session=True,
            )
        (self.folder / "leader").write_text(f"{child.pid} {_start_time(child.pid)}")
        deadline = time.monotonic() + START_SECONDS
        while not self.plug_missing():
            if not self.running():
                tail = self.console_tail(400).decode(errors="replace").strip()
                self.sweep()
                raise RuntimeError(f"the node ended as soon as it was started: {tail}")
            if time.monotonic() > deadline:
                self.stop(0)
                raise RuntimeError(f"the node was not up after {START_SECONDS} seconds")
            time.sleep(0.02)

    def stop(self, seconds: float) -> None:
        """Shut the node down within so many seconds, and end it if it does not."""
        pid = self._keeper()
        if pid is not None and seconds:
            # The keeper passes it on, and systemd-nspawn, as the signal for a clean shutdown.
            self._signal(pid, signal.SIGTERM)
            self._wait_for_end(seconds)
        self.sweep()

    def destroy(self) -> None:
        """Leave nothing of the node; may be called again, and on one that is half made."""
        self.sweep()
        if self.folder.exists():
            _remove(self.folder)

    def _command(self) -> list[str]:
        kept = ["--keep-unit"] if not Path("/run/systemd/system").is_dir() else []
        return [
            "systemd-nspawn", "--quiet", "--register=no", *kept, "--settings=no",
            f"--machine={self.cloud}-{self.uuid[:8]}", f"--uuid={self.uuid}",
            f"--directory={self.root}", "--private-network", "--resolv-conf=off",
            "--timezone=off", "--link-journal=no", "--console=read-only", "--boot",
        ]  # fmt: skip

    def _keeper(self) -> int | None:
        """The pid of its keeper, or None; a pid is believed only with its start time."""
        try:
            pid, started = (self.folder / "leader").read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        # A child of ours that has ended stays a zombie until it is waited for.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(int(pid), os.WNOHANG)
        return int(pid) if _start_time(int(pid)) == started else None

    def _inside(self) -> int | None:
        """The pid of the node's own systemd, once it has a network of its own."""
        pid = self._keeper()
        ours = _network_of("self")
        for child in descendants(pid) if pid else ():
            theirs = _network_of(child)
            if theirs and theirs != ours:
                return child
        return None

    def _signal(self, pid: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def _wait_for_end(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.running() and time.monotonic() < deadline:
            time.sleep(0.05)

    def sweep(self) -> None:
        """End what runs, unmount, and take away cables and control groups."""
        pid = self._keeper()
        if pid is not None:
            # The node's first process takes all others of its pid namespace with it.
            for child in descendants(pid):
                self._signal(child, signal.SIGKILL)
            self._wait_for_end(1)
            self._signal(pid, signal.SIGKILL)
            self._wait_for_end(KILL_SECONDS)
        for group in self._groups():
            end_group(group)
        if self.exists():
            for vif in self.record().vifs:
                self.unplug(vif.port)
        self._unmount()
        (self.folder / "leader").unlink(missing_ok=True)

    # -- control groups

    def _groups(self) -> list[Path]:
        """Its group in the hierarchies that systemd uses."""
        return [group / self.uuid for group in groups_of(self.cloud)]

    def _make_groups(self) -> list[str]:
        for group in self._groups():
            group.mkdir(parents=True, exist_ok=True)
        return [str(group / "cgroup.procs") for group in self._groups()]

    # -- mounts

    def _mount(self) -> None:
        if not os.path.ismount(self.root):
            image = self.record().image
            if not Path(image).is_dir():
                raise RuntimeError(f"the image it was made from is gone: {image}")
            layers = f"lowerdir={image},upperdir={self.folder}/upper,workdir={self.folder}/work"
            _run("mount", "-t", "overlay", self.cloud, "-o", layers, self.root)

    def _unmount(self) -> None:
        for _ in range(20):
            if not os.path.ismount(self.root):
                return
            if subprocess.run(["umount", self.root], capture_output=True).returncode:
                time.sleep(0.1)
        _run("umount", "--lazy", self.root)

    def _write_resolv_conf(self) -> None:
        """Name servers for the node, unless it has written its own."""
        target = self.root / "etc/resolv.conf"
        if not target.is_symlink() and not (self.folder / "upper/etc/resolv.conf").exists():
            shutil.copyfile(self.resolv_conf, target)
            target.chmod(0o644)

    # -- cables

    def plug_missing(self) -> bool:
        """Whether every port of the running node has its cable; those that miss are plugged."""
        inside = self._inside()
        if inside is None:
            return False
        for number, vif in enumerate(self.record().vifs):
            if not Path("/sys/class/net", vif.cable).exists():
                self._plug(vif, f"eth{number}", inside)
        return True

    def _plug(self, vif: Vif, name: str, inside: int) -> None:
        _run(
            "ip", "link", "add", vif.cable, "mtu", self.mtu, "type", "veth",
            "peer", "name", name, "address", vif.mac, "mtu", self.mtu, "netns", inside,
        )  # fmt: skip
        _run("ip", "link", "set", vif.cable, "master", self.bridge, "up")

    def unplug(self, port: str) -> None:
        """Take away the cable of a port, if it is there."""
        cable = Vif(port=port, mac="").cable
        if Path("/sys/class/net", cable).exists():
            subprocess.run(["ip", "link", "delete", cable], capture_output=True)


def _run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)


def _start_time(pid: int) -> str:
    """When a living process started, in clock ticks since boot; "" for none and for zombies."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if words[0] in "ZX" else words[19]


def _network_of(pid: int | str) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None


def descendants(pid: int) -> list[int]:
    """The processes below one, the nearest first."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    found = [int(child) for child in children]
    return found + [deeper for child in found for deeper in descendants(child)]


def groups_of(cloud: str) -> list[Path]:
    """The control groups of a cloud, in the named and in the unified hierarchy."""
    tops = [CGROUPS / "systemd", CGROUPS / "unified"]
    if (CGROUPS / "cgroup.procs").is_file():
        tops = [CGROUPS]
    return [top / cloud for top in tops if (top / "cgroup.procs").is_file()]


def end_groups(cloud: str) -> None:
    """End whatever is left in a cloud's control groups and remove them."""
    for group in groups_of(cloud):
        end_group(group)


def end_group(group: Path) -> None:
    """End every process of a control group and remove it with the groups below."""
    if not group.is_dir():
        return
    for _ in range(100):
        left = False
        for folder, _names, _files in os.walk(group, topdown=False):
            for pid in Path(folder, "cgroup.procs").read_text().split():
                left = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        if not left and not group.is_dir():
            return
        time.sleep(0.05)


def _remove(folder: Path) -> None:
    """Delete a folder, but never through a mount."""
    real = os.path.realpath(folder)
    for line in Path("/proc/self/mounts").read_text().splitlines():
        place = line.split()[1].encode().decode("unicode_escape")
        if place == real or place.startswith(f"{real}/"):
            raise RuntimeError(f"{place} is still mounted; nothing below {real} was deleted")
    _run("rm", "--recursive", "--force", "--one-file-system", real)
