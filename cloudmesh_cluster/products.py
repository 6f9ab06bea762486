"""Products: folders that say what is installed on a cluster and what to expect of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import jinja2
import yaml

from cloudmesh_cluster.model.errors import NotFound, UsageError
from cloudmesh_cluster.model.spec import Spec

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Variable:
    """Something of a product that --set can change."""

    name: str
    default: str
    help: str = ""


@dataclass(frozen=True)
class Product:
    """One folder: its one-line summary, its variables, what it asks of a flavor."""

    name: str
    folder: Path
    summary: str
    variables: tuple[Variable, ...] = ()
    least_ram_mb: int = 512
    least_vcpus: int = 1
    defaults: Spec = field(default_factory=Spec)

    def values(self, chosen: Mapping[str, str]) -> dict[str, str]:
        """Every variable's value; UsageError names the chosen ones that it does not have."""
        known = {variable.name: variable.default for variable in self.variables}
        unknown = [name for name in chosen if name not in known]
        if unknown:
            has = ", ".join(known) or "none"
            raise UsageError(
                f"product {self.name} has no variable {', '.join(unknown)}", f"It has: {has}."
            )
        return {**known, **chosen}

    def script(self, role: str, values: Mapping[str, Any]) -> str:
        """The product's own script for a role, rendered; empty when it has none."""
        file = self.folder / f"{role}.sh.j2"
        return rendered(file.read_text(), values, str(file)) if file.exists() else ""

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
            found.setdefault(file.parent.name, read(file.parent))
    return dict(sorted(found.items()))


def product(name: str, places: Iterable[Path]) -> Product:
    """The product of that name; NotFound lists those that there are."""
    known = products(places)
    if name in known:
        return known[name]
    near = get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise NotFound(f"there is no product {name!r}{hint}", f"There are: {', '.join(known)}.")


def read(folder: Path) -> Product:
    """The product that a folder describes; UsageError when its product.yaml is not one."""
    file = folder / "product.yaml"
    try:
        told = yaml.safe_load(file.read_text()) or {}
        least = told.get("least", {})
        variables = tuple(
            Variable(name, str(one.get("default", "")), one.get("help", ""))
            for name, one in told.get("variables", {}).items()
        )
        return Product(
            name=folder.name,
            folder=folder,
            summary=told["summary"],
            variables=variables,
            least_ram_mb=int(least.get("ram_mb", 512)),
            least_vcpus=int(least.get("vcpus", 1)),
            defaults=Spec(**told.get("defaults", {})),
        )
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise UsageError(f"{file}: not a product: {error!r}") from error


def rendered(text: str, values: Mapping[str, Any], source: str) -> str:
    """The text with its ``{{ }}`` filled in; UsageError when a value is unknown."""
    try:
        return _environment().from_string(text).render(values)
    except jinja2.TemplateError as error:
        raise UsageError(f"{source}: {error}") from error


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
