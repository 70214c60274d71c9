"""Damage to the ledger's file: noticing it, and removing the file, which can be made anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from zlib import crc32

import msgspec
import sqlalchemy as sa

from gapless.model.errors import UNDECODABLE


def by_damage(error: Exception) -> bool:
    """Whether the file itself is at fault: not the disk, nor somebody who holds it."""
    if not isinstance(error, sa.exc.DBAPIError):
        return isinstance(error, UNDECODABLE)
    if not isinstance(error.orig, sqlite3.Error):
        return False
    # Without a code it is the driver that cannot read what it got. Its low byte is the kind.
    code = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    return code in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def remove_database(path: Path) -> None:
    """Remove the file and its log."""
    # The database last: what is left of its log must never meet another database of its name. A crash
    # half-way leaves a file that is opened, or removed, at the next start.
    for each in (Path(f"{path}-wal"), Path(f"{path}-shm"), path):
        each.unlink(missing_ok=True)


def check_of(values: Mapping[str, int]) -> int:
    """What tells whether the cursors are those that were written."""
    return crc32(msgspec.json.encode(sorted(values.items())))


def sealed(book: bytes) -> bytes:
    """A book with its CRC-32 before it (4 bytes, little-endian)."""
    return crc32(book).to_bytes(4, "little") + book


def unsealed(data: bytes) -> bytes:
    """The other way round. Raises ValueError for a book that is not what was written."""
    book = data[4:]
    if crc32(book).to_bytes(4, "little") != data[:4]:
        raise ValueError("a book is not what was written")
    return book
