"""From a plan to what Heat is sent: the HOT template, its files, the parameters.

Nothing here reads a cloud or writes a file; values of the user's travel as Heat parameters and
scripts as files, so no YAML is ever put together from them.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import jinja2
import yaml

from cloudmesh_cluster.model.cluster import ROLES, WORKER, StackRequest
from cloudmesh_cluster.model.demand import hosts
from cloudmesh_cluster.model.keys import KeyPair
from cloudmesh_cluster.model.plan import Plan, root_name
from cloudmesh_cluster.products import TEMPLATES

# Nova takes 65,535 bytes of user_data after base64. Of the 49,151 raw ones this much stays free
# for what Heat fills in: the signal's command with its token, and the keys.
USER_DATA = ("signal.sh", "wire.sh", "bootstrap.sh")
USER_DATA_BYTES = 49_151
FILLED_IN_BYTES = 6_000
SIGNAL_BYTES = 600  # the signal's command with its URL and a Fernet token: 495 were seen
FILLED_IN = (
    "public_key",
    "node_public_key",
    "node_private_key",
    "ca_public_key",
    "ca_private_key",
    "user_key",
)
SECRETS = ("node_private_key", "ca_private_key")
# What the root stacks beside the first are sent; what else they need they are given by the first.
OF_FURTHER_ROOTS = ("image", "flavor", "deadline", *FILLED_IN)
TAG = "cm-cluster"


@dataclass(frozen=True)
class Scripts:
    """What runs at first boot on every node of a role, in this order; empty is nothing."""

    product: bytes = b""
    role: bytes = b""

    def packed(self) -> bytes:
        """A tar.gz of the scripts, the same bytes for the same scripts."""
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as archive:
            for name, content in (("product", self.product), ("role", self.role)):
                if content:
                    entry = tarfile.TarInfo(name)
                    entry.size, entry.mode = len(content), 0o700
                    archive.addfile(entry, io.BytesIO(content))
        return gzip.compress(raw.getvalue(), mtime=0)


@dataclass(frozen=True)
class Ingredients:
    """What a template needs besides its shape."""

    image: str
    flavor: str
    master_flavor: str
    network: str | None
    external_network: str | None
    public_key: str
    nodes: KeyPair
    ca: KeyPair
    scripts: Mapping[str, Scripts]
    user_key: str = ""
    ssh_from: str | None = None  # None is from everywhere
    timeout_mins: int = 30
    dns_servers: tuple[str, ...] = ()
    extra_tags: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Sizes:
    """Bytes of what is sent; user_data is before base64, the last worker's without its hosts."""

    template: int  # the largest
    request: int
    master_user_data: int
    worker_user_data: int
    bare_user_data: int  # the same without its scripts, which the client may carry instead


def stack_request(plan: Plan, ingredients: Ingredients) -> StackRequest:
    """The stack that makes the planned cluster; with more workers, the stacks."""
    scripts = {role: _payload(plan, ingredients.scripts[role]) for role in ROLES}
    parameters = _parameters(plan, ingredients)
    return StackRequest(
        name=plan.cluster,
        template=_template("cluster.yaml.j2", plan=plan),
        files=_files(plan, 1, scripts),
        parameters=parameters,
        tags=(TAG, f"{TAG}-product={plan.product}", *ingredients.extra_tags),
        timeout_mins=ingredients.timeout_mins,
        further=_further(plan, parameters, ingredients.timeout_mins),
    )


def update_request(
    plan: Plan,
    *,
    nodes: KeyPair,
    ca: KeyPair,
    timeout_mins: int,
    changed: Mapping[str, str] | None = None,
) -> StackRequest:
    """What makes a stack that is there the planned one; parameters left out stay as they are.

    A new node has no scripts in its user_data: the client, which wires it, brings them. Its first
    keypair serves until then. ``changed`` are parameters with new values.
    """
    parameters = {
        "deadline": wiring_seconds(timeout_mins),
        "node_public_key": nodes.public,
        "node_private_key": nodes.private.strip(),
        "ca_public_key": ca.public,
        "ca_private_key": ca.private.strip(),
        **(changed or {}),
    }
    return StackRequest(
        name=plan.cluster,
        template=_template("cluster.yaml.j2", plan=plan),
        files=_files(plan, 1, dict.fromkeys(ROLES, "")),
        parameters=parameters,
        tags=(),
        timeout_mins=timeout_mins,
        further=_further(plan, parameters, timeout_mins),
    )


def _further(
    plan: Plan, parameters: Mapping[str, object], timeout_mins: int
) -> tuple[StackRequest, ...]:
    """The root stacks beside the first, whose nodes the client wires and brings their scripts."""
    return tuple(
        StackRequest(
            name=root_name(plan.cluster, root),
            template=_template("root.yaml.j2", plan=plan, root=root),
            files=_files(plan, root, {WORKER: ""}),
            parameters={
                name: value for name, value in parameters.items() if name in OF_FURTHER_ROOTS
            },
            tags=(),
            timeout_mins=timeout_mins,
        )
        for root in plan.further
    )


def _files(plan: Plan, root: int, scripts: Mapping[str, str]) -> dict[str, str]:
    """The files of a root stack's template."""
    return {
        **{f"user_data/{name}": _user_data(name) for name in USER_DATA},
        **{f"scripts/{role}.tar.gz.b64": packed for role, packed in scripts.items()},
        **{
            f"{shard.name}.yaml": _template("shard.yaml.j2", shard=shard)
            for shard in plan.shards_in(root)
        },
    }


