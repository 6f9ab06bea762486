"""A record as one file, a tar.gz with one folder, that can be sent to somebody."""

from __future__ import annotations

import io
import tarfile
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cloudmesh_cluster.model.errors import ClusterError
from cloudmesh_cluster.model.secrets import scrubbed, scrubbed_json

MOST_BYTES = 2**30  # of all that is read of a record, which somebody may have sent us
PRIVATE = 0o600


def packed(folder: str, parts: Mapping[str, str], *, secrets: Iterable[str] = ()) -> bytes:
    """A tar.gz with these files in a folder of that name; no secret of theirs is in it."""
    known = tuple(secrets)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, text in parts.items():
            clean = scrubbed_json if name.endswith(".json") else scrubbed
            content = clean(text, known).encode(errors="replace")
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode, entry.mtime = len(content), PRIVATE, int(time.time())
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def unpacked(file: Path) -> dict[str, str]:
    """The texts in a record, by their names below its folder; nothing is written anywhere."""
    try:
        with tarfile.open(file, "r:gz") as archive:
            found = dict(_texts(archive))
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise ClusterError(
            f"{file} is no record: {error}", "A record is a .tar.gz that create has made."
        ) from error
    if not found:
        raise ClusterError(f"{file} is no record: there is nothing in it")
    return found


def _texts(archive: tarfile.TarFile) -> Iterator[tuple[str, str]]:
    left = MOST_BYTES
    for entry in archive:
        left -= entry.size
        if left < 0:
            raise tarfile.TarError(f"it is larger than {MOST_BYTES} bytes")
        content = archive.extractfile(entry) if entry.isfile() else None
        if content is not None:
            yield entry.name.partition("/")[2], content.read().decode(errors="replace")
