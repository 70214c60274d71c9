"""The key that signs receipts: one small file, made at the first start, read ever after."""

from __future__ import annotations

from gapless.log.disk import Disk, read_small, write_atomically
from gapless.model.errors import Misconfigured
from gapless.model.signing import Signer


def receipt_signer(disk: Disk, path: str) -> tuple[Signer, bool]:
    """The signer whose private key ``path`` holds (64 hex digits), and whether it was made just now.

    A new key is durable before this returns; its file is readable by its owner alone.
    Raises Misconfigured when the file holds anything else: signing with another key would make the
    receipts given so far look forged.
    """
    stored = read_small(disk, path)
    if stored is None:
        private = Signer.new_private_key()
        write_atomically(disk, path, private.hex().encode() + b"\n")
        return Signer(private), True
    try:
        private = bytes.fromhex(stored.decode("ascii"))
        return Signer(private), False
    except ValueError as error:
        raise Misconfigured([f"{path} does not hold a receipt key: restore it from a backup"]) from error
