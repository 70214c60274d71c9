"""Bytes that are nearly right: good ones, changed a little, with their checksums made good again or not."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from zlib import crc32

from hypothesis import strategies as st

from gapless.log.frame import HEAD_BYTES, MAGIC

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
_PIECES = (
    b"null", b"true", b"-1", b"1e400", b'""', b"[]", b"{}", b"18446744073709551616", b"\xff\xfe", b"\\ud800",
    b"\0", b"\n", b"[" * 600, b"9" * 400,
)  # fmt: skip

_edits = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 1 << 16), st.integers(0, 1 << 16)), min_size=1, max_size=6
)


def nearly(seeds: Sequence[bytes], *, framed: bool = False) -> st.SearchStrategy[bytes]:
    """One of ``seeds`` after a few edits, or any bytes; ``framed``: half of the time with checksums of frames
    that are right, so that what stands behind them is read."""
    changed = st.builds(_edited, st.sampled_from(seeds), st.sampled_from(seeds), _edits)
    if framed:
        changed = st.one_of(changed, changed.map(with_checksums))
    return st.one_of(changed, changed, changed, st.binary(max_size=300))


def _edited(data: bytes, other: bytes, edits: list[tuple[int, int, int]]) -> bytes:
    content = bytearray(data)
    for what, at, more in edits:
        at %= len(content) + 1
        length = more % 64
        match what:
            case 0 if at < len(content):
                content[at] ^= 1 << (more % 8)
            case 1:
                del content[at:]
            case 2:
                del content[at : at + length]
            case 3:
                content[at : at + 4] = struct.pack("<I", _NUMBERS[more % len(_NUMBERS)])
            case 4:
                content[at : at + length % 8] = _PIECES[more % len(_PIECES)]
            case 5:
                content[at:at] = content[more % (len(content) + 1) :][:length]
            case 6:
                content[at:] = other[more % (len(other) + 1) :]
    return bytes(content)


def with_checksums(data: bytes) -> bytes:
    """Every head of a frame and what follows it, with the checksums that they should have."""
    content = bytearray(data)
    at = content.find(MAGIC)
    while 0 <= at <= len(content) - HEAD_BYTES:
        meta_bytes, body_bytes = struct.unpack_from("<II", content, at + 20)
        meta_at = at + HEAD_BYTES
        body_at = meta_at + meta_bytes
        meta, body = content[meta_at:body_at], content[body_at : body_at + body_bytes]
        struct.pack_into("<II", content, at + 28, crc32(meta), crc32(body))
        struct.pack_into("<I", content, at + 36, crc32(content[at : at + 36]))
        at = content.find(MAGIC, at + 2 if meta_bytes > len(content) else body_at)
    return bytes(content)
