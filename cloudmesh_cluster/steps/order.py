"""From what was asked to what is sent to Heat, with all that a create needs beside it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloudmesh_cluster import render
from cloudmesh_cluster.model.checks import Check, checks, read_checks
from cloudmesh_cluster.model.cluster import ROLES, StackRequest
from cloudmesh_cluster.model.demand import Needs
from cloudmesh_cluster.model.errors import UsageError
from cloudmesh_cluster.model.keys import Keys
from cloudmesh_cluster.model.marks import expiry_tag
from cloudmesh_cluster.model.plan import ROOT_SIZE, SHARD_SIZE, Plan, number, planned
from cloudmesh_cluster.model.spec import (
    DEFAULT_PRODUCT,
    DEFAULT_TIMEOUT,
    DEFAULT_WORKERS,
    Spec,
    SpecFile,
    share,
)
from cloudmesh_cluster.model.variables import text as as_text
from cloudmesh_cluster.products import Product, rendered
from cloudmesh_cluster.steps.alter import Goal
from cloudmesh_cluster.steps.choose import Choice
from cloudmesh_cluster.steps.create import Order

Source = tuple[str, str]  # where expectations are from, and their YAML text


@dataclass(frozen=True)
class Asked:
    """What the user asked, options over spec file over product, all that needs no cloud."""

    name: str
    spec: Spec
    product: Product
    values: Mapping[str, object]
    checks: tuple[Check, ...]
    sources: tuple[Source, ...]
    scripts: Mapping[str, render.Scripts]
    user_key: str = ""
    given: Spec = field(default_factory=Spec)  # what the user said, without the product's defaults
    carried: Mapping[str, Path] = field(default_factory=dict)

    @property
    def workers(self) -> int:
        """How many workers."""
        return self.spec.workers or DEFAULT_WORKERS

    @property
    def timeout(self) -> int:
        """Minutes that the create may take."""
        return self.spec.timeout or DEFAULT_TIMEOUT


def asked(
    name: str,
    *,
    options: Spec,
    file: SpecFile | None,
    expectations: Sequence[Source],
    product_named: Callable[[str], Product],
    script: Callable[[str], bytes | None],
    user_key: Callable[[str], str],
    numbers: Sequence[int] = (),
) -> Asked:
    """What the user asked for, put together; UsageError tells every problem of the expectations.

    ``numbers`` are the workers' where they are not simply counted.
    """
    spec = options.over(file.spec) if file else options
    given = spec
    product = product_named(spec.product or DEFAULT_PRODUCT)
    spec = spec.over(product.defaults)
    chosen = product.values(spec.values)
    values = values_of(name, numbers or range(1, (spec.workers or DEFAULT_WORKERS) + 1), chosen)
    found, sources = _expectations(file, expectations, product, values)
    return Asked(
        name=name,
        spec=spec,
        product=product,
        values=values,
        checks=found,
        sources=sources,
        scripts={
            role: render.Scripts(product.script(role, values).encode(), script(role) or b"")
            for role in ROLES
        },
        user_key=user_key(spec.key) if spec.key else "",
        given=given,
        carried=_readable(product.carried(chosen)),
    )


def _readable(carried: Mapping[str, Path]) -> Mapping[str, Path]:
    """The files as they are; UsageError names those that cannot be carried."""
    missing = [str(path) for path in carried.values() if not path.is_file()]
    if missing:
        raise UsageError(
            f"there is no file {' and no file '.join(missing)}",
            "Give a file of this machine, or a URL with its https://.",
        )
    return carried


def values_of(name: str, numbers: Sequence[int], chosen: Mapping[str, object]) -> dict[str, object]:
    """What ``{{ }}`` can name in expectations and in a product's scripts; workers by number."""
    return {
        **chosen,
        "cluster": name,
        "workers": len(numbers),
        "nodes": len(numbers) + 1,
        "master": f"{name}-master",
        "worker_names": [f"{name}-worker{number}" for number in numbers],
    }


def checks_of(sources: Sequence[Source], values: Mapping[str, object]) -> tuple[Check, ...]:
    """The checks of all these texts; UsageError tells every problem of every text."""
    found: list[Check] = []
    problems: list[str] = []
    for source, text in sources:
        try:
            found += checks(text, source=source, fill=filler(values))
        except UsageError as error:
            problems.append(error.problem)
    if problems:
        raise UsageError("\n".join(problems))
    return tuple(found)


def filler(values: Mapping[str, object]) -> Callable[[str], str]:
    """What fills in ``{{ workers }}``; it raises ValueError where a value is unknown."""

    def fill(text: str) -> str:
        if "{" not in text:
            return text
        try:
            return rendered(text, values, "value")
        except UsageError as error:
            words = error.problem.removeprefix("value: ")
            raise ValueError(f"{words} ({{{{ }}}}, {{% %}} and {{# #}} are Jinja2's)") from error

    return fill


def _expectations(
    file: SpecFile | None,
    given: Sequence[Source],
    product: Product,
    values: Mapping[str, object],
) -> tuple[tuple[Check, ...], tuple[Source, ...]]:
    problems: list[str] = []
    own: tuple[Check, ...] = ()
    sources: list[Source] = []
    if told := product.expectations():
        sources.append((told[1], told[0]))
    if file and file.expect is not None:
        own, wrong = read_checks(file.expect, source=file.source, fill=filler(values))
        problems += wrong
        sources.append((file.source, file.expect_text))
    try:
        others = checks_of([*sources[: 1 if told else 0], *given], values)
    except UsageError as error:
        raise UsageError("\n".join([*problems, error.problem])) from error
    if problems:
        raise UsageError("\n".join(problems))
    return (*others, *own), (*sources, *given)


