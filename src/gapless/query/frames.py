"""How a pool and its workers talk: frames of bytes, each after its length (4 bytes, big endian), and what
is in them (JSON)."""

from __future__ import annotations

import asyncio
import struct
from typing import IO

import msgspec

from gapless.model.errors import Corrupt, GaplessError, Refused, Unavailable
from gapless.query.failures import BadMeaning, BadSyntax, OutOfMemory, OutOfTime
from gapless.query.request import QueryResult

_LENGTH = struct.Struct(">I")

#: What a worker can answer with, by the error's own code.
_ERRORS: dict[str, type[GaplessError]] = {
    error.code: error
    for error in (Refused, BadSyntax, BadMeaning, OutOfTime, OutOfMemory, Unavailable, Corrupt)
}


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """A worker's first frame: it waits for queries. ``landlock_version`` is 0 without Landlock."""

    landlock_version: int


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """The query's answer, without its rows: these are the next frame, since nobody on the way reads them."""

    result: QueryResult


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Why there is no answer."""

    code: str
    message: str

    @classmethod
    def of(cls, error: GaplessError) -> Failed:
        """The frame for ``error``."""
        return cls(error.code, str(error))

    def error(self) -> GaplessError:
        """The error, as the worker raised it."""
        return _ERRORS.get(self.code, Unavailable)(self.message)


def header(payload: bytes) -> bytes:
    """What goes over the pipe before ``payload``."""
    return _LENGTH.pack(len(payload))


def read_frame(source: IO[bytes]) -> bytes | None:
    """The next frame's payload, or None at the end of the pipe."""
    length_bytes = source.read(_LENGTH.size)
    if len(length_bytes) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(length_bytes)
    payload = source.read(length)
    return payload if len(payload) == length else None


async def next_frame(source: asyncio.StreamReader, bytes_max: int) -> bytes:
    """The next frame's payload. Raises IncompleteReadError at the end of the pipe, and Corrupt for a frame
    longer than ``bytes_max``."""
    (length,) = _LENGTH.unpack(await source.readexactly(_LENGTH.size))
    if length > bytes_max:
        raise Corrupt(f"a query worker answered with {length} bytes: more than the {bytes_max} it may send")
    return await source.readexactly(length)
