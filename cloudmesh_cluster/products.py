"""Products: folders that say what is installed on a cluster and what to expect of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import jinja2
import yaml

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.cluster import MASTER, ROLES
from cloudmesh_cluster.model.errors import NotFound, UsageError
from cloudmesh_cluster.model.spec import Spec
from cloudmesh_cluster.model.variables import TYPES, Value, Variable, is_file, values

TEMPLATES = Path(__file__).parent / "templates"
COMMON = TEMPLATES / "common"
BEGIN = "common/begin.sh.j2"
DRAIN = "drain.sh.j2"
CARRIED = "/var/lib/cm-cluster/files"  # where the master finds what the client brings
ALL = "all"


@dataclass(frozen=True)
class Page:
    """A port where a node of the role has something for people or programs: a web page, a REST.

    ``when`` names the yes-no variable without which it is not there.
    """

    port: int
    what: str
    role: str = MASTER
    when: str = ""


@dataclass(frozen=True)
class Product:
    """One folder: its one-line summary, its variables, what it asks of a flavor."""

    name: str
    folder: Path
    summary: str
    variables: tuple[Variable, ...] = ()
    packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pages: tuple[Page, ...] = ()
    least_ram_mb: int = 512
    least_vcpus: int = 1
    defaults: Spec = field(default_factory=Spec)

    def values(self, chosen: Mapping[str, str]) -> dict[str, Value]:
        """Every variable's value; UsageError tells all that is wrong with the chosen ones."""
        return values(self.variables, chosen, f"product {self.name}")

    def carried(self, chosen: Mapping[str, Value]) -> dict[str, Path]:
        """By its name on the master, each file that the client has to bring."""
        sources = [str(chosen[one.name]) for one in self.variables if one.type == "source"]
        paths = [Path(text).expanduser() for text in sources if is_file(text)]
        return {path.name: path for path in paths}

    def pages_with(self, values: Mapping[str, Value]) -> tuple[Page, ...]:
        """The pages that a cluster with these values has."""
        return tuple(one for one in self.pages if not one.when or values.get(one.when))

    def packages_of(self, *roles: str) -> tuple[str, ...]:
        """The Debian packages that nodes of these roles get."""
        found = [one for role in (ALL, *roles) for one in self.packages.get(role, ())]
        return tuple(dict.fromkeys(found))

    def script(self, role: str, values: Mapping[str, Any]) -> str:
        """The product's own script for a role, rendered; empty when the product has none at all.

        A role without one of its own begins as the other does, which may wait for that.
        """
        file = self.folder / f"{role}.sh.j2"
        if not any((self.folder / f"{one}.sh.j2").exists() for one in ROLES):
            return ""
        return self._rendered(file.name if file.exists() else BEGIN, role, values)

    def drain(self, values: Mapping[str, Any]) -> str:
        """The script for the master that lets the workers ``leaving`` end their work; may be empty.

        With ``back`` it takes them back.
        """
        if not (self.folder / DRAIN).exists():
            return ""
        return self._rendered(DRAIN, MASTER, values)

    def _rendered(self, name: str, role: str, values: Mapping[str, Any]) -> str:
        given = {
            **values,
            **{name: f"file://{CARRIED}/{path.name}" for name, path in self._files(values)},
            "product": self.name,
            "role": role,
            "product_packages": self.packages_of(role),
        }
        # In bash ${#list[@]} is a count, so comments are {* and *} here.
        environment = _environment(
            loader=jinja2.FileSystemLoader([self.folder, TEMPLATES]),
            comment_start_string="{*",
            comment_end_string="*}",
        )
        try:
            text = environment.get_template(name).render(given)
        except jinja2.TemplateError as error:
            raise UsageError(f"{self.folder / name}: {error}") from error
        return text if text.strip() else ""

    def _files(self, values: Mapping[str, Any]) -> list[tuple[str, Path]]:
        sources = [one.name for one in self.variables if one.type == "source"]
        return [(name, Path(values[name])) for name in sources if is_file(values[name])]

    def expectations(self) -> tuple[str, str] | None:
        """The text of the product's expect.yaml and where it is, if it has one."""
        file = self.folder / "expect.yaml"
        return (file.read_text(), str(file)) if file.exists() else None


def folders(user_folder: Path) -> tuple[Path, ...]:
    """Where products are looked for: the user's own first."""
    return (user_folder, TEMPLATES)


def products(places: Iterable[Path]) -> dict[str, Product]:
    """All products by name; of two with a name, the one found first."""
    found: dict[str, Product] = {}
    for place in places:
        for file in sorted(place.glob("*/product.yaml")):
            if file.parent.name not in found:
                found[file.parent.name] = read(file.parent)
    return dict(sorted(found.items()))


def product(name: str, places: Iterable[Path]) -> Product:
    """The product of that name; NotFound lists those that there are."""
    known = products(places)
    if name in known:
        return known[name]
    near = get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise NotFound(
        f"there is no product {name!r}{hint}",
        f"There are: {', '.join(known)}.",
        code=codes.PRODUCT,
    )


def read(folder: Path) -> Product:
    """The product that a folder describes; UsageError when its product.yaml is not one."""
    file = folder / "product.yaml"
    try:
        told = yaml.safe_load(file.read_text()) or {}
        least = told.get("least", {})
        return Product(
            name=folder.name,
            folder=folder,
            summary=told["summary"],
            variables=(*_variables(told.get("variables", {})), *common_variables()),
            packages=_packages(told.get("packages", {})),
            pages=tuple(Page(**one) for one in told.get("pages", [])),
            least_ram_mb=int(least.get("ram_mb", 512)),
            least_vcpus=int(least.get("vcpus", 1)),
            defaults=Spec(**told.get("defaults", {})),
        )
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise UsageError(f"{file}: not a product: {error!r}") from error


def common_variables() -> tuple[Variable, ...]:
    """The variables that every product has."""
    return _variables(yaml.safe_load((COMMON / "variables.yaml").read_text()))


def _variables(told: Mapping[str, Mapping[str, Any]]) -> tuple[Variable, ...]:
    return tuple(_variable(name, one) for name, one in told.items())


def _variable(name: str, told: Mapping[str, Any]) -> Variable:
    default = told.get("default", "")
    one = Variable(
        name=name,
        # YAML reads a bare yes as a truth.
        default=("yes" if default else "no") if isinstance(default, bool) else str(default),
        type=told.get("type", "text"),
        help=told.get("help", ""),
        choices=tuple(str(choice) for choice in told.get("choices", ())),
    )
    unknown = set(told) - {"default", "type", "help", "choices"}
    if unknown or one.type not in TYPES:
        what = f"has no {', '.join(sorted(unknown))}" if unknown else f"is no {one.type}"
        raise ValueError(f"variable {name} {what}; types are {', '.join(TYPES)}")
    one.value(one.default)
    return one


def _packages(told: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    unknown = set(told) - {ALL, *ROLES}
    if unknown:
        raise ValueError(f"packages are for all, master or worker, not {', '.join(unknown)}")
    return {role: tuple(names) for role, names in told.items()}


def rendered(text: str, values: Mapping[str, Any], source: str) -> str:
    """The text with its ``{{ }}`` filled in; UsageError when a value is unknown."""
    try:
        return _environment().from_string(text).render(values)
    except jinja2.TemplateError as error:
        raise UsageError(f"{source}: {error}") from error


def _environment(**options: Any) -> jinja2.Environment:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False, **options
    )
    environment.filters["sh"] = lambda value: shlex.quote(str(value))
    return environment
