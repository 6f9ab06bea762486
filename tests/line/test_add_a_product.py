"""docs/add-a-product.rst, followed to the letter: its files, its commands, their output."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Cm

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "add-a-product.rst").read_text()
INCLUDED = re.findall(r"literalinclude:: (\S+)", PAGE)
LEFT_OUT = "[...]"


def steps(transcript: str) -> list[tuple[str, list[str]]]:
    """The commands of a transcript, each with the lines of output that the page shows."""
    parts = re.split(r"^\s*\$ ", transcript, flags=re.MULTILINE)[1:]
    found = [part.strip().splitlines() for part in parts]
    return [(lines[0], [one for one in lines[1:] if one != LEFT_OUT]) for lines in found]


@pytest.mark.usefixtures("cloud", "nothing_left")
def test_the_page_makes_a_product_that_works(cm: Cm) -> None:
    shim = cm.home / "bin"
    shim.mkdir()
    (shim / "cm").write_text(f'#!/bin/sh\nexec {sys.executable} -m cloudmesh_cluster "$@"\n')
    (shim / "cm").chmod(0o755)
    environ = {**cm.environ(), "PATH": f"{shim}:{cm.environ()['PATH']}"}

    def typed(command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], env=environ, stdin=subprocess.DEVNULL, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return done.stdout

    (folder,) = re.findall(r"\$ (mkdir -p \S+)", PAGE)
    typed(folder)
    for file in (one for one in INCLUDED if one.startswith("examples/")):
        shutil.copy(DOCS / file, cm.home / ".cloudmesh/cluster/products/board")
    (transcript,) = (one for one in INCLUDED if one.startswith("transcripts/"))
    for command, lines in steps((DOCS / transcript).read_text()):
        said = typed(command)
        assert [line for line in lines if line not in said.splitlines()] == [], said
