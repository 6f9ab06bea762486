"""What a user asks of a cluster, and the spec file that says it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any

import yaml

from cloudmesh_cluster.model.errors import UsageError
from cloudmesh_cluster.model.plan import ROOT_SIZE

# A node's name is NAME-worker3796 at most: a host name, and Heat takes 53 characters.
LONGEST_NAME = 40
RESERVED = "products"
NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
# In four root stacks: the network that a stack makes has 4094 addresses.
MOST_WORKERS = 4 * ROOT_SIZE
DEFAULT_WORKERS = 2
DEFAULT_TIMEOUT = 30  # minutes
DEFAULT_PRODUCT = "plain"


@dataclass(frozen=True)
class Spec:
    """A cluster as asked for; None is what was left open."""

    product: str | None = None
    workers: int | None = None
    cloud: str | None = None
    image: str | None = None
    flavor: str | None = None
    master_flavor: str | None = None
    network: str | None = None
    external_network: str | None = None
    ssh_from: str | None = None
    key: str | None = None
    timeout: int | None = None
    expires: int | None = None  # seconds after create begins
    min_ready: str | None = None  # how many workers will do: a count, or a share such as 95%
    values: Mapping[str, str] = field(default_factory=dict)

    def over(self, other: Spec) -> Spec:
        """This spec, with what it leaves open taken from the other."""
        open_fields = {
            one.name: getattr(other, one.name)
            for one in fields(self)
            if getattr(self, one.name) is None
        }
        return replace(self, **open_fields, values={**other.values, **self.values})


@dataclass(frozen=True)
class SpecFile:
    """A spec file's two parts: the spec, and its checks, still as YAML so that lines are known."""

    source: str
    spec: Spec
    expect: yaml.Node | None = None

    @property
    def expect_text(self) -> str:
        """The checks as a YAML text of their own."""
        return str(yaml.serialize(self.expect, Dumper=yaml.SafeDumper)) if self.expect else ""


TEXTS = (
    "product",
    "cloud",
    "image",
    "flavor",
    "master_flavor",
    "network",
    "external_network",
    "key",
)
UNITS = {"m": 60, "h": 3600, "d": 86400}
LONGEST_LIFE = 366 * 86400  # seconds


def checked_name(name: str) -> str:
    """The name itself; UsageError when a cluster cannot bear it."""
    if name == RESERVED:
        raise UsageError(
            f"a cluster cannot be called {name}", "Your own products have that folder."
        )
    if NAME.fullmatch(name) and len(name) <= LONGEST_NAME:
        return name
    raise UsageError(
        f"{name!r} cannot be a cluster's name",
        f"A name has small letters, digits and hyphens, begins with a letter, does not end with a "
        f"hyphen and has {LONGEST_NAME} characters at most.",
    )


def checked_share(text: str, what: str = "--min-ready") -> str:
    """The text itself; UsageError when it is neither a count of workers nor a share of them."""
    if not re.fullmatch(r"[0-9]{1,4}|(100|[0-9]{1,2})%", text):
        raise UsageError(f"{what} takes a count of workers or a share such as 95%, not {text!r}")
    return text


def share(text: str, workers: int) -> int:
    """How many of these workers the text, a count or a share, is; one at least."""
    if text.endswith("%"):
        return max(1, -(-workers * int(text[:-1]) // 100))
    return max(1, min(workers, int(text)))


def checked_workers(text: str, what: str = "--workers") -> int:
    """The number of workers that the text gives; UsageError when it cannot be."""
    return _number(text, what, MOST_WORKERS)


def checked_timeout(text: str, what: str = "--timeout") -> int:
    """The minutes that the text gives; UsageError when they cannot be."""
    return _number(text, what, 24 * 60)


def checked_expiry(text: str, what: str = "--expires") -> int:
    """The seconds that the text gives, such as ``8h``; UsageError when they cannot be."""
    match = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    seconds = int(match[1]) * UNITS[match[2]] if match else 0
    if 0 < seconds <= LONGEST_LIFE:
        return seconds
    raise UsageError(
        f"{what} takes minutes, hours or days such as 90m, 8h or 7d, not {text!r}",
        f"At most {LONGEST_LIFE // 86400} days.",
    )


def checked_network(text: str, what: str = "--ssh-from") -> str:
    """The IPv4 network that the text gives, with its prefix; UsageError when it is none."""
    try:
        network = ipaddress.IPv4Network(text, strict=False)
    except ValueError as error:
        raise UsageError(
            f"{what} takes an IPv4 network such as 203.0.113.0/24, not {text!r}"
        ) from error
    if str(network.network_address) == text.partition("/")[0]:
        return str(network)
    raise UsageError(f"{what}: the network of {text} is {network}")


def _number(text: str, what: str, most: int) -> int:
    if re.fullmatch(r"[0-9]{1,6}", text) and 1 <= int(text) <= most:
        return int(text)
    raise UsageError(f"{what} takes a whole number from 1 to {most}, not {text!r}")


NUMBERS = {"workers": checked_workers, "timeout": checked_timeout, "expires": checked_expiry}
CHECKED: Mapping[str, Callable[[str, str], int | str]] = {
    **NUMBERS,
    "ssh_from": checked_network,
    "min_ready": checked_share,
}


def assignments(words: Iterable[str]) -> dict[str, str]:
    """The NAME=VALUE words of --set as a mapping."""
    pairs = [word.partition("=") for word in words]
    for name, equals, _ in pairs:
        if not equals or not name:
            raise UsageError(f"--set takes NAME=VALUE, not {name!r}")
    return {name: value for name, _, value in pairs}


def spec_file(text: str, source: str) -> SpecFile:
    """The spec that a YAML text holds; UsageError tells all its problems, each with its line."""
    entries, problems = _entries(text, source)
    known = (*TEXTS, *CHECKED, "set", "expect")
    found: dict[str, Any] = {}
    for key, node in entries.items():
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"
            problems.append(f"{source}:{_line(node)}: unknown key {key!r}{hint}")
        elif key != "expect":
            _take(key, node, source, found, problems)
    if problems:
        raise UsageError("\n".join(problems))
    values = found.pop("set", {})
    return SpecFile(source, Spec(**found, values=values), entries.get("expect"))


def _take(
    key: str, node: yaml.Node, source: str, found: dict[str, Any], problems: list[str]
) -> None:
    at = f"{source}:{_line(node)}"
    if key == "set":
        if isinstance(node, yaml.MappingNode):
            found[key] = {str(name.value): str(value.value) for name, value in node.value}
        else:
            problems.append(f"{at}: set takes a mapping of names to values")
    elif not isinstance(node, yaml.ScalarNode) or not node.value:
        problems.append(f"{at}: {key} takes one value")
    elif key in CHECKED:
        try:
            found[key] = CHECKED[key](node.value, key)
        except UsageError as error:
            problems.append(f"{at}: {error.problem}")
    else:
        found[key] = node.value


def _entries(text: str, source: str) -> tuple[dict[str, yaml.Node], list[str]]:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UsageError(f"{source}{line}: not YAML: {getattr(error, 'problem', error)}") from error
    if root is None:
        raise UsageError(f"{source}: the file is empty")
    if not isinstance(root, yaml.MappingNode):
        raise UsageError(f"{source}:1: a spec is a mapping, such as 'workers: 2'")
    return {str(key.value): value for key, value in root.value}, []


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
