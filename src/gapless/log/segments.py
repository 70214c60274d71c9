"""A log in segment files: what the agent's spool and the platform's journal are made of.

One writer, any number of readers, also in other processes. A position is a byte offset in the whole log;
once acknowledged, it is never used twice. The files are described in ``gapless.log.layout``.

Commit points, and what a crash leaves at each:

* after ``append``, before ``sync`` returned: any part of what was appended. The next writer keeps the
  whole frames up to the first that is torn, cuts the rest, and says so.
* after ``sync``, before the position is published: frames that are durable but were not acknowledged. The
  next writer keeps them.
* between creating a segment and its first sync: a last segment without a whole frame. The next writer
  removes it.
* after a ``sync`` that failed: the same as before it. What was reported as failed is not in the log while
  this writer lives; after a crash the next one may find it, and keep it, unless something else was
  acknowledged since.

A segment is never written again once there is a later one, or once the disk refused something in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from gapless.failpoint import reached
from gapless.log.disk import Buffer, Disk, File
from gapless.log.frame import DAMAGED, encode
from gapless.log.layout import (
    PUBLISHED_BYTES,
    decode_published,
    encode_published,
    published_path,
    refusals,
    segment_bases,
    segment_path,
)
from gapless.log.reader import LogReader
from gapless.log.scan import SCAN_BYTES, find_ending
from gapless.model.errors import Unavailable

__all__ = ["DAMAGED", "LogReader", "LogWriter", "Message", "Recovery"]


class Message(NamedTuple):
    """What is to be appended. ``kind`` is 0 to 254."""

    kind: int
    meta: bytes
    body: Buffer = b""


class Recovery(NamedTuple):
    """What opening a log found at its end. ``torn_bytes`` were never acknowledged and were cut;
    ``damaged`` were, and cannot be read any more: from and to which position. They stay where they are, and
    readers are told."""

    torn_bytes: int = 0
    damaged: tuple[tuple[int, int], ...] = ()


class LogWriter:
    """The one writer of a log. Not thread-safe: its owner calls it from one thread.

    ``segment_bytes_max`` is looked at after each sync: what is appended between two syncs stays in one
    segment. ``snapshot`` is asked at the start of each segment for a message that makes the segments
    before it unnecessary to whoever reads the log from there; it is written before what is appended.
    Everything before ``read_to`` was read once, by somebody who will not read it again: what the files have
    no more of it (they were set back, from a copy) is damaged, and its positions are not given to others.
    Opening reads the last segment. Raises Unavailable if the disk refuses.
    """

    def __init__(
        self,
        disk: Disk,
        directory: str,
        *,
        segment_bytes_max: int,
        snapshot: Callable[[], Message | None] = lambda: None,
        read_to: int = 0,
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._name = os.path.basename(directory)
        self._segment_bytes_max = segment_bytes_max
        self._snapshot = snapshot
        self._published: File | None = None
        self._file: File | None = None  # None: the next append starts a segment at `end`
        self._base = 0
        self._size = 0  # bytes of the active segment that hold whole frames
        self._synced = 0  # of which durable
        self._told = -1  # what readers were last told is durable
        try:
            with refusals(directory):
                disk.make_dirs(directory)
                self._published = self._open_published()
                # First: a segment that was removed before this process began must not come back later.
                disk.sync_dir(directory)
                self._bases = segment_bases(disk, directory)
                published = decode_published(self._published.pread(PUBLISHED_BYTES, 0))
                self.recovery = self._recover(published, read_to)
                # Durable here, so that the position outlives the segments and whatever damages them.
                self._publish()
                self._published.sync()
        except Unavailable:
            self.close()
            raise

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

        Raises Unavailable when the disk refuses: then nothing appended since the last good sync is in
        the log, as if it had been the sync that failed.
        """
        if self._file is not None and self._segment_bytes_max <= self._size == self._synced:
            self._seal()  # opened so: a segment that is full is not gone on with
        if self._file is None:
            self._start_segment()
        return self._write(messages)

    def sync(self) -> None:
        """On return everything appended is durable, and readers are told.

        Raises Unavailable if the disk does not say so: then nothing appended since the last good sync is
        in the log. A file whose sync failed is never written again (I4): what it lost, a second sync
        would not tell. Should only telling the readers fail, the next sync tells them, with or without
        anything new: what is durable is acknowledged.
        """
        if self._file is not None and self._synced < self._size:
            try:
                reached(self._name, "sync")
                self._file.sync()
                reached(self._name, "synced")
            except OSError as error:
                self._take_back()
                raise Unavailable(
                    f"the disk did not make {self._directory} durable ({error.strerror}): append again"
                ) from error
            self._synced = self._size
            if self._size >= self._segment_bytes_max:
                self._seal()
        with suppress(OSError):
            reached(self._name, "publish")
            self._publish()

    def end_segment(self) -> None:
        """The next append starts another segment, whatever the size of this one. Call it with everything
        durable."""
        if self._file is not None and self._size == self._synced > 0:
            self._seal()

    def drop_before(self, position: int) -> int:
        """Remove the segments that end at or before ``position``; return how many. Durable on return.

        The newest segment that holds anything durable stays. Raises Unavailable if the disk refuses to
        remove one; what is left is removed by the next call, also after a crash.
        """
        dropped = 0
        # Not up to `end`: what makes these segments unnecessary must be durable before they go.
        limit = min(position, self.durable - 1)
        with refusals(self._directory):
            while len(self._bases) > 1 and self._bases[1] <= limit:
                with suppress(FileNotFoundError):
                    self._disk.unlink(segment_path(self._directory, self._bases[0]))
                reached(self._name, "unlinked")
                # One by one: a crash must not undo this removal and keep the next, and so leave a hole.
                self._disk.sync_dir(self._directory)
                self._bases.pop(0)
                dropped += 1
        return dropped

    def close(self) -> None:
        for file in (self._file, self._published):
            if file is not None:
                file.close()
        self._file = self._published = None

    def _write(self, messages: Iterable[Message]) -> list[int]:
        assert self._file is not None
        size, positions, buffers = self._size, list[int](), list[Buffer]()
        for message in messages:
            position = self._base + size
            frame = encode(message.kind, message.meta, message.body, position, self.durable)
            positions.append(position)
            buffers += frame
            size += sum(len(piece) for piece in frame)
        try:
            reached(self._name, "append")
            self._file.write(buffers, self._size)
            reached(self._name, "appended")
        except OSError as error:
            self._take_back()
            raise Unavailable(
                f"the disk took no more for {self._directory} ({error.strerror}): append again"
            ) from error
        self._size = size
        return positions

    def _seal(self) -> None:
        assert self._file is not None
        self._file.close()
        self._file = None
        self._base, self._size, self._synced = self.end, 0, 0

    def _start_segment(self) -> None:
        # A crash in here leaves at most a last segment without a durable frame; recovery removes it.
        snapshot = self._snapshot()
        try:
            self._file = self._create_segment()
            self._bases.append(self._base)
            reached(self._name, "created")
            self._disk.sync_dir(self._directory)
        except OSError as error:
            self._take_back()
            raise Unavailable(
                f"no new segment in {self._directory} ({error.strerror}): append again"
            ) from error
        if snapshot is not None:
            self._write([snapshot])

    def _create_segment(self) -> File:
        path = segment_path(self._directory, self._base)
        try:
            return self._disk.create(path)
        except FileExistsError:  # taken back, but the disk refused to remove it: nothing in it is durable
            self._disk.unlink(path)
            return self._disk.create(path)

    def _take_back(self) -> None:
        """Forget what is not durable: nobody was told of it.

        The file is cut and left for good. Should the cut not reach the disk, the next segment begins
        where it should have ended, and readers stop there.
        """
        if self._file is not None:
            if self._synced:
                with suppress(OSError):
                    self._file.truncate(self._synced)
            self._file.close()
            self._file = None
        if not self._synced and self._bases and self._bases[-1] == self._base:
            # Nothing durable in it: the next segment takes its name.
            self._bases.pop()
            with suppress(OSError):
                self._disk.unlink(segment_path(self._directory, self._base))
        self._base, self._size, self._synced = self.durable, 0, 0

    def _open_published(self) -> File:
        path = published_path(self._directory)
        try:
            return self._disk.open(path, writable=True)
        except FileNotFoundError:
            return self._disk.create(path)

    def _publish(self) -> None:
        # Not synced: after a power loss it says too little, never too much, and recovery makes it right.
        if self._published is not None and self._told != self.durable:
            self._published.write([encode_published(self.durable)], 0)
            self._told = self.durable

    def _recover(self, published: int | None, read_to: int) -> Recovery:
        """Find the end of the log; cut what is torn; step over what is damaged."""
        if not self._bases:
            self._base = max(published or 0, read_to)
            return Recovery()
        self._base = self._bases[-1]
        self._file = self._disk.open(segment_path(self._directory, self._base), writable=True)
        length = self._file.size()
        end, acknowledged, damaged = find_ending(self._file, self._base, published)
        acknowledged = max(acknowledged, read_to)
        if end < acknowledged:
            # Acknowledged bytes are unreadable or gone: keep the file for whoever can read it, and never
            # give their positions to others.
            self._file.close()
            self._file = None
            self._base = acknowledged
            return Recovery(0, (*damaged, (end, acknowledged)))
        size = end - self._base
        if size:
            self._make_durable(0 if published is None else acknowledged - self._base, size, length)
            self._size = self._synced = size
        else:
            self._take_back()
        return Recovery(length - size, tuple(damaged))

    def _make_durable(self, start: int, end: int, length: int) -> None:
        """Cut the torn tail; write what was whole but perhaps never synced once more. (After a sync that
        failed, the cache may hold pages as clean that the disk never got: a sync alone would lie.)"""
        assert self._file is not None
        if end < length:
            self._file.truncate(end)
        for offset in range(start, end, SCAN_BYTES):
            self._file.write([self._file.pread(min(SCAN_BYTES, end - offset), offset)], offset)
        self._file.sync()
