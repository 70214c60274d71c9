"""The keys that sign receipts and access tokens: small files, made at the first start, read ever after."""

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
    key, new = _key(disk, path, "restore it from a backup")
    return Signer(key), new


def access_key(disk: Disk, path: str) -> bytes:
    """The key that ``path`` holds, as ``receipt_signer``. With another key the access tokens that are in use
    are refused, and clients ask for new ones."""
    return _key(disk, path, "remove it")[0]


def _key(disk: Disk, path: str, advice: str) -> tuple[bytes, bool]:
    """The 32 bytes in the file ``path``, and whether they were made just now."""
    stored = read_small(disk, path)
    if stored is None:
        key = Signer.new_private_key()
        write_atomically(disk, path, key.hex().encode() + b"\n")
        return key, True
    try:
        key = bytes.fromhex(stored.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Misconfigured([f"{path} does not hold a key of 64 hex digits: {advice}"])
    return key, False
