"""Answers as text: a table, JSON, YAML or CSV; nothing here prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloudmesh_cluster.model.errors import UsageError

FORMATS = ("table", "json", "yaml", "csv")


@dataclass(frozen=True)
class Table:
    """Columns, and the cells of each row as text."""

    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Answer:
    """What a command found: its text, the rows that it tells of, and the tables that it shows.

    There is no table where another format was asked for, or where a text says it better.
    """

    text: str
    rows: tuple[Mapping[str, object], ...] = ()
    tables: tuple[Table, ...] = ()


def answer(rows: Sequence[Mapping[str, object]], columns: Sequence[str], format: str) -> Answer:
    """The rows with these columns as an answer."""
    chosen = _chosen(rows, columns)
    tables = (table(rows, columns),) if format == "table" else ()
    return Answer(text(rows, columns, format), tuple(chosen), tables)


def stream(
    rows: Sequence[Mapping[str, object]], columns: Sequence[str], format: str, *, first: bool
) -> str:
    """The next rows of an answer that grows: lines of text, JSON lines, a YAML list or CSV."""
    if format == "json":
        return "\n".join(json_line(row) for row in _chosen(rows, columns))
    if format == "table":
        return _aligned(table(rows, columns).cells)
    whole = text(rows, columns, format)
    return whole if first or format == "yaml" else whole.partition("\n")[2]


def _aligned(cells: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (map(str.ljust, row, widths) for row in cells)
    return "\n".join("  ".join(line).rstrip() for line in lines)


def json_line(row: Mapping[str, object]) -> str:
    """One object on one line."""
    import json

    return json.dumps(row, default=str)


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> Table:
    """The rows with these columns as cells of text."""
    cells = (tuple(_cell(value) for value in row.values()) for row in _chosen(rows, columns))
    return Table(tuple(printable(column) for column in columns), tuple(cells))


def known_format(format: str, formats: Sequence[str] = FORMATS) -> str:
    """The format itself; UsageError lists those that there are."""
    if format not in formats:
        raise UsageError(f"no format {format!r}; there are {', '.join(formats)}")
    return format


def text(rows: Sequence[Mapping[str, object]], columns: Sequence[str], format: str) -> str:
    """The rows with these columns, in this order; without a last newline.

    JSON and YAML are a list of objects, one a row, with the columns as keys.
    """
    known_format(format)
    if format == "json":
        return _json(_chosen(rows, columns))
    if format == "yaml":
        return _yaml(_chosen(rows, columns))
    made = table(rows, columns)
    return _drawn(made) if format == "table" else _csv(columns, made.cells)


def record(mapping: Mapping[str, object], format: str) -> str:
    """One object: a table and CSV with a row for each property, a JSON or YAML object."""
    known_format(format)
    if format == "json":
        return _json(mapping)
    if format == "yaml":
        return _yaml(mapping)
    return text(properties(mapping), PROPERTIES, format)


PROPERTIES = ("property", "value")


def properties(mapping: Mapping[str, object]) -> list[dict[str, object]]:
    """A row for each property of an object."""
    return [{"property": name, "value": value} for name, value in mapping.items()]


def printable(text: str) -> str:
    r"""The text with control characters spelt out (``\x1b``), so that none reaches a terminal."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _chosen(
    rows: Sequence[Mapping[str, object]], columns: Sequence[str]
) -> list[dict[str, object]]:
    return [{column: row.get(column) for column in columns} for row in rows]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(_cell(one) for one in value)
    return printable(str(value))


def _drawn(table: Table) -> str:
    from prettytable import PrettyTable

    drawn = PrettyTable()
    drawn.field_names = list(table.columns)
    drawn.align = "l"
    drawn.add_rows([list(row) for row in table.cells])
    return drawn.get_string()


def _csv(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    import csv
    import io

    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([columns, *cells])
    return out.getvalue().rstrip("\n")


def _json(value: object) -> str:
    import json

    return json.dumps(value, indent=2, default=str)


def _yaml(value: object) -> str:
    import json

    import yaml

    plain: Any = json.loads(json.dumps(value, default=str))  # tuples and enums as YAML knows them
    dumped: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    return dumped.rstrip("\n")
