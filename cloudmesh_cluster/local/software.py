"""What a cloud is made of and keeps between lives: the OpenStack venv, RabbitMQ, the image,
and databases with their tables but nothing in them."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

from cloudmesh_cluster.local import config, image
from cloudmesh_cluster.local.home import IMAGE_NAME, Home, fresh_settings, private_folder
from cloudmesh_cluster.local.processes import MARK, PATH, run
from cloudmesh_cluster.model.errors import CloudError

CONSTRAINTS = config.HERE / "constraints.txt"
REQUIREMENTS = config.HERE / "etc/requirements.txt"
BROKER_PACKAGES = (
    "rabbitmq-server",
    *(
        f"erlang-{part}"
        for part in (
            "base", "crypto", "eldap", "inets", "mnesia", "os-mon", "parsetools", "public-key",
            "runtime-tools", "asn1", "ssl", "syntax-tools", "tools", "xmerl",
        )
    ),
)  # fmt: skip
Say = Callable[[str], None]


def versions() -> str:
    """A short word that changes when the pinned software does."""
    text = CONSTRAINTS.read_bytes() + REQUIREMENTS.read_bytes()
    return hashlib.sha256(text).hexdigest()[:12]


def _venv_complete(home: Home) -> Path:
    return home.venv / f".complete-{versions()}"


def _broker_complete(home: Home) -> Path:
    return home.software / "rabbitmq" / ".complete"


def databases_file(home: Home) -> Path:
    """The databases with all tables, as a new cloud starts from them."""
    return home.software / f"databases-{versions()}.tar.zst"


def installed(home: Home) -> bool:
    """Whether everything is there and of the versions this program wants."""
    wanted = (_venv_complete, _broker_complete, image.file, databases_file)
    return all(path(home).exists() for path in wanted)


@contextmanager
def step(say: Say, words: str) -> Iterator[None]:
    """Say what was done and how many seconds it took."""
    begun = time.monotonic()
    yield
    say(f"{words} ({time.monotonic() - begun:.1f} s)")


def install(home: Home, say: Say) -> None:
    """Install what is missing; clouds of several homes may share the folder."""
    if installed(home):
        return
    home.software.mkdir(parents=True, exist_ok=True)
    with (home.software / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        say(f"installing OpenStack and a Debian image into {home.software}: once, some minutes")
        with ThreadPoolExecutor(1) as pool:
            # The image and the broker come from Debian, the venv from PyPI: side by side.
            debian = pool.submit(_install_debian, home, say)
            if not _venv_complete(home).exists():
                with step(say, f"installed OpenStack into {home.venv}"):
                    _install_venv(home)
            debian.result()
        if not databases_file(home).exists():
            with step(say, "prepared empty databases"):
                _prepare_databases(home)


def _install_debian(home: Home, say: Say) -> None:
    if not _broker_complete(home).exists():
        with step(say, "unpacked RabbitMQ and Erlang"):
            _unpack_broker(home)
    if not image.file(home).exists():
        with step(say, f"built the image {IMAGE_NAME}"):
            image.build(image.file(home))


def _install_venv(home: Home) -> None:
    # Of a venv's own Python: a venv made from another's would break when that one goes.
    python = getattr(sys, "_base_executable", sys.executable)
    network = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    if not (home.venv / "bin/pip").exists():
        shutil.rmtree(home.venv, ignore_errors=True)
        run(python, "-m", "venv", home.venv, environ=network, seconds=300)
    run(
        home.venv / "bin/python3", "-m", "pip", "install", "--quiet",
        "--constraint", CONSTRAINTS, "--requirement", REQUIREMENTS,
        environ=network, seconds=3600,
    )  # fmt: skip
    for old in home.venv.glob(".complete-*"):
        old.unlink()
    _venv_complete(home).touch()


def _unpack_broker(home: Home) -> None:
    """Unpack the packages instead of installing them: installed, they would start services."""
    top = home.software / "rabbitmq"
    shutil.rmtree(top, ignore_errors=True)
    archives = top / "packages"
    archives.mkdir(parents=True)
    try:
        subprocess.run(
            ["apt-get", "download", "--quiet", *BROKER_PACKAGES],
            cwd=archives, check=True, capture_output=True, text=True, timeout=900,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["apt-get failed"])[-1]
        raise CloudError(
            f"RabbitMQ's packages cannot be fetched: {said}", "Run `apt-get update`, try again."
        ) from error
    for archive in sorted(archives.glob("*.deb")):
        run("dpkg-deb", "--extract", archive, top)
    shutil.rmtree(archives)
    erlang = top / "usr/lib/erlang"
    for script in (erlang / "bin/erl", *erlang.glob("erts-*/bin/erl")):
        if not script.is_symlink():
            script.write_text(script.read_text().replace("/usr/lib/erlang", str(erlang)))
    # Debian's wrapper changes to the user rabbitmq; ours runs RabbitMQ's own script.
    (server,) = top.glob("usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")
    entry = top / "usr/lib/rabbitmq/bin/rabbitmq-server"
    entry.unlink(missing_ok=True)
    entry.write_text(f'#!/bin/sh\nexec {server} "$@"\n')
    entry.chmod(0o755)
    _broker_complete(home).touch()


def _prepare_databases(home: Home) -> None:
    """Make every table once, in a database of its own, and keep the files for new clouds."""
    seed = config.temporary_home(home)
    settings = fresh_settings(IPv4Network("192.0.2.0/24"))
    private_folder(seed.runtime)
    config.write(seed, settings, mtu=1500, servers=(), seed=True)
    for name in ("tmp", "log"):
        (seed.state / name).mkdir()
    settings_file = seed.state / "etc/mariadb.cnf"
    try:
        new_database(seed)
        server = subprocess.Popen(
            ["/usr/sbin/mariadbd", f"--defaults-file={settings_file}"],
            stdout=subprocess.DEVNULL,
            stderr=(seed.log / "mariadb.log").open("w"),
            env={MARK: seed.name, "PATH": PATH},
        )
        try:
            wait_for_database(seed, server.poll)
            _make_tables(seed)
        finally:
            server.terminate()
            server.wait(60)
        partial = databases_file(home).with_suffix(".partial")
        run("tar", "--create", "--zstd", "--file", partial, "-C", seed.state, "mysql")
        partial.replace(databases_file(home))
    finally:
        shutil.rmtree(seed.state, ignore_errors=True)
        shutil.rmtree(seed.runtime, ignore_errors=True)


def new_database(home: Home) -> None:
    """Make MariaDB's own tables."""
    run(
        "mariadb-install-db",
        f"--defaults-file={home.state}/etc/mariadb.cnf",
        "--skip-test-db",
        "--auth-root-authentication-method=socket",
        "--auth-root-socket-user=root",
        seconds=120,
    )


