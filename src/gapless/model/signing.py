"""Signed statements: Ed25519 (RFC 8032) over the exact bytes of a JSON text.

The text is carried as it was signed, so that whoever verifies needs no rule for writing JSON.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gapless.model.errors import UNDECODABLE, Refused

T = TypeVar("T")


class Signed(msgspec.Struct, frozen=True):
    """A statement (JSON text), the public key of who made it and the signature, both in hex."""

    statement: str
    key: str
    signature: str


class Signer:
    """Makes signed statements with one private key (32 bytes, raw)."""

    def __init__(self, private_key: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private_key)
        self.public_key = self._key.public_key().public_bytes_raw().hex()

    @staticmethod
    def new_private_key() -> bytes:
        """Fresh key material from the operating system."""
        return Ed25519PrivateKey.generate().private_bytes_raw()

    def sign(self, message: msgspec.Struct) -> Signed:
        statement = msgspec.json.encode(message)
        return Signed(statement.decode(), self.public_key, self._key.sign(statement).hex())


def verify(signed: Signed, public_key: str, kind: type[T]) -> T:
    """The statement, decoded as ``kind``, if ``public_key`` signed it. Raises Refused."""
    if signed.key != public_key:
        raise Refused("the statement was signed with another key than the one expected")
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(signed.signature), signed.statement.encode())
        return msgspec.json.decode(signed.statement, type=kind)
    except (InvalidSignature, *UNDECODABLE) as error:
        raise Refused("the statement's signature does not fit its text") from error
