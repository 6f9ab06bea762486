"""Kernels as a notebook starts them, against the embedded cloud, and the notebooks of the docs."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from .conftest import Cm

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "docs" / "notebooks"

Message = dict[str, Any]
Heard = Callable[[Message], None]


class Kernel:
    """A kernel that has loaded the extension, with the command's home and cloud."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self._client = client

    def run(self, source: str, heard: Heard = lambda message: None) -> Cell:
        """A cell, run to its end; ``heard`` gets every message of it as it comes."""
        messages: list[Message] = []

        def hook(message: Message) -> None:
            messages.append(message)
            heard(message)

        reply = self._client.execute_interactive(source, output_hook=hook, timeout=300)
        return Cell(reply["content"], messages)


class Cell:
    """What a cell came to."""

    def __init__(self, reply: Message, messages: list[Message]) -> None:
        self.reply = reply
        self._messages = messages

    @property
    def status(self) -> str:
        """``ok``, or the name of the exception."""
        return str(self.reply.get("ename", self.reply["status"]))

    def stream(self, name: str) -> str:
        """All that was written to stdout or stderr."""
        return "".join(text_of(one) for one in self._messages if one["content"].get("name") == name)

    @property
    def tables(self) -> list[str]:
        """The tables that were shown, as HTML."""
        shown = [one["content"].get("data", {}) for one in self._messages]
        return [one["text/html"] for one in shown if "<table>" in one.get("text/html", "")]

    @property
    def progress(self) -> list[str]:
        """What the first display of the cell showed, one update after the other."""
        shown = [one["content"] for one in self._messages if "transient" in one["content"]]
        first = shown[0]["transient"]["display_id"]
        return [
            one["data"]["text/plain"] for one in shown if one["transient"]["display_id"] == first
        ]


def text_of(message: Message) -> str:
    """The text of a stream's message, or of a display's."""
    content = message["content"]
    return str(content.get("text") or content.get("data", {}).get("text/plain", ""))


@pytest.fixture
def kernel(cm: Cm) -> Iterator[Kernel]:
    manager, client = start_new_kernel(env=cm.environ(), cwd=str(cm.home))
    try:
        one = Kernel(manager, client)
        assert one.run("%load_ext cloudmesh_cluster").status == "ok"
        yield one
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.usefixtures("nothing_left")
def test_a_cluster_lives_in_a_notebook(kernel: Kernel, cm: Cm) -> None:
    kernel.run("%%cm cluster write kernel worker\necho here >/srv/here")
    created = kernel.run("made = %cm cluster create kernel --workers=1")
    try:
        assert created.status == "ok", created.stream("stderr")
        assert len(created.progress) > 2
        assert "servers made: 2/2" in created.progress[-1]
        assert "kernel-worker1" in created.tables[0]
        assert "CREATE_COMPLETE" in kernel.run("%cm cluster show kernel").tables[0]
        assert "kernel" in kernel.run("%cm cluster list").tables[0]
        assert "ssh login" in kernel.run("%cm cluster test kernel").tables[0]
        _commands_of_nodes_arrive(kernel)
        _a_check_that_fails_is_shown_and_stops(kernel, cm)
        _a_tunnel_is_open_until_the_kernel_is_interrupted(kernel)
    finally:
        assert kernel.run("name = 'kernel'\n%cm cluster delete $name").status == "ok"


def _commands_of_nodes_arrive(kernel: Kernel) -> None:
    one = kernel.run("%cm cluster ssh kernel worker1 -- cat /srv/here")
    script = kernel.run("%%cm cluster ssh kernel -- bash -s\nhostname\necho odd >&2\nexit 4")
    asked = kernel.run("%%cm cluster test kernel --role=worker\nhostname")
    login = kernel.run("%cm cluster ssh kernel")
    assert one.stream("stdout") == "here\n"
    assert script.stream("stdout") == "kernel-master\n"
    assert script.stream("stderr") == "odd\n"
    assert script.reply["evalue"].startswith("exit status 4: ")
    assert "kernel-worker1" in asked.stream("stdout")
    assert "no terminal to log in from" in login.stream("stderr")


def _a_check_that_fails_is_shown_and_stops(kernel: Kernel, cm: Cm) -> None:
    expect = cm.file("expect.yaml", "- role: worker\n  command: cat /srv/here\n  stdout: there\n")
    failed = kernel.run(f"reached = False\n%cm cluster test kernel --expect={expect}\nreached = 1")
    assert failed.status == "CommandFailed"
    assert "<td" in failed.tables[0]
    assert ">no</td>" in failed.tables[0]
    assert failed.reply["evalue"].startswith("exit status 3: ")
    assert kernel.run("print(reached)").stream("stdout") == "False\n"


