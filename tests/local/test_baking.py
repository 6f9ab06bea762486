"""What is baked, what of it would start, and what is told when it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudmesh_cluster.local import image, images
from cloudmesh_cluster.local.baking import Recipe, enabled, recipe, telling
from cloudmesh_cluster.local.home import Home
from cloudmesh_cluster.model.errors import UsageError


def test_packages_of_one_role_only_are_told_from_those_of_every_node() -> None:
    roles = {"all": ("munge", "client"), "master": ("ctld", "both"), "worker": ("both", "d")}
    made = recipe("queue", roles, ["tree"])
    assert made == Recipe("queue", ("both", "client", "munge", "tree"), ("ctld", "d"))
    assert made.packages == ("both", "client", "ctld", "d", "munge", "tree")
    assert made.name == "debian-12-queue"


def test_an_extra_package_that_one_role_has_anyway_is_for_every_node() -> None:
    assert recipe("queue", {"worker": ("d",)}, ["d"]) == Recipe("queue", ("d",))


def test_a_product_without_packages_has_nothing_to_bake() -> None:
    with pytest.raises(UsageError, match="plain names no Debian packages"):
        recipe("plain", {}, [])


def test_an_image_is_known_by_its_product_packages_and_base() -> None:
    assert Recipe("queue", ("b", "a"), ("c",)).properties == {
        "cm_product": "queue",
        "cm_packages": "a b c",
        "cm_recipe": image.recipe(),
    }


def test_the_units_that_would_start_are_those_that_somebody_wants(tmp_path: Path) -> None:
    folder = tmp_path / "etc/systemd/system"
    for name in ("multi-user.target.wants/a.service", "sockets.target.wants/b.socket"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).symlink_to("/lib/systemd/system/nowhere")
    (folder / "masked.service").symlink_to("/dev/null")
    assert enabled(tmp_path) == {"a.service", "b.socket"}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            ["W: odd", "E: Unable to locate package x", "removed /run/systemd/nspawn/propagate/y"],
            ["E: Unable to locate package x"],
        ),
        (["no room", "removed /run/systemd/nspawn/propagate/y"], ["no room"]),
        ([], ["command ended with status 1:"]),
    ],
)
def test_of_a_failed_run_the_reason_is_told(said: list[str], told: list[str]) -> None:
    assert telling("\n".join(["command ended with status 1:", *said])) == told


def test_unpacked_files_stay_while_an_image_or_a_node_needs_them(tmp_path: Path) -> None:
    home = Home(state=tmp_path, software=tmp_path)
    for name in ("known", "used", "gone", "coming.partial"):
        (tmp_path / "images" / name).mkdir(parents=True)
    (tmp_path / "nodes/n1").mkdir(parents=True)
    (tmp_path / "nodes/n1/node.json").write_text(f'{{"image": "{tmp_path}/images/used"}}')
    images.forget_unpacked(home, ["known"])
    left = {path.name for path in (tmp_path / "images").iterdir()}
    assert left == {"known", "used", "coming.partial"}
