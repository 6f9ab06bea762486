"""What a user asks of a cluster."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cloudmesh_cluster.model.errors import UsageError
from cloudmesh_cluster.model.spec import (
    Spec,
    assignments,
    checked_expiry,
    checked_name,
    checked_network,
    checked_workers,
    spec_file,
)


@pytest.mark.parametrize("name", ["demo", "a", "demo-2", "x" * 40])
def test_a_good_name_is_taken(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Demo",
        "2demo",
        "demo-",
        "de mo",
        "$(reboot)",
        "demo\n",
        "x" * 41,
        "../demo",
        "dëmo",
        "-x",
    ],
)
def test_a_name_that_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a cluster's name"):
        checked_name(name)


@given(st.text(max_size=50))
@example("demo")
@example("d\u00e9mo")
@example("demo\n")
def test_a_name_that_is_taken_is_a_word_for_every_shell_and_a_host_name(text: str) -> None:
    try:
        name = checked_name(text)
    except UsageError:
        assert text != "demo"
    else:
        assert shlex.quote(name) == name
        assert re.fullmatch(r"[a-z0-9-]+", name, re.ASCII)
        assert not name.startswith("-")


@pytest.mark.parametrize("text", ["0", "-1", "many", "2.5", "", "3797", "99999999999", "１"])
def test_a_number_of_workers_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="whole number from 1 to 3796"):
        checked_workers(text)


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.113.7", "203.0.113.7/32"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
    ],
)
def test_a_network_is_taken_with_its_prefix(text: str, network: str) -> None:
    assert checked_network(text) == network


@pytest.mark.parametrize(
    "text", ["", "home", "203.0.113.0/33", "203.0.113", "2001:db8::/32", "0/0", "1.2.3.4/24 x"]
)
def test_a_network_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"takes an IPv4 network such as 203\.0\.113\.0/24, not"):
        checked_network(text)


def test_an_address_that_is_not_its_network_s_first_is_told_the_network() -> None:
    with pytest.raises(UsageError, match=r"--ssh-from: the network of 10.1.2.3/8 is 10.0.0.0/8"):
        checked_network("10.1.2.3/8")


def test_options_win_over_the_spec_file() -> None:
    file = Spec(workers=8, flavor="small", values={"a": "file", "b": "file"})

    merged = Spec(workers=2, values={"a": "option"}).over(file)

    assert merged == Spec(workers=2, flavor="small", values={"a": "option", "b": "file"})


def test_a_spec_file_is_read() -> None:
    read = spec_file(
        "product: plain\nworkers: 3\nssh_from: 10.0.0.0/8\nset:\n  a: 1\nexpect:\n  - port: 22\n",
        "s.yaml",
    )

    assert read.spec == Spec(product="plain", workers=3, ssh_from="10.0.0.0/8", values={"a": "1"})
    assert "port: 22" in read.expect_text


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("8h", 28800), ("7d", 604800), ("366d", 31622400)]
)
def test_a_life_is_told_in_minutes_hours_or_days(text: str, seconds: int) -> None:
    assert checked_expiry(text) == seconds
    assert spec_file(f"expires: {text}\n", "s.yaml").spec.expires == seconds


@pytest.mark.parametrize("text", ["", "8", "h", "0h", "-1h", "8 h", "8h\n", "1.5h", "8s", "367d"])
def test_a_life_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--expires takes minutes, hours or days"):
        checked_expiry(text)


def test_all_problems_of_a_spec_file_are_told_with_their_lines() -> None:
    text = "workrs: 3\nworkers: none\nflavor: [a]\ntimeout: 0\nset: x\nssh_from: home\n"

    with pytest.raises(UsageError) as told:
        spec_file(text, "s.yaml")

    lines = told.value.problem.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"s.yaml:{n}" for n in range(1, 7)]
    assert "did you mean workers?" in lines[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("- a list\n", "a spec is a mapping"),
        ("a: [1\n", "s.yaml:2: not YAML"),
        ("a: \x00\n", "not YAML"),
    ],
)
def test_a_spec_file_that_is_none_says_so(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        spec_file(text, "s.yaml")


def test_an_assignment_without_a_name_or_a_value_is_refused() -> None:
    assert assignments(["a=1", "b=", "c=x=y"]) == {"a": "1", "b": "", "c": "x=y"}
    with pytest.raises(UsageError, match="NAME=VALUE"):
        assignments(["a"])
    with pytest.raises(UsageError, match="NAME=VALUE"):
        assignments(["=1"])
