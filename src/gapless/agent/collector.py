"""The collector: sources to spool. One tick is one group commit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

import msgspec
import zstandard

from gapless.agent.acks import Acks
from gapless.agent.sources import Chunk, FileCursor, Skipped
from gapless.agent.spool import Spool, Times
from gapless.log.disk import Buffer
from gapless.model.batch import Mark, Part
from gapless.model.claim import Loss, SkippedBytes
from gapless.model.errors import Unavailable
from gapless.model.stream import StreamKey

#: A batch ends early at so many parts or marks: its header must stay small.
_PARTS_MAX = 1000
_MARKS_MAX = 2000
#: How often the spool is looked at, whether what waits in it can be read at all; and if it is full.
_CHECK_EVERY_US = 60_000_000
_CHECK_FULL_EVERY_US = 5_000_000
#: What a source hands out at a time, unless a line is longer.
_CHUNK_BYTES_USUAL = 1 << 20


class CollectorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``batch_bytes_max``: raw bytes of a batch, but for the chunk that goes over it.
    ``tick_bytes_max``: raw bytes read in one tick, over all sources."""

    batch_bytes_max: int = 4 << 20
    tick_bytes_max: int = 16 << 20


class Source(Protocol):
    """What the collector asks of a source."""

    def poll(self, now_us: int, elapsed_us: int) -> None: ...

    def read(self, now_us: int, budget_bytes: int) -> Iterator[Chunk | Skipped]: ...

    def backlog(self) -> tuple[int, int]: ...


#: Gives the source as it goes on from the durable cursors: a new one, or the one that there is, set back.
NewSource = Callable[[Iterable[FileCursor]], Source]


class Tick(NamedTuple):
    """What a tick did. ``full``: the spool has no room; ``error``: why nothing was kept."""

    records: int = 0
    raw_bytes: int = 0
    full: bool = False
    error: str = ""


class Collector:
    """Moves records from sources into the spool. No clock, no thread inside.

    After a commit that failed every source is asked for anew, from the durable cursors: what it had handed
    out is handed out again, under the same seqs.
    """

    def __init__(
        self,
        spool: Spool,
        sources: Mapping[StreamKey, NewSource],
        settings: CollectorSettings,
        mint: Callable[[], str],
    ) -> None:
        self._spool = spool
        self._factories = dict(sources)
        self._settings = settings
        self._mint = mint
        self._payload = _Payload(settings.batch_bytes_max + _CHUNK_BYTES_USUAL)
        self._sources: dict[StreamKey, Source] = {}
        self._order = list(self._factories)
        self._checked_us = 0

    def tick(self, now_us: int, elapsed_us: int, acks: Acks) -> Tick:
        """Free what has receipts, read what there is room for, commit once. ``elapsed_us`` is of a clock that
        goes on evenly: sources wait by it."""
        try:
            self._spool.room.free(acks)
            self._spool.room.carry(acks)
            sources = [(stream, self._source(stream)) for stream in self._order]
            unread = 0
            for _, source in sources:
                source.poll(now_us, elapsed_us)
                unread += source.backlog()[1]
            # Nothing is given up for records that are not there.
            self._spool.room.make_room(min(unread, self._settings.tick_bytes_max), acks)
            return self._collect(now_us, sources, acks)
        except Unavailable as error:
            self._sources.clear()
            return Tick(error=str(error))

    def _collect(self, now_us: int, sources: list[tuple[StreamKey, Source]], acks: Acks) -> Tick:
        room = self._spool.room.left_bytes()
        budget = min(room, self._settings.tick_bytes_max)
        records = raw_bytes = 0
        for stream, source in sources:
            intake = _Intake(
                self._spool, stream, self._settings.batch_bytes_max, now_us, self._mint, self._payload
            )
            for event in source.read(now_us, max(0, budget - raw_bytes)):
                intake.take(event)
            intake.flush()
            records += intake.records
            raw_bytes += intake.raw_bytes
        self._spool.commit()
        self._order.append(self._order.pop(0))  # another is first next time
        every_us = _CHECK_EVERY_US if room else _CHECK_FULL_EVERY_US
        if abs(now_us - self._checked_us) >= every_us:
            self._checked_us = now_us
            self._spool.room.give_up_unreadable(acks)
        return Tick(records, raw_bytes, full=room == 0)

    def _source(self, stream: StreamKey) -> Source:
        source = self._sources.get(stream)
        if source is None:
            source = self._factories[stream](self._spool.stream(stream).cursors)
            self._sources[stream] = source
        return source


