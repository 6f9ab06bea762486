"""The worst day: everything that can go wrong is made to, and nothing is left of it.

Each test provokes its failure on the running services; the fixture nothing_left counts what the
project has before and after.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openstack
import pytest
import yaml

from cloudmesh_cluster.local.cloud import Home
from tests.conftest import ROOT, SOFTWARE

from .conftest import Cm, things

pytestmark = pytest.mark.usefixtures("cloud", "nothing_left")

Connection = openstack.connection.Connection


def failed_create(cm: Cm, *words: str, code: str, status: int = 1, name: str = "bad") -> str:
    """What a create that fails with this code says on stderr."""
    said = cm.run("cluster", "create", name, "--workers=1", *words, status=status).stderr
    assert ended_with(said) == code
    return said


def ended_with(said: str) -> str:
    """The code at the end of what was said."""
    found = re.search(r"\nCode: ([a-z-]+)(; more: cm cluster explain [a-z]+)?\n\Z", said)
    assert found, said
    return found[1]


# ---- a node does not do its part -----------------------------------------------------------------


def test_a_role_script_that_exits_7(cm: Cm) -> None:
    cm.write("bad", "worker", "echo the telling line >&2\nexit 7\n")

    said = failed_create(cm, code="role-script")

    assert "bad-worker1: role script ended with exit status 7" in said
    assert "the telling line" in said
    assert "The stack has been deleted" in said
    assert "--keep" in said
    record = cm.record("bad")
    assert "the telling line" in (record / "bad-worker1" / "node.log").read_text()
    assert json.loads((record / "events.json").read_text())
    assert (record / "bad-master" / "console.log").stat().st_size
    assert not (cm.workspace("bad") / "id_ed25519").exists()


def test_a_check_that_is_not_met_in_time(cm: Cm) -> None:
    expect = cm.file("e.yaml", "- role: worker\n  port: 4242\n  within: 3s\n- port: 22\n")

    said = failed_create(cm, f"--expect={expect}", status=3, code="check")

    assert "bad-worker1: port 4242: nothing listens on port 4242 (not within 3 s)" in said
    verdicts = json.loads((cm.record("bad") / "verdicts.json").read_text())
    assert [one["node"] for one in verdicts if not one["passed"]] == ["bad-worker1"]


def test_a_node_that_goes_off_is_not_waited_for(cm: Cm) -> None:
    cm.write("bad", "worker", "sleep 20\nsystemctl poweroff --force --force\nsleep 600\n")

    said = failed_create(cm, code="server-error")

    assert "bad-worker1 went down before it was ready" in said
    assert "bad-worker1: SHUTOFF" in said


def test_a_node_whose_sshd_never_answers(cm: Cm) -> None:
    cm.write("bad", "worker", "kill -STOP $(systemctl show -P MainPID ssh)\n")

    with cm.start("cluster", "create", "bad", "--workers=1") as create:
        _, said = create.communicate(timeout=600)

    assert create.returncode in (1, 3)  # 3: its checks are the first to meet it
    assert ended_with(said) == "ssh-unreachable"
    assert re.search(r"bad-worker1: .*(sent no SSH greeting|no answer)", said)


def test_a_node_that_never_boots(cm: Cm, dead_image: str) -> None:
    said = failed_create(cm, f"--image={dead_image}", "--timeout=1", code="not-booted")

    assert "bad-master,bad-worker1 never reported that it has booted" in said
    assert "console" in said


def test_a_node_that_cannot_be_started(cm: Cm, broken_image: str) -> None:
    said = failed_create(cm, f"--image={broken_image}", code="server-error")

    assert "ended CREATE_FAILED" in said
    assert re.search(r"bad-(master|worker1): .*(init|start|boot)", said)


@pytest.fixture
def dead_image(user: Connection, tmp_path: Path) -> Iterator[str]:
    """An image whose first process sleeps for ever."""
    root = tmp_path / "dead"
    init = "#!/bin/sh\nexec sleep infinity\n"
    packages = ("bin", "lib", "lib64", "usr/bin", "usr/lib", "usr/lib64", "etc", "sbin", "usr/sbin")
    for name in packages:
        (root / name).mkdir(parents=True, exist_ok=True)
    for program in ("/bin/sh", "/bin/sleep"):
        copy_with_libraries(program, root)
    (root / "sbin/init").write_text(init)
    (root / "sbin/init").chmod(0o755)
    (root / "etc/os-release").write_text("ID=dead\n")
    with uploaded(user, "dead", root) as name:
        yield name


@pytest.fixture
def broken_image(user: Connection, tmp_path: Path) -> Iterator[str]:
    """An image with nothing in it that could start."""
    root = tmp_path / "broken"
    root.mkdir()
    (root / "README").write_text("no system is here\n")
    with uploaded(user, "broken", root) as name:
        yield name


def copy_with_libraries(program: str, root: Path) -> None:
    """Put a program below the root, with all that it is linked to."""
    listed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    for path in [program, *re.findall(r"(/\S+) \(0x", listed)]:
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(Path(path).read_bytes())
        place.chmod(0o755)


@contextmanager
def uploaded(user: Connection, name: str, root: Path) -> Iterator[str]:
    """The name of an image with this tree, as long as the tests need it."""
    archive = root.with_suffix(".tar")
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    image = user.create_image(name, filename=str(archive), disk_format="raw",
                              container_format="bare", wait=True)  # fmt: skip
    try:
        yield name
    finally:  # with two images, every other create would have to say which
        user.image.delete_image(image.id)


# ---- the cloud does not give ---------------------------------------------------------------------


def test_a_flavor_that_no_host_can_hold(cm: Cm) -> None:
    said = failed_create(cm, "--flavor=local.huge", code="no-valid-host")

    assert "No valid host was found" in said
    assert "ended CREATE_FAILED" in said


def test_a_quota_that_is_exceeded(cm: Cm, admin: Connection, user: Connection) -> None:
    project = user.current_project_id
    before = admin.get_compute_quotas(project).instances
    admin.set_compute_quotas(project, instances=1)
    try:
        said = failed_create(cm, code="quota")
        page = cm.run("cluster", "plan", "bad", "--workers=1", "--format=json", status=1).json
    finally:
        admin.set_compute_quotas(project, instances=before)

    assert "bad cannot be made: 1 problem" in said
    assert "servers: 2 needed, 1 left (quota 1, 0 used)" in said
    assert "at most 0 workers; one more would be short of servers" in said
    assert "Nothing was made" in said
    assert not cm.workspace("bad").exists()
    assert [one["what"] for one in page["problems"]] == ["servers"]
    assert (page["fits"], page["most_workers"]) == (False, 0)


def test_a_quota_that_is_gone_once_heat_was_asked(
    cm: Cm, admin: Connection, user: Connection
) -> None:
    project = user.current_project_id
    before = admin.get_compute_quotas(project).instances
    with cm.start("cluster", "create", "bad", "--workers=1") as create:
        until(create, "stack requested")
        admin.set_compute_quotas(project, instances=0)
        try:
            _, said = create.communicate(timeout=120)
        finally:
            admin.set_compute_quotas(project, instances=before)

    assert create.returncode == 1
    assert "ended CREATE_FAILED" in said
    assert re.search(r"(?i)quota exceeded", said)
    assert ended_with(said) == "quota"
    assert "The stack has been deleted" in said


def test_a_plan_touches_nothing_and_foretells_what_create_takes(cm: Cm, user: Connection) -> None:
    page = cm.run("cluster", "plan", "good", "--workers=2", "--format=json").json
    assert things(user)["stacks"] == 0
    assert not cm.workspace("good").exists()
    needed = {one["what"]: one["needed"] for one in page["needs"]}
    before = used(page)

    cm.run("cluster", "create", "good", "--workers=2")
    taken = cm.run("cluster", "plan", "other", "--format=json").json
    fates = cm.run("cluster", "plan", "good", "--format=json").json
    cm.run("cluster", "delete", "good")

    assert page["fits"]
    grown = {what: used(taken)[what] - before[what] for what in before}
    assert grown == {what: needed[what] for what in before}
    assert [one["fate"] for one in fates] == ["keep"] * 3


def used(page: dict[str, Any]) -> dict[str, int]:
    """What of each quota is used."""
    kinds = ("servers", "cores", "memory in MiB", "keypairs", "ports", "security groups",
             "security group rules")  # fmt: skip
    return {one["what"]: one["used"] for one in page["needs"] if one["what"] in kinds}


@pytest.mark.parametrize(
    ("option", "words", "listed", "code"),
    [
        (
            "--image=debian-13",
            "no image 'debian-13'; did you mean debian-12?",
            "debian-12",
            "image",
        ),
        ("--flavor=local.smal", "no flavor 'local.smal'", "local.small", "flavor"),
        ("--network=lan", "no network 'lan'", "local", "network"),
        ("--product=plan", "no product 'plan'; did you mean plain?", "plain", "product"),
        ("--key=missing.pub", "no key missing.pub", "none in ~/.ssh", "keypair"),
        ("--cloud=moon", "no cloud 'moon'", "local", "no-cloud"),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(
    cm: Cm, option: str, words: str, listed: str, code: str
) -> None:
    said = failed_create(cm, option, code=code)

    assert words in said
    assert listed in said


def test_a_stack_of_the_name_that_is_not_ours_is_left_alone(cm: Cm, user: Connection) -> None:
    value = {"type": "OS::Heat::Value", "properties": {"value": 1}}
    template = {"heat_template_version": "2018-08-31", "resources": {"one": value}}
    stack = user.orchestration.create_stack(name="bad", template=template)
    try:
        said = failed_create(cm, code="name-taken")
        assert "taken by a stack that cm cluster did not make" in said
        refused = cm.run("cluster", "delete", "bad", status=2)
        assert "left alone" in refused.stderr
        assert user.orchestration.find_stack("bad") is not None
    finally:
        user.orchestration.delete_stack(stack)
        user.orchestration.wait_for_delete(stack)


def test_a_wrong_password(cm: Cm, cloud: dict[str, str]) -> None:
    entries = yaml.safe_load(Path(cloud["OS_CLIENT_CONFIG_FILE"]).read_text())
    entries["clouds"]["local"]["auth"]["password"] = "wrong"
    wrong = {"OS_CLIENT_CONFIG_FILE": cm.file("clouds.yaml", yaml.safe_dump(entries))}

    said = failed_create(Cm(cm.home, cm.variables, wrong), code="cloud-refused")

    assert "does not let us in" in said
    assert "wrong" not in said.replace("wrong password", "")


def test_a_cloud_that_is_not_there(cm: Cm, cloud: dict[str, str]) -> None:
    entries = yaml.safe_load(Path(cloud["OS_CLIENT_CONFIG_FILE"]).read_text())
    entries["clouds"]["local"]["auth"]["auth_url"] = "http://127.0.0.1:1/v3"
    gone = {"OS_CLIENT_CONFIG_FILE": cm.file("clouds.yaml", yaml.safe_dump(entries))}

    said = failed_create(Cm(cm.home, cm.variables, gone), code="cloud-silent")

    assert "does not answer" in said


def test_a_cloud_without_heat(cm: Cm, admin: Connection) -> None:
    services = [one for one in admin.identity.services() if one.type == "orchestration"]
    for one in services:
        admin.identity.update_service(one, is_enabled=False)
    try:
        said = failed_create(cm, code="no-heat")
    finally:
        for one in services:
            admin.identity.update_service(one, is_enabled=True)

    assert "the cloud has no Heat" in said
    assert "cm cloud up" in said


# ---- somebody, or something, ends us -------------------------------------------------------------


def until(process: subprocess.Popen[str], words: str) -> None:
    """Return when the command has said this on stderr."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}")


