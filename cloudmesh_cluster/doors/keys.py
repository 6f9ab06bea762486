"""Makes keypairs (cryptography, which paramiko brings along)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from cloudmesh_cluster.model.keys import KeyPair


def new_keypair(comment: str) -> KeyPair:
    """A new ed25519 keypair; the comment ends the public key's line."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return KeyPair(f"{public.decode()} {comment}", private.decode())
