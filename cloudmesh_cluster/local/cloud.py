"""The embedded OpenStack as a whole: up, down, status, and what to export to use it."""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cloudmesh_cluster.local import (
    checks,
    config,
    locks,
    mounts,
    network,
    nodes,
    software,
    supervisor,
)
from cloudmesh_cluster.local.admin import Admin
from cloudmesh_cluster.local.home import (
    IMAGE_NAME,
    REGION,
    Home,
    Settings,
    fingerprint,
    fresh_settings,
    private_folder,
    save,
    saved_settings,
    write_private,
)
from cloudmesh_cluster.local.processes import (
    Process,
    end,
    gone,
    memory_mb,
    processes,
    run,
)
from cloudmesh_cluster.local.software import step
from cloudmesh_cluster.model.errors import CloudError

__all__ = ["Home", "Service", "down", "exports", "is_up", "locked", "status", "up"]

Say = Callable[[str], None]
LOCKS = Path("/run/lock")
LOCK_SECONDS = 600
START_SECONDS = 180
# What `down --purge` removes; the installed software is not among it.
STATE = (
    "accounts", "baking", "etc", "glance", "heat", "images", "keystone", "log", "mysql",
    "mysql.partial", "neutron", "nodes", "nova", "rabbitmq", "tmp",
    "clouds.yaml", "cloud.json", ".cache",
)  # fmt: skip


@dataclass(frozen=True)
class Service:
    """One daemon of the cloud, or all its nodes together."""

    name: str
    status: str  # the supervisor's word: RUNNING, STARTING, BACKOFF, STOPPED, FATAL, ...
    pid: int | None
    memory_mb: float
    address: str


def up(home: Home, say: Say) -> None:
    """Start the cloud, or what of it does not run; the same cloud as before, if there was one."""
    checks.refuse_machine()
    checks.refuse_place(home)
    begun = time.monotonic()
    with locked(home, say):
        if is_up(home):
            say(f"the cloud is up; clouds.yaml: {home.clouds_yaml}")
            return
        if not supervisor.running(home):
            checks.refuse_cold_start(home, software_there=software.installed(home))
        private_folder(home.state)
        software.install(home, say)
        settings = _start(home, say)
        write_private(home.clouds_yaml, config.clouds_yaml(settings))
        say(f"the cloud is up after {time.monotonic() - begun:.0f} s: {home.clouds_yaml}")


def down(home: Home, say: Say, *, purge: bool = False) -> None:
    """Stop every daemon and node and take back what was changed; `purge` removes the state."""
    checks.refuse_machine()
    checks.refuse_place(home)
    with locked(home, say):
        with step(say, "stopped the services"):
            _stop_services(home)
        with step(say, "stopped the nodes"):
            count = nodes.stop_all(home)
        with step(say, "took back bridge, rules and forwarding"):
            with locks.machine():
                network.down(home)
            mounts.unmount_below(home.nodes)
            _remove_runtime(home)
        say(f"the cloud is down; {count} nodes were stopped")
        if purge:
            _purge(home, say)


def status(home: Home) -> tuple[Service, ...]:
    """Every daemon, and the nodes as one row; empty when the cloud was never started."""
    settings = saved_settings(home)
    if settings is None:
        return ()
    states = supervisor.states(home)
    ours = processes(home.name)
    ports = {api.name: api.port for api in config.APIS} | {"rabbitmq": config.BROKER_PORT}
    rows = []
    for daemon in config.daemons(home, settings):
        found = states.get(daemon.name, {})
        pid = found.get("pid") or None
        port = ports.get(daemon.name)
        address = f"{settings.address}:{port}" if port else ""
        if daemon.name == "mariadb":
            address = str(config.mysql_socket(home))
        rows.append(
            Service(
                daemon.name,
                found.get("statename", "STOPPED"),
                pid,
                _family_memory(pid, ours),
                address,
            )
        )
    running = [one for one in ours if one.node and nodes.is_machine(one)]
    return (*rows, _nodes_row(running, settings))


def is_up(home: Home) -> bool:
    """Whether every daemon runs and every API answers."""
    settings = saved_settings(home)
    if settings is None or not settings.filled or not network.bridge_there(home):
        return False
    running = not _unsettled(home, settings)
    return running and home.clouds_yaml.exists() and not _silent(settings)


