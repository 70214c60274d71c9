"""The files of a log: what they are called, and what stands in the smallest of them.

    <base>.log   a segment: frames one after the other; the name is its first frame's position, 20 digits
    durable      the position up to which all is durable (8 bytes, little-endian) and its CRC-32 (4 bytes)

Other files in the directory are left alone.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

from gapless.log.disk import Disk, File
from gapless.model.errors import Unavailable

_SEGMENT = re.compile(r"[0-9]{20}\.log")
_POSITION = struct.Struct("<Q")
_PUBLISHED = struct.Struct("<QI")


def segment_path(directory: str, base: int) -> str:
    return f"{directory}/{base:020d}.log"


def segment_bases(disk: Disk, directory: str) -> list[int]:
    """The positions at which the segments begin, oldest first."""
    return [int(name[:20]) for name in disk.names(directory) if _SEGMENT.fullmatch(name)]


def published_path(directory: str) -> str:
    return f"{directory}/durable"


def encode_published(position: int) -> bytes:
    """In one sector, so that a crash leaves the old position or the new one."""
    return _PUBLISHED.pack(position, crc32(_POSITION.pack(position)))


def read_published(file: File) -> int | None:
    """The position that was published, or None if the file does not hold one: it is empty, damaged, or
    being written this moment."""
    data = file.pread(_PUBLISHED.size, 0)
    if len(data) < _PUBLISHED.size:
        return None
    position, crc = _PUBLISHED.unpack(data)
    return int(position) if crc == crc32(data[: _POSITION.size]) else None


@contextmanager
def refusals(directory: str) -> Iterator[None]:
    """What the operating system refuses, as an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"the disk refuses the log in {directory} ({error.strerror}): free or mend it, then retry"
        ) from error
