"""Witnesses of content that was read: digests over the bytes before an offset, and before older offsets."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

#: Bytes before an offset that its witness covers. Records of one width often end alike (a constant last
#: field), so the witness reaches back over many of them, to what tells them apart.
WITNESS_BYTES = 4096
#: The trail keeps one older offset in each of at most so many equal cells of what was read, none smaller
#: than _CELL_BYTES_MIN, and beyond that the ends of the last few reads, where a copy is likely to end.
_CELLS_MAX = 16
_CELL_BYTES_MIN = 64
_RECENT = 3

#: Older offsets, ascending, each at the start of a line, with the ``trail_digest`` of its witness.
Trail = tuple[tuple[int, str], ...]


def witness_digest(window: bytes | bytearray | memoryview) -> str:
    """The digest of the bytes before an offset: BLAKE2b-128 in hex, "" of none."""
    return blake2b(window, digest_size=16).hexdigest() if len(window) else ""


def trail_digest(witness: str) -> str:
    """A witness as the trail keeps it: its first 64 bits in hex."""
    return witness[:16]


def extended(trail: Trail, points: Trail, end: int) -> Trail:
    """``trail`` with later ``points``, thinned to what a file read up to ``end`` keeps."""
    every = (*trail, *points)
    cell = _cell_bytes(end)
    spread = {offset // cell: (offset, digest) for offset, digest in every[:-_RECENT]}
    return (*spread.values(), *every[-_RECENT:])


def points_within(buffer: bytearray, base: int, start: int, stop: int) -> Iterator[tuple[int, str]]:
    """Offsets to remember of the whole lines in ``buffer[start:stop]``, ``stop`` itself left out.
    ``base`` is the offset in the file at which the buffer begins: 0, or WITNESS_BYTES before ``start``."""
    cell = _cell_bytes(base + stop)
    view = memoryview(buffer)
    first = (base + start) // cell + 1
    for boundary in range(first * cell - base, stop, cell):
        at = buffer.rfind(b"\n", max(start, boundary - cell), boundary) + 1
        if at:
            yield base + at, trail_digest(witness_digest(view[max(0, at - WITNESS_BYTES) : at]))


def _cell_bytes(end: int) -> int:
    """A power of two, so that the cells of a grown file are unions of those it had before."""
    cell = _CELL_BYTES_MIN
    while end > cell * _CELLS_MAX:
        cell *= 2
    return cell
