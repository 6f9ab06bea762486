"""``cm cluster update``, ``repair``, and ``create`` of what is half made: words to a change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cloudmesh_cluster import products, render
from cloudmesh_cluster.model.access import Access
from cloudmesh_cluster.model.cluster import (
    MASTER,
    ROLES,
    WORKER,
    Resource,
    Stack,
    StackRequest,
)
from cloudmesh_cluster.model.errors import ClusterError, NameTaken, UsageError
from cloudmesh_cluster.model.keys import KeyPair
from cloudmesh_cluster.model.names import folded, unfolded
from cloudmesh_cluster.model.plan import Plan, free_numbers, grown, number, without
from cloudmesh_cluster.model.spec import (
    DEFAULT_PRODUCT,
    DEFAULT_TIMEOUT,
    Spec,
    assignments,
    checked_share,
    checked_timeout,
    checked_workers,
    share,
    spec_file,
)
from cloudmesh_cluster.shell import answers, files, finding
from cloudmesh_cluster.shell.environment import Cloud, Environment
from cloudmesh_cluster.steps import alter, apply, choose, create, health, layout, preflight
from cloudmesh_cluster.steps import nodes as of_stack
from cloudmesh_cluster.steps import order as ordered
from cloudmesh_cluster.steps.alter import Altered, AlterFailed, Goal, Order
from cloudmesh_cluster.steps.order import Asked
from cloudmesh_cluster.steps.verify import verdicts

Arguments = Mapping[str, Any]
MADE_WITH = {"image": ROLES, "flavor": (WORKER,)}  # whose servers these parameters are for


@dataclass(frozen=True)
class Found:
    """A cluster that is to be changed, as cloud and workspace know it."""

    name: str
    cloud: Cloud
    stack: Stack
    resources: tuple[Resource, ...]
    plan: Plan
    told: Mapping[str, Any]
    known: Access

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the workers that it was last said to have."""
        return tuple(self.told.get("numbers") or (number(one) for one in self.plan.workers))


def found(name: str, environment: Environment) -> Found:
    """The cluster of that name; ClusterError when this machine has no key for it."""
    cloud, stack = finding.of_cloud(name, environment)
    workspace = environment.workspace(name)
    told = workspace.order()
    if workspace.keypair() is None or not told:
        raise finding.no_key(name, environment)
    if stack.status.startswith("DELETE"):
        raise ClusterError(
            f"{name} is being deleted ({stack.status})",
            f"See it to its end: cm cluster delete {name}",
        )
    resources = cloud.heat.resources(stack.id)
    plan = layout.plan_of(name, stack.id, cloud.heat)
    access = workspace.access() or Access((), through_master=plan.floating)
    return Found(name, cloud, stack, resources, plan, told, access)


@dataclass(frozen=True)
class Change:
    """A change that was made, and of a cluster on which cloud."""

    order: Order
    cloud: str
    altered: Altered
    missing: tuple[str, ...] = ()  # workers that failed, of which there need not be so many

    @property
    def told(self) -> str:
        """What was done, in a sentence."""
        order = self.order
        anew = [one for one in order.whole.plan.names if one in order.anew]
        parts = [
            f"{folded(names)} {what}"
            for names, what in (
                (order.added, "joined"),
                (order.removed, "left"),
                (anew, "were made anew" if len(anew) > 1 else "was made anew"),
                (self.missing, "failed and is missing"),
            )
            if names
        ]
        done = "; ".join(parts) or "its nodes have what they should"
        workers = len(order.after.plan.workers)
        count = f"{workers} worker" + ("s" if workers != 1 else "")
        return f"{order.name} has {count} after {self.altered.seconds:.0f} s: {done}."


# ---- update --------------------------------------------------------------------------------------


def updated(
    name: str,
    spec: Spec,
    remove: str | None,
    environment: Environment,
    *,
    allow_replace: bool = False,
) -> Change | None:
    """Grow, shrink or change a cluster that runs; None when there is nothing to do.

    Raises UsageError for what would make nodes anew and may not, DoesNotFit, and AlterFailed when
    the cluster is what it was.
    """
    cluster = _settled(found(name, environment))
    order = _update(cluster, spec, remove, environment)
    replaced = [str(one["node"]) for one in _fates(cluster, order) if one["fate"] == "REPLACE"]
    if replaced and not allow_replace:
        raise UsageError(
            f"{folded(replaced)} would be made anew, with all that is on them lost",
            f"Look at it: cm cluster update {name} ... --dry-run. "
            "To have it so: add --allow-replace.",
        )
    preflight.insist_growth(name, len(order.added), cluster.stack.parameters, cluster.cloud.compute)
    order = replace(order, anew=frozenset(replaced))
    changes = order.added or order.removed or order.reshaped
    if not changes and _nothing_to_do(cluster, order.after, environment):
        return None
    least = share(spec.min_ready, len(order.after.plan.workers)) if spec.min_ready else 0
    try:
        quorum = 1 + least if least else 0
        return _altered(cluster, replace(order, quorum=quorum), environment)
    except AlterFailed as error:
        failed = tuple(one for one in error.nodes if one in order.added)
        staying = len(order.after.plan.workers) - len(failed)
        if not least or staying < least or set(error.nodes) != set(failed):
            raise
        environment.progress.note(f"{error.problem}\n{staying} workers are enough: once more")
    return _with_the_others(name, order, failed, spec, environment)


