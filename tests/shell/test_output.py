"""Answers in the four formats."""

from __future__ import annotations

import csv
import io
import json
from enum import Enum

import pytest
import yaml

from cloudmesh_cluster.model.errors import UsageError
from cloudmesh_cluster.shell.output import record, stream, text


class Colour(str, Enum):
    RED = "red"


ROWS = [
    {"name": "demo", "workers": 2, "nodes": ["a", "b"], "gone": None, "extra": 1},
    {"name": "other", "workers": 10, "ok": True},
]
COLUMNS = ["name", "workers", "nodes", "ok"]


def test_a_table_is_aligned_ascii_with_the_columns_in_their_order() -> None:
    assert text(ROWS, COLUMNS, "table").splitlines() == [
        "+-------+---------+-------+-----+",
        "| name  | workers | nodes | ok  |",
        "+-------+---------+-------+-----+",
        "| demo  | 2       | a b   |     |",
        "| other | 10      |       | yes |",
        "+-------+---------+-------+-----+",
    ]


@pytest.mark.parametrize(("format", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_json_and_yaml_are_a_list_of_objects_that_keep_their_types(format, load) -> None:
    assert load(text(ROWS, COLUMNS, format)) == [
        {"name": "demo", "workers": 2, "nodes": ["a", "b"], "ok": None},
        {"name": "other", "workers": 10, "nodes": None, "ok": True},
    ]


def test_csv_has_a_line_of_columns_and_quotes_what_needs_it() -> None:
    told = text([{"name": 'a,"b"', "workers": None}], ["name", "workers"], "csv")
    assert list(csv.reader(io.StringIO(told))) == [["name", "workers"], ['a,"b"', ""]]


@pytest.mark.parametrize("format", ["table", "csv"])
def test_no_control_character_of_a_cell_comes_through(format: str) -> None:
    told = text([{"name": "a\x1b[2J\nb\x9b\u202e\udc80ü"}], ["name"], format)
    assert "a\\x1b[2J\\nb\\x9b\\u202e\\udc80ü" in told


@pytest.mark.parametrize("format", ["json", "yaml"])
def test_json_and_yaml_escape_control_characters_and_keep_them(format: str) -> None:
    told = text([{"name": "a\x1b\x9b"}], ["name"], format)
    assert "\x1b" not in told
    assert "\x9b" not in told
    assert yaml.safe_load(told) == [{"name": "a\x1b\x9b"}]


@pytest.mark.parametrize(
    ("format", "told"),
    [("json", "[]"), ("yaml", "[]"), ("csv", "name"), ("table", "+------+\n| name |")],
)
def test_no_rows_are_an_empty_answer_not_an_error(format: str, told: str) -> None:
    assert text([], ["name"], format).startswith(told)


@pytest.mark.parametrize(("format", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_a_record_is_one_object(format, load) -> None:
    given = {"name": "demo", "nodes": ("a",), "colour": Colour.RED}
    assert load(record(given, format)) == {"name": "demo", "nodes": ["a"], "colour": "red"}


def test_a_record_as_table_has_a_row_for_each_property() -> None:
    assert "| name     | demo  |" in record({"name": "demo"}, "table")
    assert record({"name": "demo"}, "csv") == "property,value\nname,demo"


@pytest.mark.parametrize("answer", [lambda f: text([], [], f), lambda f: record({}, f)])
def test_an_unknown_format_lists_the_four(answer) -> None:
    with pytest.raises(UsageError, match="'xml'; there are table, json, yaml, csv"):
        answer("xml")


GROWING = [
    ([{"a": "x", "b": 1}], True),
    ([{"a": "longer", "b": 2}, {"a": "esc\x1b", "b": None}], False),
]


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("table", ["x  1", "longer   2\nesc\\x1b"]),
        ("json", ['{"a": "x", "b": 1}',
                  '{"a": "longer", "b": 2}\n{"a": "esc\\u001b", "b": null}']),
        ("csv", ["a,b\nx,1", "longer,2\nesc\\x1b,"]),
    ],
)  # fmt: skip
def test_an_answer_that_grows_goes_on_where_it_was(format: str, expected: list[str]) -> None:
    assert [stream(rows, "ab", format, first=first) for rows, first in GROWING] == expected


def test_the_parts_of_a_growing_yaml_are_one_list() -> None:
    parts = [stream(rows, "ab", "yaml", first=first) + "\n" for rows, first in GROWING]
    assert yaml.safe_load("".join(parts)) == [row for rows, _ in GROWING for row in rows]
