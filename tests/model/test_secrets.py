"""No secret stays in a text, and little else goes."""

from __future__ import annotations

import json
import time

import pytest

from cloudmesh_cluster.model.secrets import MASK, scrubbed, scrubbed_json

KEY = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
    "QyNTUxOQAAACDOabcdef\n"
    "-----END OPENSSH PRIVATE KEY-----"
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"before\n{KEY}\nafter", f"before\n{MASK}\nafter"),
        (f"+ echo '{KEY}'".replace("\n", "\\n"), f"+ echo '{MASK}'"),
        ("log:\n" + KEY.partition("\n")[2] + "\nafter", f"log:{MASK}\nafter"),
        ("begun\n" + KEY[:80], f"begun\n{MASK}"),
        (f"curl -H 'X-Auth-Token: gAAAAABk{'x' * 40}' http://a",
         f"curl -H 'X-Auth-Token: {MASK}' http://a"),
        ("took gAAAAABk" + "x_-" * 20 + "== well", f"took {MASK} well"),
        ("http://demo:geheim@mirror/debian", f"http://demo:{MASK}@mirror/debian"),
        ("http://heat/signal?token=abc&x=1", f"http://heat/signal?token={MASK}&x=1"),
        ("Signature=abc%3D&Timestamp=1", f"Signature={MASK}&Timestamp=1"),
        ("password=geheim rest", f"password={MASK} rest"),
        ("DB_PASSWORD='ge heim' rest", f"DB_PASSWORD={MASK} rest"),
        ('"adminPass": "geheim"', f'"adminPass": {MASK}'),
        ("Authorization: Basic Z2VoZWlt", f"Authorization: {MASK}"),
    ],
    ids=["key", "trace", "end of a key", "start of a key", "header", "fernet", "url", "query",
         "signed", "password", "quoted", "json", "basic"],
)  # fmt: skip
def test_a_secret_is_masked(text: str, left: str) -> None:
    told = scrubbed(text)
    assert MASK in told
    assert not any(word in told for word in ("geheim", "ge heim", "xxxx", "QyNT", "abc", "Z2Vo"))
    assert told == left


def test_a_known_key_is_found_line_by_line() -> None:
    line = KEY.splitlines()[1]
    assert scrubbed(f"got {line} there", [KEY]) == f"got {MASK} there"


@pytest.mark.parametrize(
    "text",
    [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ demo",
        '"passed": true, "seen": "ok"',
        "http://10.0.0.1:8004/v1",
        "-----BEGIN SSH HOST KEY KEYS-----\nssh-rsa AAAA\n-----END SSH HOST KEY KEYS-----",
        "wrong password",
    ],
    ids=["public key", "verdict", "address", "host keys", "words"],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert scrubbed(text) == text


def test_json_stays_json() -> None:
    told = {"reason": f'it said password="geheim" and\n{KEY}', "count": [1, None, True]}
    left = json.loads(scrubbed_json(json.dumps(told)))
    assert left == {"reason": f"it said password={MASK} and\n{MASK}", "count": [1, None, True]}


@pytest.mark.parametrize(
    "unit",
    ["a", "a.", "A ", "password=", 'token="', "http://a:", "-----BEGIN ", "gAAAAA"],
    ids=["a", "dots", "words", "passwords", "quotes", "urls", "keys", "tokens"],
)
def test_a_hostile_log_takes_no_longer_than_its_length(unit: str) -> None:
    began = time.process_time()
    scrubbed((unit * 400_000)[:400_000])
    assert time.process_time() - began < 20  # what grows with the square takes minutes
