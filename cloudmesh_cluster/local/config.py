"""What each daemon is and how it is configured."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cloudmesh_cluster.local import image
from cloudmesh_cluster.local.home import (
    IMAGE_NAME,
    REGION,
    Home,
    Settings,
    private_folder,
    write_private,
)
from cloudmesh_cluster.local.network import free_port, search_domains
from cloudmesh_cluster.local.processes import MARK, PATH

HERE = Path(__file__).parent
PLUGINS = HERE / "plugins"
# The name of this machine among Nova's hosts: the same in every home, whatever the machine's.
HOST = "local"
FILES = (
    "keystone.conf",
    "placement.conf",
    "glance-api.conf",
    "neutron.conf",
    "nova.conf",
    "heat.conf",
    "mariadb.cnf",
    "rabbitmq.conf",
)
DATABASES = (
    "keystone",
    "placement",
    "glance",
    "neutron",
    "nova_api",
    "nova_cell0",
    "nova_cell1",
    "heat",
)
# vCPUs, MiB, GiB; the last one exists to show what no host can hold.
FLAVORS = (
    ("local.tiny", 1, 256, 2),
    ("local.small", 1, 512, 4),
    ("local.medium", 2, 1024, 8),
    ("local.large", 2, 2048, 8),
    ("local.huge", 64, 1024 * 1024, 8),
)


@dataclass(frozen=True)
class Api:
    """One HTTP service: its daemon, type in the catalog, port and path."""

    name: str
    kind: str
    port: int
    path: str
    module: str
    conf: str


APIS = (
    Api("keystone", "identity", 5000, "/v3", "keystone.wsgi.api", "keystone.conf"),
    Api("placement", "placement", 8778, "", "placement.wsgi.api", "placement.conf"),
    Api("glance", "image", 9292, "", "glance.wsgi.api", "glance-api.conf"),
    Api("neutron", "network", 9696, "", "neutron.wsgi.api", "neutron.conf"),
    Api("nova", "compute", 8774, "/v2.1", "nova.wsgi.osapi_compute", "nova.conf"),
    Api("heat", "orchestration", 8004, "/v1/%(tenant_id)s", "heat.wsgi.api", "heat.conf"),
    Api("heat-cfn", "cloudformation", 8000, "/v1", "heat.wsgi.cfn", "heat.conf"),
)
BROKER_PORT = 5672
PORTS = (*(api.port for api in APIS), BROKER_PORT)


@dataclass(frozen=True)
class Daemon:
    """One program under the supervisor."""

    name: str
    command: str
    first: bool = False  # started with the supervisor; the others wait for the database
    environment: str = ""
    whole_group: bool = False
    stop_seconds: int = 3
    # What they work on is in the database and made whole at the next start; leaving politely
    # takes some of them many seconds.
    stop_signal: str = "TERM"


def mysql_socket(home: Home) -> Path:
    """The database's socket."""
    return home.runtime / "mysql.sock"


def supervisor_socket(home: Home) -> Path:
    """The supervisor's socket."""
    return home.runtime / "supervisor.sock"


def catalog(address: object) -> tuple[tuple[str, str, str], ...]:
    """(name, type, URL) of each service."""
    return tuple((api.name, api.kind, f"http://{address}:{api.port}{api.path}") for api in APIS)


def daemons(home: Home, settings: Settings) -> tuple[Daemon, ...]:
    """Every program of the cloud, in the order they are started."""
    etc, python = home.state / "etc", home.venv / "bin/python3"
    plain = [
        Daemon(
            name,
            f"{python} {PLUGINS}/daemon.py {module} {name} --config-file {etc}/{conf}",
            whole_group=True,
            stop_signal=signal,
            environment=_pairs({"CM_CLOUD_AFTER": "conductor"} if name == "nova-compute" else {}),
        )
        for name, module, conf, signal in (
            ("nova-conductor", "nova.cmd.conductor", "nova.conf", "KILL"),
            ("nova-scheduler", "nova.cmd.scheduler", "nova.conf", "KILL"),
            ("nova-compute", "nova.cmd.compute", "nova.conf", "TERM"),
            ("heat-engine", "heat.cmd.engine", "heat.conf", "KILL"),
        )
    ]
    served = [
        Daemon(
            api.name,
            f"{python} {PLUGINS}/serve.py {api.module} {settings.address} {api.port} "
            f"{api.name} --config-file {etc}/{api.conf}",
            stop_signal="KILL",
        )
        for api in APIS
    ]
    return (
        Daemon(
            "mariadb",
            f"/usr/bin/nice -n -10 /usr/sbin/mariadbd --defaults-file={etc}/mariadb.cnf",
            first=True,
            stop_seconds=20,
            stop_signal="TERM",
        ),
        Daemon(
            "rabbitmq",
            # Ahead of the others, which all wait for these two.
            f"/usr/bin/nice -n -10 {home.software}/rabbitmq/usr/lib/rabbitmq/bin/rabbitmq-server",
            first=True,
            environment=_pairs(broker_environment(home)),
            whole_group=True,
            # What has to be kept is on the disk by then, so there is nothing to wait for.
            stop_signal="KILL",
        ),
        *served,
        *plain,
    )


