"""Keypairs, as text in OpenSSH's own formats."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class KeyPair:
    """A private key and its public half; the private one stays out of every repr."""

    public: str
    private: str = field(repr=False)