def exports(home: Home) -> dict[str, str]:
    """The environment in which `openstack` and every SDK find the cloud."""
    return {"OS_CLIENT_CONFIG_FILE": str(home.clouds_yaml), "OS_CLOUD": "local"}


# -- starting


def _start(home: Home, say: Say) -> Settings:
    fresh = not supervisor.running(home)
    mtu, servers = network.host_mtu(), network.host_name_servers()
    if fresh:
        _end_leftovers(home)
    settings = _claim(home, say)
    if fresh:
        if not servers:
            say(
                "warning: this machine's name server is on a loopback address, where nodes cannot "
                "reach it: names will not resolve in nodes"
            )
        taken = network.taken_ports(str(settings.address), config.PORTS)
        if taken:
            raise CloudError(
                f"ports {', '.join(map(str, taken))} of {settings.address} are taken by "
                "another program that listens on every address",
                "End it; `ss -ltnp` shows which it is.",
            )
        with step(say, "folders, configuration, databases"):
            _prepare(home, settings, mtu=mtu, servers=servers)
        with step(say, "database and broker"):
            supervisor.launch(home)
    begun = time.time()
    with step(say, "services"):
        names = [one.name for one in config.daemons(home, settings)]
        supervisor.start(home, names[:2])
        software.wait_for_database(home, lambda: _ended(home, "mariadb"))
        wanted = config.wanted(home, settings, mtu=mtu, servers=servers)
        if settings.filled != fingerprint(wanted):
            # What these two do not find in the catalog when they start, they never ask for again.
            late = ("nova-scheduler", "nova-compute")
            supervisor.start(home, [name for name in names if name not in late])
            _fill(home, settings, wanted)
        supervisor.start(home, names)
        _wait_for_apis(home, settings)
        # An API may answer before its daemon has lived the second that the supervisor asks for.
        _wait(home, lambda: _unsettled(home, settings), "these daemons do not stay")
        asked = _wait_for_workers(home, settings, begun if fresh else 0)
        if settings.filled != fingerprint(wanted):
            asked.unpack_ahead(one["id"] for one in asked.images(IMAGE_NAME))
    save(home, settings.filled_with(fingerprint(wanted)))
    return settings


def _claim(home: Home, say: Say) -> Settings:
    """Choose a subnet that is nobody's, unless that was done before, and take it."""
    # Not between those two of another cloud, which might choose the same.
    with locks.machine():
        settings = saved_settings(home) or _new_settings(home)
        with step(say, f"network {home.name}: {settings.address} in {settings.subnet}"):
            network.up(home, settings)
    return settings


def _new_settings(home: Home) -> Settings:
    settings = fresh_settings(network.free_subnet(home.name, network.networks_of_others(home)))
    save(home, settings)
    return settings


def _prepare(home: Home, settings: Settings, *, mtu: int, servers: tuple[str, ...]) -> None:
    private_folder(home.runtime)
    shutil.rmtree(home.state / "rabbitmq", ignore_errors=True)
    for name in (
        "log", "tmp", "rabbitmq", "nova", "neutron", "heat", "nodes", "images",
        "keystone/fernet-keys", "keystone/credential-keys",
        "glance/images", "glance/staging", "glance/tasks", "glance/cache",
    ):  # fmt: skip
        private_folder(home.state / name)
    write_private(home.state / "rabbitmq/enabled_plugins", "[].\n")
    for kind in ("fernet", "credential"):
        for number in ("0", "1"):
            path = home.state / f"keystone/{kind}-keys/{number}"
            if not path.exists():
                write_private(path, software.key())
    config.write(home, settings, mtu=mtu, servers=servers)
    software.unpack_databases(home)


def _fill(home: Home, settings: Settings, wanted: dict[str, object]) -> None:
    """Make what the cloud holds, beginning with the account that makes the others."""
    environ = config.service_environment(home)
    run(
        home.venv / "bin/keystone-manage",
        "--config-file",
        home.state / "etc/keystone.conf",
        "bootstrap",
        "--bootstrap-region-id",
        REGION,
        "--bootstrap-public-url",
        f"http://{settings.address}:5000/v3",
        environ={
            **environ,
            # In the environment: a command line can be read by every user of the machine.
            "OS_BOOTSTRAP_PASSWORD": settings.passwords["admin"],
        },
        seconds=300,
    )
    run(
        home.venv / "bin/python3",
        config.PLUGINS / "accounts.py",
        environ=environ,
        stdin=json.dumps(wanted),
        seconds=300,
    )


