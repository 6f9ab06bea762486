"""No private key that lets anybody in is where others could read it, but the workspace's own.

A cluster is made while the process lists are watched, then everything that could hold a key is
searched, and every key that is found is tried on every node.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest
from openstack.connection import Connection

from cloudmesh_cluster.doors.keys import new_keypair
from cloudmesh_cluster.doors.ssh import Fleet
from cloudmesh_cluster.doors.workspace import Workspace
from cloudmesh_cluster.model.access import Access
from cloudmesh_cluster.model.cluster import Result
from cloudmesh_cluster.steps.rekey import rekeyed

from .conftest import Cm, connection

pytestmark = pytest.mark.usefixtures("cloud")

NAME = "secret"
NODES = [f"{NAME}-{one}" for one in ("master", "worker1", "worker2")]
LOGINS = ("debian", "root")
# It fails, so that there is a record; the cluster is kept.
EXPECT = "- {role: all, command: 'false'}\n"
PEM = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END \1-----")
BASE64 = re.compile(r"[A-Za-z0-9+/]{200,}={0,2}")
# Where the nodes' own keys are meant to be, for nobody else to read.
OWN = "/root/.ssh/id_ed25519|/home/debian/.ssh/id_ed25519|/etc/ssh/ssh_host_.*_key"
FOLDERS = "/etc /var /run /tmp /root /home /srv /dev/shm"
SEARCH = f"""
sudo grep -rlaE 'BEGIN [A-Z ]*PRIVATE KEY' {FOLDERS} 2>/dev/null |
  grep -vxE '{OWN}' | while read -r file; do echo "== $file"; sudo cat "$file"; echo; done
"""


def keys_in(text: str) -> set[str]:
    """The private keys in a text, also in what of it is base64; a JSON's newlines are newlines."""
    plain = text.replace("\\n", "\n")
    found = {
        f"-----BEGIN {kind}-----\n" + "\n".join(body.split()) + f"\n-----END {kind}-----\n"
        for kind, body in PEM.findall(plain)
    }
    outside = PEM.sub("", plain)
    for coded in BASE64.findall(outside):
        decoded = base64.b64decode(coded + "=" * (-len(coded) % 4)).decode("latin-1")
        if "PRIVATE KEY" in decoded:
            found |= keys_in(decoded)
    return found


@dataclass
class Watched:
    """What the command lines of this machine, and so of its nodes too, held meanwhile."""

    lines: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self.over.wait(0.05):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.lines.add(file.read_bytes().decode("latin-1").replace("\0", " "))
                except OSError:
                    continue