def carried_by_client(plan: Plan, scripts: Mapping[str, Scripts]) -> dict[str, bytes]:
    """By role, the packed scripts that are too large for user_data and go over SSH.

    A client that wires brings all scripts anyway.
    """
    if plan.wirer is None:
        return {}
    return {
        role: scripts[role].packed() for role in ROLES if not _fits(plan, _encoded(scripts[role]))
    }


def sizes(request: StackRequest) -> Sizes:
    """How large the parts of a request are that a cloud limits, in bytes."""
    requests = (request, *request.further)
    common = ("user_data/signal.sh", "user_data/bootstrap.sh")
    filled = SIGNAL_BYTES + sum(len(str(request.parameters[name])) for name in FILLED_IN)
    fixed = filled + sum(len(request.files[name]) for name in common)
    bare = fixed + len(request.files["user_data/wire.sh"])
    return Sizes(
        template=max(len(text.encode()) for one in requests for text in _templates(one).values()),
        request=max(len(json.dumps({**vars(one), "further": ()})) for one in requests),
        master_user_data=fixed + len(request.files["scripts/master.tar.gz.b64"]),
        worker_user_data=bare + len(request.files["scripts/worker.tar.gz.b64"]),
        bare_user_data=bare,
    )


def standalone(request: StackRequest) -> str:
    """One template that needs no other file and no parameter: for ``openstack stack create -t``.

    It holds the nodes' and the authority's private keys as defaults of hidden parameters.
    """
    template = yaml.safe_load(request.template)
    for name, value in request.parameters.items():
        template["parameters"][name]["default"] = value
    return _dumped(_inlined(template, request.files))


def shown(request: StackRequest) -> str:
    """The template, its nested ones and its parameters, with secrets masked."""
    masked = {
        name: "********" if name in SECRETS else value for name, value in request.parameters.items()
    }
    parts = [*_parts(request), "--- # parameters\n" + _dumped(masked).strip()]
    for one in request.further:
        first, *others = _parts(one)
        parts += [f"--- # stack {one.name}\n{first}", *others]
    return "\n\n".join(parts) + "\n"


def _parts(request: StackRequest) -> list[str]:
    own, *nested = _templates(request).items()
    return [own[1].strip(), *(f"--- # {name}\n{text.strip()}" for name, text in nested)]


def _templates(request: StackRequest) -> dict[str, str]:
    """A stack's own template, under its name, and its nested ones by their files'."""
    nested = {name: text for name, text in request.files.items() if name.endswith(".yaml")}
    return {request.name: request.template, **nested}


def _parameters(plan: Plan, ingredients: Ingredients) -> dict[str, object]:
    given = {
        "cluster": plan.cluster,
        "image": ingredients.image,
        "flavor": ingredients.flavor,
        "master_flavor": ingredients.master_flavor,
        "deadline": wiring_seconds(ingredients.timeout_mins),
        "public_key": ingredients.public_key,
        "node_public_key": ingredients.nodes.public,
        "node_private_key": ingredients.nodes.private.strip(),
        "ca_public_key": ingredients.ca.public,
        "ca_private_key": ingredients.ca.private.strip(),
        "user_key": ingredients.user_key,
    }
    if ingredients.ssh_from:
        given["ssh_from"] = ingredients.ssh_from
    if plan.floating:
        given["external_network"] = ingredients.external_network or ""
    if plan.makes_network:
        given["dns_servers"] = ",".join(ingredients.dns_servers)
    else:
        given["network"] = ingredients.network or ""
    return given


def wiring_seconds(timeout_mins: int) -> int:
    """How long a node waits for the wiring: most of the whole time, so that it can still report."""
    return max(30, timeout_mins * 60 * 3 // 4 - 15)


def _payload(plan: Plan, scripts: Scripts) -> str:
    if plan.wirer is None:
        return ""
    encoded = _encoded(scripts)
    return encoded if _fits(plan, encoded) else ""


def _encoded(scripts: Scripts) -> str:
    return base64.b64encode(scripts.packed()).decode()


def _fits(plan: Plan, payload: str) -> bool:
    fixed = sum(len(_user_data(name)) for name in USER_DATA) + FILLED_IN_BYTES
    return fixed + hosts(plan) + len(payload) <= USER_DATA_BYTES


def _user_data(name: str) -> str:
    """The script without its comments, for which user_data has no room in a large cluster."""
    first, *lines = (TEMPLATES / "user_data" / name).read_text().splitlines()
    kept = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return "\n".join([first, *kept]) + "\n"


def _template(name: str, **values: object) -> str:
    return _environment().get_template(name).render(values).strip() + "\n"


@cache
def _environment() -> jinja2.Environment:
    """One for all: each would compile the templates anew."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )


def _inlined(value: object, files: Mapping[str, str]) -> object:
    if isinstance(value, dict):
        if set(value) == {"get_file"}:
            return files[str(value["get_file"])]
        return {key: _inlined(part, files) for key, part in value.items()}
    if isinstance(value, list):
        return [_inlined(part, files) for part in value]
    return value


class _Readable(yaml.SafeDumper):
    """Scripts as literal blocks, not as one quoted line."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Readable.add_representer(str, _text)


def _dumped(value: object) -> str:
    return yaml.dump(value, Dumper=_Readable, sort_keys=False, allow_unicode=True, width=100)
