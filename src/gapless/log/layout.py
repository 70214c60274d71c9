"""The files of a log: what they are called, and what stands in the smallest of them.

    <base>.log   a segment: frames one after the other; the name is its first frame's position, 20 digits
    durable      the position up to which all is durable (8 bytes, little-endian) and its CRC-32 (4 bytes)

    dropped      up to where bodies were dropped (``gapless.log.drop``), in decimal digits

Other files in the directory are left alone.
"""

from __future__ import annotations

import re
import struct
from typing import Literal
from zlib import crc32

from gapless.log.disk import Disk
from gapless.model.errors import Unavailable

_SEGMENT = re.compile(r"[0-9]{20}\.log")
_POSITION = struct.Struct("<Q")
_PUBLISHED = struct.Struct("<QI")
PUBLISHED_BYTES = _PUBLISHED.size


def segment_path(directory: str, base: int) -> str:
    return f"{directory}/{base:020d}.log"


def segment_bases(disk: Disk, directory: str) -> list[int]:
    """The positions at which the segments begin, oldest first."""
    return [int(name[:20]) for name in disk.names(directory) if _SEGMENT.fullmatch(name)]


def first_base(disk: Disk, directory: str) -> int:
    """The position at which the oldest segment begins; 0 while there is none."""
    return next((int(name[:20]) for name in disk.names(directory) if _SEGMENT.fullmatch(name)), 0)


def published_path(directory: str) -> str:
    return f"{directory}/durable"


def encode_published(position: int) -> bytes:
    """In one sector, so that a crash leaves the old position or the new one."""
    return _PUBLISHED.pack(position, crc32(_POSITION.pack(position)))


def decode_published(data: bytes) -> int | None:
    """The position that was published, or None if the file holds none in its first ``PUBLISHED_BYTES``: it is
    empty, damaged, or being written this moment."""
    if len(data) < PUBLISHED_BYTES:
        return None
    position, crc = _PUBLISHED.unpack(data)
    return int(position) if crc == crc32(data[: _POSITION.size]) else None


class refusals:
    """What the operating system refuses, as an error that says what to do."""

    # A class, as it stands around each look at a log: a generator costs more than the look.

    __slots__ = ("_directory",)

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> Literal[False]:
        if isinstance(error, OSError):
            raise Unavailable(
                f"the disk refuses the log in {self._directory} ({error.strerror}): "
                "free or mend it, then retry"
            ) from error
        return False
