"""Frames: how one message stands in a log segment or in a request body.

A frame is a head of 40 bytes, a small ``meta`` (JSON) and a ``body`` (bytes). All integers little-endian:

    offset  size
         0     2  magic "GF"
         2     1  format version: 1; 2 if the body was dropped since (``log.drop``): its bytes mean nothing
         3     1  kind, of the log's own choosing
         4     8  position of this frame in its log; 0 on the wire
        12     8  position up to which the log was durable when this frame was written; 0 on the wire
        20     4  length of meta
        24     4  length of body
        28     4  CRC-32 of meta
        32     4  CRC-32 of body
        36     4  CRC-32 of the 36 bytes before

The checks are separate so that damage to a body still leaves its meta readable: what was lost can be
named. The position makes a frame valid in one place only, so that a search for the next good frame
after damage is not misled by frames of another log, or of another place in this one, inside a body. The
durable position tells damage to what was acknowledged from a tail that was torn before it was.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

from gapless.log.disk import Buffer
from gapless.model.errors import Corrupt

MAGIC = b"GF"
VERSION, _DROPPED_VERSION = 1, 2
HEAD_BYTES = 40

#: The kind of frame that a reader returns for bytes it could not make sense of. Never written.
DAMAGED = 255

_HEAD = struct.Struct("<2sBBQQIIII")
_CRC = struct.Struct("<I")


class Head(NamedTuple):
    """What a frame's first 40 bytes say, once their checksum was seen to hold."""

    kind: int
    position: int
    durable: int
    meta_bytes: int
    body_bytes: int
    meta_crc: int
    body_crc: int
    dropped: bool = False

    @property
    def frame_bytes(self) -> int:
        return HEAD_BYTES + self.meta_bytes + self.body_bytes


class Frame(NamedTuple):
    """One frame as read. ``body`` is empty where the reader did not ask for bodies, and where it was
    ``dropped`` from the log because nothing needed it any more."""

    kind: int
    position: int
    next_position: int
    meta: bytes
    body: memoryview
    dropped: bool = False


def encode(kind: int, meta: bytes, body: Buffer = b"", position: int = 0, durable: int = 0) -> list[Buffer]:
    """The buffers of a frame, to be written one after the other; the body is not copied.

    Raises ValueError for the kind ``DAMAGED``.
    """
    if kind == DAMAGED:
        raise ValueError(f"kind {DAMAGED} means damage: choose another for what is written")
    head = _HEAD.pack(MAGIC, VERSION, kind, position, durable, len(meta), len(body), crc32(meta), crc32(body))
    return [head + _CRC.pack(crc32(head)) + meta, body]


def without_body(head: Head) -> bytes:
    """The head of the same frame, once its body is dropped. It keeps its length."""
    dropped = _HEAD.pack(
        MAGIC, _DROPPED_VERSION, head.kind, head.position, head.durable, head.meta_bytes, head.body_bytes,
        head.meta_crc, 0,
    )  # fmt: skip
    return dropped + _CRC.pack(crc32(dropped))


def decode_head(data: Buffer, offset: int = 0) -> Head | None:
    """The head at ``offset``, or None if there is none that is whole and intact."""
    if len(data) - offset < HEAD_BYTES:
        return None
    magic, version, kind, position, durable, meta_bytes, body_bytes, meta_crc, body_crc = _HEAD.unpack_from(
        data, offset
    )
    if magic != MAGIC or version not in (VERSION, _DROPPED_VERSION) or kind == DAMAGED:
        return None
    (head_crc,) = _CRC.unpack_from(data, offset + _HEAD.size)
    if crc32(memoryview(data)[offset : offset + _HEAD.size]) != head_crc:
        return None
    dropped = version == _DROPPED_VERSION
    return Head(kind, position, durable, meta_bytes, body_bytes, meta_crc, body_crc, dropped)


def decode_all(data: Buffer, *, frames_max: int) -> Iterator[Frame]:
    """The frames of a request body, one after the other, bodies as views into ``data``.

    Raises Corrupt at the first byte that is not a whole, intact frame, or beyond ``frames_max``.
    """
    view = memoryview(data)
    offset = 0
    for _ in range(frames_max):
        if offset == len(view):
            return
        head = decode_head(view, offset)
        if head is None or head.dropped or offset + head.frame_bytes > len(view):
            raise Corrupt(
                f"there is no whole frame at byte {offset} of the body: send it again as it was framed"
            )
        meta_at = offset + HEAD_BYTES
        body_at = meta_at + head.meta_bytes
        end = offset + head.frame_bytes
        meta, body = bytes(view[meta_at:body_at]), view[body_at:end]
        if crc32(meta) != head.meta_crc or crc32(body) != head.body_crc:
            raise Corrupt(f"the frame at byte {offset} of the body was changed on the way: send it again")
        yield Frame(head.kind, offset, end, meta, body)
        offset = end
    if offset != len(view):
        raise Corrupt(f"the body holds more than {frames_max} frames: send fewer at a time")
