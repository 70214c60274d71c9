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


class Spooled(NamedTuple):
    """A batch in the spool. ``position`` is the frame's, and never that of another."""

    position: int
    next_position: int
    header: BatchHeader


class SpoolView:
    """Follows a spool that another process may be writing. Holds every batch's header (about 1 KB) that
    is still there, at most one per batch of the spool.

    ``damaged`` counts frames that could not be read; ``holes`` are the seqs that were in them, as far as
    what stands behind the damage tells. Not thread-safe. Methods raise Unavailable if the disk refuses.
    """

    def __init__(self, disk: Disk, directory: str) -> None:
        self._reader = LogReader(disk, directory)
        self.state = SpoolState()
        self.batches: list[Spooled] = []
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
                self.batches.append(Spooled(frame.position, frame.next_position, meta.header))
            self._position = frame.next_position
        del self.batches[: bisect_left(self.batches, first, key=lambda batch: batch.position)]
        return bool(frames)

    def follow_all(self) -> None:
        """Take in everything that is durable now."""
        while self.follow():
            pass

    def durable(self) -> int:
        return self._reader.durable()

    def first(self) -> int:
        return self._reader.first()

    def payload(self, batch: Spooled) -> memoryview | None:
        """A batch's payload; None if it can no longer be read, be it damaged or dropped."""
        frames = self._reader.read(batch.position, bytes_max=1)
        if not frames or frames[0].kind == DAMAGED or frames[0].next_position != batch.next_position:
            return None
        return frames[0].body

    def close(self) -> None:
        self._reader.close()
