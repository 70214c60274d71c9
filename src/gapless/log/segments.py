"""A log in segment files: what the agent's spool and the platform's journal are made of.

One writer, any number of readers, also in other processes. A position is a byte offset in the whole log;
once acknowledged, it is never used twice. Files of a log:

    <base>.log   a segment: frames one after the other; the name is its first frame's position, 20 digits
    durable      8 bytes: the position up to which all is durable; readers go no further

Commit points, and what a crash leaves at each:

* after ``append``, before ``sync``: a torn tail that nobody was told of. The next writer cuts it and says so.
* after ``sync``, before ``durable`` is published: frames that are durable but were not acknowledged. The
  next writer keeps them.
* between creating a segment and its first sync: an empty or torn last segment. The next writer removes it.

A segment is never written again once there is a later one.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import NamedTuple
from zlib import crc32

from gapless.log.disk import Buffer, Disk, File
from gapless.log.frame import HEAD_BYTES, Frame, Head, decode_head, encode
from gapless.model.errors import Corrupt, Unavailable

_SUFFIX = ".log"
_DURABLE = "durable"
_POSITION = struct.Struct("<Q")
_SCAN_BYTES = 1 << 20

#: The kind of frame that a reader returns for bytes it could not make sense of. Never on disk.
DAMAGED = 255


class Message(NamedTuple):
    """What is to be appended."""

    kind: int
    meta: bytes
    body: Buffer = b""


class Recovery(NamedTuple):
    """What opening a log found at its end. ``torn_bytes`` were never acknowledged and were cut;
    ``damaged`` were, and cannot be read any more: they stay where they are, and readers are told."""

    torn_bytes: int = 0
    damaged: tuple[tuple[int, int], ...] = ()


def _name(directory: str, base: int) -> str:
    return f"{directory}/{base:020d}{_SUFFIX}"


def _bases(disk: Disk, directory: str) -> list[int]:
    names = disk.names(directory)
    return [int(name[: -len(_SUFFIX)]) for name in names if name.endswith(_SUFFIX) and name[:-4].isdigit()]


def _intact(file: File, head: Head, offset: int) -> bool:
    meta_and_body = file.pread(head.meta_bytes + head.body_bytes, offset + HEAD_BYTES)
    view = memoryview(meta_and_body)
    return (
        len(view) == head.meta_bytes + head.body_bytes
        and crc32(view[: head.meta_bytes]) == head.meta_crc
        and crc32(view[head.meta_bytes :]) == head.body_crc
    )


def _next_head(file: File, base: int, offset: int, end: int) -> int | None:
    """The offset of the first intact head at or after ``offset`` that belongs there, or None."""
    while offset < end:
        window = file.pread(min(_SCAN_BYTES + HEAD_BYTES, end - offset), offset)
        at = window.find(b"GF")
        while at >= 0 and at < _SCAN_BYTES:
            head = decode_head(window, at)
            if head is not None and head.position == base + offset + at:
                return offset + at
            at = window.find(b"GF", at + 1)
        offset += _SCAN_BYTES
    return None


class LogWriter:
    """The one writer of a log. Not thread-safe: its owner calls it from one thread.

    ``snapshot`` is asked at the start of each segment for a message that makes the segments before it
    unnecessary to whoever reads the log from there; it is written before what is appended.
    """

    def __init__(
        self,
        disk: Disk,
        directory: str,
        *,
        segment_bytes_max: int,
        snapshot: Callable[[], Message | None] = lambda: None,
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._segment_bytes_max = segment_bytes_max
        self._snapshot = snapshot
        disk.make_dirs(directory)
        self._bases = _bases(disk, directory)
        self._published = self._open_published()
        self._file: File | None = None  # None: the next append starts a segment at `end`
        self._base = 0
        self._size = 0  # bytes of the active segment that hold whole frames
        self._synced = 0  # of which durable
        self.recovery = self._recover()
        self._publish()

    @property
    def end(self) -> int:
        """The position of the next frame."""
        return self._base + self._size

    @property
    def durable(self) -> int:
        """Everything before this position is durable."""
        return self._base + self._synced

    @property
    def first(self) -> int:
        """The first position still kept."""
        return self._bases[0] if self._bases else self._base

    @property
    def kept_bytes(self) -> int:
        """What the segments take on disk."""
        return self.end - self.first

    def segments(self) -> list[tuple[int, int]]:
        """``(base, end)`` of each segment, oldest first."""
        return list(zip(self._bases, [*self._bases[1:], self.end], strict=True))

    def append(self, messages: Iterable[Message]) -> list[int]:
        """Write frames; return their positions. Nothing is durable before ``sync``.

        Raises Unavailable when the disk refuses; see ``sync`` for what is in the log then.
        """
        if self._file is not None and self._size >= self._segment_bytes_max:
            self._seal()
        if self._file is None:
            self._start_segment()
        return self._write(messages)

    def sync(self) -> None:
        """On return everything appended is durable.

        Raises Unavailable if the disk does not say so. After Unavailable, here or in ``append``, nothing
        appended since the last good sync is in the log. A file whose sync failed is never written again
        (I4): what it lost, a second sync would not tell.
        """
        if self._file is None or self._synced == self._size:
            return
        try:
            self._file.sync()
        except OSError as error:
            self._take_back(reuse=False)
            raise Unavailable(f"the disk did not make {self._directory} durable: {error.strerror}") from error
        self._synced = self._size
        self._publish()

    def drop_before(self, position: int) -> int:
        """Remove the segments that end at or before ``position``, never the last; return how many.

        A crash may leave some of them: they are dropped again. Removal need not be durable for that.
        """
        dropped = 0
        while len(self._bases) > 1 and self._bases[1] <= position:
            try:
                self._disk.unlink(_name(self._directory, self._bases[0]))
            except FileNotFoundError:
                pass
            self._bases.pop(0)
            dropped += 1
        return dropped

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._published.close()

    def _write(self, messages: Iterable[Message]) -> list[int]:
        assert self._file is not None
        size, positions, buffers = self._size, list[int](), list[Buffer]()
        for message in messages:
            position = self._base + size
            frame = encode(message.kind, message.meta, message.body, position)
            positions.append(position)
            buffers += frame
            size += sum(len(piece) for piece in frame)
        try:
            self._file.write(buffers, self._size)
        except OSError as error:
            self._take_back(reuse=True)
            raise Unavailable(f"the disk took no more for {self._directory}: {error.strerror}") from error
        self._size = size
        return positions

    def _seal(self) -> None:
        self.sync()
        assert self._file is not None
        self._file.close()
        self._file = None
        self._base, self._size, self._synced = self.end, 0, 0

    def _start_segment(self) -> None:
        # A crash in here leaves at most a last segment without a durable frame; recovery removes it.
        try:
            self._file = self._disk.create(_name(self._directory, self._base))
            self._bases.append(self._base)
            self._disk.sync_dir(self._directory)
        except OSError as error:
            self._take_back(reuse=False)
            raise Unavailable(f"no new segment in {self._directory}: {error.strerror}") from error
        snapshot = self._snapshot()
        if snapshot is not None:
            self._write([snapshot])

    def _take_back(self, *, reuse: bool) -> None:
        """Forget what is not durable: nobody was told of it.

        The file is cut, and with ``reuse=False`` left for good. Should the cut not reach the disk, a later
        segment begins where it should have ended, and readers stop there.
        """
        if self._file is not None and self._synced:
            try:
                self._file.truncate(self._synced)
            except OSError:
                reuse = False
        if reuse and self._synced:
            self._size = self._synced
            return
        if self._file is not None:
            self._file.close()
            self._file = None
        if not self._synced and self._bases and self._bases[-1] == self._base:
            # Nothing durable in it: the next segment takes its name.
            self._bases.pop()
            try:
                self._disk.unlink(_name(self._directory, self._base))
            except OSError:
                pass  # then creating the next one fails, and says so
        self._base, self._size, self._synced = self.durable, 0, 0

    def _open_published(self) -> File:
        path = f"{self._directory}/{_DURABLE}"
        try:
            return self._disk.open(path, writable=True)
        except FileNotFoundError:
            return self._disk.create(path)

    def _publish(self) -> None:
        # Not synced: after a power loss it says too little, never too much, and recovery makes it right.
        try:
            self._published.write([_POSITION.pack(self.durable)], 0)
        except OSError as error:
            raise Unavailable(f"readers of {self._directory} cannot be told: {error.strerror}") from error

    def _recover(self) -> Recovery:
        """Find the end of the log; cut what is torn; step over what is damaged."""
        told = _read_published(self._published)
        if not self._bases:
            self._base = told
            return Recovery()
        self._base = self._bases[-1]
        self._file = self._disk.open(_name(self._directory, self._base), writable=True)
        length = self._file.size()
        end, damaged = _end_of_frames(self._file, self._base, length)
        if self._base + end < told:
            # Acknowledged bytes are unreadable or gone: keep the file for whoever can read it, and never
            # give their positions to others.
            beyond = max(self._base + length, told)
            damaged.append((self._base + end, beyond))
            self._file.close()
            self._file = None
            self._base = beyond
            return Recovery(0, tuple(damaged))
        if end == 0:
            self._take_back(reuse=False)
            return Recovery(length)
        self._make_durable(max(told - self._base, 0), end, length)
        self._size = self._synced = end
        return Recovery(length - end, tuple(damaged))

    def _make_durable(self, start: int, end: int, length: int) -> None:
        """Cut the torn tail; write what was whole but perhaps never synced once more. (After a sync that
        failed, the cache may hold pages as clean that the disk never got: a sync alone would lie.)"""
        assert self._file is not None
        try:
            if end < length:
                self._file.truncate(end)
            for offset in range(start, end, _SCAN_BYTES):
                self._file.write([self._file.pread(min(_SCAN_BYTES, end - offset), offset)], offset)
            self._file.sync()
        except OSError as error:
            raise Corrupt(
                f"the disk cannot write {self._directory}: mend or replace it, then start again"
            ) from error


def _end_of_frames(file: File, base: int, length: int) -> tuple[int, list[tuple[int, int]]]:
    """The offset behind the last intact frame, and the positions of what is damaged before it."""
    offset, damaged = 0, []
    while offset < length:
        head = decode_head(file.pread(HEAD_BYTES, offset))
        if head is not None and head.position == base + offset and _intact(file, head, offset):
            offset += head.frame_bytes
            continue
        later = _next_intact(file, base, offset + 1, length)
        if later is None:
            break
        damaged.append((base + offset, base + later))
        offset = later
    return offset, damaged


def _next_intact(file: File, base: int, offset: int, length: int) -> int | None:
    """The offset of the next frame whose bytes are all intact, or None."""
    at = _next_head(file, base, offset, length)
    while at is not None:
        head = decode_head(file.pread(HEAD_BYTES, at))
        if head is not None and _intact(file, head, at):
            return at
        at = _next_head(file, base, at + 1, length)
    return None


def _read_published(file: File) -> int:
    data = file.pread(_POSITION.size, 0)
    return int(_POSITION.unpack(data)[0]) if len(data) == _POSITION.size else 0


class LogReader:
    """Follows a log from a position, up to what is durable. Not thread-safe.

    Damage does not stop it: what cannot be read comes as a frame of kind ``DAMAGED`` with no meta, whose
    positions say how much is gone.
    """

    def __init__(self, disk: Disk, directory: str) -> None:
        self._disk = disk
        self._directory = directory
        self._published: File | None = None
        self._bases: list[int] = []
        self._file: File | None = None
        self._base = -1

    def durable(self) -> int:
        """The position up to which the writer made the log durable; 0 while there is no log."""
        if self._published is None:
            try:
                self._published = self._disk.open(f"{self._directory}/{_DURABLE}", writable=False)
            except FileNotFoundError:
                return 0
        return _read_published(self._published)

    def first(self) -> int:
        """The first position still kept; 0 while there is no segment."""
        bases = _bases(self._disk, self._directory)
        return bases[0] if bases else 0

    def last_segment(self) -> int:
        """The position of the newest segment, whose first frames are the writer's snapshot."""
        bases = _bases(self._disk, self._directory)
        durable = self.durable()
        return max((base for base in bases if base < durable), default=bases[0] if bases else 0)

    def read(self, position: int, *, bytes_max: int, bodies: bool = True) -> list[Frame]:
        """The frames from ``position`` on, up to about ``bytes_max`` (at least one, if there is one).

        With ``bodies=False`` bodies are neither read nor checked, and come empty. Segments dropped since
        come as one DAMAGED frame up to the first position kept: a reader that must not lose anything
        holds them back by its own means.
        """
        # In this order: a segment created after `durable` was read holds nothing before it.
        durable = self.durable()
        if not self._bases or position >= self._bases[-1]:
            self._bases = _bases(self._disk, self._directory)
        frames: list[Frame] = []
        taken = 0
        while position < durable and taken < bytes_max:
            frame = self._read_one(position, durable, bodies)
            if frame is None:
                break
            frames.append(frame)
            taken += (frame.next_position - position) if bodies else HEAD_BYTES + len(frame.meta)
            position = frame.next_position
        return frames

    def close(self) -> None:
        for file in (self._file, self._published):
            if file is not None:
                file.close()
        self._file = self._published = None
        self._base = -1

    def _read_one(self, position: int, durable: int, bodies: bool) -> Frame | None:
        segment_end = self._seek(position, durable)
        if self._file is None:
            return _damaged(position, segment_end) if segment_end > position else None
        offset = position - self._base
        start = self._file.pread(HEAD_BYTES + 2048, offset)
        head = decode_head(start)
        if head is not None and head.position == position and position + head.frame_bytes <= segment_end:
            meta = start[HEAD_BYTES : HEAD_BYTES + head.meta_bytes]
            if len(meta) < head.meta_bytes:
                meta = self._file.pread(head.meta_bytes, offset + HEAD_BYTES)
            body = b""
            if bodies and head.body_bytes:
                body = self._file.pread(head.body_bytes, offset + HEAD_BYTES + head.meta_bytes)
            if crc32(meta) == head.meta_crc and (not bodies or crc32(body) == head.body_crc):
                return Frame(head.kind, position, position + head.frame_bytes, meta, memoryview(body))
            if crc32(meta) == head.meta_crc:  # only the body is damaged: the meta says what was lost
                return Frame(DAMAGED, position, position + head.frame_bytes, meta, memoryview(b""))
        later = _next_head(self._file, self._base, offset + 1, segment_end - self._base)
        return _damaged(position, segment_end if later is None else self._base + later)

    def _seek(self, position: int, durable: int) -> int:
        """Open the segment that holds ``position``; return where it ends. Where none holds it, no file
        is open and the end is where the next one begins."""
        index = bisect_right(self._bases, position) - 1
        segment_end = self._bases[index + 1] if index + 1 < len(self._bases) else durable
        segment_end = min(segment_end, durable)
        base = self._bases[index] if index >= 0 else -1
        if base != self._base or self._file is None:
            if self._file is not None:
                self._file.close()
                self._file = None
            self._base = base
            if base >= 0:
                try:
                    self._file = self._disk.open(_name(self._directory, base), writable=False)
                except FileNotFoundError:  # dropped this moment
                    self._bases = []
        return segment_end


def _damaged(position: int, next_position: int) -> Frame:
    return Frame(DAMAGED, position, next_position, b"", memoryview(b""))
