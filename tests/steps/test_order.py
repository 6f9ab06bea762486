"""From what was asked to what is sent, where that depends on how many workers there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudmesh_cluster import products
from cloudmesh_cluster.model.errors import UsageError
from cloudmesh_cluster.model.keys import KeyPair, Keys
from cloudmesh_cluster.model.spec import Spec
from cloudmesh_cluster.steps.choose import Choice
from cloudmesh_cluster.steps.create import Order
from cloudmesh_cluster.steps.order import asked, order

KEY = KeyPair("ssh-ed25519 AAAA", "secret")
CHOICE = Choice("debian-12", "small", "small", "lan", None)


def ordered(workers: int, *, one_file: bool = False) -> Order:
    """The order of a cluster of so many workers, without a cloud."""
    wanted = asked(
        "demo",
        options=Spec(workers=workers),
        file=None,
        expectations=(),
        product_named=lambda name: products.product(name, products.folders(Path("/nowhere"))),
        script=lambda role: b"echo",
        user_key=str,
    )
    return order(wanted, CHOICE, keys=Keys(KEY, KEY, KEY, KEY), cloud="local", one_file=one_file)


def test_more_workers_than_a_root_takes_are_wired_by_the_client() -> None:
    most, more = ordered(949), ordered(950)

    assert (most.wired_by_client, most.request.further) == (False, ())
    assert more.wired_by_client
    assert [one.name for one in more.request.further] == ["demo.2"]
    assert (more.servers, more.late_scripts) == (951, {})


def test_one_file_is_one_root() -> None:
    assert ordered(949, one_file=True).request.further == ()
    with pytest.raises(UsageError, match="cannot hold more than 949 workers"):
        ordered(950, one_file=True)
