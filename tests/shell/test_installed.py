"""The wheel in a fresh environment: as a program, in the cloudmesh shells, in IPython."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cloudmesh_cluster.shell.usage import USAGE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    run = subprocess.run(build, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def bin(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel, both cloudmesh shells and IPython."""
    place = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    packages = [str(wheel), "cloudmesh-cmd5", "cloudmesh-ai-cmc", "ipython"]
    install = [place / "bin" / "pip", "install", "--quiet", *packages]
    run = subprocess.run(install, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return place / "bin"


def run(bin: Path, home: Path, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """One program of that environment, in an empty folder, with this on its stdin."""
    environ = {**os.environ, "PATH": f"{bin}:{os.environ['PATH']}", "HOME": str(home)}
    command = [str(bin / words[0]), *words[1:]]
    return subprocess.run(
        command, input=typed, cwd=home, env=environ, capture_output=True, text=True, timeout=120
    )


def test_the_wheel_holds_every_file_of_templates_and_local(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("cloudmesh_")}
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "templates", "cloudmesh_cluster/local"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    wanted = {
        f"cloudmesh_cluster/{name}" if name.startswith("templates/") else name for name in listed
    }
    assert wanted
    assert wanted <= held


@pytest.mark.parametrize("program", ["cm", "cm-cluster"])
def test_the_program_runs_under_both_names(bin: Path, home: Path, program: str) -> None:
    assert run(bin, home, program, "--help").stdout == USAGE
    assert run(bin, home, program, "cluster", "craete").returncode == 2


def test_the_installed_products_are_found(bin: Path, home: Path) -> None:
    assert "plain" in run(bin, home, "cm", "cluster", "products", "--format=csv").stdout


def test_cms_help_cluster_is_our_usage(bin: Path, home: Path) -> None:
    said = run(bin, home, "cms", "help", "cluster").stdout
    for line in USAGE.splitlines():
        assert line in said
    assert "In the cloudmesh shell write cms cluster" in said


def test_cms_cluster_gives_what_cm_cluster_gives(bin: Path, home: Path) -> None:
    ours = run(bin, home, "cm", "cluster", "products")
    theirs = run(bin, home, "cms", "cluster", "products")
    assert ours.stdout in theirs.stdout
    assert "plain" in ours.stdout
    assert theirs.returncode == 0
    assert USAGE in run(bin, home, "cms", "cluster", "help").stdout
    assert USAGE in run(bin, home, "cms", "cluster").stdout


def test_cms_cluster_ends_with_our_message_and_status(bin: Path, home: Path) -> None:
    said = run(bin, home, "cms", "cluster", "craete", "demo")
    assert said.stderr.strip().endswith("cm cluster: no verb 'craete'; did you mean create?")
    assert said.returncode == 2


def test_the_cms_prompt_goes_on_after_a_mistake(bin: Path, home: Path) -> None:
    typed = "cluster craete\ncluster show 'demo\ncluster products\nquit\n"
    said = run(bin, home, "cms", typed=typed)
    assert "did you mean create?" in said.stderr
    assert "quote is not closed" in said.stderr
    assert "plain" in said.stdout


@pytest.mark.parametrize("name", ["cluster", "heat-cluster"])
def test_cmc_cluster_gives_what_cm_cluster_gives(bin: Path, home: Path, name: str) -> None:
    ours = run(bin, home, "cm", "cluster", "products", "--format=json")
    theirs = run(bin, home, "cmc", name, "products", "--format=json")
    assert theirs.returncode == 0, theirs.stderr
    assert theirs.stdout == ours.stdout
    assert '"plain"' in ours.stdout


@pytest.mark.parametrize("words", [[], ["--help"], ["help"]], ids=["", "--help", "help"])
def test_cmc_cluster_help_is_our_usage(bin: Path, home: Path, words: list[str]) -> None:
    assert run(bin, home, "cmc", "cluster", *words).stdout == USAGE


def test_cmc_cluster_ends_with_our_message_and_status(bin: Path, home: Path) -> None:
    said = run(bin, home, "cmc", "cluster", "craete", "demo")
    assert said.stderr.strip().endswith("cm cluster: no verb 'craete'; did you mean create?")
    assert said.returncode == 2


def test_cmc_passes_a_script_on_byte_by_byte(bin: Path, home: Path) -> None:
    typed = "echo 'a b'  $HOME -- ä\n"
    assert run(bin, home, "cmc", "cluster", "write", "demo", "worker", typed=typed).returncode == 0
    kept = home / ".cloudmesh" / "cluster" / "demo" / "scripts" / "worker"
    assert kept.read_text() == typed


def test_cmc_leaves_the_words_of_a_nodes_command_alone(bin: Path, home: Path) -> None:
    words = ["cluster", "test", "demo", "--", "--help", "-x"]
    ours, theirs = run(bin, home, "cm", *words), run(bin, home, "cmc", *words)
    assert theirs.stderr.endswith(ours.stderr)  # cmc speaks of itself before
    assert theirs.returncode == ours.returncode == 1
    assert "no cloud is configured" in ours.stderr


@pytest.mark.parametrize("line", ["cm cluster products", 'cm "cluster products"'])
def test_the_ipython_alias_of_the_old_docs_works(bin: Path, home: Path, line: str) -> None:
    typed = f"alias cm cm %s\n{line} --format=csv\nexit\n".replace(
        '" --format=csv', ' --format=csv"'
    )
    said = run(bin, home, "ipython", "--simple-prompt", "--no-banner", typed=typed)
    assert "plain" in said.stdout, said.stderr


def test_the_magics_work_in_a_terminals_ipython(bin: Path, home: Path) -> None:
    typed = (
        "%load_ext cloudmesh_cluster\n"
        "found = %cm cluster products\n"
        "[row['name'] for row in found.rows if row['name'] == 'plain'][0]\n"
        "%cm cluster craete\n"
        "exit\n"
    )
    said = run(bin, home, "ipython", "--simple-prompt", "--no-banner", typed=typed)
    assert run(bin, home, "cm", "cluster", "products").stdout in said.stdout
    assert "Out[3]: 'plain'" in said.stdout
    assert "did you mean create?" in said.stderr
    assert "Traceback" not in said.stdout + said.stderr