def _with_the_others(
    name: str, order: Order, failed: Sequence[str], spec: Spec, environment: Environment
) -> Change:
    """The same change again, without the workers that failed."""
    cluster = found(name, environment)
    coming = [one for one in order.added if one not in failed]
    whole = grown(cluster.plan, layout.numbers(coming))
    after = without(whole, order.removed)
    changed = _changed(cluster, spec)
    again = _order(cluster, environment, whole, after, spec.values, spec.timeout, changed)
    return replace(_altered(cluster, again, environment), missing=tuple(failed))


def forecast(
    name: str, spec: Spec, remove: str | None, environment: Environment
) -> list[answers.Row]:
    """What such an update would do to each node: ``keep``, ``REPLACE``, ``add`` or ``remove``."""
    cluster = found(name, environment)
    return _fates(cluster, _update(cluster, spec, remove, environment))


def _update(cluster: Found, spec: Spec, remove: str | None, environment: Environment) -> Order:
    whole, after = _plans(cluster, spec.workers, remove)
    changed = _changed(cluster, spec)
    return _order(cluster, environment, whole, after, spec.values, spec.timeout, changed)


def _settled(cluster: Found) -> Found:
    """The cluster, if its last create or update ended well; its plan is then what runs."""
    if set(cluster.numbers) == {number(one) for one in cluster.plan.workers}:
        return cluster
    raise ClusterError(
        f"the last change of {cluster.name} was cut off ({cluster.stack.status})",
        f"See it to its end first: cm cluster create {cluster.name}",
    )


def spec(arguments: Arguments) -> Spec:
    """The options as a spec, over the spec file."""
    workers, timeout = arguments["--workers"], arguments["--timeout"]
    least = arguments["--min-ready"]
    options = Spec(
        workers=checked_workers(workers) if workers is not None else None,
        image=arguments["--image"],
        flavor=arguments["--flavor"],
        timeout=checked_timeout(timeout) if timeout is not None else None,
        min_ready=checked_share(least) if least is not None else None,
        values=assignments(arguments["--set"]),
    )
    return over_file(options, arguments["--file"])


def over_file(options: Spec, file: str | None) -> Spec:
    """The options over what a spec file says."""
    return options.over(spec_file(files.text(file), file).spec) if file else options


def _plans(cluster: Found, workers: int | None, remove: str | None) -> tuple[Plan, Plan]:
    """The plan with what comes, and the one after what leaves has left."""
    plan = cluster.plan
    leaving = _leaving(cluster, remove)
    staying = [one for one in plan.workers if one.name not in leaving]
    missing = (workers if workers is not None else len(staying)) - len(staying)
    whole = grown(plan, free_numbers(plan, missing)) if missing > 0 else plan
    if missing < 0:
        leaving += [one.name for one in staying[missing:]]
    after = without(whole, leaving)
    if not after.workers:
        raise UsageError(
            f"{cluster.name} would have no worker left",
            f"A cluster has one at least; to end it: cm cluster delete {cluster.name}",
        )
    return whole, after


def _leaving(cluster: Found, remove: str | None) -> list[str]:
    """The names of the workers that --remove names."""
    if not remove:
        return []
    names = [one.name for one in cluster.plan.workers]
    words = unfolded(remove)
    found = [finding.node_name(word, cluster.name, cluster.plan.names) for word in words]
    if masters := [one for one in found if one not in names]:
        raise UsageError(
            f"{masters[0]} cannot be removed: only workers can leave",
            f"To make it anew: cm cluster repair {cluster.name} master",
        )
    return list(dict.fromkeys(found))


def _changed(cluster: Found, spec: Spec) -> dict[str, str]:
    """The stack's parameters that are to have other values, which makes nodes anew.

    Raises NotFound, listing what there is.
    """
    compute, now = cluster.cloud.compute, cluster.stack.parameters
    asked = {}
    if spec.image:
        asked["image"] = choose.found(spec.image, compute.images(), "image").id
    if spec.flavor:
        asked["flavor"] = choose.found(spec.flavor, compute.flavors(), "flavor").name
    return {name: value for name, value in asked.items() if value != now.get(name)}


