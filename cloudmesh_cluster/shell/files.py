"""The files and streams that a user names: read once, with a clear word when they cannot be."""

from __future__ import annotations

import os
import re
import stat
from difflib import get_close_matches
from pathlib import Path

from cloudmesh_cluster.model import codes
from cloudmesh_cluster.model.checks import decoded
from cloudmesh_cluster.model.cluster import ROLES
from cloudmesh_cluster.model.errors import NotFound, UsageError
from cloudmesh_cluster.shell.environment import Environment

PUBLIC_KEY = re.compile(r"((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+) ([A-Za-z0-9+/=]+)")


def text(name: str) -> str:
    """The text of a file; UsageError when it is missing, a folder, empty or not UTF-8."""
    found = decoded(content(name), name)
    if not found.strip():
        raise UsageError(f"{name}: the file is empty")
    return found


def content(name: str) -> bytes:
    """The bytes of a file; UsageError when it is missing, a folder or not to be read."""
    try:
        return Path(name).expanduser().read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"{name}: there is no such file", _similar(name)) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: cannot be read: {getattr(error, 'strerror', error)}") from error


def _similar(name: str) -> str:
    folder = Path(name).parent
    there = [one.name for one in folder.iterdir()] if folder.is_dir() else []
    near = get_close_matches(Path(name).name, there, 1)
    return f"Did you mean {folder / near[0]}?" if near else ""


def role(word: str, *others: str) -> str:
    """The role that the word names; ``others`` may stand in its place."""
    known = (*ROLES, *others)
    if word in known:
        return word
    near = get_close_matches(word, known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"no role {word!r}{hint}", f"There are: {', '.join(known)}.")


def script(name: str | None, environment: Environment) -> bytes:
    """A role's script, byte by byte, from the file or from stdin; a terminal is not waited on."""
    if name is not None:
        text(name)
        return content(name)
    if environment.stdin.isatty():
        raise UsageError(
            "write takes the script from FILE or from stdin, and stdin is a terminal",
            environment.ways_to_give_a_script,
        )
    piped = environment.stdin.read()
    if not decoded(piped, "stdin").strip():
        raise UsageError("the script on stdin is empty", environment.ways_to_give_a_script)
    return piped


def piped_script(environment: Environment) -> bytes:
    """A script that is piped or redirected in; empty when stdin is anything else."""
    try:
        mode = os.fstat(environment.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return b""
    if not (stat.S_ISFIFO(mode) or stat.S_ISREG(mode)):
        return b""
    piped = environment.stdin.read()
    return piped if decoded(piped, "stdin").strip() else b""


def public_key(name: str, environment: Environment) -> str:
    """The public key of a file, without its comment; a private key's file stands for its .pub."""
    file = Path(name).expanduser()
    public = Path(f"{file}.pub")
    if file.suffix != ".pub" and public.exists():
        file = public
    if not file.exists():
        there = sorted(str(one) for one in (environment.home / ".ssh").glob("*.pub"))
        raise NotFound(
            f"there is no key {name}",
            f"There are: {', '.join(there) or 'none in ~/.ssh'}.",
            code=codes.KEYPAIR,
        )
    match = PUBLIC_KEY.match(text(str(file)))
    if not match:
        raise UsageError(
            f"{name} is no public key of OpenSSH's",
            "Give a file such as ~/.ssh/id_ed25519.pub.",
            code=codes.KEYPAIR,
        )
    return f"{match[1]} {match[2]}"
