"""The TAB key: what can follow the words so far, and that real shells show it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.shell.arguments import verbs
from cloudmesh_cluster.shell.cli import main
from cloudmesh_cluster.shell.completion import SCRIPTS, lines
from cloudmesh_cluster.shell.environment import Environment

KEYS = ("ssh-ed25519 AAAA",)


@pytest.fixture
def environment(home: Path) -> Environment:
    """A home in which cluster demo has been made, and a script was written for other."""
    here = Environment({}, home, io.BytesIO(), io.StringIO(), io.StringIO())
    nodes = [
        Target(f"demo-{alias}", "192.0.2.1", "debian", KEYS, role=alias.rstrip("12"))
        for alias in ("master", "worker1", "worker2")
    ]
    here.workspace("demo").save_access(Access(tuple(nodes)))
    here.workspace("other").save_script("worker", b"true\n")
    (here.clusters / "products").mkdir()
    return here


def following(line: str, environment: Environment) -> list[str]:
    """The words that can follow a line as typed, without what they mean."""
    return [one.partition("\t")[0] for one in lines(line.split(" ")[1:], environment)]


def test_every_verb_and_every_option_of_the_help_is_offered(environment: Environment) -> None:
    for verb in verbs().values():
        words = verb.name.split()
        for at, word in enumerate(words):
            assert word in following(" ".join(["cm", *words[:at], ""]), environment)
        offered = following(f"cm {verb.name} -", environment)
        assert offered == [f"{name}=" if value else name for name, value in verb.options.items()]


def test_a_word_comes_with_what_the_help_says_of_it(environment: Environment) -> None:
    assert lines(["cluster", "ev"], environment) == [
        "events\tTell what Heat did for a cluster, or for one whose create failed."
    ]
    assert lines(["cluster", "list", "--clo"], environment) == [
        "--cloud=\tAn entry of clouds.yaml (default: OS_CLOUD, else OS_* variables, else "
        "~/.cloudmesh/cloudmesh.yaml, else the cloud on this machine)."
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("cm clo", "cloud"),
        ("cm help cluster cre", "create"),
        ("cm cluster help cre", "create"),
        ("cm nonsense ", ""),
        ("cm cluster show ", "demo other"),
        ("cm cluster delete other d", "demo"),
        ("cm cluster products sl", "slurm"),
        ("cm cloud image delete ", ""),
        ("cm cluster write demo ", "master worker"),
        ("cm cluster write demo worker ", ":files"),
        ("cm cluster copy demo one two ", ":files"),
        ("cm cluster create new --expect=o", ":files"),
        ("cm cluster create new --product=sl", "--product=slurm"),
        ("cm cluster create new --product sl", "slurm"),
        ("cm cluster create new --keep --ke", "--key="),
        ("cm cluster create new --set=a=b --se", "--set="),
        ("cm cluster test demo --role=", "--role=master --role=worker --role=all"),
        (
            "cm cluster show demo --format=",
            "--format=table --format=json --format=yaml --format=csv",
        ),
        ("cm cluster inventory demo --format=s", "--format=ssh"),
        ("cm cluster ssh demo w", "worker1 worker2"),
        ("cm cluster ssh other ", ""),
        ("cm cluster ssh demo master --fo", "--forward="),
        ("cm cluster ssh demo master df ", ""),
        ("cm cluster test demo -- --ro", ""),
        ("cm cluster list --for", "--format="),
        ("cm cluster test demo --role = w", "worker"),
        ("cm cluster test demo --role =", "master worker all"),
    ],
)
def test_what_can_follow(line: str, words: str, environment: Environment) -> None:
    assert following(line, environment) == words.split()


def test_a_broken_product_of_the_users_leaves_the_others_alone(environment: Environment) -> None:
    broken = environment.products_folder / "broken"
    broken.mkdir()
    (broken / "product.yaml").write_text("{")
    assert "cluster" in following("cm ", environment)
    following("cm cluster products ", environment)


# ---- real shells ---------------------------------------------------------------------------------

ASK = {
    "bash": """
        eval "$(cm completion bash)"
        complete -p cm cm-cluster >/dev/null || exit
        read -ra COMP_WORDS <<<"${1//=/ = }"
        [[ $1 == *" " ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _cm_completion cm
        printf '%s\\n' "${COMPREPLY[@]}"
    """,
    "zsh": """
        compdef() { [[ $* == '_cm cm cm-cluster' ]] || exit }
        _describe() { print -rl -- ${${(P)4}%%:*} }
        eval "$(cm completion zsh)"
        words=("${(@s: :)1}")
        CURRENT=${#words}
        _cm
    """,
    "fish": """
        cm completion fish | source
        complete -C $argv[1]
    """,
}


@pytest.fixture(params=SCRIPTS)
def shell(request: pytest.FixtureRequest, tmp_path: Path, environment: Environment) -> list[str]:
    """A shell that completes the line that follows these words, with the program on its PATH."""
    name = str(request.param)
    if not shutil.which(name):
        pytest.skip(f"there is no {name} on this machine")
    program = tmp_path / "cm"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m cloudmesh_cluster "$@"\n')
    program.chmod(0o755)
    plain = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[name]
    ends = [ASK[name]] if name == "fish" else [ASK[name], name]
    return ["env", f"PATH={tmp_path}:{os.environ['PATH']}", name, *plain, "-c", *ends]


def test_a_real_shell_shows_what_can_follow(shell: list[str]) -> None:
    def shown(line: str) -> list[str]:
        run = subprocess.run([*shell, line], capture_output=True, text=True, timeout=120)
        assert (run.returncode, run.stderr) == (0, "")
        words = [one.partition("\t")[0] for one in run.stdout.splitlines()]
        return sorted(one.rpartition("=")[2] or one for one in words if one)

    assert shown("cm cluster sho") == ["show"]
    assert shown("cm cluster show ") == ["demo", "other"]
    assert shown("cm cluster test demo --role=w") == ["worker"]
    assert shown("cm cluster test demo --rol") == ["--role="]


def test_what_bash_reads_passes_shellcheck() -> None:
    check = [str(Path(sys.executable).with_name("shellcheck")), "--shell=bash", "-"]
    subprocess.run(check, input=SCRIPTS["bash"].encode(), check=True)


def test_a_script_is_printed_for_each_shell(capsys: pytest.CaptureFixture[str]) -> None:
    for name, script in SCRIPTS.items():
        assert main(["completion", name]) == 0
        assert capsys.readouterr() == (script, "")
    assert main(["completion", "fsh"]) == 2
    assert "did you mean fish?" in capsys.readouterr().err
