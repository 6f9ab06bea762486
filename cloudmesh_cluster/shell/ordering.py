"""From the words of create and template to an order."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from cloudmesh_cluster import products
from cloudmesh_cluster.model.keys import KeyPair, Keys
from cloudmesh_cluster.model.spec import (
    Spec,
    assignments,
    checked_expiry,
    checked_name,
    checked_network,
    checked_share,
    checked_timeout,
    checked_workers,
    spec_file,
)
from cloudmesh_cluster.shell import files
from cloudmesh_cluster.shell.environment import Cloud, Environment
from cloudmesh_cluster.steps import order as step
from cloudmesh_cluster.steps.choose import Choice, choice
from cloudmesh_cluster.steps.create import Order
from cloudmesh_cluster.steps.order import Asked

UNCHOSEN = "(chosen from the cloud)"


def asked(arguments: Mapping[str, Any], environment: Environment) -> Asked:
    """What the words ask for; every problem that needs no cloud is told here."""
    return wanted(
        arguments["NAME"],
        options(arguments),
        file=arguments["--file"],
        expect=arguments.get("--expect", []),
        environment=environment,
    )


def wanted(
    name: str, options: Spec, *, file: str | None, expect: Sequence[str], environment: Environment
) -> Asked:
    """What options and files ask for; every problem that needs no cloud is told here."""
    workspace = environment.workspace(checked_name(name))
    places = products.folders(environment.products_folder)
    return step.asked(
        name,
        options=options,
        file=spec_file(files.text(file), file) if file else None,
        expectations=[(one, files.text(one)) for one in expect],
        product_named=lambda product: products.product(product, places),
        script=workspace.script,
        user_key=lambda key: files.public_key(key, environment),
    )


def options(arguments: Mapping[str, Any]) -> Spec:
    """The options as a spec."""
    workers, timeout = arguments["--workers"], arguments.get("--timeout")
    life, ssh_from = arguments.get("--expires"), arguments["--ssh-from"]
    least = arguments.get("--min-ready")
    return Spec(
        product=arguments["--product"],
        workers=checked_workers(workers) if workers is not None else None,
        cloud=arguments["--cloud"],
        image=arguments["--image"],
        flavor=arguments["--flavor"],
        master_flavor=arguments["--master-flavor"],
        network=arguments["--network"],
        external_network=arguments["--external-network"],
        ssh_from=checked_network(ssh_from) if ssh_from is not None else None,
        key=arguments["--key"],
        timeout=checked_timeout(timeout) if timeout is not None else None,
        expires=checked_expiry(life) if life is not None else None,
        min_ready=checked_share(least) if least is not None else None,
        values=assignments(arguments["--set"]),
    )


def order(
    wanted: Asked,
    cloud: Cloud,
    environment: Environment,
    *,
    keep: bool = False,
    one_file: bool = False,
) -> Order:
    """The order, with what the cloud has for what was left open."""
    chosen = _choice(wanted, cloud)
    if chosen.baked:
        environment.progress.note(
            f"Image {chosen.baked}: {wanted.product.name}'s packages are in it."
        )
    return step.order(
        wanted,
        chosen,
        keys=Keys(
            client=environment.keypair(f"cm-{wanted.name}"),
            first=environment.keypair(f"cm-{wanted.name}-nodes"),
            nodes=environment.keypair(f"cm-{wanted.name}-nodes"),
            ca=environment.keypair(f"cm-{wanted.name}-ca"),
        ),
        cloud=cloud.name,
        project=cloud.compute.project,
        keep=keep,
        one_file=one_file,
        expires=int(time.time()) + wanted.spec.expires if wanted.spec.expires else None,
    )


def rehearsed(wanted: Asked, environment: Environment) -> Order:
    """The order of a dry run: no key is made, and a cloud is only asked if it is at hand."""
    cloud = environment.cloud_at_hand(wanted.spec.cloud)
    nothing = KeyPair("(made by create)", "(made by create)")
    return step.order(
        wanted,
        _choice(wanted, cloud) if cloud else _unchosen(wanted.spec),
        keys=Keys(nothing, nothing, nothing, nothing),
        cloud=cloud.name if cloud else UNCHOSEN,
    )


def _choice(wanted: Asked, cloud: Cloud) -> Choice:
    return choice(
        wanted.spec,
        cloud.compute,
        product=wanted.product.name,
        least_ram_mb=wanted.product.least_ram_mb,
        least_vcpus=wanted.product.least_vcpus,
    )


def _unchosen(spec: Spec) -> Choice:
    flavor = spec.flavor or UNCHOSEN
    own_network = bool(spec.external_network) and not spec.network
    return Choice(
        image=spec.image or UNCHOSEN,
        flavor=flavor,
        master_flavor=spec.master_flavor or flavor,
        network=None if own_network else spec.network or UNCHOSEN,
        external_network=spec.external_network,
    )