@dataclass(frozen=True)
class Secret:
    """A cluster that stands while this module's tests run, and what was seen of its making."""

    cm: Cm
    answer: str
    command_lines: frozenset[str]

    @property
    def workspace(self) -> Path:
        return self.cm.workspace(NAME)

    @property
    def access(self) -> Access:
        access = Workspace(self.workspace).access()
        assert access is not None
        return access

    def on_nodes(self, script: str) -> dict[str, str]:
        """What the script printed on each node."""
        with Fleet(self.workspace / "id_ed25519") as fleet:
            outcomes = fleet.run(self.access.targets, "bash -s", stdin=script.encode(), timeout=120)
        assert all(isinstance(one, Result) for one in outcomes.values()), outcomes
        return {name: one.stdout for name, one in outcomes.items() if isinstance(one, Result)}

    def refused(self, key: str, node: str, login: str) -> str:
        """Why the node does not let the key in; empty if it does."""
        folder = self.cm.home / "tried"
        folder.mkdir(exist_ok=True)
        file = folder / str(abs(hash(key)))
        with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
            out.write(key)
        words = ["ssh", "-F", "/dev/null", "-i", str(file), "-o", "IdentitiesOnly=yes"]
        for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", f"HostKeyAlias={node}",
                       f"UserKnownHostsFile={self.workspace}/known_hosts"):  # fmt: skip
            words += ["-o", option]
        address = next(one.address for one in self.access.targets if one.name == node)
        done = subprocess.run(
            [*words, f"{login}@{address}", "true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return done.stderr if done.returncode else ""


@pytest.fixture(scope="module")
def secret(cloud: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secret]:
    """The cluster."""
    cm = Cm(tmp_path_factory.mktemp("secret"), cloud)
    watched = Watched()
    thread = threading.Thread(target=watched.watch)
    thread.start()
    mask = os.umask(0)  # whatever the user's is, what we write is for him alone
    try:
        made = cm.run("cluster", "create", NAME, "--keep", "--ssh-from=0.0.0.0/1",
                      f"--expect={cm.file('expect.yaml', EXPECT)}", status=3)  # fmt: skip
    finally:
        os.umask(mask)
        watched.over.set()
        thread.join()
    try:
        yield Secret(cm, made.stdout + made.stderr, frozenset(watched.lines))
    finally:
        cm.run("cluster", "delete", NAME)


@pytest.fixture(scope="module")
def found(
    secret: Secret, cloud: Mapping[str, str], admin: Connection
) -> Mapping[str, frozenset[str]]:
    """The private keys that were found, by the place where."""
    workspace = [file for file in secret.workspace.rglob("*") if file.is_file()]
    places: dict[str, Callable[[], str]] = {
        "user_data": lambda: user_data(admin),
        "heat": lambda: heat(connection(cloud, "local")),
        "nodes": lambda: "".join(secret.on_nodes(SEARCH).values()),
        "consoles": lambda: secret.cm.run("cluster", "logs", NAME, "--console").stdout,
        "command lines": lambda: "\n".join(secret.command_lines),
        "answer": lambda: secret.answer,
        "record": lambda: texts(
            [one for one in secret.cm.record(NAME).rglob("*") if one.is_file()]
        ),
        "rest of the workspace": lambda: texts(
            [one for one in workspace if "records" not in one.parts and one.name != "id_ed25519"]
        ),
    }
    return {place: frozenset(keys_in(text())) for place, text in places.items()}


def texts(files: list[Path]) -> str:
    """The files' contents."""
    return "\n".join(file.read_bytes().decode("latin-1") for file in files)


def user_data(admin: Connection) -> str:
    """What Nova keeps of the servers, as an administrator reads it."""
    servers = [one for one in admin.compute.servers(all_projects=True) if one.name in NODES]
    assert len(servers) == len(NODES)
    return "\n".join(
        admin.compute.get(f"/servers/{one.id}", microversion="2.3").text for one in servers
    )


def heat(user: Connection) -> str:
    """All that Heat tells the user of the stack."""
    stack = user.orchestration.find_stack(NAME)
    base = f"/stacks/{NAME}/{stack.id}"
    pages = [base, *(f"{base}/{one}" for one in ("template", "files", "environment", "outputs",
                                                 "events", "resources"))]  # fmt: skip
    answers = {page: user.orchestration.get(page) for page in pages}
    resources = answers[f"{base}/resources"].json()["resources"]
    outputs = answers[f"{base}/outputs"].json()["outputs"]
    more = [f"{base}/resources/{one['resource_name']}" for one in resources]
    more += [f"{base}/outputs/{one['output_key']}" for one in outputs]
    answers |= {page: user.orchestration.get(page) for page in more}
    assert {page: one.status_code for page, one in answers.items()} == dict.fromkeys(answers, 200)
    return "\n".join(one.text for one in answers.values())


def test_what_travelled_in_user_data_is_found_there(found: Mapping[str, frozenset[str]]) -> None:
    """Else the other tests of this file would prove nothing: the first key and the authority's."""
    assert {place: len(found[place]) for place in ("user_data", "nodes")} == {
        "user_data": 2,
        "nodes": 2,
    }
    assert found["user_data"] == found["nodes"] >= found["heat"]


@pytest.mark.parametrize(
    "place", ["consoles", "command lines", "answer", "record", "rest of the workspace"]
)
def test_no_private_key_is_seen(found: Mapping[str, frozenset[str]], place: str) -> None:
    assert found[place] == frozenset()


def test_the_process_lists_were_seen_while_the_cluster_was_made(secret: Secret) -> None:
    assert any(f"cluster create {NAME}" in line for line in secret.command_lines)
    assert any("/var/lib/cloud/instance/scripts" in line for line in secret.command_lines)
    assert any("bash -c # rekey PHASE" in line for line in secret.command_lines)


def test_no_key_that_was_found_is_taken_by_any_node(
    secret: Secret, found: Mapping[str, frozenset[str]]
) -> None:
    keys = frozenset().union(*found.values())
    tries = list(product(keys, NODES, LOGINS))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda one: secret.refused(*one), tries))

    assert len(tries) >= 2 * len(NODES) * len(LOGINS)
    for (_, node, login), answer in zip(tries, answers, strict=True):
        assert "Permission denied" in answer, (node, login, answer)


def test_the_workspace_s_own_key_is_taken(secret: Secret) -> None:
    key = (secret.workspace / "id_ed25519").read_text()

    assert [secret.refused(key, NODES[0], login) for login in LOGINS] == ["", ""]


def test_the_workspace_is_for_its_owner_alone(secret: Secret) -> None:
    modes = {path: path.stat().st_mode & 0o777 for path in secret.workspace.rglob("*")}

    assert secret.workspace.stat().st_mode & 0o777 == 0o700
    assert any("records" in path.parts for path in modes)
    for path, mode in modes.items():
        assert mode == (0o700 if path.is_dir() else 0o600), path


