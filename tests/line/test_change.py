"""A cluster that is changed: it grows, shrinks, is repaired, gone on with; or stays what it was."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

import openstack
import pytest

from cloudmesh_cluster.model.names import folded
from cloudmesh_cluster.model.timeline import STAGES

from .conftest import Cm, things

Connection = openstack.connection.Connection


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the one who has the cluster of these tests."""
    return tmp_path_factory.mktemp("changing")


@pytest.fixture
def cm(place: Path, cloud: Mapping[str, str]) -> Cm:
    """The command of the one who has the cluster."""
    return Cm(place, cloud)


@pytest.fixture(scope="module", autouse=True)
def nothing_left_of_it(place: Path, cloud: Mapping[str, str], user: Connection) -> Iterator[None]:
    """The project has afterwards what it had before these tests."""
    before = things(user)
    yield
    Cm(place, cloud).run("cluster", "delete", "ch")
    assert things(user) == before


def workers(cm: Cm) -> list[str]:
    """The names of the workers, as show tells them."""
    nodes = cm.run("cluster", "show", "ch", "--format=json").json["nodes"]
    return [one["name"].removeprefix("ch-") for one in nodes if one["role"] == "worker"]


def servers(cm: Cm) -> dict[str, str]:
    """The addresses by name, as show tells them."""
    nodes = cm.run("cluster", "show", "ch", "--format=json").json["nodes"]
    return {one["name"]: one["address"] for one in nodes}


def on_workers(cm: Cm, command: str) -> list[str]:
    """What the command printed on workers, once for those that said the same."""
    words = ("cluster", "test", "ch", "--role=worker", "--format=json", "--", command)
    return [one["stdout"].strip() for one in cm.run(*words).json]


def meet(cm: Cm) -> None:
    """Every node logs in to every node by name, as the login user and as root."""
    names = " ".join(["master", *workers(cm)])
    script = (
        f"for one in {names}; do ssh -o BatchMode=yes $one true && sudo ssh $one true || exit; done"
    )
    cm.run("cluster", "test", "ch", script)


def until_events_say(cm: Cm, user: Connection, word: str) -> None:
    """Return when the stack's status has the word in it."""
    for _ in range(600):
        found = [one for one in user.orchestration.stacks() if one.name == "ch"]
        if found and word in found[0].status:
            return
        time.sleep(0.2)
    raise AssertionError(f"no stack ch was {word}")


def test_a_create_that_was_killed_goes_on(cm: Cm, user: Connection) -> None:
    cm.write("ch", "worker", "echo $CM_NODE >> /srv/ran\n")
    with cm.start("cluster", "create", "ch", "--workers=2") as process:
        until_events_say(cm, user, "CREATE_")
        process.send_signal(signal.SIGKILL)
        process.communicate()

    said = cm.run("cluster", "create", "ch")

    assert "going on with it" in said.stderr
    assert workers(cm) == ["worker1", "worker2"]
    meet(cm)
    ran = on_workers(cm, "wc -l < /srv/ran")
    assert ran == ["1"]  # on both nodes once


def test_a_cluster_that_is_whole_needs_nothing(cm: Cm) -> None:
    before = servers(cm)

    said = cm.run("cluster", "create", "ch", "--workers=2").stderr
    again = cm.run("cluster", "update", "ch").stderr

    assert "nothing to do" in said
    assert "nothing to do" in again
    assert servers(cm) == before


def test_create_with_other_words_names_update(cm: Cm) -> None:
    said = cm.run("cluster", "create", "ch", "--workers=5", status=1).stderr

    assert "there is a cluster ch already, with 2 workers" in said
    assert "cm cluster update ch --workers=5" in said


def test_a_dry_run_tells_every_nodes_fate(cm: Cm) -> None:
    words = ("cluster", "update", "ch", "--workers=3", "--remove=worker[1]", "--dry-run")
    rows = cm.run(*words, "--format=json").json
    planned = cm.run("cluster", "plan", "ch", "--workers=3", "--format=json").json
    flavor = cm.run("cluster", "update", "ch", "--flavor=local.medium", "--dry-run").stdout

    fates = {one["node"]: one["fate"] for one in rows}
    assert fates == {
        "ch-master": "keep",
        "ch-worker1": "remove",
        "ch-worker2": "keep",
        "ch-worker3": "add",
        "ch-worker4": "add",
    }
    assert {one["node"]: one["fate"] for one in planned}["ch-worker3"] == "add"
    assert re.search(r"ch-worker1 +\| REPLACE", flavor)


def test_what_would_make_nodes_anew_is_refused(cm: Cm) -> None:
    before = servers(cm)

    said = cm.run("cluster", "update", "ch", "--flavor=local.medium", status=2).stderr

    assert "cm cluster: ch-worker[1-2] would be made anew" in said
    assert "--allow-replace" in said
    assert servers(cm) == before


def test_the_same_image_and_flavor_by_name_change_nothing(cm: Cm, user: Connection) -> None:
    image = next(user.image.images()).name

    same = cm.run("cluster", "update", "ch", f"--image={image}", "--flavor=local.small").stderr
    other = cm.run("cluster", "update", "ch", "--flavor=local.smal", status=1).stderr

    assert "nothing to do" in same
    assert "no flavor 'local.smal'; did you mean local.small?" in other


