"""What all products begin with, and what is told when that goes wrong."""

from __future__ import annotations

from hashlib import sha512
from pathlib import Path

import pytest

from .conftest import Cm

pytestmark = pytest.mark.usefixtures("cloud", "nothing_left")

DEAF = "http://127.0.0.1:9/debian"


def own_product(cm: Cm, name: str, **files: str) -> None:
    """A product in the user's own folder; the files' names without their suffixes."""
    folder = cm.home / ".cloudmesh" / "cluster" / "products" / name
    folder.mkdir(parents=True)
    suffixes = {"product": ".yaml", "expect": ".yaml", "master": ".sh.j2", "worker": ".sh.j2"}
    for stem, text in files.items():
        (folder / f"{stem}{suffixes[stem]}").write_text(text)


BEGIN = '{% include "common/begin.sh.j2" %}\n'


def test_a_mirror_that_fails(cm: Cm) -> None:
    said = cm.run("cluster", "create", "mirror", "--workers=1", f"--set=mirror={DEAF}",
                  "--set=packages=tree", status=1).stderr  # fmt: skip

    assert "product script ended with exit status 100" in said
    assert "Could not connect to 127.0.0.1:9" in said
    assert "The stack has been deleted" in said


def test_a_daemon_that_does_not_start(cm: Cm) -> None:
    unit = "[Service]\\nExecStart=/bin/sh -c 'echo no such port >&2; exit 1'\\n"
    own_product(
        cm,
        "daemon",
        product="summary: A daemon that ends at once\n",
        worker=f'{BEGIN}printf "{unit}" >/etc/systemd/system/short.service\nstart short\n',
    )

    said = cm.run("cluster", "create", "short", "--product=daemon", "--workers=1", status=1).stderr

    assert "short-worker1: product script ended with exit status 1" in said
    assert "no such port" in said
    assert "short does not start" in said


@pytest.mark.parametrize("checksum", ["", "0" * 128])
def test_a_file_of_the_client_reaches_the_master_and_is_checked(
    cm: Cm, tmp_path: Path, checksum: str
) -> None:
    page = tmp_path / "a page's name"
    page.write_bytes(bytes(range(256)) * 5000)
    own_product(
        cm,
        "page",
        product="summary: A file of the client's\n"
        "variables:\n  page: {type: source, default: 'https://192.0.2.1/'}\n  sha512: {}\n",
        master=f"{BEGIN}obtain {{{{ page | sh }}}} /srv/page {{{{ sha512 | sh }}}}\n",
        expect="expect:\n- role: master\n  command: stat -c %s /srv/page\n  stdout: '1280000'\n",
    )
    words = ["cluster", "create", "page", "--product=page", "--workers=1",
             f"--set=page={page}", f"--set=sha512={checksum}"]  # fmt: skip

    if checksum:
        said = cm.run(*words, status=1).stderr
        told = (
            f"a page's name has the SHA-512 {sha512(page.read_bytes()).hexdigest()}, not {checksum}"
        )
        assert told in said
    else:
        cm.run(*words)
        cm.run("cluster", "delete", "page")
