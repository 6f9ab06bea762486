"""Answers as text: a table, JSON, YAML or CSV; nothing here prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cloudmesh_cluster.model.errors import UsageError

FORMATS = ("table", "json", "yaml", "csv")


def known_format(format: str) -> str:
    """The format itself; UsageError lists those that there are."""
    if format not in FORMATS:
        raise UsageError(f"no format {format!r}; there are {', '.join(FORMATS)}")
    return format


def text(rows: Sequence[Mapping[str, object]], columns: Sequence[str], format: str) -> str:
    """The rows with these columns, in this order; without a last newline.

    JSON and YAML are a list of objects, one a row, with the columns as keys.
    """
    known_format(format)
    chosen = [{column: row.get(column) for column in columns} for row in rows]
    if format == "json":
        return _json(chosen)
    if format == "yaml":
        return _yaml(chosen)
    cells = [[_cell(value) for value in row.values()] for row in chosen]
    return _table(columns, cells) if format == "table" else _csv(columns, cells)


def record(mapping: Mapping[str, object], format: str) -> str:
    """One object: a table and CSV with a row for each property, a JSON or YAML object."""
    known_format(format)
    if format == "json":
        return _json(mapping)
    if format == "yaml":
        return _yaml(mapping)
    rows = [{"property": name, "value": value} for name, value in mapping.items()]
    return text(rows, ["property", "value"], format)


def printable(text: str) -> str:
    r"""The text with control characters spelt out (``\x1b``), so that none reaches a terminal."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(_cell(one) for one in value)
    return printable(str(value))


def _table(columns: Sequence[str], cells: Sequence[list[str]]) -> str:
    from prettytable import PrettyTable

    table = PrettyTable()
    table.field_names = [printable(column) for column in columns]
    table.align = "l"
    table.add_rows(cells)
    return table.get_string()


def _csv(columns: Sequence[str], cells: Sequence[list[str]]) -> str:
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