@pytest.mark.parametrize("when", ["servers made", "nodes booted", "verify"])
def test_an_interruption_rolls_back(cm: Cm, when: str) -> None:
    expect = cm.file("e.yaml", "- command: 'false'\n  within: 10m\n")
    with cm.start("cluster", "create", "bad", "--workers=1", f"--expect={expect}") as create:
        until(create, when)
        create.send_signal(signal.SIGINT)
        _, said = create.communicate(timeout=120)

    assert create.returncode == 130
    assert "interrupted while creating bad" in said
    assert "The stack has been deleted" in said
    assert "--keep" not in said
    assert ended_with(said) == "interrupted"
    assert (cm.record("bad") / "error.txt").exists()


def test_a_termination_rolls_back_too(cm: Cm) -> None:
    with cm.start("cluster", "create", "bad", "--workers=1") as create:
        until(create, "servers made")
        create.terminate()
        _, said = create.communicate(timeout=120)

    assert create.returncode == 130
    assert "The stack has been deleted" in said


def test_a_second_interruption_leaves_the_deletion_to_the_cloud(cm: Cm, user: Connection) -> None:
    with cm.start("cluster", "create", "bad", "--workers=1") as create:
        until(create, "nodes booted")
        create.send_signal(signal.SIGINT)
        until(create, "resources deleted")
        create.send_signal(signal.SIGINT)
        _, said = create.communicate(timeout=60)

    assert "See it to its end: cm cluster delete bad" in said
    cm.run("cluster", "delete", "bad")


