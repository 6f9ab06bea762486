"""The magics in a real IPython, without a cloud; tests/line/test_notebooks.py has one."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
from IPython.utils.capture import CapturedIO, RichOutput, capture_output
from traitlets.config import Config

from cloudmesh_cluster.model.errors import ExitStatus, UsageError
from cloudmesh_cluster.shell import cli
from cloudmesh_cluster.shell.notebook import (
    CommandFailed,
    CommandInterrupted,
    Copied,
    NotebookEnvironment,
    NotebookProgress,
    TerminalEnvironment,
)

PRODUCT = """\
summary: "<script>alert('hi')</script> & more"
"""


@pytest.fixture
def terminal(home: Path) -> Iterator[InteractiveShell]:
    """IPython without a kernel, the extension loaded."""
    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    shell.run_line_magic("load_ext", "cloudmesh_cluster")
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(terminal: InteractiveShell) -> InteractiveShell:
    """The same, as it is in a kernel: that is how a notebook is known."""
    terminal.kernel = object()
    terminal.displayhook.write_output_prompt = lambda: None  # a kernel sends it, if need be
    return terminal


class Cell:
    """A cell that has run: what it showed, said and came to."""

    def __init__(self, shell: InteractiveShell, source: str) -> None:
        with capture_output() as captured:
            self.run: ExecutionResult = shell.run_cell(source, store_history=True)
        self._captured: CapturedIO = captured

    @property
    def shown(self) -> list[dict[str, str]]:
        """The displays that show something, updates left out."""
        outputs: list[RichOutput] = self._captured.outputs
        return [one.data for one in outputs if one.data and not one.update]

    @property
    def stdout(self) -> str:
        return str(self._captured.stdout)

    @property
    def stderr(self) -> str:
        return str(self._captured.stderr)


def printed(*words: str) -> str:
    """What the program prints in a process of its own."""
    command = [sys.executable, "-m", "cloudmesh_cluster", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# ---- answers -------------------------------------------------------------------------------------


def test_a_table_is_shown_as_html_beside_the_text_that_cm_prints(shell: InteractiveShell) -> None:
    (shown,) = Cell(shell, "%cm cluster products").shown
    assert shown["text/plain"] + "\n" == printed("cluster", "products")
    assert shown["text/html"].startswith("<table>")
    assert ">plain</td>" in shown["text/html"]


def test_what_a_cell_holds_is_escaped(shell: InteractiveShell, home: Path) -> None:
    folder = home / ".cloudmesh" / "cluster" / "products" / "odd"
    folder.mkdir(parents=True)
    (folder / "product.yaml").write_text(PRODUCT)
    for role in ("master", "worker"):
        (folder / f"{role}.sh.j2").write_text("true\n")
    (shown,) = Cell(shell, "%cm cluster products").shown
    assert "<script>" not in shown["text/html"]
    assert "&lt;script&gt;alert(&#x27;hi&#x27;)&lt;/script&gt; &amp; more" in shown["text/html"]
    assert "<script>alert('hi')</script> & more" in shown["text/plain"]


def test_every_line_of_a_cell_shows_its_answer(shell: InteractiveShell) -> None:
    assert len(Cell(shell, "%cm cluster products\n%cm cluster products\nNone").shown) == 2


def test_the_value_has_status_rows_and_text(shell: InteractiveShell) -> None:
    Cell(shell, "found = %cm cluster products")
    found = shell.user_ns["found"]
    assert found.status == 0
    assert [row["name"] for row in found.rows if row["name"] == "plain"] == ["plain"]
    assert found.stdout == printed("cluster", "products")
    assert found.stderr == ""


def test_the_value_shows_nothing_twice_and_its_table_in_a_later_cell(
    shell: InteractiveShell,
) -> None:
    first = Cell(shell, "found = %cm cluster products\nfound")
    later = Cell(shell, "display(found)")
    assert len(first.shown) == 1
    assert first.stdout == ""
    assert later.shown[0]["text/html"] == first.shown[0]["text/html"]
    assert later.shown[0]["text/plain"] == first.shown[0]["text/plain"]


def test_another_format_is_text_and_still_has_rows(shell: InteractiveShell) -> None:
    cell = Cell(shell, "found = %cm cluster products --format=json")
    assert cell.shown == []
    assert cell.stdout == printed("cluster", "products", "--format=json")
    assert shell.user_ns["found"].rows[0].keys() == {"name", "summary", "variables"}


def test_in_a_terminal_answers_are_text_and_the_value_is_one_line(
    terminal: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    cell = Cell(terminal, "found = %cm cluster products\nfound")
    rows = len(terminal.user_ns["found"].rows)
    value = f"Out[1]: <cm cluster products: exit status 0, {rows} rows>\n"
    assert cell.stdout == printed("cluster", "products") + value
    assert cell.shown == []


def test_help_is_an_answer_too(shell: InteractiveShell) -> None:
    assert Cell(shell, "%cm").stdout == printed("help")
    assert Cell(shell, "%cm help create").stdout == printed("help", "create")


# ---- words and stdin -----------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["$name", "{name}", "'{name}'"])
def test_variables_of_the_notebook_stand_in_the_line(shell: InteractiveShell, word: str) -> None:
    cell = Cell(shell, f"name = 'de'\n%cm cluster write {word} worker {__file__}")
    assert "for de's worker role" in cell.shown[0]["text/plain"]


def test_all_words_may_stand_in_one_pair_of_quotes(shell: InteractiveShell) -> None:
    assert Cell(shell, '%cm "cluster products --format=csv"').stdout.startswith("name,summary")


def test_the_cell_is_stdin_to_the_byte(shell: InteractiveShell) -> None:
    script = "#!/bin/sh\necho \"$HOME {x} 'grüße'\"\n"
    Cell(shell, f"x = 1\nget_ipython().run_cell_magic('cm', 'cluster write a master', {script!r})")
    Cell(shell, f"%%cm cluster write a worker\n{script}")
    shown = [
        Cell(shell, f"%cm cluster write a {role} --show").stdout for role in ("master", "worker")
    ]
    assert shown == [script, script]


def test_a_line_without_a_cell_waits_for_nobody(shell: InteractiveShell) -> None:
    cell = Cell(shell, "%cm cluster write demo worker")
    assert "the script on stdin is empty" in cell.stderr
    assert "%%cm cluster write NAME worker" in cell.stderr


# ---- failures ------------------------------------------------------------------------------------


def test_a_failure_is_told_on_stderr_and_ends_the_cell(shell: InteractiveShell) -> None:
    cell = Cell(shell, "reached = False\n%cm cluster craete demo\nreached = True")
    assert cell.stderr == "cm cluster: no verb 'craete'; did you mean create?\n"
    assert isinstance(cell.run.error_in_exec, CommandFailed)
    assert shell.user_ns["reached"] is False


def test_a_failure_has_no_traceback(shell: InteractiveShell) -> None:
    cell = Cell(shell, "%cm cluster craete demo")
    assert cell.stdout.strip() == "exit status 2: cm cluster craete demo"


def test_a_failure_that_is_expected_has_its_result(shell: InteractiveShell) -> None:
    source = "try:\n    %cm cluster craete\nexcept Exception as error:\n    failed = error.result"
    assert Cell(shell, source).run.success
    failed = shell.user_ns["failed"]
    assert failed.status == ExitStatus.USAGE
    assert "did you mean create?" in failed.stderr


def test_a_quote_that_is_not_closed_is_told(shell: InteractiveShell) -> None:
    assert "a quote is not closed" in Cell(shell, "%cm cluster show 'demo").stderr


def test_an_interruption_is_not_caught_with_the_failures(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(words: object, environment: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_interruptible", interrupted)
    cell = Cell(shell, "try:\n    %cm cluster list\nexcept Exception:\n    pass")
    assert cell.stderr == "cm cluster: interrupted\n"
    assert isinstance(cell.run.error_in_exec, CommandInterrupted)
    assert "Traceback" not in cell.stdout


def test_nobody_can_log_in_from_a_notebook() -> None:
    with pytest.raises(UsageError, match="no terminal to log in from"):
        environment(NotebookEnvironment).run(["ssh", "node", "--"], interactive=True)


# ---- the environment -----------------------------------------------------------------------------


def environment(
    kind: type[TerminalEnvironment], stdin: Any = subprocess.DEVNULL
) -> TerminalEnvironment:
    return kind({}, Path("/"), stdin, Copied(io.StringIO()), Copied(io.StringIO()))


def said(one: TerminalEnvironment) -> tuple[str, str]:
    return one.stdout.getvalue(), one.stderr.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [TerminalEnvironment, NotebookEnvironment])
def test_a_programs_streams_arrive_as_they_are(kind: type[TerminalEnvironment]) -> None:
    halves = r"printf 'gr\303'; sleep 0.2; printf '\274n\n'; echo odd >&2; printf '\377'; exit 7"
    here = environment(kind)
    assert here.run(["sh", "-c", halves], interactive=False) == 7
    assert said(here) == ("grün\n\ufffd", "odd\n")


def test_a_program_reads_the_cell(tmp_path: Path) -> None:
    (tmp_path / "cell").write_text("from the cell\n")
    with open(tmp_path / "cell", "rb") as cell:
        here = environment(NotebookEnvironment, cell)
        assert here.run(["cat"], interactive=False) == 0
    assert said(here) == ("from the cell\n", "")


def test_output_is_seen_before_the_program_has_ended() -> None:
    class Stamped(io.StringIO):
        at = 0.0

        def write(self, text: str) -> int:
            self.at = self.at or time.monotonic()
            return super().write(text)

    stamped = Stamped()
    here = replace(environment(NotebookEnvironment), stdout=stamped)
    here.run(["sh", "-c", "echo first; sleep 1"], interactive=False)
    assert time.monotonic() - stamped.at >= 0.9


def test_an_interruption_ends_the_program() -> None:
    class Interrupting(io.StringIO):
        def write(self, text: str) -> int:
            raise KeyboardInterrupt

    here = replace(environment(NotebookEnvironment), stdout=Interrupting())
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        here.run(["sh", "-c", "echo; exec sleep 60"], interactive=False)
    assert time.monotonic() - began < 10


def test_logging_of_the_notebook_is_left_alone(shell: InteractiveShell) -> None:
    before = list(logging.getLogger().handlers)
    Cell(shell, "%cm cluster products")
    assert logging.getLogger().handlers == before


def test_neither_the_package_nor_its_help_imports_ipython() -> None:
    look = (
        "import sys, cloudmesh_cluster; from cloudmesh_cluster.shell.cli import main; "
        "main(['cluster', 'products']); print([m for m in sys.modules if m == 'IPython'])"
    )
    run = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert run.stdout.endswith("\n[]\n")


# ---- progress ------------------------------------------------------------------------------------


class Time:
    """A clock that the test moves."""

    at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def time_() -> Time:
    return Time()


def test_progress_is_one_display_that_is_updated(shell: InteractiveShell, time_: Time) -> None:
    with capture_output() as captured:
        progress = NotebookProgress(io.StringIO(), time_)
        for done in range(11):
            time_.at = float(done)
            progress.stage("nodes <b>", done, 10)
        progress.note("a note")
        progress.stage("verify", 0, 2)
        progress.close()
    first, *updates = captured.outputs
    assert not first.update
    assert all(one.update for one in updates)
    assert {one.transient["display_id"] for one in captured.outputs} == {
        first.transient["display_id"]
    }
    last = updates[-1].data
    assert last["text/plain"] == "a note\nnodes <b>: 10/10, 10 s\nverify: 0/2, 0 s"
    assert last["text/html"].startswith("<pre>a note\nnodes &lt;b&gt;: 10/10, 10 s\n")


def test_progress_does_not_draw_faster_than_can_be_seen(
    shell: InteractiveShell, time_: Time
) -> None:
    with capture_output() as captured:
        progress = NotebookProgress(io.StringIO(), time_)
        for done in range(1000):
            time_.at = done / 1000
            progress.stage("nodes", done, 1000)
    assert 2 <= len(captured.outputs) <= 6
