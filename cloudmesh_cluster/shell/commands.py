"""The verbs as commands: what was typed goes in, steps run, the answer is printed."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any

from cloudmesh_cluster.model.errors import ClusterError, ExitStatus, UsageError
from cloudmesh_cluster.model.names import folded
from cloudmesh_cluster.model.spec import DEFAULT_WORKERS
from cloudmesh_cluster.shell import answers, files, output
from cloudmesh_cluster.shell.environment import Environment

if TYPE_CHECKING:
    from cloudmesh_cluster.products import Product
    from cloudmesh_cluster.shell.altering import Change

Arguments = Mapping[str, Any]
Command = Callable[[Arguments, Environment], int]


def run(arguments: Arguments, environment: Environment) -> int:
    """Do what was asked; gives the exit status."""
    try:
        return COMMANDS[arguments["verb"]](arguments, environment)
    finally:
        environment.progress.close()


def _coded(command: Command) -> Command:
    """The command, whose failures end with their code."""

    @wraps(command)
    def told(arguments: Arguments, environment: Environment) -> int:
        try:
            return command(arguments, environment)
        except ClusterError as error:
            more = f"; more: {error.more}" if error.more else ""
            error.next_step = f"{error.next_step}\nCode: {error.code}{more}".lstrip()
            raise

    return told


# ---- making --------------------------------------------------------------------------------------


@_coded
def create(arguments: Arguments, environment: Environment) -> int:
    """Make a cluster, or print what would be sent to Heat."""
    from cloudmesh_cluster import api, render
    from cloudmesh_cluster.shell import ordering

    wanted = ordering.asked(arguments, environment)
    if arguments["--dry-run"]:
        environment.answer(render.shown(ordering.rehearsed(wanted, environment).request))
        return ExitStatus.DONE
    made = api.created(wanted, environment, keep=arguments["--keep"])
    if made.created is None:
        return _tell_change(made.change, arguments, environment)
    created = made.created
    answer = answers.created(wanted.name, made.cloud.name, wanted.product.name, created)
    environment.answer(answers.cluster(answer, arguments["--format"]))
    environment.progress.note(
        f"{wanted.name} is ready after {created.seconds:.0f} s. "
        f"Log in: cm cluster ssh {wanted.name}; test it again: cm cluster test {wanted.name}; "
        f"delete it: cm cluster delete {wanted.name}"
    )
    if created.missing:
        environment.progress.note(
            f"Without {folded(created.missing)}. To have as many workers as you asked for: "
            f"cm cluster update {wanted.name} --workers={wanted.workers}"
        )
    if wanted.product.pages_with(wanted.product.values(wanted.spec.values)):
        environment.progress.note(f"Reach its web pages: cm cluster tunnel {wanted.name}")
    return ExitStatus.DONE


def plan(arguments: Arguments, environment: Environment) -> int:
    """Tell what create would take of the cloud, or what update would do to each node."""
    from cloudmesh_cluster import api
    from cloudmesh_cluster.model.errors import NameTaken
    from cloudmesh_cluster.shell import altering, ordering
    from cloudmesh_cluster.steps import preflight

    wanted = ordering.asked(arguments, environment)
    cloud = environment.cloud(wanted.spec.cloud)
    taken = None
    try:
        if api.is_there(wanted.name, cloud):
            rows = altering.forecast(wanted.name, ordering.options(arguments), None, environment)
            environment.answer(output.answer(rows, answers.CHANGE, arguments["--format"]))
            return ExitStatus.DONE
    except NameTaken as error:
        taken = error
    needs = ordering.order(wanted, cloud, environment).needs
    assert needs is not None  # for the cloud was asked
    found = preflight.forecast(needs, cloud.compute, taken=taken)
    answer = answers.planned(cloud.name, needs, found)
    environment.answer(answers.forecast(answer, found, arguments["--format"]))
    return ExitStatus.FAILED if found.problems else ExitStatus.DONE


@_coded
def update(arguments: Arguments, environment: Environment) -> int:
    """Grow, shrink or change a cluster."""
    from cloudmesh_cluster.shell import altering

    name, spec = arguments["NAME"], altering.spec(arguments)
    remove = arguments["--remove"]
    if arguments["--dry-run"]:
        rows = altering.forecast(name, spec, remove, environment)
        environment.answer(output.answer(rows, answers.CHANGE, arguments["--format"]))
        return ExitStatus.DONE
    allow = arguments["--allow-replace"]
    change = altering.updated(name, spec, remove, environment, allow_replace=allow)
    return _tell_change(change, arguments, environment)


@_coded
def repair(arguments: Arguments, environment: Environment) -> int:
    """Make anew the nodes that are broken, or those that are named."""
    from cloudmesh_cluster.shell import altering

    change = altering.repaired(arguments["NAME"], arguments["NODE"], environment)
    return _tell_change(change, arguments, environment)


def _tell_change(change: Change | None, arguments: Arguments, environment: Environment) -> int:
    """Print the cluster that was changed; None is one of which nothing had to be."""
    if change is not None:
        answer = answers.altered(change.order, change.cloud, change.altered)
        environment.answer(answers.cluster(answer, arguments["--format"]))
        environment.progress.note(change.told)
    return ExitStatus.DONE


def template(arguments: Arguments, environment: Environment) -> int:
    """Print a template that ``openstack stack create -t`` makes the cluster of."""
    from cloudmesh_cluster import render
    from cloudmesh_cluster.shell import ordering

    wanted = ordering.asked(arguments, environment)
    cloud = environment.cloud(wanted.spec.cloud, new=True)
    order = ordering.order(wanted, cloud, environment, one_file=True)
    workspace = environment.workspace(wanted.name)
    workspace.save_keypair(order.keypair)
    workspace.save_order({**order.told, "template": True})  # for doctor: no stack need be there
    environment.answer(render.standalone(order.request))
    environment.progress.note(
        "This holds the private key of the nodes: keep it in a file that only you can read "
        f"(umask 077). Use it once, with the name {wanted.name}: "
        f"openstack stack create --wait --tags {render.TAG} -t FILE {wanted.name}"
    )
    return ExitStatus.DONE


def write(arguments: Arguments, environment: Environment) -> int:
    """Keep a role's script, or show the one that is kept."""
    from cloudmesh_cluster import api
    from cloudmesh_cluster.model.spec import checked_name

    name, role = checked_name(arguments["NAME"]), files.role(arguments["ROLE"])
    if arguments["--show"]:
        script = environment.workspace(name).script(role)
        if script is None:
            raise ClusterError(
                f"no script was written for the {role} role of {name}",
                f"Write one: cm cluster write {name} {role} FILE",
            )
        environment.answer(script.decode())
        return ExitStatus.DONE
    api.written(name, role, files.script(arguments["FILE"], environment), environment)
    return ExitStatus.DONE


