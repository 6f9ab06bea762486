"""950 nodes in one root stack, 1500 in two, and 200 nodes of ours beside 200 in one flat stack.

Real Heat of an embedded cloud of this program's own, with Heat's own limits; our own code renders,
asks, follows and deletes. Servers are ``OS::Heat::None``, so what is measured is Heat and us, not
Nova. Each cluster has a client process of its own, whose time and memory are told.

The flat stack is the one that one would write: so many servers and nothing else. Beside it stands
what our own template would come to without shards.

    python benchmarks/scale.py
    BENCH_NODES=950 BENCH_SPLIT=1500 BENCH_COMPARED=200 python benchmarks/scale.py
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from cloudmesh_cluster import render
from cloudmesh_cluster.model.cluster import ROLES, Event, StackRequest
from cloudmesh_cluster.model.plan import SHARD_SIZE, Plan, planned, root_name
from cloudmesh_cluster.shell.environment import Environment
from cloudmesh_cluster.steps import delete, follow
from cloudmesh_cluster.steps.wait import SystemClock

ROOT = Path(__file__).resolve().parent.parent
NODES = int(os.environ.get("BENCH_NODES", "950"))
SPLIT = int(os.environ.get("BENCH_SPLIT", "1500"))  # more than one root stack takes
COMPARED = int(os.environ.get("BENCH_COMPARED", "200"))
REGISTRY = {"resource_registry": {"OS::Nova::Server": "OS::Heat::None"}}
TIMEOUT_MINS = 60
PLAIN = 0  # in place of a size of shards: a template of servers alone
MOST_RENDERED, MOST_OWN, MOST_MEMORY, LEAST_RATIO = 1.0, 10.0, 200.0, 5.0


@dataclass(frozen=True)
class Measured:
    """What one cluster took; seconds, and MB."""

    nodes: int
    resources: int
    rendered: float
    complete: float  # from the request until Heat says that the stack is made
    own: float  # all other time, until our process knows it, from its start
    cpu: float
    memory: float
    events: int
    expected_events: int
    deleted: float


def main() -> int:
    """Print what was measured; 1 when something is not within what is promised."""
    from cloudmesh_cluster.local import cloud

    software = cloud.Home.from_environment(os.environ).software
    home = cloud.Home(state=ROOT / "build" / "bench-cloud", software=software)
    say = partial(print, file=sys.stderr)
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.default_int_handler)  # whoever ends it: its cloud goes down
    try:
        cloud.up(home, say)
        environ = {**os.environ, **cloud.exports(home)}
        large = measured(NODES, SHARD_SIZE, environ)
        split = measured(SPLIT, SHARD_SIZE, environ)
        shards = measured(COMPARED, SHARD_SIZE, environ)
        flat = measured(COMPARED, PLAIN, environ)
        unsharded = measured(COMPARED, COMPARED, environ)
    finally:
        cloud.down(home, say, purge=True)
    told(f"{NODES} nodes in shards", large)
    told(f"{SPLIT} in root stacks", split)
    told(f"{COMPARED} in shards", shards)
    told(f"{COMPARED} flat", flat)
    told(f"{COMPARED} without shards", unsharded)
    kept = [
        promise("rendered, s", large.rendered, MOST_RENDERED),
        promise("our own time, s", large.own, MOST_OWN),
        promise("our memory, MB", large.memory, MOST_MEMORY),
        promise("events that are lost", large.expected_events - large.events, 0),
        promise(f"the same, {SPLIT} nodes", split.expected_events - split.events, 0),
        promise("ours to flat, times", -flat.complete / shards.complete, -LEAST_RATIO),
    ]
    return 0 if all(kept) else 1


def told(title: str, one: Measured) -> None:
    """Print one cluster's line."""
    print(
        f"{title:20} resources {one.resources:4}  rendered {one.rendered:5.2f} s  complete "
        f"{one.complete:6.1f} s  own {one.own:5.1f} s (CPU {one.cpu:4.1f} s)  memory "
        f"{one.memory:4.0f} MB  events {one.events}/{one.expected_events}  deleted "
        f"{one.deleted:5.1f} s",
        flush=True,
    )


def promise(what: str, value: float, most: float) -> bool:
    """Print whether a promise is kept; below zero stands for at least."""
    words = f"at least {-most:g}" if most < 0 else f"at most {most:g}"
    kept = value <= most
    print(f"  {what:24}{abs(value):8.2f}   {words}: {'ok' if kept else 'NOT within'}")
    return kept


