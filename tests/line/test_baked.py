"""Baking a product into an image of the embedded cloud, and a cluster from it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import openstack
import pytest

from .conftest import Cm

pytestmark = pytest.mark.slow
IMAGE = "debian-12-shrub"
BUILD = ("cloud", "image", "build", "--product=shrub")


@pytest.fixture
def here(request: pytest.FixtureRequest, cm: Cm) -> Cm:
    """The command, told where the tests' cloud lives."""
    plugins = request.config.pluginmanager.get_plugins()
    software = next(one.SOFTWARE for one in plugins if hasattr(one, "SOFTWARE"))
    places = {"CM_CLOUD_HOME": str(state(cm)), "CM_CLOUD_SOFTWARE": str(software)}
    return replace(cm, extra=places)


@pytest.fixture
def product(cm: Cm, admin: openstack.connection.Connection) -> Iterator[Path]:
    """A small product of the user's own; its image is gone afterwards."""
    folder = cm.home / ".cloudmesh/cluster/products/shrub"
    folder.mkdir(parents=True)
    (folder / "product.yaml").write_text(
        "summary: a tree\npackages:\n  all: [tree]\n  worker: [cron]\n"
    )
    for role in ("master", "worker"):
        (folder / f"{role}.sh.j2").write_text('{% include "common/begin.sh.j2" %}\n')
    yield folder
    for one in admin.image.images(name=IMAGE):
        admin.image.delete_image(one)


def state(cm: Cm) -> Path:
    """Where the tests' cloud has its files."""
    return Path(cm.variables["OS_CLIENT_CONFIG_FILE"]).parent


def images(cm: Cm) -> dict[str, dict[str, Any]]:
    """The images of the cloud by name."""
    return {row["name"]: row for row in cm.run("cloud", "image", "list", "--format=json").json}


def leaves_nothing(cm: Cm) -> bool:
    """Whether neither files nor mounts nor processes of a baking are there."""
    folder = state(cm) / "baking"
    commands = [one.read_bytes() for one in Path("/proc").glob("[0-9]*/cmdline") if one.exists()]
    return (
        not folder.exists()
        and str(folder) not in Path("/proc/self/mounts").read_text()
        and not any(str(folder).encode() in one for one in commands)
    )


@pytest.mark.usefixtures("product")
def test_a_cluster_from_a_baked_image_asks_no_mirror(here: Cm, nothing_left: None) -> None:
    built = here.run(*BUILD, "--set=packages=less tree")
    assert f"{IMAGE} is there after" in built.stderr
    row = images(here)[IMAGE]
    assert (row["status"], row["product"], row["base"]) == ("active", "shrub", "current")
    assert row["packages"] == ["cron", "less", "tree"]
    assert leaves_nothing(here)

    assert "is there already" in here.run(*BUILD, "--set=packages=less").stderr

    began = time.time()
    made = here.run("cluster", "create", "baked", "--product=shrub", "--workers=1")
    assert f"Image {IMAGE}: shrub's packages are in it." in made.stderr
    asked = (
        "tree --version >/dev/null && stat -c %Y /var/log/dpkg.log; "
        "find /var/lib/apt/lists /run/cm-cluster-apt-updated -type f 2>/dev/null | wc -l; "
        "systemctl is-enabled cron || true; cat /etc/machine-id"
    )
    answers = here.run("cluster", "test", "baked", "--format=json", "--", asked).json
    told = [answer["stdout"].split() for answer in answers]
    assert [int(installed) < began for installed, *_ in told] == [True, True]
    assert [rest for _, *rest, _ in told] == [["0", "disabled"]] * 2
    assert len({machine for *_, machine in told}) == 2

    again = "sudo apt-get -q update && sudo apt-get -q -y install hello && hello"
    here.run("cluster", "test", "baked", "--role=master", "--", again)
    here.run("cluster", "delete", "baked")

    assert f"{IMAGE} is deleted" in here.run("cloud", "image", "delete", IMAGE).stderr
    assert list(images(here)) == ["debian-12"]
    assert "nothing to delete" in here.run("cloud", "image", "delete", IMAGE).stderr
    left_alone = here.run("cloud", "image", "delete", "debian-12", status=2)
    assert "was not baked" in left_alone.stderr


def test_other_packages_take_the_place_of_the_older_image(
    here: Cm, product: Path, admin: openstack.connection.Connection
) -> None:
    here.run(*BUILD)
    first = admin.image.find_image(IMAGE).id
    here.run(*BUILD, "--set=packages=less hello")
    second = admin.image.find_image(IMAGE).id
    assert second != first
    assert images(here)[IMAGE]["packages"] == ["cron", "hello", "less", "tree"]
    assert first not in {path.name for path in (state(here) / "images").iterdir()}

    (product / "product.yaml").write_text("summary: a tree\npackages: {all: [no-such-tree]}\n")
    failed = here.run(*BUILD, status=1)
    assert "the packages were not installed" in failed.stderr
    assert "E: Unable to locate package no-such-tree" in failed.stderr
    assert admin.image.find_image(IMAGE).id == second
    assert leaves_nothing(here)


@pytest.mark.usefixtures("product")
def test_an_interrupted_build_leaves_nothing(here: Cm) -> None:
    with here.start(*BUILD) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("unpacked"):
                break
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=300)
    assert (process.returncode, stderr.strip()) == (130, "cm cloud: interrupted")
    assert leaves_nothing(here)
    assert IMAGE not in images(here)
