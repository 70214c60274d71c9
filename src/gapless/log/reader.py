"""Reading a log while it is written, also from another process."""

from __future__ import annotations

from bisect import bisect_right
from zlib import crc32

from gapless.log.disk import Disk, File
from gapless.log.frame import DAMAGED, HEAD_BYTES, Frame, decode_head
from gapless.log.layout import (
    PUBLISHED_BYTES,
    decode_published,
    first_base,
    published_path,
    refusals,
    segment_bases,
    segment_path,
)
from gapless.log.scan import next_head

_META_BYTES_USUAL = 2048  # read along with the head


class LogReader:
    """Follows a log from a position, up to what is durable. Not thread-safe.

    Damage does not stop it: what cannot be read comes as a frame of kind ``DAMAGED``, whose positions say
    how much is gone, and whose meta is that of the damaged frame if it could still be read. Every method
    raises Unavailable if the operating system refuses; it may be called again.
    """

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk = disk
        self._directory = directory
        self._published_path = published_path(directory)
        self._published = b""  # what was read last, and what it says
        self._durable = 0
        self._bases: list[int] = []
        self._file: File | None = None
        self._base = -1  # of the segment that is open, or -1

    def durable(self) -> int:
        """The position up to which the writer made the log durable; 0 while there is no log."""
        # By its name each time: the file may be put in place of another while the log is closed.
        with refusals(self._directory):
            try:
                published = self._disk.head(self._published_path, PUBLISHED_BYTES)
            except FileNotFoundError:
                return self._durable
        if published != self._published:
            position = decode_published(published)
            if position is not None:  # else it is being written, and what it said last still holds
                self._published, self._durable = published, position
        return self._durable

    def first(self) -> int:
        """The first position still kept; 0 while there is no segment."""
        with refusals(self._directory):
            return first_base(self._disk, self._directory)

    def last_segment(self) -> int:
        """The position of the newest segment, whose first frames are the writer's snapshot."""
        durable = self.durable()
        with refusals(self._directory):
            bases = segment_bases(self._disk, self._directory)
        return max((base for base in bases if base < durable), default=bases[0] if bases else 0)

    def read(self, position: int, *, bytes_max: int, bodies: bool = True) -> list[Frame]:
        """The frames from ``position`` on, up to about ``bytes_max`` (at least one, if there is one).

        With ``bodies=False`` bodies are neither read nor checked, and come empty. Segments dropped since
        come as DAMAGED up to the first position kept: a reader that must not lose anything holds them
        back by its own means. A position beyond what is durable has nothing to read.
        """
        # In this order: a segment created after `durable` was read holds nothing before it.
        durable = self.durable()
        frames: list[Frame] = []
        taken = 0
        if position >= durable:
            return frames
        with refusals(self._directory):
            self._bases = segment_bases(self._disk, self._directory)
            while position < durable and (taken < bytes_max or not frames):
                frame = self._read_one(position, durable, bodies)
                frames.append(frame)
                taken += (frame.next_position - position) if bodies else HEAD_BYTES + len(frame.meta)
                position = frame.next_position
        return frames

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None
        self._base = -1

    def _read_one(self, position: int, durable: int, bodies: bool) -> Frame:
        segment_end = self._seek(position, durable)
        if self._file is None:
            return _damaged(position, segment_end)
        offset = position - self._base
        start = self._file.pread(HEAD_BYTES + _META_BYTES_USUAL, offset)
        head = decode_head(start)
        if head is None or head.position != position or position + head.frame_bytes > segment_end:
            later = next_head(self._file, self._base, offset + 1, segment_end - self._base)
            return _damaged(position, segment_end if later is None else self._base + later)
        next_position = position + head.frame_bytes
        meta = start[HEAD_BYTES : HEAD_BYTES + head.meta_bytes]
        if len(meta) < head.meta_bytes:
            meta = self._file.pread(head.meta_bytes, offset + HEAD_BYTES)
        if crc32(meta) != head.meta_crc:
            return _damaged(position, next_position)
        body = b""
        if head.dropped:
            return Frame(head.kind, position, next_position, meta, memoryview(body), dropped=True)
        if bodies and head.body_bytes:
            body = self._file.pread(head.body_bytes, offset + HEAD_BYTES + head.meta_bytes)
        if bodies and crc32(body) != head.body_crc:
            return _damaged(position, next_position, meta)
        return Frame(head.kind, position, next_position, meta, memoryview(body))

    def _seek(self, position: int, durable: int) -> int:
        """Open the segment that holds ``position``; return where it ends. Where none holds it, no file
        is open and the end is where the next one begins."""
        index = bisect_right(self._bases, position) - 1
        base = self._bases[index] if index >= 0 else -1
        if base != self._base:
            self.close()
            if base >= 0:
                try:
                    self._file = self._disk.open(segment_path(self._directory, base), writable=False)
                    self._base = base
                except FileNotFoundError:  # dropped this moment, and all before it
                    del self._bases[: index + 1]
                    index = -1
        return min(self._bases[index + 1], durable) if index + 1 < len(self._bases) else durable


def _damaged(position: int, next_position: int, meta: bytes = b"") -> Frame:
    return Frame(DAMAGED, position, next_position, meta, memoryview(b""))
