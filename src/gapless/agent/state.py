"""What a spool holds, as a pure fold of its frames."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from gapless.agent.frames import (
    Batch,
    CursorChange,
    EndedEpoch,
    EpochClose,
    EpochStart,
    LossNote,
    Meta,
    Snapshot,
    StreamState,
)
from gapless.agent.sources import FileCursor
from gapless.model.batch import Part
from gapless.model.claim import Loss
from gapless.model.ranges import RangeSet
from gapless.model.stream import EpochOpen, StreamKey

#: Epochs that a stream left, kept so that their end can be claimed; and files without a record between
#: two batches. Of either, the newest are kept.
ENDED_MAX = 16
PARTS_MAX = 1024
#: Losses kept one by one; beyond, those of a full spool are kept as one for each epoch.
LOSSES_MAX = 64


class Hole(NamedTuple):
    """Seqs that a damaged part of the spool held, found by what stands behind it."""

    stream: StreamKey
    epoch: str
    first: int
    next: int
    before: int  # the position behind the damage


class _Stream:
    __slots__ = ("closed", "cursors", "ended", "next", "opened", "parts", "stream")

    def __init__(self, state: StreamState) -> None:
        self.stream = state.stream
        self.opened = state.opened
        self.next = state.next
        self.cursors = {cursor.file: cursor for cursor in state.cursors}
        self.parts = state.parts
        self.ended = state.ended
        self.closed = state.closed

    def state(self) -> StreamState:
        return StreamState(
            self.stream,
            self.opened,
            self.next,
            tuple(self.cursors.values()),
            self.parts,
            self.ended,
            self.closed,
        )

    def move(self, cursors: Iterable[FileCursor]) -> None:
        for cursor in cursors:
            if cursor.done:
                self.cursors.pop(cursor.file, None)
            else:
                self.cursors[cursor.file] = cursor


class SpoolState:
    """Streams (epoch, next, cursors) and losses. ``apply`` folds one frame's meta after the other.

    After ``damaged``, ``broken`` is True until a snapshot says where everything stands: meanwhile nothing
    proves that a counter or a cursor is the last one. ``apply`` returns the holes that it finds.
    """

    def __init__(self) -> None:
        self._streams: dict[StreamKey, _Stream] = {}
        self.losses: dict[str, Loss] = {}
        self.broken = False
        self._blind = True  # nothing is known of what came before
        self._sure: set[StreamKey] = set()  # began an epoch since something was damaged

    def apply(self, meta: Meta, position: int = 0) -> list[Hole]:
        match meta:
            case Snapshot():
                return self._restore(meta, position)
            case Batch():
                return self._batch(meta, position)
            case CursorChange(stream, cursors, parts):
                if (entry := self._streams.get(stream)) is not None:
                    entry.move(cursors)
                    entry.parts = (*entry.parts, *parts)[-PARTS_MAX:]
            case LossNote(loss, cursors):
                self.losses[loss.id] = loss
                if len(self.losses) > LOSSES_MAX:
                    self.losses = _merged(self.losses.values())
                if (entry := self._streams.get(loss.stream)) is not None:
                    entry.move(cursors)
            case EpochStart(stream, opened, fenced):
                self._open(stream, opened, fenced)
                self._sure.add(stream)
            case EpochClose(stream):
                if (entry := self._streams.get(stream)) is not None:
                    entry.closed = True
        return []

    def damaged(self) -> None:
        """A frame could not be read, and whatever it said is unknown."""
        self.broken = True
        self._sure.clear()

    def doubts(self, stream: StreamKey) -> bool:
        """Whether the stream's counter may have stood further on than it seems: something was damaged since
        its epoch began."""
        return self.broken and stream not in self._sure

    def dropped(self) -> None:
        """Segments went before they were seen; the next snapshot says where everything stands."""
        self._blind = True

    def streams(self) -> list[StreamKey]:
        return list(self._streams)

    def get(self, stream: StreamKey) -> StreamState | None:
        entry = self._streams.get(stream)
        return None if entry is None else entry.state()

    def put_back(self, stream: StreamKey, state: StreamState | None) -> None:
        """Set a stream to what it was."""
        if state is None:
            self._streams.pop(stream, None)
        else:
            self._streams[stream] = _Stream(state)

    def next(self, stream: StreamKey) -> int:
        return self._streams[stream].next

    def opened(self, stream: StreamKey) -> EpochOpen:
        return self._streams[stream].opened

    def parts(self, stream: StreamKey) -> tuple[Part, ...]:
        return self._streams[stream].parts

    def snapshot(self) -> Snapshot:
        return Snapshot(tuple(s.state() for s in self._streams.values()), tuple(self.losses.values()))

    def _open(self, stream: StreamKey, opened: EpochOpen, fenced: bool = False) -> None:
        old = self._streams.get(stream)
        ended: tuple[EndedEpoch, ...] = ()
        cursors: tuple[FileCursor, ...] = ()
        if old is not None:
            proven = opened.prev_next == old.next
            ended = (*old.ended, EndedEpoch(old.opened, old.next, proven, fenced))[-ENDED_MAX:]
            cursors = tuple(old.cursors.values())
        self._streams[stream] = _Stream(StreamState(stream, opened, 0, cursors, (), ended))

    def _batch(self, batch: Batch, position: int) -> list[Hole]:
        header = batch.header
        entry = self._streams.get(header.stream)
        carried = entry is None or entry.opened.epoch != header.epoch or header.first < entry.next
        if batch.replaces is not None and carried:
            return []  # it kept its seqs, and was counted where it stood before
        if entry is None or entry.opened.epoch != header.epoch:  # its EPOCH is among what was damaged
            self._open(header.stream, header.opened)
            entry = self._streams[header.stream]
        holes = _hole(entry, header.first, position)
        entry.next = header.next
        if batch.replaces is None:
            entry.parts = ()  # they stand in the header; one with new seqs has those of its own time
        entry.move(batch.cursors)
        return holes

    def _restore(self, snapshot: Snapshot, position: int) -> list[Hole]:
        holes: list[Hole] = []
        if not self._blind:
            for state in snapshot.streams:
                old = self._streams.get(state.stream)
                if old is not None and old.opened.epoch == state.opened.epoch:
                    holes += _hole(old, state.next, position)
        self._streams = {state.stream: _Stream(state) for state in snapshot.streams}
        self.losses = {loss.id: loss for loss in snapshot.losses}
        self.broken = self._blind = False
        return holes


def _merged(losses: Iterable[Loss]) -> dict[str, Loss]:
    """The same records lost, in fewer losses. What the platform has of them already it has twice then,
    over the same ranges."""
    kept: dict[str, Loss] = {}
    full: dict[tuple[StreamKey, str], list[Loss]] = {}
    for loss in losses:
        if loss.cause == "spool_full":
            full.setdefault((loss.stream, loss.epoch), []).append(loss)
        else:
            kept[loss.id] = loss
    for same in full.values():
        ranges = RangeSet(each for loss in same for each in loss.ranges)
        last = same[-1]
        one = msgspec.structs.replace(
            last,
            id=f"{last.cause}/{last.stream.id}/{last.epoch}/{min(ranges)[0]}-{ranges.end()}",
            not_before_us=min(loss.not_before_us for loss in same),
            not_after_us=max(loss.not_after_us for loss in same),
            ranges=tuple(ranges),
        )
        kept[one.id] = one
    return kept


def _hole(entry: _Stream, first: int, position: int) -> list[Hole]:
    if first <= entry.next:
        return []
    return [Hole(entry.stream, entry.opened.epoch, entry.next, first, position)]