def wait_for_database(home: Home, ended: Callable[[], object], seconds: float = 60) -> None:
    """Wait until the database's socket answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            sql(home, "SELECT 1")
            return
        except CloudError:
            if time.monotonic() > deadline or ended() is not None:
                raise
            time.sleep(0.1)


def sql(home: Home, statements: str) -> str:
    """Run SQL as the database's root, whom the socket knows by his user id."""
    return run(
        "mariadb", "--no-defaults", f"--socket={config.mysql_socket(home)}", "--user=root",
        "--batch", "--skip-column-names", stdin=statements,
    )  # fmt: skip


def _make_tables(home: Home) -> None:
    sql(home, "".join(f"CREATE DATABASE {name};" for name in config.DATABASES))

    def manage(program: str, conf: str, *words: str) -> None:
        run(
            home.venv / "bin" / program,
            "--config-file",
            home.state / "etc" / conf,
            *words,
            environ=config.service_environment(home),
            seconds=900,
        )

    def nova() -> None:
        # With placeholders: Nova fills in what its own configuration says at the time.
        manage("nova-manage", "nova.conf", "api_db", "sync")
        manage("nova-manage", "nova.conf", "cell_v2", "map_cell0",
               "--database_connection", "{scheme}://root@/nova_cell0?{query}")  # fmt: skip
        manage("nova-manage", "nova.conf", "cell_v2", "create_cell", "--name", "cell1",
               "--database_connection", "{scheme}://root@/nova_cell1?{query}",
               "--transport-url",
               "{scheme}://{username}:{password}@{hostname}:{port}/")  # fmt: skip
        manage("nova-manage", "nova.conf", "db", "sync")
        # The one compute host is known from the start, so that nobody need discover it.
        sql(
            home,
            "INSERT INTO nova_api.host_mappings (created_at, cell_id, host) "
            f"SELECT NOW(), id, '{config.HOST}' FROM nova_api.cell_mappings WHERE name='cell1';",
        )

    jobs = (
        lambda: manage("keystone-manage", "keystone.conf", "db_sync"),
        nova,
        lambda: manage("neutron-db-manage", "neutron.conf", "upgrade", "heads"),
        lambda: manage("heat-manage", "heat.conf", "db_sync"),
        lambda: manage("glance-manage", "glance-api.conf", "db_sync"),
        lambda: manage("placement-manage", "placement.conf", "db", "sync"),
    )
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result()


def unpack_databases(home: Home) -> None:
    """Give a new cloud its databases."""
    target = home.state / "mysql"
    if target.exists():
        return
    partial = home.state / "mysql.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    run("tar", "--extract", "--zstd", "--file", databases_file(home), "-C", partial)
    (partial / "mysql").replace(target)
    partial.rmdir()


def key() -> str:
    """A new Fernet key."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()