def test_a_client_that_is_killed_leaves_a_cluster_that_delete_removes(cm: Cm) -> None:
    with cm.start("cluster", "create", "bad", "--workers=1") as create:
        until(create, "servers made")
        create.kill()

    rows = cm.run("cluster", "list", "--format=json").json
    assert [row["name"] for row in rows] == ["bad"]
    deleted = cm.run("cluster", "delete", "bad")
    assert "nothing of it is left" in deleted.stderr
    again = cm.run("cluster", "delete", "bad", "never-there")
    assert "bad: nothing to delete" in again.stderr


def test_a_heat_engine_that_stops_in_the_middle(cm: Cm) -> None:
    with cm.start("cluster", "create", "bad", "--workers=1") as create:
        until(create, "servers made")
        supervisor("stop", "heat-engine")
        try:
            _, said = create.communicate(timeout=900)
        finally:
            supervisor("start", "heat-engine")

    assert create.returncode == 1
    assert "Heat has not answered" in said
    assert ended_with(said) == "heat-silent"
    assert "cm cluster delete bad" in said
    cm.run("cluster", "delete", "bad")


def supervisor(*words: str) -> None:
    """Have the test cloud's supervisor do something."""
    home = Home(state=ROOT / "build" / "test-cloud", software=SOFTWARE)
    program = home.venv / "bin" / "supervisorctl"
    subprocess.run([program, "-c", home.state / "etc" / "supervisord.conf", *words], check=True)


