"""Run a notebook and keep what it shows: run.py NOTEBOOK [--to=FILE] [NAME=VALUE]...

The values take the place of those in the cell tagged ``parameters``, for this run alone: the source
that is kept is the one that was there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HOUR = 3600  # seconds that a cell may take


def main(words: list[str]) -> None:
    """Run the notebook that the words name."""
    path = Path(words[0])
    options = dict(word.split("=", 1) for word in words[1:])
    to = Path(options.pop("--to", path))
    notebook = nbformat.read(path, as_version=4)
    sources = [cell.source for cell in notebook.cells]
    _set(notebook, options)
    try:
        _client(notebook, path.parent).execute()
    except CellExecutionError as error:
        sys.exit(f"{path}: nothing is kept, for a cell failed\n{error}")
    for cell, source in zip(notebook.cells, sources, strict=True):
        cell.source = source
    nbformat.write(notebook, to)


def _set(notebook: Any, values: dict[str, str]) -> None:
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", ()):
            cell.source = "\n".join(f"{name} = {value!r}" for name, value in values.items())


def _client(notebook: Any, folder: Path) -> NotebookClient:
    return NotebookClient(
        notebook,
        timeout=HOUR,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )


if __name__ == "__main__":
    main(sys.argv[1:])
