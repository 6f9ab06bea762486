"""Baking: a copy of the base image, with a product's Debian packages installed in it.

The packages are installed by systemd-nspawn without booting: in namespaces of their own, which end
with it, so that nothing is mounted or running on the machine afterwards, however it ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cloudmesh_cluster.local import checks, image, mounts
from cloudmesh_cluster.local.home import IMAGE_NAME, Home, private_folder
from cloudmesh_cluster.local.processes import run
from cloudmesh_cluster.local.software import Say, step
from cloudmesh_cluster.model.errors import CloudError, UsageError

INSTALL_SECONDS = 1800
PACK_SECONDS = 600
END_SECONDS = 15
RESOLV_CONF = Path("/etc/resolv.conf")
PROXIES = ("http_proxy", "https_proxy", "no_proxy")
PROPAGATED = Path("/run/systemd/nspawn/propagate")

APT_GET = (
    "apt-get --quiet -o Acquire::Retries=3 -o APT::Update::Error-Mode=any "
    "-o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold"
)
# While it says 101, what is installed starts no daemon.
UPDATE = f"""
printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
exec {APT_GET} update
"""
INSTALL = f'exec {APT_GET} --yes --no-install-recommends install -- "$@"'
DISABLE = 'exec systemctl --quiet disable "$@"'
# Keys and ids that each node, or each cluster, must have of its own; then what only takes room.
# Sources, keys and settings of apt stay.
FINISH = """
rm -f /usr/sbin/policy-rc.d /etc/munge/munge.key /etc/ssh/ssh_host_*
rm -f /var/lib/dbus/machine-id /var/lib/systemd/random-seed
: >/etc/machine-id
rm -f /var/cache/apt/*.bin /var/cache/apt/archives/*.deb /var/log/apt/*
find /var/lib/apt/lists -type f -delete
rm -rf /tmp/* /var/tmp/*
"""


@dataclass(frozen=True)
class Recipe:
    """What is baked for a product; the services of packages of one role only are left disabled."""

    product: str
    common: tuple[str, ...]
    of_one_role: tuple[str, ...] = ()

    @property
    def packages(self) -> tuple[str, ...]:
        """All packages, in alphabetical order."""
        return tuple(sorted({*self.common, *self.of_one_role}))

    @property
    def name(self) -> str:
        """The name of the image."""
        return f"{IMAGE_NAME}-{self.product}"

    @property
    def properties(self) -> dict[str, str]:
        """By what the image is known to have been baked, of what, and from which base."""
        return {
            "cm_product": self.product,
            "cm_packages": " ".join(self.packages),
            "cm_recipe": image.recipe(),
        }


def recipe(product: str, packages: Mapping[str, Sequence[str]], extra: Sequence[str]) -> Recipe:
    """The recipe for packages by role (all, master, worker) and extra ones for every node."""
    master, worker = set(packages.get("master", ())), set(packages.get("worker", ()))
    common = {*packages.get("all", ()), *extra, *(master & worker)}
    if not common | master | worker:
        raise UsageError(
            f"product {product} names no Debian packages, so there is nothing to bake",
            f"Its nodes start from {IMAGE_NAME}; to bake others: --set=packages='A B'.",
        )
    of_one_role = (master | worker) - common
    return Recipe(product, tuple(sorted(common)), tuple(sorted(of_one_role)))


@contextmanager
def baked(home: Home, recipe: Recipe, say: Say) -> Iterator[Path]:
    """The archive of the baked image; it and all that it took are gone afterwards."""
    base, folder = image.file(home), home.state / "baking"
    if not base.exists():
        raise CloudError(f"the base image {base} is not there", "Build it: cm cloud up")
    checks.refuse_disk(home.state, checks.free_disk_mb(home.state), checks.DISK_MB)
    mounts.remove(folder)  # what a killed run left
    tree, archive = private_folder(folder) / "tree", folder / "image.tar.zst"
    try:
        tree.mkdir()
        with step(say, f"unpacked {IMAGE_NAME}"):
            _tar("--extract", "--file", base, "--directory", tree)
        with step(say, f"installed {' '.join(recipe.packages)}"):
            _install(home, recipe, tree)
        with step(say, f"packed {recipe.name}"):
            _tar("--create", "--file", archive, "--use-compress-program=zstd -T0 -6",
                 "--one-file-system", "--directory", tree, ".")  # fmt: skip
        yield archive
    finally:
        _remove(folder)
        with suppress(OSError):
            (PROPAGATED / _machine(home)).rmdir()


def _remove(folder: Path) -> None:
    """Delete the folder; what was killed a moment ago may still be writing into it."""
    deadline = time.monotonic() + END_SECONDS
    while True:
        try:
            return mounts.remove(folder)
        except CloudError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _tar(*words: object) -> None:
    run("tar", "--numeric-owner", "--xattrs", "--xattrs-include=*", *words, seconds=PACK_SECONDS)


def _install(home: Home, recipe: Recipe, tree: Path) -> None:
    """Install the packages; a node enables by its role's script what only that role needs."""
    _inside(home, tree, UPDATE)
    if recipe.common:
        _inside(home, tree, INSTALL, *recipe.common)
    if recipe.of_one_role:
        before = enabled(tree)
        _inside(home, tree, INSTALL, *recipe.of_one_role)
        if new := enabled(tree) - before:
            _inside(home, tree, DISABLE, *sorted(new))
    _inside(home, tree, FINISH)


def enabled(tree: Path) -> set[str]:
    """The units that a tree's systemd would start at boot because somebody enabled them."""
    return {path.name for path in (tree / "etc/systemd/system").glob("*.wants/*")}


def _inside(home: Home, tree: Path, script: str, *words: str) -> None:
    """Run a shell script with the tree as its root and the machine's network.

    Killing `unshare` ends everything inside; systemd-nspawn alone would leave it running.
    """
    proxies = [name for word in PROXIES for name in (word, word.upper()) if name in os.environ]
    try:
        run(
            "unshare", "--mount-proc", "--pid", "--fork", "--kill-child",
            "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--settings=no",
            f"--machine={_machine(home)}", f"--directory={tree}", "--as-pid2", "--console=pipe",
            "--resolv-conf=off", *([f"--bind-ro={RESOLV_CONF}"] if RESOLV_CONF.exists() else []),
            "--timezone=off", "--link-journal=no", "--setenv=DEBIAN_FRONTEND=noninteractive",
            *(f"--setenv={name}={os.environ[name]}" for name in proxies),
            "/bin/sh", "-euc", script, "bake", *words,
            seconds=INSTALL_SECONDS,
        )  # fmt: skip
    except CloudError as error:
        raise CloudError(
            "\n".join(["the packages were not installed", *telling(error.problem)]),
            "Nothing was left behind; correct that and build the image again.",
        ) from error


def telling(problem: str) -> list[str]:
    """The lines of a failed run that tell why: apt's errors, else all that was said."""
    _command, *said = problem.splitlines()
    errors = [line for line in said if line.startswith(("E: ", "dpkg: error"))]
    # What systemd-nspawn says of itself when it ends is no reason.
    return errors or [line for line in said if "/run/systemd/nspawn" not in line] or [problem]


def _machine(home: Home) -> str:
    return f"{home.name}-baking"