# ---- asking --------------------------------------------------------------------------------------


def test(arguments: Arguments, environment: Environment) -> int:
    """Run the expectations, a command, or a script from stdin on the nodes."""
    from cloudmesh_cluster.shell import testing

    return testing.test(arguments, environment)


def listed(arguments: Arguments, environment: Environment) -> int:
    """Name the clusters that the cloud has."""
    from cloudmesh_cluster.model.errors import NoCloud
    from cloudmesh_cluster.render import TAG
    from cloudmesh_cluster.shell import finding

    try:
        cloud = environment.cloud(arguments["--cloud"])
        stacks = sorted(cloud.heat.stacks(tags=TAG), key=lambda stack: stack.name)
        servers = finding.states(cloud)
        rows = [answers.listed(stack, servers.get(stack.name)) for stack in stacks]
    except NoCloud as error:
        environment.progress.note(error.problem)
        rows = []
    environment.answer(answers.clusters(rows, arguments["--format"]))
    return ExitStatus.DONE


def show(arguments: Arguments, environment: Environment) -> int:
    """Tell one cluster."""
    from cloudmesh_cluster.shell import finding, login, reaching
    from cloudmesh_cluster.steps.power import OFF

    cluster = finding.cluster(arguments["NAME"], environment)
    answer = answers.shown(cluster, login.pages(cluster.name, cluster.product, environment))
    environment.answer(answers.cluster(answer, arguments["--format"]))
    if cluster.nodes and all(one.status == OFF for one in cluster.nodes):
        for line in str(reaching.stopped(cluster.name)).splitlines():
            environment.progress.note(line)
    return ExitStatus.DONE