class _Payload:
    """The records of a batch, one after the other. Every batch uses the same memory: fresh pages for each
    would cost a tenth of the collector's time. What goes beyond ``usual_bytes`` is given back."""

    def __init__(self, usual_bytes: int) -> None:
        self._usual_bytes = usual_bytes
        self._memory = bytearray(usual_bytes)
        self._size = 0
        self._compressor = zstandard.ZstdCompressor(level=1, write_content_size=True)

    def __len__(self) -> int:
        return self._size

    def add(self, data: Buffer) -> None:
        end = self._size + len(data)
        if end > len(self._memory):
            self._memory += bytes(end - len(self._memory))
        memoryview(self._memory)[self._size : end] = data
        self._size = end

    def compressed(self) -> bytes:
        """As one zstd frame."""
        return self._compressor.compress(memoryview(self._memory)[: self._size])

    def clear(self) -> None:
        self._size = 0
        if len(self._memory) > self._usual_bytes:
            self._memory = bytearray(self._usual_bytes)


class _Intake:
    """One stream's events of one tick, cut into batches."""

    def __init__(
        self,
        spool: Spool,
        stream: StreamKey,
        batch_bytes_max: int,
        now_us: int,
        mint: Callable[[], str],
        payload: _Payload,
    ) -> None:
        self._spool = spool
        self._stream = stream
        self._batch_bytes_max = batch_bytes_max
        self._now_us = now_us
        self._mint = mint
        self._payload = payload
        self.records = 0
        self.raw_bytes = 0
        self._clear()

    def take(self, event: Chunk | Skipped) -> None:
        if isinstance(event, Skipped):
            self.flush()  # what was read before stands before it
            self._spool.add_loss(self._loss(event), (event.cursor,))
            return
        if len(self._parts) + self._spool.parts(self._stream) >= _PARTS_MAX:
            self.flush()
        self._marks += [Mark(self._count + mark.at, mark.kind) for mark in event.marks]
        self._payload.add(event.data)
        self._count += event.count
        self._add_part(event.part)
        self._cursors[event.cursor.file] = event.cursor
        if len(self._payload) >= self._batch_bytes_max or len(self._marks) >= _MARKS_MAX:
            self.flush()

    def flush(self) -> None:
        """Append what was taken. Raises Unavailable."""
        cursors, parts = tuple(self._cursors.values()), tuple(self._parts)
        if self._count:
            self._spool.add_batch(
                self._stream,
                self._payload.compressed(),
                raw_bytes=len(self._payload),
                count=self._count,
                parts=parts,
                marks=tuple(self._marks),
                cursors=cursors,
                times=Times(self._now_us, self._now_us),
            )
        elif cursors:
            self._spool.add_cursors(self._stream, cursors, parts)
        self.records += self._count
        self.raw_bytes += len(self._payload)
        self._clear()

    def _clear(self) -> None:
        self._payload.clear()
        self._count = 0
        self._parts: list[Part] = []
        self._marks: list[Mark] = []
        self._cursors: dict[str, FileCursor] = {}

    def _add_part(self, part: Part) -> None:
        last = self._parts[-1] if self._parts else None
        if last is not None and last.file == part.file and last.end == part.start and not last.done:
            self._parts[-1] = Part(part.file, last.start, part.end, last.count + part.count, part.done)
        elif part.end > part.start or part.done:
            self._parts.append(part)

    def _loss(self, skipped: Skipped) -> Loss:
        known = skipped.end is not None
        return Loss(
            id=f"{skipped.cause}/{self._mint()}",
            stream=self._stream,
            epoch=self._spool.stream(self._stream).opened.epoch,
            cause=skipped.cause,
            declared_us=self._now_us,
            not_before_us=skipped.not_before_us,
            not_after_us=skipped.not_after_us,
            # Each record ends in a newline, the last perhaps not: so many at most.
            records_max=skipped.end - skipped.start if skipped.end is not None else None,
            bytes_lost=skipped.end - skipped.start if skipped.end is not None else None,
            skipped=SkippedBytes(skipped.file, skipped.start, skipped.end or 0) if known else None,
            evidence=f"{skipped.path} from byte {skipped.start}: {skipped.evidence}",
        )