def _fates(cluster: Found, order: Order) -> list[answers.Row]:
    """What each node will suffer: ``keep``, ``REPLACE``, ``add`` or ``remove``.

    Heat's preview takes for new every value that is made of other resources, so it has all servers
    replaced; only those are whose role another image or flavor is for.
    """
    plan = order.after.plan
    fates = dict.fromkeys(plan.names, "keep")
    if order.reshaped:
        told = cluster.cloud.heat.preview(cluster.stack.id, order.request(order.whole.plan, False))
        roles = {role for name in order.changed for role in MADE_WITH[name]}
        fates |= {
            node.name: "REPLACE"
            for node in plan.nodes
            if node.role in roles and told.get(node.name) == "replaced"
        }
    fates |= dict.fromkeys(order.added, "add") | dict.fromkeys(order.removed, "remove")
    return [answers.change(name, fate) for name, fate in fates.items()]


# ---- create, again -------------------------------------------------------------------------------


def resumed(wanted: Asked, environment: Environment, *, keep: bool = False) -> Change | None:
    """Go on with a cluster that is half made; None for one that is whole.

    Raises NameTaken when it is not what is asked for now, and AlterFailed.
    """
    cluster = found(wanted.name, environment)
    _refuse_other(wanted, cluster)
    has = {number(one) for one in cluster.plan.workers}
    whole = grown(cluster.plan, [one for one in cluster.numbers if one not in has])
    leaving = [one.name for one in whole.workers if number(one) not in cluster.numbers]
    after = without(whole, leaving)
    cluster = replace(
        cluster, stack=alter.quiet(cluster.stack, outside(cluster.name, cluster.cloud, environment))
    )
    order = _order(cluster, environment, whole, after, {}, wanted.spec.timeout, {})
    order = replace(
        order,
        unready=not cluster.told.get("ready"),
        keep=keep,
        reshaped=cluster.stack.status not in alter.MADE or _gone(cluster),
    )
    if (
        not (order.added or order.removed or order.reshaped)
        and cluster.told.get("ready")
        and _nothing_to_do(cluster, order.after, environment)
    ):
        return None
    environment.progress.note(f"{cluster.name} is there ({cluster.stack.status}): going on with it")
    if wanted.given.expires:
        environment.progress.note("--expires is left out: it holds from a cluster's first create")
    return _altered(cluster, order, environment)


def without_failed(
    name: str, failed: Sequence[str], needed: int, minutes: int, environment: Environment
) -> Change | None:
    """The cluster without the workers that failed; None if too few nodes would stay."""
    cluster = found(name, environment)
    plan = cluster.plan
    after = without(plan, failed)
    if plan.master.name in failed or not after.workers or len(after.nodes) < needed:
        return None
    environment.progress.note(
        f"going on without {folded(failed)}: {len(after.workers)} of {len(plan.workers)} workers "
        "are enough"
    )
    order = _order(cluster, environment, after, after, {}, minutes, {})
    order = replace(order, before=order.after, reshaped=True, unready=True, keep=True)
    return _altered(cluster, order, environment)


def _refuse_other(wanted: Asked, cluster: Found) -> None:
    """Raise NameTaken when what is asked for is not the cluster that is there."""
    name, workers = cluster.name, len(cluster.numbers)
    if wanted.given.product not in (None, cluster.told.get("product")):
        raise NameTaken(
            f"there is a cluster {name} already, of product {cluster.told.get('product')}",
            f"Delete it first: cm cluster delete {name}",
        )
    if wanted.given.workers not in (None, workers):
        count = f"{workers} worker" + ("s" if workers != 1 else "")
        raise NameTaken(
            f"there is a cluster {name} already, with {count}",
            f"To change it: cm cluster update {name} --workers={wanted.given.workers}",
        )


def _gone(cluster: Found) -> bool:
    """Whether Nova no longer has a server that Heat believes in."""
    ids = set(of_stack.server_ids(cluster.resources).values())
    return len(cluster.cloud.compute.servers(ids)) < len(ids)