def test_a_cluster_that_cannot_grow_says_why(cm: Cm, admin: Connection, user: Connection) -> None:
    project = user.current_project_id
    before = admin.get_compute_quotas(project).instances
    admin.set_compute_quotas(project, instances=3)
    try:
        said = cm.run("cluster", "update", "ch", "--workers=9", status=1).stderr
    finally:
        admin.set_compute_quotas(project, instances=before)

    assert "ch cannot grow by 7" in said
    assert "servers: 7 needed, 0 left" in said
    assert "Nothing was changed" in said


def test_workers_join_and_the_others_stay_what_they_are(cm: Cm) -> None:
    before = servers(cm)

    said = cm.run("cluster", "update", "ch", "--workers=3").stderr

    after = servers(cm)
    timeline = cm.run("cluster", "timeline", "ch", "--format=json")
    assert "ch-worker3 joined" in said
    rows = [json.loads(one) for one in timeline.stdout.splitlines()]
    assert [one["node"] for one in rows] == sorted(after)
    moments = [rows[-1][stage] for stage in STAGES]
    assert moments == sorted(moments)
    assert rows[-1]["requested"] > rows[0]["requested"]
    assert {name: after[name] for name in before} == before
    meet(cm)
    ran = on_workers(cm, "wc -l < /srv/ran")
    assert ran == ["1"]


def test_a_new_script_runs_where_it_has_not(cm: Cm) -> None:
    cm.write("ch", "worker", "echo new >> /srv/ran\n")

    cm.run("cluster", "update", "ch")
    again = cm.run("cluster", "update", "ch").stderr

    ran = on_workers(cm, "grep -c new /srv/ran")
    assert ran == ["1"]
    assert "nothing to do" in again


def test_an_update_that_fails_leaves_the_cluster_as_it_was(cm: Cm) -> None:
    before = servers(cm)
    cm.write("ch", "worker", 'test "$CM_NODE" != ch-worker4 || { echo no luck; exit 7; }\n')

    said = cm.run("cluster", "update", "ch", "--workers=4", status=1).stderr

    assert "ch was not changed: ch-worker4: role script ended with exit status 7" in said
    assert "no luck" in said
    assert "The cluster is as it was" in said
    assert "Code: role-script" in said
    assert servers(cm) == before
    meet(cm)


def test_a_server_that_is_gone_is_made_anew(cm: Cm, user: Connection) -> None:
    cm.write("ch", "worker", "echo repaired >> /srv/ran\n")
    victim = next(one for one in user.compute.servers() if one.name == "ch-worker2")
    user.compute.delete_server(victim)
    user.compute.wait_for_delete(victim, wait=120)

    said = cm.run("cluster", "repair", "ch").stderr

    assert "ch-worker2: its server is gone" in said
    assert "ch-worker2 was made anew" in said
    assert workers(cm) == ["worker1", "worker2", "worker3"]
    meet(cm)
    assert "nothing to do" in cm.run("cluster", "repair", "ch").stderr


def test_an_update_that_was_killed_goes_on(cm: Cm, user: Connection) -> None:
    leaving, *staying = before = workers(cm)
    coming = next(one for one in map("worker{}".format, count(1)) if one not in before)
    with cm.start("cluster", "update", "ch", f"--remove={leaving}", "--workers=3") as process:
        until_events_say(cm, user, "UPDATE_IN_PROGRESS")
        process.send_signal(signal.SIGKILL)
        process.communicate()
    cut = cm.run("cluster", "update", "ch", "--workers=1", status=1).stderr

    cm.run("cluster", "create", "ch")

    assert "the last change of ch was cut off" in cut
    assert workers(cm) == sorted([*staying, coming])
    meet(cm)


def test_the_last_worker_stays(cm: Cm) -> None:
    said = cm.run("cluster", "update", "ch", f"--remove={folded(workers(cm))}", status=2).stderr

    assert "ch would have no worker left" in said


def test_workers_leave_by_name(cm: Cm) -> None:
    first, second, third = workers(cm)

    said = cm.run("cluster", "update", "ch", f"--remove={first},ch-{third}").stderr

    assert f"{folded([f'ch-{first}', f'ch-{third}'])} left" in said
    assert workers(cm) == [second]
    meet(cm)


def test_workers_that_no_host_can_hold_are_made_anew_as_they_were(cm: Cm, user: Connection) -> None:
    words = ("cluster", "update", "ch", "--flavor=local.huge", "--allow-replace")

    said = cm.run(*words, status=1).stderr

    worker = workers(cm)[0]
    assert f"ch-{worker}: No valid host was found" in said
    assert f"The cluster is as it was, but what was on ch-{worker} is lost" in said
    assert "Code: no-valid-host" in said
    now = next(one for one in user.compute.servers() if one.name == f"ch-{worker}")
    assert now.flavor["original_name"] == "local.small"
    meet(cm)


def test_another_flavor_makes_the_workers_anew_when_it_may(cm: Cm, user: Connection) -> None:
    before = {one.name: one.id for one in user.compute.servers() if one.name.startswith("ch-")}

    said = cm.run("cluster", "update", "ch", "--flavor=local.medium", "--allow-replace").stderr

    now = {one.name: one for one in user.compute.servers() if one.name.startswith("ch-")}
    anew = [name for name, server in now.items() if server.id != before[name]]
    assert anew == [f"ch-{one}" for one in workers(cm)]
    assert f"{anew[0]} was made anew" in said
    assert now[anew[0]].flavor["original_name"] == "local.medium"
    meet(cm)
