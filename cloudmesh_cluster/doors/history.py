"""A file of a cloud with how long creates took there; it may be lost, and nothing depends on it."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from cloudmesh_cluster.model.history import MOST, Run


@dataclass(frozen=True)
class History:
    """The newest runs on a cloud, the oldest first."""

    folder: Path
    cloud: str

    @property
    def file(self) -> Path:
        """Where they are: a JSON object on each line."""
        return self.folder / f"{quote(self.cloud, safe='')}.jsonl"

    def runs(self) -> tuple[Run, ...]:
        """What can be read of it."""
        try:
            lines = self.file.read_text().splitlines()
        except (OSError, ValueError):
            return ()
        found = (_run(line) for line in lines)
        return tuple(one for one in found if one)

    def add(self, run: Run) -> None:
        """Keep one more, and forget the oldest; where that cannot be done, nothing is lost."""
        kept = [*self.runs(), run][-MOST:]
        text = "".join(json.dumps(asdict(one)) + "\n" for one in kept)
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            number, new = tempfile.mkstemp(dir=self.folder)
            with os.fdopen(number, "w") as out:
                out.write(text)
            os.replace(new, self.file)


def _run(line: str) -> Run | None:
    try:
        told = json.loads(line)
        stages = {str(stage): float(seconds) for stage, seconds in told["stages"].items()}
        run = Run(str(told["product"]), int(told["workers"]), stages)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return run if all(0 <= seconds < 1e6 for seconds in stages.values()) else None