def _nothing_to_do(cluster: Found, goal: Goal, environment: Environment) -> bool:
    """Whether all nodes are as the goal has them; the checks are run for that, too."""
    nodes = of_stack.nodes(cluster.stack, cluster.resources)
    access = cluster.known
    if len(access.targets) != len(nodes) or {one.name for one in nodes} != set(goal.plan.names):
        return False
    workspace = environment.workspace(cluster.name)
    with environment.fleet(workspace, access) as fleet:
        if apply.unsettled(access, goal.scripts, fleet):
            return False
        found = verdicts(
            {role: access.of(role) for role in ROLES},
            goal.checks,
            fleet,
            environment.clock,
            environment.progress,
        )
    environment.progress.close()
    create.insist(found)
    environment.progress.note(
        f"{cluster.name} is as it was asked for, {len(found)} of {len(found)} checks passed: "
        "nothing to do"
    )
    return True


# ---- repair --------------------------------------------------------------------------------------


def repaired(name: str, words: Sequence[str], environment: Environment) -> Change | None:
    """Have Heat make anew the nodes that are broken, or those that are named; None without any.

    Raises ClusterError when the master is broken and was not named, and AlterFailed.
    """
    cluster = found(name, environment)
    named = [
        finding.node_name(word, name, cluster.plan.names)
        for given in words
        for word in unfolded(given)
    ]
    cluster = replace(
        cluster, stack=alter.quiet(cluster.stack, outside(cluster.name, cluster.cloud, environment))
    )
    plan = cluster.plan
    order = _order(cluster, environment, plan, plan, {}, None, {})
    nodes = of_stack.nodes(cluster.stack, cluster.resources)
    ill = dict.fromkeys(named, "named") or health.ill(
        plan,
        nodes,
        cluster.resources,
        cluster.known,
        order.after.checks,
        outside(cluster.name, cluster.cloud, environment),
    )
    environment.progress.close()
    for one, why in ill.items():
        environment.progress.note(f"{one}: {why}")
    master = plan.master.name
    if master in ill and master not in named:
        raise ClusterError(
            f"the master of {cluster.name} is broken: {ill[master]}",
            "What the product keeps there would be lost with it. "
            f"To make it anew all the same: cm cluster repair {cluster.name} {MASTER}",
        )
    order = replace(
        order, anew=frozenset(ill), reshaped=bool(ill) or cluster.stack.status not in alter.MADE
    )
    if not order.reshaped and _nothing_to_do(cluster, order.after, environment):
        return None
    return _altered(cluster, order, environment)


# ---- what they share -----------------------------------------------------------------------------


def _order(
    cluster: Found,
    environment: Environment,
    whole: Plan,
    after: Plan,
    chosen: Mapping[str, str],
    timeout: int | None,
    changed: Mapping[str, str],
) -> Order:
    """The change from what the cluster is to the plan; with what of the product is chosen anew."""
    minutes = timeout or DEFAULT_TIMEOUT
    workspace = environment.workspace(cluster.name)
    name = cluster.name
    keys = [environment.keypair(f"cm-{name}-{one}") for one in ("nodes", "nodes", "ca")]
    product = products.product(
        str(cluster.told.get("product", DEFAULT_PRODUCT)),
        products.folders(environment.products_folder),
    )
    old = ordered.again(cluster.told, product, cluster.plan, workspace.applied)
    new = ordered.again(cluster.told, product, whole, workspace.script, chosen)
    last = ordered.again(cluster.told, product, after, workspace.script, chosen)
    return Order(
        name=name,
        stack_id=cluster.stack.id,
        before=old.goal,
        whole=new.goal,
        after=last.goal,
        known=cluster.known,
        request=_requests(
            keys, minutes, changed, {name: cluster.stack.parameters[name] for name in changed}
        ),
        drain=last.drain,
        node_keypair=keys[1],
        timeout_mins=minutes,
        carried=last.carried,
        changed=frozenset(changed),
        reshaped=bool(changed),
    )


def _requests(
    keys: Sequence[KeyPair], minutes: int, changed: Mapping[str, str], was: Mapping[str, str]
) -> Callable[[Plan, bool], StackRequest]:
    def request(plan: Plan, back: bool) -> StackRequest:
        return render.update_request(
            plan,
            nodes=keys[0],
            ca=keys[2],
            timeout_mins=minutes,
            changed=was if back else changed,
        )

    return request


def outside(name: str, cloud: Cloud, environment: Environment) -> create.Outside:
    """The doors through which a cluster is made or changed."""
    workspace = environment.workspace(name)
    return create.Outside(
        heat=cloud.heat,
        compute=cloud.compute,
        workspace=workspace,
        connects=lambda access: environment.fleet(workspace, access),
        clock=environment.clock,
        progress=environment.progress,
    )


def _altered(cluster: Found, order: Order, environment: Environment) -> Change:
    altered = alter.altered(order, outside(cluster.name, cluster.cloud, environment))
    environment.progress.close()
    return Change(order, cluster.cloud.name, altered)