def ssh(arguments: Arguments, environment: Environment) -> int:
    """Log in to a node, or run a command there; the exit status is ssh's."""
    from cloudmesh_cluster.shell import login

    return login.ssh(arguments, environment)


def tunnel(arguments: Arguments, environment: Environment) -> int:
    """Reach the product's web pages, which are closed to the outside."""
    from cloudmesh_cluster.shell import login

    return login.tunnel(arguments, environment)


def copy(arguments: Arguments, environment: Environment) -> int:
    """Copy files to nodes, or from them."""
    from cloudmesh_cluster.shell import copying

    return copying.copy(arguments, environment)


def inventory(arguments: Arguments, environment: Environment) -> int:
    """Print the nodes as another program reads them."""
    from cloudmesh_cluster.shell import looking

    return looking.inventory(arguments, environment)


def events(arguments: Arguments, environment: Environment) -> int:
    """Tell what Heat did for a cluster."""
    from cloudmesh_cluster.shell import looking

    return looking.events(arguments, environment)


def logs(arguments: Arguments, environment: Environment) -> int:
    """Print the nodes' logs or consoles."""
    from cloudmesh_cluster.shell import looking

    return looking.logs(arguments, environment)


def timeline(arguments: Arguments, environment: Environment) -> int:
    """Tell when each node reached each stage."""
    from cloudmesh_cluster.shell import timing

    return timing.timeline(arguments, environment)


def explain(arguments: Arguments, environment: Environment) -> int:
    """Tell why a create failed, or what is the matter with a cluster."""
    from cloudmesh_cluster.shell import explaining

    return explaining.explain(arguments, environment)


def products(arguments: Arguments, environment: Environment) -> int:
    """Name what can be installed, or tell one product."""
    from cloudmesh_cluster import products as known
    from cloudmesh_cluster.steps.order import checks_of, values_of

    places, format = known.folders(environment.products_folder), arguments["--format"]
    if arguments["NAME"]:
        one = known.product(arguments["NAME"], places)
        told = one.expectations()
        values = values_of("NAME", range(1, DEFAULT_WORKERS + 1), one.values({}))
        checks = checks_of([(told[1], told[0])], values) if told else ()
        environment.answer(answers.described(answers.product_whole(one, checks), format))
        return ExitStatus.DONE
    rows = [answers.product(one) for one in known.products(places).values()]
    environment.answer(output.answer(rows, answers.PRODUCT, format))
    return ExitStatus.DONE


# ---- off and on ----------------------------------------------------------------------------------


def stop(arguments: Arguments, environment: Environment) -> int:
    """Shut a cluster's servers down."""
    from cloudmesh_cluster.shell import power

    return power.stop(arguments, environment)


def start(arguments: Arguments, environment: Environment) -> int:
    """Start a cluster's servers again, and verify it."""
    from cloudmesh_cluster.shell import power

    return power.start(arguments, environment)


# ---- ending --------------------------------------------------------------------------------------


def delete(arguments: Arguments, environment: Environment) -> int:
    """Delete clusters; every name is tried, and the first trouble is told at the end."""
    from cloudmesh_cluster import api

    troubles: list[ClusterError] = []
    for name in dict.fromkeys(arguments["NAME"]):
        try:
            api.deleted(name, arguments["--cloud"], environment)
        except ClusterError as error:
            troubles.append(error)
            environment.progress.note(f"{name}: {error.problem}")
    if len(troubles) == 1 or len(arguments["NAME"]) == 1:
        for trouble in troubles:
            raise trouble
    if troubles:
        raise ClusterError(f"{len(troubles)} of {len(arguments['NAME'])} were not deleted")
    return ExitStatus.DONE


def doctor(arguments: Arguments, environment: Environment) -> int:
    """Tell what clusters that are no more have left, and remove it."""
    from cloudmesh_cluster.shell import doctoring

    return doctoring.doctor(arguments, environment)


# ---- the embedded cloud --------------------------------------------------------------------------