def broker_environment(home: Home) -> dict[str, str]:
    """Everything of RabbitMQ and Erlang in our own folders and on ports nobody else has."""
    state, erlang = home.state / "rabbitmq", home.software / "rabbitmq/usr/lib/erlang"
    return {
        "HOME": str(state),
        "PATH": f"{erlang}/bin:{PATH}",
        "RABBITMQ_NODENAME": f"{home.name}@localhost",
        "RABBITMQ_CONFIG_FILE": str(home.state / "etc/rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(state / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(state / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(state / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home.log),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} "
        "+S 2:2 +A 4",
        "ERL_EPMD_PORT": str(free_port()),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }


def service_environment(home: Home) -> dict[str, str]:
    """What every daemon is started with: the cloud's mark, and where its files are."""
    etc = str(home.state / "etc")
    return {
        MARK: home.name,
        "HOME": str(home.state / "tmp"),
        "PATH": f"{home.venv}/bin:{PATH}",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": f"{PLUGINS}:{etc}/python",
        "PYTHONUNBUFFERED": "1",
        "OS_KEYSTONE_CONFIG_FILES": f"{etc}/keystone.conf",
        "OS_PLACEMENT_CONFIG_DIR": etc,
        "OS_GLANCE_CONFIG_DIR": etc,
        "OS_NEUTRON_CONFIG_DIR": etc,
        "OS_NEUTRON_CONFIG_FILES": "neutron.conf",
        "OS_NOVA_CONFIG_DIR": etc,
        "OS_HEAT_CONFIG_FILES": f"{etc}/heat.conf",
        # Some daemons change their title, which would otherwise overwrite the mark above.
        "SPT_NOENV": "1",
        # Threads that allocate each get an arena of their own, which costs more than it gives.
        "MALLOC_ARENA_MAX": "2",
    }


def write(
    home: Home,
    settings: Settings,
    *,
    mtu: int,
    servers: Iterable[str],
    seed: bool = False,
) -> None:
    """Write every daemon's configuration; `seed` is for the database that is only a template."""
    etc = private_folder(home.state / "etc")
    values = {
        "state": home.state,
        "runtime": home.runtime,
        "venv": home.venv,
        "name": home.name,
        "bridge": home.name,
        "host": HOST,
        "region": REGION,
        "mtu": mtu,
        "seed": seed,
        "address": settings.address,
        "passwords": settings.passwords,
        "mysql_socket": mysql_socket(home),
        "supervisor_socket": supervisor_socket(home),
        "transport_url": f"rabbit://cloud:{settings.passwords['rabbitmq']}"
        f"@{settings.address}:{BROKER_PORT}/",
        "daemons": daemons(home, settings),
        "environment": _pairs(service_environment(home)),
    }
    templates = Environment(
        loader=FileSystemLoader(HERE / "etc"),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )
    for name in (*FILES, "supervisord.conf"):
        text = templates.get_template(f"{name}.j2").render(values)
        write_private(etc / name, text)
    shutil.copy(home.venv / "etc/nova/api-paste.ini", etc / "api-paste.ini")
    lines = [f"nameserver {server}" for server in servers]
    if search_domains():
        lines.append("search " + " ".join(search_domains()))
    write_private(etc / "node-resolv.conf", "\n".join(lines) + "\n")
    _name_the_driver(etc / "python")


def _name_the_driver(folder: Path) -> None:
    """ML2 finds its drivers by entry points, so ours needs a distribution that declares it."""
    info = folder / "cm_cloud-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cm-cloud\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[neutron.ml2.mechanism_drivers]\ncm_cloud = cm_ports:BridgePorts\n"
    )


def clouds_yaml(settings: Settings) -> str:
    """The clouds `local` (the user) and `local-admin`."""
    clouds = "".join(
        f"""  {cloud}:
    auth:
      auth_url: http://{settings.address}:5000/v3
      username: {user}
      password: {settings.passwords[user]}
      project_name: {user}
      user_domain_id: default
      project_domain_id: default
    region_name: {REGION}
    interface: public
    identity_api_version: 3
"""
        for cloud, user in (("local", "demo"), ("local-admin", "admin"))
    )
    return f"clouds:\n{clouds}"


def wanted(
    home: Home, settings: Settings, *, mtu: int, servers: Iterable[str]
) -> dict[str, object]:
    """What plugins/accounts.py fills an empty cloud with."""
    network = settings.network
    return {
        "address": str(settings.address),
        "region": REGION,
        "passwords": dict(settings.passwords),
        "catalog": catalog(settings.address),
        "subnet": settings.subnet,
        "pool": {"start": str(network[16]), "end": str(network[-2])},
        "name_servers": list(servers),
        "mtu": mtu,
        "flavors": FLAVORS,
        "image": {
            "name": IMAGE_NAME,
            "file": str(image.file(home)),
            "recipe": image.recipe(),
        },
    }


def _pairs(values: dict[str, str]) -> str:
    """KEY="value" pairs as the supervisor reads them."""
    return ",".join('{}="{}"'.format(k, v.replace("%", "%%")) for k, v in values.items())


def temporary_home(home: Home) -> Home:
    """A home that lives only while the template of the databases is made."""
    return Home(state=Path(tempfile.mkdtemp(prefix="cm-seed-")), software=home.software)