def measured(nodes: int, shard_size: int, environ: dict[str, str]) -> Measured:
    """What a client process of its own finds; without a size of shards, a plain template."""
    words = [sys.executable, __file__, "--client", nodes, shard_size, time.time()]
    done = subprocess.run(
        list(map(str, words)), env=environ, stdout=subprocess.PIPE, text=True, check=True
    )
    return Measured(**json.loads(done.stdout))


# --- the client ----------------------------------------------------------------------------------


class Quiet:
    """Progress that nobody looks at."""

    def stage(self, name: str, done: int = 0, total: int = 0) -> None:
        """Nothing."""

    def note(self, line: str) -> None:
        """What went wrong."""
        print(line, file=sys.stderr)


def client(nodes: int, shard_size: int, began: float) -> Measured:
    """Make a cluster without servers, as create does, and delete it; ``began`` is when we did."""
    environment = Environment.from_system()
    cloud = environment.cloud(os.environ["OS_CLOUD"])
    plan = planned("scale", product="plain", workers=nodes - 1, makes_network=False,
                   floating=False, shard_size=shard_size or nodes)  # fmt: skip
    before = time.monotonic()
    request = render.stack_request(plan, ingredients(environment))
    rendered = time.monotonic() - before
    if shard_size == PLAIN:
        request = plain(plan, request)
    resources = sum(map(counted, (request, *request.further)))
    # What cm cannot be asked for: servers that are none.
    door: Any = cloud.heat._door
    stacks = door._client.stacks
    stacks.create = partial(stacks.create, environment=REGISTRY)

    asked = time.time()
    clock = SystemClock()
    seen = follow.Seen(cloud.heat.create(request))
    connects: Any = None  # there is no node to connect to
    watch = follow.Watch(cloud.heat, cloud.compute, connects, clock, Quiet(),
                         clock.now() + TIMEOUT_MINS * 60)  # fmt: skip
    try:
        follow.stack_made(watch, seen, nodes)
    except follow.StackFailed:
        # It ends so: what is no server has no address.
        if seen.stack is None or seen.stack.status != "CREATE_COMPLETE":
            raise
    known = time.time()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    events = cloud.heat.events(seen.stack_id)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    complete = moment(events, plan) - asked
    before = time.monotonic()
    delete.deleted(seen.stack_id, delete.Outside(cloud.heat, cloud.compute, clock, Quiet()))
    return Measured(
        nodes=len(plan.nodes),
        resources=resources,
        rendered=rendered,
        complete=complete,
        own=known - began - complete,
        cpu=usage.ru_utime + usage.ru_stime,
        memory=memory,
        events=len({one.id for one in events}),
        # Begun and done: each resource, and each stack.
        expected_events=2 * (resources + 1 + len(plan.further) + len(plan.shards)),
        deleted=time.monotonic() - before,
    )


def counted(request: StackRequest) -> int:
    """The resources of a tree of stacks."""
    nested = [text for name, text in request.files.items() if name.endswith(".yaml")]
    return sum(len(yaml.safe_load(text)["resources"]) for text in (request.template, *nested))


def plain(plan: Plan, request: StackRequest) -> StackRequest:
    """A template with the same servers, and nothing else."""
    properties = {"image": "debian-12", "flavor": "local.tiny", "networks": [{"network": "local"}],
                  "user_data_format": "RAW", "user_data": "#!/bin/sh"}  # fmt: skip
    servers = {
        node.name: {"type": "OS::Nova::Server", "properties": {"name": node.name, **properties}}
        for node in plan.nodes
    }
    template = {"heat_template_version": "2018-08-31", "resources": servers}
    return replace(request, template=json.dumps(template), files={}, parameters={})


def ingredients(environment: Environment) -> render.Ingredients:
    """What every cluster has; there is no script."""
    return render.Ingredients(
        image="debian-12",
        flavor="local.tiny",
        master_flavor="local.tiny",
        network="local",
        external_network=None,
        public_key=environment.keypair("scale").public,
        nodes=environment.keypair("scale"),
        ca=environment.keypair("scale"),
        scripts={role: render.Scripts() for role in ROLES},
        timeout_mins=TIMEOUT_MINS,
    )


def moment(events: tuple[Event, ...], plan: Plan) -> float:
    """When Heat said that the last root stack is made, in whole seconds since 1970."""
    roots = {root_name(plan.cluster, number) for number in (1, *plan.further)}
    done = max(
        one.time for one in events if one.resource in roots and one.status == "CREATE_COMPLETE"
    )
    return datetime.fromisoformat(done.rstrip("Z")).replace(tzinfo=timezone.utc).timestamp()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        _, nodes, shard_size, began = sys.argv[1:]
        print(json.dumps(asdict(client(int(nodes), int(shard_size), float(began)))))
    else:
        sys.exit(main())