def _ended(home: Home, name: str) -> str | None:
    """The supervisor's word for a daemon that will not come, or None while it may."""
    word = supervisor.states(home).get(name, {}).get("statename")
    return word if word in ("FATAL", "EXITED") else None


def _unsettled(home: Home, settings: Settings) -> tuple[str, ...]:
    """The daemons of which the supervisor does not say, or not yet, that they run."""
    states = supervisor.states(home)
    names = (one.name for one in config.daemons(home, settings))
    return tuple(one for one in names if states.get(one, {}).get("statename") != "RUNNING")


def _silent(settings: Settings) -> tuple[str, ...]:
    """The APIs that do not answer."""
    with ThreadPoolExecutor(len(config.APIS)) as pool:
        answers = pool.map(lambda api: _answers(settings, api), config.APIS)
        return tuple(
            api.name for api, answer in zip(config.APIS, answers, strict=True) if not answer
        )


def _answers(settings: Settings, api: config.Api) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"http://{settings.address}:{api.port}/", timeout=10).close()
    except urllib.error.HTTPError as error:
        return error.code < 500  # 401 and 300 are answers
    except OSError:
        return False
    return True


def _wait_for_apis(home: Home, settings: Settings) -> None:
    _wait(home, lambda: _silent(settings), "these APIs do not answer")


def _wait_for_workers(home: Home, settings: Settings, since: float) -> Admin:
    """Wait for the daemons behind the APIs, by what they reported since this start."""
    asked = Admin(settings)
    _wait(home, lambda: asked.silent_workers(since), "these services do not report")
    asked.first_question_of_each()
    return asked


def _wait(home: Home, missing: Callable[[], tuple[str, ...]], words: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        names = missing()
        if not names:
            return
        failed = [name for name in names if _ended(home, name)]
        if failed or time.monotonic() > deadline:
            shown = ", ".join(failed or names)
            logs = ", ".join(f"{home.log}/{name}.log" for name in (failed or names))
            raise CloudError(
                f"{words}: {shown}", f"See {logs}; `cm cloud down` stops what was started."
            )
        time.sleep(0.25)


# -- stopping


def _end_leftovers(home: Home) -> None:
    """End what a killed run left, but not its nodes: Nova takes them over."""
    end([one for one in processes(home.name) if not one.node])


def _stop_services(home: Home) -> None:
    keeper = [one for one in processes(home.name) if "/supervisord.conf" in one.command]
    supervisor.shut_down(home)
    gone(keeper, 30)
    _end_leftovers(home)


def _remove_runtime(home: Home) -> None:
    if home.runtime.is_dir():
        mounts.remove(home.runtime)


def _purge(home: Home, say: Say) -> None:
    with step(say, f"removed the state in {home.state}"):
        for name in STATE:
            mounts.remove(home.state / name)
        if home.state.is_dir() and not any(home.state.iterdir()):
            home.state.rmdir()
    if home.software.exists():
        say(
            f"kept the installed software in {home.software}; "
            f"to remove it too: rm -r --one-file-system {home.software}"
        )


# -- common


@contextmanager
def locked(home: Home, say: Say) -> Iterator[None]:
    """One at a time: a second one waits, and says so."""
    LOCKS.mkdir(parents=True, exist_ok=True)
    file = LOCKS / f"{home.runtime.name}.lock"
    busy = f"another `cm cloud` is at work on {home.state}"
    with locks.held(file, busy, seconds=LOCK_SECONDS, say=say):
        yield


def _family_memory(pid: int | None, ours: tuple[Process, ...]) -> float:
    if pid is None:
        return 0.0
    group = [one.pid for one in ours if _group(one.pid) == _group(pid)]
    return sum(memory_mb(one) for one in group)


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return -1


def _nodes_row(running: list[Process], settings: Settings) -> Service:
    total = sum(memory_mb(pid) for one in running for pid in nodes.family(one.pid))
    word = f"{len(running)} RUNNING" if running else "NONE"
    return Service("nodes", word, None, total, settings.subnet)
