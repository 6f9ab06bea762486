"""Text without secrets: what is kept of a failure may be sent to somebody.

A node's log may be long and hostile: each pattern takes time that grows with the text alone.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterable
from typing import Any

MASK = "(secret left out)"
LEAST = 16  # characters of a line of a key that is worth looking for; shorter ones are words

_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:(?!-----)[\s\S])*"
    r"(?:-----END [A-Z0-9 ]*PRIVATE KEY-----)?"
)
_KEYS_END = re.compile(r"-----END [A-Z0-9 ]*PRIVATE KEY-----")
_OF_KEYS = string.ascii_letters + string.digits + "+/=\\\r\n"
_FERNET = re.compile(r"\bgAAAAA[\w-]{20,}={0,2}")
_HEADER = re.compile(
    r"((?:X-(?:Auth|Subject)-Token|Authorization)['\"\\]{0,2}\s?[:=]\s?['\"\\]{0,2})[^'\"\n\\]+",
    re.I,
)
_USER_INFO = re.compile(r"(\b[a-z][a-z0-9+.-]{0,15}://[^\s/:@'\"]{0,99}):[^\s/@'\"]{1,999}@", re.I)
_WORDS = (
    r"passw(?:or)?d|passphrase|adminpass|secret|token|api_?key|signature|temp_url_sig|credentials?"
)
_ASSIGNED = re.compile(
    rf"((?:{_WORDS})[\w-]{{0,30}}\\?[\"']?\s{{0,9}}[=:]\s{{0,9}})"
    rf"(?!{re.escape(MASK)})(\\?\"[^\"\n]{{0,999}}\"|'[^'\n]{{0,999}}'|[^\s&;,'\"\\]+)",
    re.I,
)


def scrubbed(text: str, known: Iterable[str] = ()) -> str:
    """The text with private keys, tokens and passwords masked, by their form and as they are known.

    ``known`` are whole secrets; each of their longer lines is looked for.
    """
    for secret in known:
        for line in secret.splitlines():
            if len(line) >= LEAST and "-----" not in line:
                text = text.replace(line, MASK)
    text = _without_ends(_KEY.sub(MASK, text))
    text = _FERNET.sub(MASK, text)
    text = _HEADER.sub(rf"\g<1>{MASK}", text)
    text = _USER_INFO.sub(rf"\g<1>:{MASK}@", text)
    return _ASSIGNED.sub(rf"\g<1>{MASK}", text)


def scrubbed_json(text: str, known: Iterable[str] = ()) -> str:
    """JSON with every text in it scrubbed, so that it stays JSON."""
    return json.dumps(_walked(json.loads(text), tuple(known)), indent=1) + "\n"


def _walked(value: Any, known: tuple[str, ...]) -> Any:
    if isinstance(value, str):
        return scrubbed(value, known)
    if isinstance(value, list):
        return [_walked(one, known) for one in value]
    if isinstance(value, dict):
        return {name: _walked(one, known) for name, one in value.items()}
    return value


def _without_ends(text: str) -> str:
    """The text without ends of keys whose beginning was cut off, as it is in the end of a log."""
    *cut, rest = _KEYS_END.split(text)
    return "".join([*(one.rstrip(_OF_KEYS) + MASK for one in cut), rest])
