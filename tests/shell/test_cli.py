"""The program's ends: help, dispatch, errors and exit statuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from cloudmesh_cluster import __version__
from cloudmesh_cluster.model.errors import (
    ClusterError,
    ExitStatus,
    NotFound,
    UsageError,
    VerificationFailed,
)
from cloudmesh_cluster.shell.cli import main
from cloudmesh_cluster.shell.usage import USAGE

Run = Callable[[Mapping[str, Any], object], int]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], None]:
    """Puts a function in the place of ``commands.run``."""
    import cloudmesh_cluster.shell as shell

    def put(name: str, **content: object) -> None:
        module = types.ModuleType(f"cloudmesh_cluster.shell.{name}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(shell, name, module, raising=False)

    def installed(run: Run) -> None:
        put("commands", run=run)
        put("environment", Environment=types.SimpleNamespace(from_system=lambda: "environment"))

    return installed


@pytest.fixture
def seen(install: Callable[[Run], None]) -> list[Mapping[str, Any]]:
    """What commands.run was called with."""
    calls: list[Mapping[str, Any]] = []
    install(lambda arguments, environment: calls.append(arguments) or 0)
    return calls


def raises(error: BaseException) -> Run:
    def run(arguments: Mapping[str, Any], environment: object) -> int:
        raise error

    return run


HELPS = ["", "help", "--help", "-h", "cluster", "cluster help", "cluster --help", "cloud -h"]


@pytest.mark.parametrize("words", [words.split() for words in HELPS], ids=HELPS)
def test_help_is_the_usage_on_stdout(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == ExitStatus.DONE
    assert capsys.readouterr() == (USAGE, "")


@pytest.mark.parametrize(
    "words", ["cluster write --help", "cluster help write", "help write", "help cluster write"]
)
def test_help_of_a_verb_is_that_verbs_lines(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == ExitStatus.DONE
    out = capsys.readouterr().out
    assert "cm cluster write NAME ROLE [FILE] [--show]" in out
    assert "--show " in out
    assert "create" not in out


def test_help_of_what_is_no_verb_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "wriet"]) == ExitStatus.USAGE
    assert "did you mean write?" in capsys.readouterr().err


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cm cluster {__version__}\n"


def test_a_lone_quoted_argument_is_split(seen: list[Mapping[str, Any]]) -> None:
    assert main(["cluster write demo worker 'a file'"]) == 0
    assert seen[0]["FILE"] == "a file"


def test_a_quote_that_is_not_closed_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cluster show 'demo"]) == ExitStatus.USAGE
    assert "quote is not closed" in capsys.readouterr().err


def test_the_commands_own_status_is_the_exit_status(install: Callable[[Run], None]) -> None:
    install(lambda arguments, environment: ExitStatus.UNVERIFIED)
    assert main(["cluster", "test", "demo"]) == 3


def test_the_environment_reaches_the_command(install: Callable[[Run], None]) -> None:
    given: list[object] = []
    install(lambda arguments, environment: given.append(environment) or 0)
    main(["cloud", "up"])
    assert given == ["environment"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ClusterError("p"), 1),
        (NotFound("p"), 1),
        (UsageError("p"), 2),
        (VerificationFailed("p"), 3),
    ],
)
def test_each_error_ends_with_its_own_status(
    install: Callable[[Run], None], error: ClusterError, status: int
) -> None:
    install(raises(error))
    assert main(["cluster", "list"]) == status


def test_an_error_is_the_problem_its_details_indented_and_the_next_step(
    install: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    install(raises(ClusterError("stack ended\ndemo-worker2: No\n  more", "Deleted.\nTry again.")))
    main(["cluster", "create", "demo"])
    assert capsys.readouterr() == (
        "",
        "cm cluster: stack ended\n  demo-worker2: No\n  more\nDeleted.\nTry again.\n",
    )


def test_an_error_of_cloud_is_told_by_cm_cloud(
    install: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    install(raises(ClusterError("not root")))
    main(["cloud", "up"])
    assert capsys.readouterr().err == "cm cloud: not root\n"


def test_control_characters_of_a_message_do_not_reach_the_terminal(
    install: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    install(raises(ClusterError("no image \x1b[31mred\x9b")))
    main(["cluster", "list"])
    assert capsys.readouterr().err == "cm cluster: no image \\x1b[31mred\\x9b\n"


def test_control_characters_of_a_bug_do_not_either(
    install: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    install(raises(ZeroDivisionError("a node said \x1b[2J")))
    main(["cluster", "list"])
    told = capsys.readouterr().err
    assert "\x1b" not in told
    assert told.endswith("ZeroDivisionError: a node said \\x1b[2J; this is a bug\n")
    assert "Traceback" in told


def test_ctrl_c_is_one_line_and_130(
    install: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    install(raises(KeyboardInterrupt()))
    assert main(["cluster", "create", "demo"]) == 130
    assert capsys.readouterr().err == "cm cluster: interrupted\n"


@pytest.fixture(params=[signal.SIGTERM, signal.SIGHUP])
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that asks a program to end, which this process takes as one that was just begun."""
    asked: signal.Signals = request.param
    ours = signal.signal(asked, signal.SIG_DFL)
    yield asked
    signal.signal(asked, ours)


