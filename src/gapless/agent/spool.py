"""The spool: seq, payload and source cursor in one durable append. The collector alone writes it.

Commit points, and what a crash leaves at each:

* after ``add_*``, before ``commit`` returned: any prefix of what was added, and it counts. Cursors,
  seqs and payloads stand in the same frames, so the source goes on exactly behind what is kept.
* between opening new epochs and writing the identity file: epochs without a record; the next start opens
  others.
* between declaring a loss and dropping the segment: the loss stands, the segment is declared again under
  the same identity.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from gapless.agent.acks import Acks
from gapless.agent.follow import Spooled, SpoolView
from gapless.agent.frames import Batch, CursorChange, EpochStart, LossNote, Meta, SpoolKind, StreamState
from gapless.agent.sources import FileCursor
from gapless.log.disk import Disk, read_small, write_atomically
from gapless.log.segments import LogWriter, Message
from gapless.model.batch import BatchHeader, Mark, Part, payload_digest
from gapless.model.claim import Loss, LossCause
from gapless.model.errors import Unavailable
from gapless.model.ranges import Range, RangeSet
from gapless.model.stream import EpochOpen, StreamKey

#: What a commit may take beyond its payloads: heads, metas, a snapshot.
ROOM_MARGIN_BYTES = 64 << 10


class SpoolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``size_bytes_max``: what the spool may take on disk. ``when_full``: "block" stops reading the
    sources; "declare" gives up the oldest segment, and says exactly what was in it.
    ``free_bytes_min``: what is left free on the disk whatever the spool's size.
    ``segment_bytes_max``: one file; what is freed or given up at a time."""

    size_bytes_max: int = 10 << 30
    when_full: Literal["block", "declare"] = "block"
    free_bytes_min: int = 256 << 20
    segment_bytes_max: int = 64 << 20

    def faults(self) -> list[str]:
        """Everything that is wrong, each named by its field."""
        faults = []
        if self.segment_bytes_max < 1:
            faults.append("segment_bytes_max must be more than 0")
        if self.free_bytes_min < 0:
            faults.append("free_bytes_min must be at least 0")
        if self.size_bytes_max < 2 * self.segment_bytes_max:
            faults.append("size_bytes_max must hold two segments at least: lower segment_bytes_max, too")
        return faults


class Times(NamedTuple):
    """When the first and the last record of a batch were read."""

    from_us: int
    to_us: int


def place_of(directory: str) -> str:
    """What tells a spool directory from a copy of it: the machine, and the directory's own inode."""
    try:
        machine = Path("/etc/machine-id").read_text().strip()
    except OSError:
        machine = ""
    return f"{machine}/{os.stat(directory).st_ino}"


