"""Words as the grammar reads them, and what is said of those it cannot."""

from __future__ import annotations

import shlex
from typing import Any

import docopt
import pytest

from cloudmesh_cluster.model.errors import UsageError
from cloudmesh_cluster.shell.arguments import parse, verbs
from cloudmesh_cluster.shell.usage import USAGE


def parsed(line: str) -> dict[str, Any]:
    return parse(shlex.split(line))


def problem(line: str) -> str:
    with pytest.raises(UsageError) as caught:
        parsed(line)
    return str(caught.value)


def test_the_verbs_are_those_of_the_help() -> None:
    of_cluster = (
        "create plan update repair write test list show ssh tunnel copy inventory events logs "
        "stop start timeline explain template products delete doctor"
    )
    of_cloud = "up down status env image build image list image delete"
    of_completion = "bash zsh fish"
    assert " ".join(verb.word for verb in verbs().values()) == (
        f"{of_cluster} {of_cloud} {of_completion}"
    )


@pytest.mark.parametrize(
    "line",
    [
        "cluster create demo --workers=8 --set=a=b --set=c=d --expect=x --keep --timeout 5",
        "cluster write demo worker file --show",
        "cluster delete a b c",
        "cloud down --purge",
        "cluster ssh demo master uptime",
        "cloud image build --product=slurm --set=packages=htop",
        "cloud image list --format=json",
        "cloud image delete debian-12-slurm",
    ],
)
def test_the_whole_help_is_docopt_that_agrees(line: str) -> None:
    whole = docopt.docopt(USAGE, line.split(), help=False)
    ours = {key: value for key, value in parsed(line).items() if key != "verb"}
    if "cluster delete" not in line:
        whole["NAME"] = (whole["NAME"] or [None])[0]
    for one in ("FILE", "NODE"):
        whole[one] = (whole[one] or [None])[0]
    whole["--format"] = whole["--format"] or "table"  # which of them is meant, parse says
    assert ours.items() <= whole.items()


def test_every_option_of_the_grammar_is_described_once() -> None:
    options = USAGE.split("\nOptions:\n")[1].split("\n\n")[0]
    described = [line.split()[0] for line in options.splitlines() if line.startswith("  --")]
    used = {
        word.strip("[].")
        for verb in verbs().values()
        for word in verb.usage.split()
        if word.startswith("[--") and word != "[--]"
    }
    assert sorted(described) == sorted(used)


def test_no_line_of_the_help_is_wider_than_a_terminal_often_is() -> None:
    assert max(map(len, USAGE.splitlines())) <= 82


def test_every_example_of_the_help_can_be_read() -> None:
    examples = USAGE.split("\nExamples:\n")[1].split("\n\n")[0]
    lines = [line.strip().rpartition("| ")[2] for line in examples.splitlines()]
    assert [parsed(line.removeprefix("cm "))["verb"].split()[1] for line in lines] == [
        "create",
        "write",
        "test",
        "ssh",
        "delete",
    ]


def test_create_has_its_options_under_their_names_and_nothing_else() -> None:
    assert parsed("cluster create demo --workers=8 --set=a=b=c --set x=y --keep") == {
        "verb": "cluster create",
        "NAME": "demo",
        "--product": None,
        "--workers": "8",
        "--cloud": None,
        "--image": None,
        "--flavor": None,
        "--master-flavor": None,
        "--network": None,
        "--external-network": None,
        "--ssh-from": None,
        "--key": None,
        "--expect": [],
        "--set": ["a=b=c", "x=y"],
        "--file": None,
        "--timeout": None,
        "--expires": None,
        "--min-ready": None,
        "--keep": True,
        "--dry-run": False,
        "--format": "table",
    }


@pytest.mark.parametrize(
    ("line", "format"),
    [
        ("list", "table"),
        ("list --format=csv", "csv"),
        ("inventory demo", "ansible"),
        ("inventory demo --format=ssh", "ssh"),
    ],
)
def test_a_format_left_open_is_the_first_of_those_that_the_verb_has(line: str, format: str) -> None:
    assert parsed(f"cluster {line}")["--format"] == format


def test_plan_takes_what_decides_the_shape_of_a_create() -> None:
    create, plan = parsed("cluster create demo"), parsed("cluster plan demo")
    assert create.keys() - plan.keys() == {"--keep", "--dry-run", "--expires", "--min-ready"}
    assert plan.keys() <= create.keys()


def test_delete_has_a_list_of_names_and_the_others_one() -> None:
    assert parsed("cluster delete a b --cloud=c")["NAME"] == ["a", "b"]
    assert parsed("cluster delete a")["NAME"] == ["a"]
    assert parsed("cluster show a")["NAME"] == "a"


@pytest.mark.parametrize(
    ("words", "node", "command"),
    [
        ("", None, []),
        ("master", "master", []),
        ("master --", "master", []),
        ("-- uptime", None, ["uptime"]),
        ("-- ls -l --help", None, ["ls", "-l", "--help"]),
        ("master ls -l --all", "master", ["ls", "-l", "--all"]),
        ("master -- ls -- -l", "master", ["ls", "--", "-l"]),
        ("master -l", "master", ["-l"]),
        ("master 'a b' ''", "master", ["a b", ""]),
    ],
)
def test_ssh_keeps_the_words_after_the_node_as_they_are(
    words: str, node: str | None, command: list[str]
) -> None:
    arguments = parsed(f"cluster ssh demo {words}")
    assert (arguments["NAME"], arguments["NODE"], arguments["COMMAND"]) == ("demo", node, command)


