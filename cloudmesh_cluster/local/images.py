"""The images of the embedded cloud: baked for a product, listed, deleted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudmesh_cluster.local import checks, image, mounts
from cloudmesh_cluster.local.admin import Admin
from cloudmesh_cluster.local.baking import Recipe, baked
from cloudmesh_cluster.local.cloud import is_up, locked
from cloudmesh_cluster.local.home import Home, saved_settings
from cloudmesh_cluster.local.software import Say, step
from cloudmesh_cluster.model.errors import CloudError, UsageError

CURRENT, OLD = "current", "out of date"
# As plugins/accounts.py makes the base image.
PROPERTIES = {
    "visibility": "public",
    "disk_format": "raw",
    "container_format": "bare",
    "os_distro": "debian",
    "os_version": "12",
    "default_user": "debian",
}


@dataclass(frozen=True)
class CloudImage:
    """An image that the cloud has; `base` is "" for those that were not made here."""

    id: str
    name: str
    status: str
    product: str
    packages: tuple[str, ...]
    base: str
    size_mb: int | None
    created: str


def images(home: Home) -> tuple[CloudImage, ...]:
    """Every image of the cloud, by name."""
    found = [_image(one) for one in _admin(home).images()]
    return tuple(sorted(found, key=lambda one: (one.name, one.created)))


def _image(told: dict[str, Any]) -> CloudImage:
    base = told.get("cm_recipe", "")
    return CloudImage(
        id=told["id"],
        name=told["name"] or "",
        status=told["status"],
        product=told.get("cm_product", ""),
        packages=tuple(told.get("cm_packages", "").split()),
        base=base and (CURRENT if base == image.recipe() else OLD),
        size_mb=round(told["size"] / 1024**2) if told.get("size") else None,
        created=told["created_at"],
    )


def build(home: Home, recipe: Recipe, say: Say) -> None:
    """Bake an image and put it in the place of an older one; nothing when it is there already."""
    begun = time.monotonic()
    with locked(home, say):
        admin = _admin(home)
        old = _baked(admin, recipe)
        if any(_is(recipe, one) for one in old):
            say(f"{recipe.name} is there already, with these packages and from this base")
            return
        with baked(home, recipe, say) as archive:
            size = archive.stat().st_size / 1024**2
            with step(say, f"uploaded {recipe.name}, {size:.0f} MB"):
                fields = {"name": recipe.name, **PROPERTIES, **recipe.properties}
                new = admin.upload(fields, archive)
        for one in old:
            admin.delete_image(one["id"])
        admin.unpack_ahead([new["id"]])
        forget_unpacked(home, (one["id"] for one in admin.images()))
        say(
            f"{recipe.name} is there after {time.monotonic() - begun:.0f} s. "
            f"Use it: cm cluster create NAME --product={recipe.product}"
        )


def _baked(admin: Admin, recipe: Recipe) -> list[dict[str, Any]]:
    """The images that were baked for a product under its name; others may bear that name too."""
    found = admin.images(recipe.name)
    return [one for one in found if one.get("cm_product") == recipe.product]


def _is(recipe: Recipe, told: dict[str, Any]) -> bool:
    return told["status"] == "active" and recipe.properties.items() <= told.items()


def delete(home: Home, name: str, say: Say) -> None:
    """Delete a baked image; its nodes keep the files that they started from."""
    with locked(home, say):
        admin = _admin(home)
        every = admin.images()
        found = [one for one in every if name in (one["name"], one["id"])]
        if not found:
            names = ", ".join(sorted(one["name"] for one in every if one.get("cm_product")))
            say(f"{name}: nothing to delete; baked images are: {names or 'none'}")
            return
        ours = [one for one in found if one.get("cm_product")]
        if not ours:
            raise UsageError(
                f"image {name} was not baked, so it is left alone",
                f"To delete it all the same: openstack --os-cloud=local-admin image delete {name}",
            )
        for one in ours:
            admin.delete_image(one["id"])
        forget_unpacked(home, (one["id"] for one in every if one not in ours))
        say(f"{name} is deleted")


def forget_unpacked(home: Home, known: Iterable[str]) -> None:
    """Remove the unpacked files of images that are gone and that no node was made from."""
    kept = {*known, *_used(home)}
    for folder in (home.state / "images").iterdir():
        if folder.is_dir() and folder.name not in kept and not folder.suffix:
            mounts.remove(folder)


def _used(home: Home) -> set[str]:
    records = home.nodes.glob("*/node.json")
    return {Path(json.loads(one.read_text())["image"]).name for one in records}


def _admin(home: Home) -> Admin:
    checks.refuse_machine()
    settings = saved_settings(home)
    if settings is None or not is_up(home):
        raise CloudError("the embedded cloud is not up", "Start it: cm cloud up")
    return Admin(settings)