def _a_tunnel_is_open_until_the_kernel_is_interrupted(kernel: Kernel) -> None:
    banners = []

    def look(message: Message) -> None:
        if (port := re.search(r"localhost:(\d+) is", text_of(message))) and not banners:
            banners.append(_banner(int(port[1])))
            kernel.manager.interrupt_kernel()

    assert kernel.run("%cm cluster tunnel kernel 22", look).status == "ok"
    assert banners == [b"SSH-2.0-"]


def _banner(port: int) -> bytes:
    """The first bytes that a server says, once it can be reached."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                return connection.recv(8)
        except ConnectionRefusedError:
            time.sleep(0.2)
    return b""


@pytest.mark.usefixtures("nothing_left")
def test_interrupting_the_kernel_rolls_back(kernel: Kernel, cm: Cm) -> None:
    interrupted = []

    def interrupt(message: Message) -> None:
        if "servers made" in text_of(message) and not interrupted:
            interrupted.append(True)
            kernel.manager.interrupt_kernel()

    cell = kernel.run("%cm cluster create kernel --workers=1", interrupt)
    assert interrupted
    assert cell.status == "CommandInterrupted"
    assert "Traceback" not in "".join(cell.reply["traceback"])
    assert "kernel" not in cm.run("cluster", "list").stdout
    assert cm.record("kernel").exists()
    assert kernel.run("print('goes on')").stream("stdout") == "goes on\n"


# ---- the notebooks of the docs -------------------------------------------------------------------


class Notebook:
    """A notebook with its outputs."""

    def __init__(self, path: Path) -> None:
        self._cells = nbformat.read(path, as_version=4).cells
        self.code = [cell for cell in self._cells if cell.cell_type == "code"]

    @property
    def outputs(self) -> list[Any]:
        """Every output, one cell after the other."""
        return [output for cell in self.code for output in cell.outputs]

    @property
    def text(self) -> str:
        """All outputs as text."""
        return "\n".join(
            one.get("text") or one.get("data", {}).get("text/plain", "") for one in self.outputs
        )

    @property
    def plots(self) -> int:
        """How many pictures it shows."""
        return sum("image/png" in one.get("data", {}) for one in self.outputs)


def run(name: str, cluster: str, cm: Cm, *values: str) -> Notebook:
    """A notebook of the docs, run to its end; its cluster is gone in any case."""
    to = cm.home / f"{name}.ipynb"
    words = [NOTEBOOKS / "run.py", NOTEBOOKS / f"{name}.ipynb", f"--to={to}", *values]
    done = subprocess.run(
        [sys.executable, *words], env=cm.environ(), capture_output=True, text=True, timeout=1800
    )
    if done.returncode:
        cm.run("cluster", "delete", cluster)
    assert done.returncode == 0, done.stderr
    return Notebook(to)


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.usefixtures("nothing_left")
def test_the_slurm_notebook_runs_to_its_end(cm: Cm) -> None:
    done = run("slurm", "pi", cm)
    found = re.search(r"16 tasks, 3200000 darts, (\d+) hits: pi is about 3\.14", done.text)
    assert found, done.text
    assert done.plots == 1
    assert done.text.endswith("pi is deleted, and nothing of it is left")


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.usefixtures("nothing_left")
def test_the_hadoop_notebook_runs_to_its_end(cm: Cm) -> None:
    tarballs = sorted((ROOT / "build").glob("hadoop-*.tar.gz"))
    if not tarballs:
        pytest.skip("hadoop.ipynb is left out: no build/hadoop-VERSION.tar.gz; make hadoop-dist")
    done = run("hadoop", "words", cm, f"options=--set=hadoop_url={tarballs[-1]}")
    (counted,) = re.findall(r"different words, (\d+) in all", done.text)
    (there,) = re.findall(r"^(\d+) /usr/share/common-licenses/GPL-3$", done.text, re.MULTILINE)
    assert int(counted) == int(there) > 5000
    assert done.plots == 1
    assert done.text.endswith("words is deleted, and nothing of it is left")


@pytest.mark.parametrize("name", ["slurm", "hadoop"])
def test_the_kept_outputs_are_of_one_whole_run(name: str) -> None:
    kept = Notebook(NOTEBOOKS / f"{name}.ipynb")
    assert [cell.execution_count for cell in kept.code] == list(range(1, len(kept.code) + 1))
    assert [one for one in kept.outputs if one.output_type == "error"] == []
    assert kept.plots == 1
    assert kept.text.endswith("is deleted, and nothing of it is left")
