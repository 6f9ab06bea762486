"""The ends of tunnels."""

from __future__ import annotations

import socket

import pytest

from cloudmesh_cluster.model.access import Access, Target
from cloudmesh_cluster.model.errors import NotFound, UsageError
from cloudmesh_cluster.shell.login import End, end, free_port

ACCESS = Access(
    tuple(
        Target(f"demo-{alias}", "192.0.2.1", "debian", ("ssh-ed25519 A",), role=role)
        for alias, role in (("master", "master"), ("worker1", "worker"))
    )
)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("9870", End("demo-master", 9870)),
        ("worker1:9864", End("demo-worker1", 9864)),
        ("demo-worker1:9864", End("demo-worker1", 9864)),
    ],
)
def test_an_end_is_a_port_of_the_master_or_of_a_node(word: str, expected: End) -> None:
    assert end(word, "demo", ACCESS) == expected


@pytest.mark.parametrize(
    "word", ["", "0", "65536", "worker1:", "-D9", ":80", "80 -oProxyCommand=x"]
)
def test_what_is_no_end_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="tunnel takes PORT or NODE:PORT"):
        end(word, "demo", ACCESS)


def test_a_node_that_is_not_there_is_told() -> None:
    with pytest.raises(NotFound, match="demo has no node 'worker7'"):
        end("worker7:80", "demo", ACCESS)


def test_a_port_that_is_taken_is_left_alone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert free_port(taken) != taken
    assert free_port(taken) == taken
