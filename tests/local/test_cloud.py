"""An embedded OpenStack of these tests' own: up, killed, down, purged."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import openstack
import pytest
import yaml

from cloudmesh_cluster.local import cloud, kernel, network, processes
from cloudmesh_cluster.model.errors import CloudError

pytestmark = pytest.mark.cloud
FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


@pytest.fixture(scope="module")
def own(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    guarded: Callable[..., AbstractContextManager[None]],
) -> Iterator[cloud.Home]:
    """A home beside that of the other tests, up, with the same software."""
    plugins = request.config.pluginmanager.get_plugins()
    software = next(one.SOFTWARE for one in plugins if hasattr(one, "SOFTWARE"))
    home = cloud.Home(state=tmp_path_factory.mktemp("cloud") / "home", software=software)
    with guarded(home, "--purge"):
        try:
            cloud.up(home, print)
            yield home
        finally:
            cloud.down(home, print, purge=True)


def connected(home: cloud.Home, name: str = "local") -> openstack.connection.Connection:
    """A connection by an entry of the home's clouds.yaml."""
    entry = yaml.safe_load(home.clouds_yaml.read_text())["clouds"][name]
    return openstack.connect(load_yaml_config=False, load_envvars=False, **entry)


@pytest.fixture(scope="module")
def node(own: cloud.Home) -> str:
    """The id of a server that has booted."""
    user = connected(own)
    server = user.create_server(
        "own", image="debian-12", flavor="local.tiny", network="local", wait=True
    )
    wait(lambda: "SSH HOST KEY KEYS" in console(own, server.id))
    return str(server.id)


def wait(claim, seconds: float = 90) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def console(home: cloud.Home, server: str) -> str:
    """All that a node wrote to its console."""
    return str(connected(home).compute.get_server_console_output(server)["output"])


def address(home: cloud.Home, server: str) -> str:
    """A node's address."""
    return str(connected(home).compute.get_server(server).addresses["local"][0]["addr"])


def listens(host: str) -> bool:
    """Whether somebody greets on the host's SSH port."""
    done = subprocess.run(
        ["bash", "-c", f"timeout 2 head -c 4 </dev/tcp/{host}/22"], capture_output=True, check=False
    )
    return done.stdout == b"SSH-"


def pids(home: cloud.Home) -> dict[str, int | None]:
    """The daemons' pids."""
    return {service.name: service.pid for service in cloud.status(home) if service.name != "nodes"}


def kill(home: cloud.Home, name: str) -> int:
    """Kill a daemon and all that it has started; its pid."""
    pid = pids(home)[name]
    assert pid
    os.killpg(pid, signal.SIGKILL)
    return pid


def machines(home: cloud.Home) -> set[int]:
    """The pids of the nodes' systemd-nspawn."""
    return {one.pid for one in processes.processes(home.name) if cloud.nodes.is_machine(one)}


def test_a_second_up_changes_nothing(own: cloud.Home) -> None:
    before = pids(own)
    assert None not in before.values()
    cloud.up(own, print)
    assert pids(own) == before


