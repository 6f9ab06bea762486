"""What is ours by its mark, and what only looks like it."""

from __future__ import annotations

import pytest

from cloudmesh_cluster.model import marks
from cloudmesh_cluster.model.marks import Mark

STACK = "0c0ffee0-0000-4000-8000-00000000abcd"
PROJECT = "5f0ca11ab1e5f0ca11ab1e5f0ca11ab1"
OURS = Mark("demo", STACK)


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        (f"cm cluster demo {STACK}", OURS),
        (f"cm cluster demo {STACK} and more", None),
        (f"not cm cluster demo {STACK}", None),
        (f"cm cluster demo {STACK}\n", None),
        ("cm cluster demo", None),
        ("cm cluster demo 0c0ffee0", None),
        (f"cm cluster Demo {STACK}", None),
        ("", None),
    ],
)
def test_a_description_is_a_mark_only_as_a_whole(text: str, mark: Mark | None) -> None:
    assert marks.by_description(text) == mark


def test_a_server_is_ours_only_with_both_words_in_its_metadata() -> None:
    assert marks.by_metadata({"cm_cluster": "demo", "cm_stack": STACK, "cm_role": "x"}) == OURS
    assert marks.by_metadata({"cm_cluster": "demo"}) is None
    assert marks.by_metadata({"cm_stack": STACK}) is None
    assert marks.by_metadata({}) is None


def test_a_keypair_is_ours_only_if_it_is_of_this_project() -> None:
    assert marks.by_keypair(f"demo-{STACK}-{PROJECT}", PROJECT) == OURS
    assert marks.by_keypair(f"a-b-{STACK}-{PROJECT}", PROJECT) == Mark("a-b", STACK)
    assert marks.by_keypair(f"demo-{STACK}-{PROJECT}", "another") is None
    assert marks.by_keypair(f"demo-{STACK}", PROJECT) is None
    assert marks.by_keypair(f"demo-{PROJECT}", PROJECT) is None


def test_the_tag_of_a_stack_says_when_it_expires() -> None:
    tags = ["cm-cluster", marks.expiry_tag(1795832400), "cm-cluster-id=1"]

    moment = marks.expires(tags)

    assert moment == 1795832400
    assert marks.moment(moment) == "2026-11-28T02:20:00Z"
    assert marks.expires(["cm-cluster", "cm-cluster-expires=soon"]) is None