def cloud_up(arguments: Arguments, environment: Environment) -> int:
    """Start the embedded cloud."""
    from cloudmesh_cluster.local import cloud

    cloud.up(environment.embedded, environment.progress.note)
    environment.progress.note(
        'Use it: cm cluster create NAME, or eval "$(cm cloud env)"; openstack'
    )
    return ExitStatus.DONE


def cloud_down(arguments: Arguments, environment: Environment) -> int:
    """Stop the embedded cloud."""
    from cloudmesh_cluster.local import cloud

    cloud.down(environment.embedded, environment.progress.note, purge=arguments["--purge"])
    return ExitStatus.DONE


def cloud_status(arguments: Arguments, environment: Environment) -> int:
    """Tell how the embedded cloud's services do."""
    from cloudmesh_cluster.local import cloud

    rows = [answers.service(one) for one in cloud.status(environment.embedded)]
    environment.answer(output.answer(rows, answers.SERVICE, arguments["--format"]))
    return ExitStatus.DONE


def cloud_env(arguments: Arguments, environment: Environment) -> int:
    """Print what makes the openstack command find the embedded cloud."""
    from cloudmesh_cluster.local import cloud

    for name, value in cloud.exports(environment.embedded).items():
        environment.answer(f"export {name}={shlex.quote(value)}")
    return ExitStatus.DONE


def image_build(arguments: Arguments, environment: Environment) -> int:
    """Bake a product's packages into an image of the embedded cloud."""
    from cloudmesh_cluster import products
    from cloudmesh_cluster.local import baking, images

    places = products.folders(environment.products_folder)
    product = products.product(arguments["--product"], places)
    extra = _extra_packages(product, arguments["--set"])
    recipe = baking.recipe(product.name, product.packages, extra)
    images.build(environment.embedded, recipe, environment.progress.note)
    return ExitStatus.DONE


def _extra_packages(product: Product, words: Sequence[str]) -> list[str]:
    """The packages that --set adds; UsageError for what has no part in an image."""
    from cloudmesh_cluster.model.spec import assignments

    chosen = assignments(words)
    values = product.values(chosen)
    if others := [name for name in chosen if name != "packages"]:
        raise UsageError(
            f"image build: {', '.join(others)} cannot be baked, only packages can",
            "Give it to create.",
        )
    return str(values["packages"]).split()


def image_list(arguments: Arguments, environment: Environment) -> int:
    """Name the images of the embedded cloud."""
    from cloudmesh_cluster.local import images

    rows = [answers.image(one) for one in images.images(environment.embedded)]
    environment.answer(output.text(rows, answers.IMAGE, arguments["--format"]))
    return ExitStatus.DONE


def image_delete(arguments: Arguments, environment: Environment) -> int:
    """Delete a baked image."""
    from cloudmesh_cluster.local import images

    images.delete(environment.embedded, arguments["NAME"], environment.progress.note)
    return ExitStatus.DONE


# ---- the user's shell ----------------------------------------------------------------------------


def completion(arguments: Arguments, environment: Environment) -> int:
    """Print what the shell reads to complete words."""
    from cloudmesh_cluster.shell.completion import SCRIPTS

    environment.answer(SCRIPTS[arguments["verb"].split()[1]])
    return ExitStatus.DONE


COMMANDS: Mapping[str, Command] = {
    "cluster create": create,
    "cluster plan": plan,
    "cluster update": update,
    "cluster repair": repair,
    "cluster write": write,
    "cluster test": test,
    "cluster list": listed,
    "cluster show": show,
    "cluster ssh": ssh,
    "cluster tunnel": tunnel,
    "cluster copy": copy,
    "cluster inventory": inventory,
    "cluster events": events,
    "cluster logs": logs,
    "cluster explain": explain,
    "cluster stop": stop,
    "cluster start": start,
    "cluster timeline": timeline,
    "cluster template": template,
    "cluster products": products,
    "cluster delete": delete,
    "cluster doctor": doctor,
    "cloud up": cloud_up,
    "cloud down": cloud_down,
    "cloud status": cloud_status,
    "cloud env": cloud_env,
    "cloud image build": image_build,
    "cloud image list": image_list,
    "cloud image delete": image_delete,
    "completion bash": completion,
    "completion zsh": completion,
    "completion fish": completion,
}
