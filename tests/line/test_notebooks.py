"""Kernels as a notebook starts them, against the embedded cloud, and the notebooks of the docs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from .conftest import Cm

pytestmark = pytest.mark.usefixtures("nothing_left")

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