def test_nothing_on_a_node_trusts_the_authority_any_more(secret: Secret) -> None:
    script = (
        "sudo grep -rlE '@cert-authority|^ *(HostCertificate|TrustedUserCAKeys)' "
        "/etc/ssh /root/.ssh /home\n"
    )

    assert secret.on_nodes(script) == dict.fromkeys(NODES, "")


def test_ssh_is_let_in_from_where_it_was_said(cloud: Mapping[str, str], secret: Secret) -> None:
    user = connection(cloud, "local")
    stack = user.orchestration.find_stack(NAME)
    page = f"/stacks/{NAME}/{stack.id}/resources/security_group"
    group = user.orchestration.get(page).json()["resource"]
    rules = [
        (rule.port_range_min, rule.remote_ip_prefix)
        for rule in user.network.security_group_rules(
            security_group_id=group["physical_resource_id"], direction="ingress", protocol="tcp"
        )
    ]

    assert rules == [(22, "0.0.0.0/1")]


def test_a_command_that_will_not_end_is_not_left_running_as_root(secret: Secret) -> None:
    stubborn = ("sudo", "-n", "bash", "-c", "trap '' TERM; while :; do sleep 0.2; done", "stubborn")
    with Fleet(secret.workspace / "id_ed25519") as fleet:
        outcomes = fleet.run(secret.access.targets, stubborn, timeout=1)

    assert [one.exit_status for one in outcomes.values() if isinstance(one, Result)] == 3 * [124]
    left = (
        "for _ in $(seq 50); do pgrep -f 'stubborn$' >/dev/null || exit; sleep 0.2; done; echo left"
    )
    assert secret.on_nodes(left) == dict.fromkeys(NODES, "")


@pytest.mark.parametrize("format", ["table", "json", "yaml", "csv"])
def test_no_escape_sequence_of_a_node_comes_through(secret: Secret, format: str) -> None:
    command = r"printf '\033[2J\033]0;owned\007\233H'; printf '\033[31m' >&2; exit 1"

    answer = secret.cm.run("cluster", "test", NAME, f"--format={format}", command, status=3)

    assert "owned" in answer.stdout
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", answer.stdout + answer.stderr)


class Nobody:
    """Nobody listens."""

    def stage(self, name: str, done: int = 0, total: int = 0) -> None: ...

    def note(self, line: str) -> None: ...


def test_logins_from_node_to_node_go_on_while_their_key_is_replaced(secret: Secret) -> None:
    before = secret.on_nodes("cat ~/.ssh/id_ed25519; sudo cat /root/.ssh/id_ed25519")
    hammer = r"""
    as=; [ "$1" = debian ] || as=sudo
    until [ -e /tmp/enough ]; do
      for node in master worker1 worker2; do
        $as ssh -n -o BatchMode=yes $node true 2>>/tmp/why.$1 && echo in || echo refused
      done
    done >/tmp/logins.$1
    """
    start = "".join(
        f"setsid bash -c '{hammer}' hammer {login} </dev/null >/dev/null 2>&1 &\n"
        for login in LOGINS
    )
    secret.on_nodes(start)
    try:
        time.sleep(2)
        with Fleet(secret.workspace / "id_ed25519") as fleet:
            for _ in range(3):
                rekeyed(secret.access, fleet, new_keypair("x"), Nobody())
        time.sleep(2)
    finally:
        secret.on_nodes("touch /tmp/enough; while pgrep -f hammer >/dev/null; do sleep 0.2; done")
    told = secret.on_nodes(
        "cat /tmp/logins.*; cat ~/.ssh/id_ed25519; sudo cat /root/.ssh/id_ed25519"
    )

    for node, text in told.items():
        assert text.count("in\n") > 10, node
        assert "refused" not in text, secret.on_nodes("cat /tmp/why.*")[node]
    assert len({frozenset(keys_in(text)) for text in told.values()}) == 1
    assert not keys_in(told[NODES[0]]) & keys_in(before[NODES[0]])
    for key, node, login in product(keys_in(before[NODES[0]]), NODES, LOGINS):
        assert "Permission denied" in secret.refused(key, node, login)


def test_no_other_key_is_left_lying_about_by_that(secret: Secret) -> None:
    listed = secret.on_nodes("ls -A ~/.ssh; sudo ls -A /root/.ssh")

    assert [sorted(set(text.split())) for text in listed.values()] == 3 * [
        ["authorized_keys", "id_ed25519", "id_ed25519.pub"]
    ]