def test_being_asked_to_end_rolls_back_as_ctrl_c_does(
    install: Callable[[Run], None], number: signal.Signals
) -> None:
    rolled_back: list[bool] = []

    def run(arguments: Mapping[str, Any], environment: object) -> int:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            rolled_back.append(True)
            raise
        return 0

    install(run)
    old = signal.signal(number, signal.SIG_DFL)  # as a shell starts programs
    try:
        assert main(["cluster", "create", "demo"]) == 130
        assert rolled_back
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, old)


def test_nohup_is_respected(install: Callable[[Run], None]) -> None:
    install(lambda arguments, environment: os.kill(os.getpid(), signal.SIGHUP) or 0)
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["cluster", "list"]) == 0
    finally:
        signal.signal(signal.SIGHUP, old)


def test_a_bug_is_called_one_with_its_traceback(
    install: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    install(raises(TypeError("odd")))
    assert main(["cluster", "list"]) == ExitStatus.FAILED
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.endswith("\ncm cluster: unexpected: TypeError: odd; this is a bug\n")


def test_words_that_are_wrong_run_nothing(
    seen: list[Mapping[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cluster", "craete", "demo"]) == ExitStatus.USAGE
    assert capsys.readouterr() == ("", "cm cluster: no verb 'craete'; did you mean create?\n")
    assert not seen


@pytest.mark.parametrize("place", ["stdout", "stderr"])
def test_a_reader_that_leaves_is_no_error(place: str) -> None:
    script = (
        "import sys, types, cloudmesh_cluster.shell as shell\n"
        "def run(arguments, environment):\n"
        f"    print('x' * 1000000, file=sys.{place}); return 0\n"
        "shell.commands = types.SimpleNamespace(run=run)\n"
        "module = types.ModuleType('environment')\n"
        "module.Environment = types.SimpleNamespace(from_system=lambda: None)\n"
        "sys.modules['cloudmesh_cluster.shell.environment'] = module\n"
        "from cloudmesh_cluster.shell.cli import main\n"
        "sys.exit(main(['cluster', 'list']))\n"
    )
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", script], **streams)
    try:
        left, other = process.stdout, process.stderr
        if place == "stderr":
            left, other = other, left
        assert left is not None
        assert other is not None
        assert left.read(1) == b"x"
        left.close()
        assert other.read() == b""
        assert process.wait(30) == 1
    finally:
        process.kill()


def test_a_broken_pipe_of_something_else_is_a_bug_not_silence(
    install: Callable[[Run], None], capsys: pytest.CaptureFixture[str]
) -> None:
    install(raises(BrokenPipeError("of a socket")))
    assert main(["cluster", "list"]) == ExitStatus.FAILED
    assert "unexpected: BrokenPipeError: of a socket" in capsys.readouterr().err


def test_help_into_a_reader_that_leaves_is_silent() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        run = subprocess.run(
            [sys.executable, "-m", "cloudmesh_cluster", "--help"], stdout=out, stderr=-1
        )
    assert (run.returncode, run.stderr) == (1, b"")


def test_help_imports_next_to_nothing() -> None:
    script = (
        "import sys; before = set(sys.modules)\n"
        "from cloudmesh_cluster.shell.cli import main\n"
        "main(['--help'])\n"
        "print(*sorted(set(sys.modules) - before), file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout == USAGE
    assert run.stderr.split() == [
        "__future__",
        "cloudmesh_cluster",
        "cloudmesh_cluster.shell",
        "cloudmesh_cluster.shell.cli",
        "cloudmesh_cluster.shell.usage",
    ]


def test_the_package_runs_as_a_module() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "cloudmesh_cluster", "clutser"], capture_output=True, text=True
    )
    assert run.returncode == ExitStatus.USAGE
    assert run.stderr == "cm: no command 'clutser'; did you mean cluster?\n"