@pytest.mark.parametrize(
    "words",
    ["-L 1:a:2 -L3:b:4", "--forward 1:a:2 master -L 3:b:4", "master -L1:a:2 --forward=3:b:4 -- -L"],
)
def test_ssh_takes_forwards_before_the_command(words: str) -> None:
    arguments = parsed(f"cluster ssh demo {words}")
    assert arguments["--forward"] == ["1:a:2", "3:b:4"]
    assert arguments["COMMAND"] == (["-L"] if "-- " in words else [])


@pytest.mark.parametrize(
    ("words", "role", "command"),
    [
        ("", "all", []),
        ("uptime -p", "all", ["uptime", "-p"]),
        ("--role=worker uptime --role=x", "worker", ["uptime", "--role=x"]),
        ("--role worker uptime", "worker", ["uptime"]),
        ("--role=worker -- --version", "worker", ["--version"]),
        ("-- -- x", "all", ["--", "x"]),
    ],
)
def test_test_reads_its_options_up_to_the_command(
    words: str, role: str, command: list[str]
) -> None:
    arguments = parsed(f"cluster test demo {words}")
    assert (arguments["NAME"], arguments["--role"], arguments["COMMAND"]) == ("demo", role, command)


def test_a_test_option_may_stand_before_the_name() -> None:
    arguments = parsed("cluster test --role master demo uptime")
    assert (arguments["NAME"], arguments["--role"]) == ("demo", "master")


@pytest.mark.parametrize(
    ("words", "names", "target"),
    [
        ("a b", ["a"], "b"),
        ("--from a b c --role=worker", ["a", "b"], "c"),
        ("'a b' 'c d' ''", ["a b", "c d"], ""),
    ],
)
def test_the_last_word_of_copy_is_the_target(words: str, names: list[str], target: str) -> None:
    arguments = parsed(f"cluster copy demo {words}")
    assert (arguments["NAME"], arguments["FILE"], arguments["TARGET"]) == ("demo", names, target)


def test_a_dash_is_a_file() -> None:
    assert parsed("cluster write demo worker -")["FILE"] == "-"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("cluster craete demo", "no verb 'craete'; did you mean create?"),
        ("cluster lst", "no verb 'lst'; did you mean list?"),
        ("cloud umbrella", "no verb 'umbrella'; there are up, down, status, env and image"),
        ("cloud imag list", "no verb 'imag'; did you mean image?"),
        ("cloud image", "no verb 'image'; there are image build, image list and image delete"),
        ("cloud image bild", "no verb 'image bild'; did you mean image build?"),
        (
            "cloud image --help=x",
            "no verb 'image'; there are image build, image list and image delete",
        ),
        (
            "cloud image build --prduct=slurm",
            "image build has no option --prduct; did you mean --product?",
        ),
        ("clutser list", "no command 'clutser'; did you mean cluster?"),
        ("vm list", "no command 'vm'; there are cluster, cloud and completion"),
        ("create demo", "no command 'create'; did you mean cm cluster create?"),
        (
            "cluster create demo --worker=3",
            "create has no option --worker; did you mean --workers?",
        ),
        ("cluster show demo --keep", "show has no option --keep; there is --format"),
        ("cluster ssh demo -p", "ssh has no option -p; there is --forward"),
        ("cluster list -- x", "list has no option --; there are --cloud and --format"),
        ("cluster create demo --keep=yes", "create: --keep takes no value"),
        ("cluster list --cloud=a --cloud=b", "list: --cloud is given twice"),
        ("cluster list --format=xml", "no format 'xml'; there are table, json, yaml, csv"),
        ("cluster list --format=", "no format ''; there are table, json, yaml, csv"),
        ("cluster list --format=hosts", "no format 'hosts'; there are table, json, yaml, csv"),
        (
            "cluster inventory demo --format=table",
            "no format 'table'; there are ansible, ssh, hosts, json",
        ),
    ],
)
def test_a_wrong_word_is_named_with_what_stands_near(line: str, told: str) -> None:
    assert problem(line) == told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("cluster write", "write: NAME and ROLE are missing"),
        ("cluster write demo", "write: ROLE is missing"),
        ("cluster write --show demo", "write: ROLE is missing"),
        ("cluster delete", "delete: NAME is missing"),
        ("cluster ssh -- uptime", "ssh: NAME is missing"),
        ("cluster test -- uptime", "test: NAME is missing"),
        ("cluster copy demo a", "copy: TARGET is missing"),
        ("cluster copy", "copy: NAME and FILE and TARGET are missing"),
        ("cluster show a b", "show: one word too many: 'b'"),
        ("cluster create demo --workers", "create: --workers needs a value"),
        ("cloud image build", "image build: --product=PRODUCT is missing"),
        ("cloud image build --product", "image build: --product needs a value"),
        ("cloud image delete", "image delete: NAME is missing"),
        ("cloud image delete a b", "image delete: one word too many: 'b'"),
    ],
)
def test_a_missing_word_comes_with_that_verbs_usage_only(line: str, told: str) -> None:
    first, usage = problem(line).split("\n", 1)
    assert first == told
    noun, verb = first.split(":")[0], line.split()[0]
    assert usage.startswith(f"usage: cm {verb} {noun} ")
    assert usage.count("cm c") == 1
