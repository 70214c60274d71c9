"""Finding frames in a segment of which parts may be torn or damaged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

from gapless.log.disk import File
from gapless.log.frame import HEAD_BYTES, MAGIC, Head, decode_head

SCAN_BYTES = 1 << 20


class Ending(NamedTuple):
    """Where a segment ends, in positions.

    ``[base, end)`` is to be kept, ``damaged`` parts of it included. Everything before ``acknowledged`` is
    known to have been; it may lie beyond ``end``, and what lies between is damaged too.
    """

    end: int
    acknowledged: int
    damaged: list[tuple[int, int]]


def find_ending(file: File, base: int, published: int | None) -> Ending:
    """Tell damage from a torn tail: what is broken was acknowledged, or it was not and ends the log.

    The published position may be older than what was acknowledged: it is not synced. So each frame bears
    witness, too: all before its ``durable`` was acknowledged when it was written, and its head alone says so,
    whatever became of the rest of it. Where nothing is published any more, which no crash does, all of the
    file counts as acknowledged: better a false alarm than acknowledged bytes cut off in silence.
    """
    size = file.size()
    frames = list(_runs(file, base, size))
    told = base + size if published is None else published
    acknowledged = max([told, base, *(durable for _, _, durable in frames)])
    end, damaged = base, []
    for first, next_, _ in frames:
        if first > max(end, acknowledged):
            break  # behind something torn that nobody was told of
        if first > end:
            damaged.append((end, first))
        end = next_
    return Ending(end, acknowledged, damaged)


def next_head(file: File, base: int, offset: int, end: int) -> int | None:
    """The offset of the first intact head in ``[offset, end)`` that belongs where it stands, or None."""
    while window := file.pread(max(0, min(SCAN_BYTES + HEAD_BYTES, end - offset)), offset):
        at = window.find(MAGIC)
        while 0 <= at < SCAN_BYTES:
            head = decode_head(window, at)
            if head is not None and head.position == base + offset + at:
                return offset + at
            at = window.find(MAGIC, at + 1)
        offset += SCAN_BYTES
    return None


def _runs(file: File, base: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Each unbroken run of intact frames: where it begins and ends, and the highest ``durable`` in it. An
    intact head of a frame that is not whole is a run of no frames."""
    first, offset, durable = 0, 0, 0
    while offset < size:
        head = _intact_head(file, base, offset)
        if head is not None:
            durable = max(durable, head.durable)
            offset += head.frame_bytes
            continue
        if offset > first:
            yield base + first, base + offset, durable
        while (at := next_head(file, base, offset, size)) is not None:
            if _intact_head(file, base, at) is not None:
                break
            if (torn := decode_head(file.pread(HEAD_BYTES, at))) is not None:
                yield base + at, base + at, torn.durable
            offset = at + 1
        if at is None:
            return
        first, offset, durable = at, at, 0
    if offset > first:
        yield base + first, base + offset, durable


def _intact_head(file: File, base: int, offset: int) -> Head | None:
    """The head of the frame at ``offset``, if all of that frame is there and intact."""
    head = decode_head(file.pread(HEAD_BYTES, offset))
    if head is None or head.position != base + offset:
        return None
    if head.dropped:
        return head if crc32(file.pread(head.meta_bytes, offset + HEAD_BYTES)) == head.meta_crc else None
    rest = memoryview(file.pread(head.frame_bytes - HEAD_BYTES, offset + HEAD_BYTES))
    whole = len(rest) == head.frame_bytes - HEAD_BYTES
    meta, body = rest[: head.meta_bytes], rest[head.meta_bytes :]
    return head if whole and crc32(meta) == head.meta_crc and crc32(body) == head.body_crc else None