def test_a_second_up_at_the_same_time_waits_and_says_so(
    own: cloud.Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud, "LOCK_SECONDS", 0.5)
    said: list[str] = []
    with (cloud.LOCKS / f"{own.runtime.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CloudError, match=r"another `cm cloud` is at work on .*, and has been"):
            cloud.up(own, said.append)
    assert any("waiting" in line for line in said)


def test_a_daemon_that_was_stopped_is_started_by_up(own: cloud.Home) -> None:
    cloud.supervisor.stop(own, "heat-cfn")
    assert not cloud.is_up(own)
    cloud.up(own, print)
    assert cloud.is_up(own)


def test_a_daemon_that_was_killed_is_started_by_its_keeper(own: cloud.Home) -> None:
    before = pids(own)
    for name in ("keystone", "heat-engine"):
        os.kill(before[name] or 0, signal.SIGKILL)
    wait(lambda: {before["keystone"], before["heat-engine"]}.isdisjoint(pids(own).values()))
    wait(lambda: cloud.is_up(own))
    assert connected(own).get_image("debian-12")


def test_a_server_is_made_though_the_broker_died_with_the_request(own: cloud.Home) -> None:
    user = connected(own)
    cloud.supervisor.stop(own, "nova-conductor")
    server = user.create_server(
        "waits", image="debian-12", flavor="local.tiny", network="local", wait=False
    )
    before = kill(own, "rabbitmq")
    wait(lambda: pids(own)["rabbitmq"] not in (None, before))
    cloud.up(own, print)
    wait(lambda: user.compute.get_server(server.id).status != "BUILD")
    assert user.compute.get_server(server.id).status == "ACTIVE"
    user.delete_server(server.id, wait=True)


def test_a_server_is_deleted_though_the_database_died_over_it(own: cloud.Home) -> None:
    user = connected(own)
    server = user.create_server(
        "goes", image="debian-12", flavor="local.tiny", network="local", wait=True
    )
    compute = pids(own)["nova-compute"]
    user.compute.delete_server(server.id)
    before = kill(own, "mariadb")
    wait(lambda: pids(own)["mariadb"] not in (None, before))
    wait(lambda: pids(own)["nova-compute"] not in (None, compute))
    wait(lambda: not list(user.compute.servers(name="goes")))


def test_each_daemon_can_be_told_from_the_others(own: cloud.Home) -> None:
    commands = {one.pid: one.command for one in processes.processes(own.name)}
    found = pids(own)
    for name, words in (("keystone", "serve.py keystone.wsgi.api"), ("heat-engine", "heat-engine")):
        assert words in commands[found[name] or 0]
        assert Path(f"/proc/{found[name]}/comm").read_text().strip().startswith(name)
    assert sum("/supervisord.conf" in command for command in commands.values()) == 1


def test_services_listen_on_the_bridge_and_on_loopback_only(own: cloud.Home) -> None:
    ours = {str(one.pid) for one in processes.processes(own.name) if not one.node}
    lines = processes.run("ss", "-Hltnp").splitlines()
    heard = {
        line.split()[3].rpartition(":")[0]
        for line in lines
        if any(f"pid={pid}," in line for pid in ours)
    }
    bridge = next(one for one in cloud.status(own) if one.name == "keystone").address
    assert heard - {"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"} == {bridge.rpartition(":")[0]}


def test_what_holds_passwords_is_for_its_owner_only(own: cloud.Home) -> None:
    for path in (own.clouds_yaml, own.settings, *(own.state / "etc").glob("*.conf")):
        assert path.stat().st_mode & 0o077 == 0, path
    assert own.state.stat().st_mode & 0o077 == 0


def test_a_flavor_that_no_host_holds_is_nova_s_own_fault(own: cloud.Home) -> None:
    user = connected(own)
    image, flavor = user.get_image("debian-12"), user.get_flavor("local.huge")
    net = user.get_network("local")
    server = user.compute.create_server(
        name="huge", image_id=image.id, flavor_id=flavor.id, networks=[{"uuid": net.id}]
    )
    wait(lambda: user.compute.get_server(server.id).status == "ERROR")
    assert "No valid host was found" in user.compute.get_server(server.id).fault["message"]
    user.delete_server(server.id, wait=True)


def test_a_broken_image_is_a_fault_that_says_why(own: cloud.Home, tmp_path: Path) -> None:
    user = connected(own)
    archive = tmp_path / "broken.tar"
    with tarfile.open(archive, "w") as made:
        made.add(__file__, arcname="no-init-here")
    image = user.create_image(
        "broken", filename=str(archive), disk_format="raw", container_format="bare", wait=True
    )
    flavor, net = user.get_flavor("local.tiny"), user.get_network("local")
    server = user.compute.create_server(
        name="broken", image_id=image.id, flavor_id=flavor.id, networks=[{"uuid": net.id}]
    )
    wait(lambda: user.compute.get_server(server.id).status == "ERROR")
    assert "no /sbin/init" in user.compute.get_server(server.id).fault["message"]
    user.delete_server(server.id, wait=True)
    user.delete_image(image.id)


def test_a_node_that_is_stopped_and_started_keeps_its_files(own: cloud.Home, node: str) -> None:
    user = connected(own)
    host = address(own, node)
    wait(lambda: listens(host))
    user.compute.stop_server(node)
    user.compute.wait_for_server(user.compute.get_server(node), status="SHUTOFF", wait=60)
    assert not listens(host)
    user.compute.start_server(node)
    user.compute.wait_for_server(user.compute.get_server(node), wait=60)
    wait(lambda: listens(host))
    assert "SSH HOST KEY KEYS" in console(own, node)  # of the first boot: the log goes on


def test_a_node_that_reboots_itself_has_its_network_again(own: cloud.Home, node: str) -> None:
    user, host = connected(own), address(own, node)
    wait(lambda: listens(host))
    before = machines(own)
    (machine,) = before
    (inside,) = Path(f"/proc/{machine}/task/{machine}/children").read_text().split()
    os.kill(int(inside), signal.SIGINT)  # to systemd what Ctrl-Alt-Del is
    wait(lambda: machines(own) not in (set(), before))
    wait(lambda: listens(host))
    assert user.compute.get_server(node).status == "ACTIVE"


def test_running_nodes_outlive_nova_compute(own: cloud.Home, node: str) -> None:
    before = machines(own)
    cloud.supervisor.stop(own, "nova-compute")
    cloud.up(own, print)
    assert machines(own) == before


def test_a_killed_cloud_comes_back_with_its_nodes(own: cloud.Home, node: str) -> None:
    for one in processes.processes(own.name):
        processes.send(one, signal.SIGKILL)
    assert not cloud.is_up(own)
    cloud.up(own, print)
    assert connected(own).compute.get_server(node).status == "ACTIVE"
    wait(lambda: listens(address(own, node)))


def test_two_clouds_are_up_at_once(own: cloud.Home, cloud: dict[str, str]) -> None:
    other = yaml.safe_load(Path(cloud["OS_CLIENT_CONFIG_FILE"]).read_text())["clouds"]["local"]
    mine = connected(own)
    assert other["auth"]["auth_url"] != mine.config.auth["auth_url"]
    theirs = openstack.connect(load_yaml_config=False, load_envvars=False, **other)
    assert theirs.get_image("debian-12").id != mine.get_image("debian-12").id


def test_down_takes_back_what_up_changed_and_purge_leaves_nothing(own: cloud.Home) -> None:
    said: list[str] = []
    cloud.down(own, said.append)
    assert processes.processes(own.name) == ()
    assert not network.bridge_there(own)
    assert own.name not in processes.run("nft", "list", "tables")
    assert str(own.state) not in Path("/proc/self/mounts").read_text()
    assert not own.runtime.exists()
    assert (FORWARD.read_text().strip() == "1") == bool(kernel.users())
    assert (own.state / "mysql").is_dir()
    cloud.down(own, said.append, purge=True)
    assert not own.state.exists()
    assert any("kept the installed software" in line for line in said)
