"""Reading the spool from the outside: which batches it holds, and where its streams stand."""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from gapless.agent.frames import Batch, decode
from gapless.agent.state import Hole, SpoolState
from gapless.log.disk import Disk
from gapless.log.frame import DAMAGED
from gapless.log.segments import LogReader
from gapless.model.batch import BatchHeader
from gapless.model.stream import StreamKey


class Spooled(NamedTuple):
    """A batch in the spool, as far as everybody needs it: some 500 bytes. ``position`` is the frame's, and
    never that of another."""

    position: int
    next_position: int
    stream: StreamKey
    epoch: str
    first: int
    next: int
    digest: str
    raw_bytes: int
    read_from_us: int
    read_to_us: int

    @property
    def records(self) -> int:
        return self.next - self.first

    @classmethod
    def of(cls, position: int, next_position: int, header: BatchHeader) -> Spooled:
        return cls(
            position,
            next_position,
            header.stream,
            header.epoch,
            header.first,
            header.next,
            header.digest,
            header.raw_bytes,
            header.read_from_us,
            header.read_to_us,
        )


class SpoolView:
    """Follows a spool that another process may be writing, and lists the batches that are still there,
    oldest first.

    ``withdrawn`` are positions of batches that others have replaced since; the list is the reader's to
    empty. ``damaged`` counts frames that could not be read; ``holes``
    are the seqs that were in them, as far as what stands behind the damage tells. Not thread-safe. Methods
    raise Unavailable if the disk refuses.
    """

    def __init__(self, disk: Disk, directory: str) -> None:
        self._reader = LogReader(disk, directory)
        self._streams: dict[StreamKey, StreamKey] = {}
        self.state = SpoolState()
        self.batches: list[Spooled] = []
        self.withdrawn: list[int] = []
        self.holes: list[Hole] = []
        self.damaged = 0
        self._position: int | None = None

    def follow(self, *, bytes_max: int = 1 << 20) -> bool:
        """Take in what is new, about ``bytes_max`` of metas; True if there may be more."""
        if self._position is None:
            self._position = self._reader.first()
        frames = self._reader.read(self._position, bytes_max=bytes_max, bodies=False)
        first = self._reader.first()
        for frame in frames:
            meta = None if frame.kind == DAMAGED else decode(frame)
            if meta is not None:
                self.holes += self.state.apply(meta, frame.position)
            elif frame.next_position <= first:
                self.state.dropped()
            else:
                self.damaged += 1
                self.state.damaged()
            if isinstance(meta, Batch):
                self.add(frame.position, frame.next_position, meta)
            self._position = frame.next_position
        self.forget_before(first)
        return bool(frames)

    def follow_all(self) -> None:
        """Take in everything that is durable now."""
        while self.follow():
            pass

    def add(self, position: int, next_position: int, batch: Batch) -> None:
        """A batch stands in the spool; one that has the records of another takes its place."""
        spooled = Spooled.of(position, next_position, batch.header)
        # Thousands of batches share a few streams: keep one object of each.
        self.batches.append(spooled._replace(stream=self._streams.setdefault(spooled.stream, spooled.stream)))
        if batch.replaces is not None:
            self.withdrawn.append(batch.replaces)
            index = bisect_left(self.batches, batch.replaces, key=_position)
            if index < len(self.batches) and self.batches[index].position == batch.replaces:
                del self.batches[index]

    def between(self, base: int, end: int) -> list[Spooled]:
        """The batches at positions ``[base, end)``."""
        low = bisect_left(self.batches, base, key=_position)
        return self.batches[low : bisect_left(self.batches, end, key=_position)]

    def forget_before(self, position: int) -> None:
        """The spool dropped everything before ``position``."""
        del self.batches[: bisect_left(self.batches, position, key=_position)]

    def durable(self) -> int:
        return self._reader.durable()

    def first(self) -> int:
        return self._reader.first()

    def read(self, batch: Spooled) -> tuple[BatchHeader, memoryview] | None:
        """A batch's header and payload; None if they can no longer be read, be it damaged or dropped."""
        frames = self._reader.read(batch.position, bytes_max=1)
        if not frames or frames[0].kind == DAMAGED or frames[0].next_position != batch.next_position:
            return None
        meta = decode(frames[0])
        return (meta.header, frames[0].body) if isinstance(meta, Batch) else None

    def close(self) -> None:
        self._reader.close()


def _position(batch: Spooled) -> int:
    return batch.position