def order(
    wanted: Asked,
    choice: Choice,
    *,
    keys: Keys,
    cloud: str,
    project: str = "",
    dns_servers: Sequence[str] = (),
    keep: bool = False,
    one_file: bool = False,
    expires: int | None = None,
) -> Order:
    """The order that makes what was asked with what the cloud has; ``one_file`` has no shards.

    ``expires`` is in seconds since 1970. Raises UsageError when the whole does not fit into one
    file.
    """
    if one_file and wanted.workers > ROOT_SIZE:
        raise UsageError(
            f"a template cannot hold more than {ROOT_SIZE} workers",
            "cm cluster create makes several stacks of more.",
        )
    plan = planned(
        wanted.name,
        product=wanted.product.name,
        workers=wanted.workers,
        makes_network=choice.makes_network,
        floating=choice.floating,
        shard_size=wanted.workers if one_file else SHARD_SIZE,
        root_size=ROOT_SIZE,
    )
    late = render.carried_by_client(plan, wanted.scripts)
    if one_file and (late or wanted.carried):
        raise UsageError(
            f"a template cannot hold {' and '.join(_burdens(late, wanted.carried))}",
            "cm cluster create carries that to the nodes over SSH.",
        )
    unique_tag = f"{render.TAG}-id={uuid.uuid4()}"
    request = render.stack_request(
        plan,
        render.Ingredients(
            image=choice.image,
            flavor=choice.flavor,
            master_flavor=choice.master_flavor,
            network=choice.network,
            external_network=choice.external_network,
            public_key=keys.client.public,
            nodes=keys.first,
            ca=keys.ca,
            scripts=wanted.scripts,
            user_key=wanted.user_key,
            ssh_from=wanted.spec.ssh_from,
            timeout_mins=wanted.timeout,
            dns_servers=tuple(dns_servers),
            extra_tags=(unique_tag, *([expiry_tag(expires)] if expires else ())),
        ),
    )
    return Order(
        request=request,
        unique_tag=unique_tag,
        servers=len(plan.nodes),
        wired_by_client=plan.wirer is None,
        needs=_needs(plan, choice, request),
        keypair=keys.client,
        node_keypair=keys.nodes,
        checks=wanted.checks,
        late_scripts=late,
        scripts=wanted.scripts,
        carried=wanted.carried,
        told={
            "name": wanted.name,
            "cloud": cloud,
            "project": project,
            "product": wanted.product.name,
            "workers": wanted.workers,
            "numbers": list(range(1, wanted.workers + 1)),
            "values": dict(wanted.product.values(wanted.spec.values)),
            "expect": [{"source": source, "text": text} for source, text in wanted.sources],
        },
        keep=keep,
        quorum=1 + share(wanted.spec.min_ready, wanted.workers) if wanted.spec.min_ready else 0,
    )


@dataclass(frozen=True)
class Again:
    """What a cluster that is there comes to with a plan, and what of it a change needs."""

    goal: Goal
    drain: Callable[[Sequence[str], bool], str]
    carried: Mapping[str, Path]


def again(
    told: Mapping[str, Any],
    product: Product,
    plan: Plan,
    script: Callable[[str], bytes | None],
    chosen: Mapping[str, str] | None = None,
) -> Again:
    """The cluster with that plan, as it was told once, with what of its product is chosen anew.

    Raises UsageError with every problem of values and expectations.
    """
    own = product.expectations()
    kept = [(one["source"], one["text"]) for one in told.get("expect", ())]
    numbers = [number(one) for one in plan.workers]
    values = {name: as_text(value) for name, value in told.get("values", {}).items()}
    wanted = asked(
        plan.cluster,
        options=Spec(
            product=product.name, workers=len(numbers), values={**values, **(chosen or {})}
        ),
        file=None,
        expectations=[one for one in kept if not (own and one[0] == own[1])],
        product_named=lambda _: product,
        script=script,
        user_key=str,
        numbers=numbers,
    )
    new = {
        "workers": len(numbers),
        "numbers": numbers,
        "values": dict(product.values(wanted.spec.values)),
    }

    def drain(leaving: Sequence[str], back: bool) -> str:
        staying = [one for one in plan.workers if one.name not in leaving]
        values = {**wanted.values, "workers": len(staying)}
        return product.drain({**values, "leaving": list(leaving), "back": back})

    goal = Goal(plan, wanted.scripts, wanted.checks, {**told, **new})
    return Again(goal, drain, wanted.carried)


def _needs(plan: Plan, choice: Choice, request: StackRequest) -> Needs | None:
    """What the order takes of the cloud that was asked; None when none was."""
    if choice.chosen is None:
        return None
    return Needs(plan=plan, chosen=choice.chosen, **vars(render.sizes(request)))


def _burdens(late: Mapping[str, bytes], carried: Mapping[str, Path]) -> list[str]:
    """What only a client can bring, in words."""
    scripts = [f"the script of the {role}, which is too large" for role in late]
    return [*scripts, *(f"the file {path}" for path in carried.values())]
