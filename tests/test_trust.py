"""Rules about trust that hold for every file of the repository."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Put together here, so that this file is not found by itself.
TRUSTING = re.compile(
    "|".join(
        [
            "AutoAdd" + "Policy",
            "Warning" + "Policy",
            "Missing" + "HostKeyPolicy",
            "StrictHostKey" + r"Checking[\s=]+\W?(no|off|accept-new)\b",
            "ANSIBLE_HOST_KEY" + r"_CHECKING\s*=\s*\W?(false|no|0)",
            "host_key" + r"_checking\s*=\s*(false|no|0)",
        ]
    ),
    re.IGNORECASE,
)
MADE = ("build", "dist", "_build", "__pycache__", "venv")
# It stands for a user without our program, who takes host keys as they come.
BY_HAND = "benchmarks/create.py"


def test_the_program_starts_no_shell_of_its_own() -> None:
    """What it starts on the user's machine it gives as words; only a node's shell reads a text."""
    started = []
    for file in (ROOT / "cloudmesh_cluster").rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            if isinstance(call, ast.Call):
                name = ast.unparse(call.func)
                shell = [one for one in call.keywords if one.arg == "shell"]
                if shell or name in ("os.system", "os.popen", "subprocess.getoutput"):
                    started.append(f"{file.name}:{call.lineno}: {name}")

    assert started == []


def ours(folder: Path) -> Iterator[Path]:
    """The files that are ours, not made and not installed."""
    for path in folder.iterdir():
        if path.is_symlink() or path.name in MADE or path.name.endswith(".egg-info"):
            continue
        if path.is_file():
            yield path
        elif path.name == ".ci" or not path.name.startswith("."):
            yield from ours(path)


def test_no_file_of_the_repository_trusts_a_host_key_that_it_does_not_know() -> None:
    files = list(ours(ROOT))
    trusting = [
        str(file.relative_to(ROOT))
        for file in files
        if TRUSTING.search(file.read_bytes().decode("latin-1"))
    ]

    assert len(files) > 100
    assert trusting == [BY_HAND]