# ---- nodes that cannot reach Heat ----------------------------------------------------------------


def test_nodes_that_cannot_reach_heat_are_asked_over_ssh(cm: Cm, deaf: Callable[[], None]) -> None:
    deaf()
    made = cm.run("cluster", "create", "mute", "--workers=1", "--format=json").json

    assert {node["checks"] for node in made["nodes"]} == {"1/1 passed"}
    cm.run("cluster", "delete", "mute")


@pytest.fixture
def deaf(cloud: dict[str, str]) -> Iterator[Callable[[], None]]:
    """Keeps nodes, but not us, from Heat's API."""
    auth = yaml.safe_load(Path(cloud["OS_CLIENT_CONFIG_FILE"]).read_text())["clouds"]["local"][
        "auth"
    ]
    address = re.findall(r"//([0-9.]+):", auth["auth_url"])[0]
    table = "cm-test-deaf"
    rules = (
        f"table ip {table} {{ chain input {{ type filter hook input priority 0; "
        f"ip saddr != {address} ip daddr {address} tcp dport 8004 reject with tcp reset; }}; }}"
    )

    def close() -> None:
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)

    yield close
    subprocess.run(["nft", "delete", "table", "ip", table], check=True)


# ---- keep, and what users write ------------------------------------------------------------------


def test_keep_keeps(cm: Cm, user: Connection) -> None:
    before = things(user)["servers"]
    cm.write("bad", "master", "exit 1\n")

    said = failed_create(cm, "--keep", code="role-script")

    assert "The stack is kept" in said
    assert things(user)["servers"] == before + 2
    assert cm.run("cluster", "ssh", "bad", "--", "hostname").stdout == "bad-master\n"
    cm.run("cluster", "delete", "bad")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        (b"", "the file is empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a: [", "not YAML"),
        (b"$(touch hacked)", "a spec is a mapping|expected a list"),
    ],
)
@pytest.mark.parametrize("option", ["--file", "--expect"])
def test_a_file_that_cannot_be_used_says_why(
    cm: Cm, option: str, content: bytes | None, words: str
) -> None:
    path = cm.home / "it is $(touch hacked) `touch hacked` \"'.yaml"
    if content is not None:
        path.write_bytes(content)

    said = failed_create(cm, f"{option}={path}", status=2, code="usage")

    assert re.search(words, said)
    assert not list(cm.home.rglob("hacked"))


@pytest.mark.parametrize("name", ["a b", "$(touch hacked)", "a\nb", "';reboot", "../up", "A"])
def test_a_hostile_name_is_refused_and_never_run(cm: Cm, name: str) -> None:
    for words in (["create", name], ["ssh", name], ["test", name], ["show", name],
                  ["write", name, "worker", "/dev/null"], ["delete", name]):  # fmt: skip
        said = cm.run("cluster", *words, status=2).stderr
        assert "cannot be a cluster's name" in said
    assert not list(cm.home.rglob("hacked"))


def test_a_script_of_quotes_and_dollars_arrives_as_it_is(cm: Cm) -> None:
    text = (
        "cat >/srv/text <<'END'\n$(touch /srv/hacked) `id` \"'\\ {{ workers }} __signal__ é\nEND\n"
    )
    cm.write("bad", "worker", text)

    cm.run("cluster", "create", "bad", "--workers=1")

    seen = cm.run("cluster", "ssh", "bad", "worker1", "--", "cat /srv/text; ls /srv").stdout
    assert seen == text.splitlines()[1] + "\ntext\n"
    assert cm.run("cluster", "write", "bad", "worker", "--show").stdout == text
    cm.run("cluster", "delete", "bad")


def test_several_problems_of_an_expectations_file_are_told_at_once(cm: Cm) -> None:
    path = cm.file("e.yaml", "expect:\n- prot: 22\n- role: boss\n  port: 1\n- port: 99999\n")

    said = failed_create(cm, f"--expect={path}", status=2, code="usage")

    assert [int(n) for n in re.findall(r"e\.yaml:(\d+):", said)] == [2, 3, 5]


def test_the_time_out_of_all_names_what_was_missing(cm: Cm) -> None:
    cm.write("bad", "worker", "sleep 600\n")

    began = time.monotonic()
    said = failed_create(cm, "--timeout=1", code="time-out")

    assert "bad-worker1 has not ended its scripts" in said
    assert time.monotonic() - began < 150
