"""Keypairs, as text in OpenSSH's own formats."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class KeyPair:
    """A private key and its public half; the private one stays out of every repr."""

    public: str
    private: str = field(repr=False)


@dataclass(frozen=True)
class Keys:
    """The keypairs of a new cluster."""

    client: KeyPair  # the workspace's: only its public half leaves it
    first: KeyPair  # from node to node until they are wired: it travels through Heat
    nodes: KeyPair  # from node to node afterwards: it never was in Heat
    ca: KeyPair  # signs the nodes' host keys until they are wired