class Spool:
    """The writer's side. Not thread-safe.

    ``place`` gives the identity of the directory once it exists; one that differs from what the spool was
    written with means a copy or a restored backup, and no counter is proven to be the last one.
    ``mint`` gives epochs (32 hex digits). Raises Unavailable if the disk refuses.
    """

    def __init__(
        self,
        disk: Disk,
        directory: str,
        settings: SpoolSettings,
        *,
        now_us: Callable[[], int],
        mint: Callable[[], str],
        place: Callable[[str], str] = place_of,
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._settings = settings
        self._now_us = now_us
        self._mint = mint
        self._log = LogWriter(
            disk, directory, segment_bytes_max=settings.segment_bytes_max, snapshot=self._snapshot
        )
        self._view = SpoolView(disk, directory)
        self._view.follow_all()
        self._state = self._view.state
        self._identity = f"{directory}/identity"
        self._place = place(directory).encode()
        self.moved = self._read_identity() != self._place
        self._unproven = set(self._state.streams()) if self.moved or self._state.broken else set()
        self._prev_next_known = not self._state.broken
        self._pending: list[Spooled] = []
        self._before: dict[StreamKey, StreamState | None] = {}
        self._new_losses: list[str] = []

    @property
    def used_bytes(self) -> int:
        return self._log.kept_bytes

    def start(self, streams: Iterable[StreamKey], acks: Acks) -> None:
        """Open an epoch for every stream whose counter is not proven, and declare what damage took.
        Durable on return."""
        for stream in streams:
            if stream in self._unproven or self._state.get(stream) is None:
                self._append(SpoolKind.EPOCH, EpochStart(stream, self._epoch(stream)), stream)
        for hole in self._view.holes:
            ranges = self._without_receipt(hole.stream, hole.epoch, hole.first, hole.next, acks)
            if ranges:
                evidence = f"the spool could not be read before position {hole.before}"
                loss = self._loss(
                    hole.stream, hole.epoch, "spool_corrupt", ranges, (0, self._now_us()), evidence
                )
                self._append(SpoolKind.LOSS, LossNote(loss), hole.stream)
        self.commit()
        self._view.holes.clear()
        self._unproven.clear()
        if self.moved:
            try:
                write_atomically(self._disk, self._identity, self._place)
            except OSError as error:
                raise Unavailable(f"{self._identity} was not written ({error.strerror}): retry") from error
            self.moved = False

    def add_batch(
        self,
        stream: StreamKey,
        payload: bytes,
        *,
        raw_bytes: int,
        count: int,
        parts: tuple[Part, ...],
        marks: tuple[Mark, ...],
        cursors: tuple[FileCursor, ...],
        times: Times,
    ) -> BatchHeader:
        """Append the next ``count`` records of a stream; durable with ``commit``. Raises Unavailable, and
        then nothing that was added since the last commit counts."""
        first = self._state.next(stream)
        header = BatchHeader(
            stream=stream,
            opened=self._state.opened(stream),
            first=first,
            next=first + count,
            digest=payload_digest(payload),
            raw_bytes=raw_bytes,
            read_from_us=times.from_us,
            read_to_us=times.to_us,
            parts=(*self._state.parts(stream), *parts),
            marks=marks,
        )
        position = self._append(SpoolKind.BATCH, Batch(header, cursors), stream, payload)
        self._pending.append(Spooled(position, self._log.end, header))
        return header

    def add_cursors(
        self, stream: StreamKey, cursors: tuple[FileCursor, ...], parts: tuple[Part, ...] = ()
    ) -> None:
        """The source moved without a record. As ``add_batch``."""
        self._append(SpoolKind.CURSOR, CursorChange(stream, cursors, parts), stream)

    def add_loss(self, loss: Loss, cursors: tuple[FileCursor, ...] = ()) -> None:
        """Post a loss, and move the source behind it. As ``add_batch``."""
        self._append(SpoolKind.LOSS, LossNote(loss, cursors), loss.stream)

    def commit(self) -> None:
        """One sync: on return everything added is durable. Raises Unavailable, and then nothing that was
        added since the last commit counts: build the sources again from ``stream``'s cursors."""
        try:
            self._log.sync()
        except Unavailable:
            self._take_back()
            raise
        self._view.batches += self._pending
        self._forget_undo()

    def stream(self, stream: StreamKey) -> StreamState:
        """Where a stream stands. Raises KeyError for one that was not started."""
        state = self._state.get(stream)
        if state is None:
            raise KeyError(stream)
        return state

    def room_bytes(self) -> int:
        """How many payload bytes may be added now, by the spool's size and by what the disk has free."""
        try:
            free = self._disk.free_bytes(self._directory) - self._settings.free_bytes_min
        except OSError:
            free = 0
        size = self._settings.size_bytes_max - self._log.kept_bytes
        return max(0, min(size, free) - ROOM_MARGIN_BYTES)

    def free(self, acks: Acks) -> int:
        """Drop the oldest segments of which every batch has a receipt with its digest, or is on a loss;
        return how many. Durable on return."""
        settled = self._log.first
        for base, end in self._log.segments()[:-1]:
            if not all(acks.settles(batch) for batch in self._between(base, end)):
                break
            settled = end
        return self._drop_before(settled)

    def make_room(self, wanted_bytes: int, acks: Acks) -> None:
        """With ``when_full`` "declare": give up oldest segments until there is room. Each is declared,
        durably, before it goes. Never more than an eighth of the spool is made free so. Call it with
        nothing uncommitted."""
        if self._settings.when_full != "declare":
            return
        wanted_bytes = min(wanted_bytes, self._settings.size_bytes_max // 8)
        while self.room_bytes() < wanted_bytes and len(segments := self._log.segments()) > 1:
            base, end = segments[0]
            for loss in self._losses_of(self._between(base, end), acks):
                self.add_loss(loss)
            self.commit()
            if not self._drop_before(end):
                return

    def forget_losses(self, ids: Iterable[str]) -> None:
        """The platform has these losses durably: later snapshots leave them out."""
        for loss_id in ids:
            self._state.losses.pop(loss_id, None)

    def close(self) -> None:
        self._log.close()
        self._view.close()

    def _append(self, kind: SpoolKind, meta: Meta, stream: StreamKey, body: bytes = b"") -> int:
        self._before.setdefault(stream, self._state.get(stream))
        try:
            [position] = self._log.append([Message(kind, msgspec.json.encode(meta), body)])
        except Unavailable:
            self._take_back()
            raise
        if isinstance(meta, LossNote) and meta.loss.id not in self._state.losses:
            self._new_losses.append(meta.loss.id)
        self._state.apply(meta, position)
        return position

    def _take_back(self) -> None:
        for stream, state in self._before.items():
            self._state.put_back(stream, state)
        for loss_id in self._new_losses:
            self._state.losses.pop(loss_id, None)
        self._forget_undo()

    def _forget_undo(self) -> None:
        self._pending, self._before, self._new_losses = [], {}, []

    def _snapshot(self) -> Message:
        return Message(SpoolKind.SNAPSHOT, msgspec.json.encode(self._state.snapshot()))

    def _drop_before(self, position: int) -> int:
        dropped = self._log.drop_before(position)
        first = self._log.first
        self._view.batches = [batch for batch in self._view.batches if batch.position >= first]
        return dropped

    def _read_identity(self) -> bytes | None:
        try:
            return read_small(self._disk, self._identity)
        except OSError as error:
            raise Unavailable(f"{self._identity} cannot be read ({error.strerror}): retry") from error

    def _epoch(self, stream: StreamKey) -> EpochOpen:
        old = self._state.get(stream)
        if old is None:
            return EpochOpen(self._mint())
        return EpochOpen(self._mint(), old.opened.epoch, old.next if self._prev_next_known else None)

    def _between(self, base: int, end: int) -> list[Spooled]:
        return [batch for batch in self._view.batches if base <= batch.position < end]

    def _losses_of(self, batches: list[Spooled], acks: Acks) -> list[Loss]:
        """One loss per epoch, of the batches without receipt; the same again gives the same identity."""
        lost: dict[tuple[StreamKey, str], list[BatchHeader]] = {}
        for batch in batches:
            if not acks.settles(batch):
                lost.setdefault((batch.header.stream, batch.header.epoch), []).append(batch.header)
        return [
            self._loss(
                stream,
                epoch,
                "spool_full",
                list(RangeSet((h.first, h.next) for h in headers)),
                (min(h.read_from_us for h in headers), max(h.read_to_us for h in headers)),
                f"the spool's {self._settings.size_bytes_max} bytes, or the disk, were full",
            )
            for (stream, epoch), headers in lost.items()
        ]

    def _loss(
        self,
        stream: StreamKey,
        epoch: str,
        cause: LossCause,
        ranges: list[Range],
        bracket: tuple[int, int],
        evidence: str,
    ) -> Loss:
        return Loss(
            id=f"{cause}/{stream.id}/{epoch}/{ranges[0][0]}",
            stream=stream,
            epoch=epoch,
            cause=cause,
            declared_us=self._now_us(),
            not_before_us=bracket[0],
            not_after_us=bracket[1],
            ranges=tuple(ranges),
            evidence=evidence,
        )

    def _without_receipt(
        self, stream: StreamKey, epoch: str, first: int, next_: int, acks: Acks
    ) -> list[Range]:
        receipts = RangeSet(
            (outcome.first, outcome.next)
            for outcome in acks.outcomes.values()
            if outcome.what == "receipt" and (outcome.stream, outcome.epoch) == (stream.id, epoch)
        )
        return receipts.holes(first, next_)
