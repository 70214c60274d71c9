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
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from gapless.agent.acks import Acks
from gapless.agent.follow import Spooled, SpoolView
from gapless.agent.frames import (
    Batch,
    CursorChange,
    EpochClose,
    EpochStart,
    LossNote,
    Meta,
    SpoolKind,
    StreamState,
)
from gapless.agent.losses import loss_of_hole, losses_of
from gapless.agent.sources import FileCursor
from gapless.log.disk import Buffer, Disk, read_small, write_atomically
from gapless.log.segments import LogWriter, Message
from gapless.model.batch import BatchHeader, Mark, Part, payload_digest
from gapless.model.claim import Loss
from gapless.model.errors import Unavailable
from gapless.model.stream import EpochOpen, StreamKey

#: What a commit may take beyond its payloads: heads, metas, a snapshot.
ROOM_MARGIN_BYTES = 64 << 10
SIZE_BYTES_MIN = 1 << 20


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
        if self.size_bytes_max < SIZE_BYTES_MIN:
            faults.append(f"size_bytes_max must be at least {SIZE_BYTES_MIN}")
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
        self._prev_next_known = not (self.moved or self._state.broken)
        self._pending: list[tuple[int, int, Batch]] = []
        self._before: dict[StreamKey, StreamState | None] = {}
        self._losses_before: dict[str, Loss] | None = None
        self._checked = 0  # of the oldest segment, what was seen to be readable

    @property
    def used_bytes(self) -> int:
        return self._log.kept_bytes

    def start(self, streams: Iterable[StreamKey], acks: Acks) -> None:
        """Collect ``streams`` from now on, and no others: open an epoch for each whose counter is not proven
        or was closed, close those of the others, and declare what damage took. Durable on return."""
        collected = list(streams)
        self._doubt_outrun(acks)
        for stream in dict.fromkeys([*collected, *sorted(self._unproven)]):
            state = self._state.get(stream)
            if state is None or state.closed or stream in self._unproven:
                self._append(SpoolKind.EPOCH, EpochStart(stream, self._epoch(stream)), stream)
        for stream in self._state.streams():
            state = self._state.get(stream)
            if stream not in collected and state is not None and not state.closed:
                self._append(SpoolKind.CLOSE, EpochClose(stream), stream)
        for hole in self._view.holes:
            if (loss := loss_of_hole(hole, acks, self._now_us())) is not None:
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
        self._add(Batch(header, cursors), payload)
        return header

    def add_cursors(
        self, stream: StreamKey, cursors: tuple[FileCursor, ...], parts: tuple[Part, ...] = ()
    ) -> None:
        """The source moved without a record. As ``add_batch``."""
        self._append(SpoolKind.CURSOR, CursorChange(stream, cursors, parts), stream)

    def add_loss(self, loss: Loss, cursors: tuple[FileCursor, ...] = ()) -> None:
        """Post a loss, and move the source behind it. As ``add_batch``."""
        self._append(SpoolKind.LOSS, LossNote(loss, cursors), loss.stream)

    def renumber(self, stream: StreamKey, fenced: Collection[str], acks: Acks) -> bool:
        """Go on in another epoch if the platform fenced the present one (its counter was used twice), and
        give one batch of a fenced epoch that has no receipt new seqs in the present one. Durable on return;
        False if there was none. To be called, before anything is added to the stream, until it says so.

        Of the fenced epoch nothing is claimed any more: which of two agents' records its seqs were, only
        the platform's journal can tell. The copy and the withdrawal of the old batch are one frame, so
        a crash leaves either. The spool may grow over its size meanwhile, by a segment at most.
        """
        if self._state.opened(stream).epoch in fenced:
            opened = EpochOpen(self._mint(), self._state.opened(stream).epoch)
            self._append(SpoolKind.EPOCH, EpochStart(stream, opened, fenced=True), stream)
            self.commit()
        for old in self._view.batches:
            if old.stream != stream or old.epoch not in fenced or acks.settles(old):
                continue
            found = self._view.read(old)
            if found is None:
                continue  # damaged: whoever uploads declares it
            header, payload = found
            first = self._state.next(stream)
            header = msgspec.structs.replace(
                header, opened=self._state.opened(stream), first=first, next=first + old.records
            )
            self._add(Batch(header, (), old.position), payload)
            self.commit()
            self.free(acks)
            return True
        return False

    def carry(self, acks: Acks) -> bool:
        """Keep what the gateway refuses from holding the rest: once half of the spool is used, append anew
        the refused batches of the oldest segment, if they are the smaller part of it and all that it is
        kept for, and drop it. Durable on return; False if there was nothing to do. Call it with nothing
        uncommitted.

        A batch keeps its seqs, and is offered to the gateway once more. A crash leaves it at its old place,
        at both, or at the new one; whoever reads the log takes the new one for the old.
        """
        segments = self._log.segments()
        if len(segments) < 2 or 2 * self._log.kept_bytes < self._settings.size_bytes_max:
            return False
        base, end = segments[0]
        held = [batch for batch in self._view.between(base, end) if not acks.settles(batch)]
        held_bytes = sum(batch.next_position - batch.position for batch in held)
        if any(acks.of(batch) is None for batch in held) or 2 * held_bytes > end - base:
            return False
        for old in held:
            found = self._view.read(old)
            if found is None:
                return False  # damaged: whoever uploads declares it
            self._add(Batch(found[0], (), old.position), found[1])
        self.commit()
        return self._drop_before(end) > 0

    def commit(self) -> None:
        """One sync: on return everything added is durable. Raises Unavailable, and then nothing that was
        added since the last commit counts: build the sources again from ``stream``'s cursors."""
        try:
            self._log.sync()
        except Unavailable:
            self._take_back()
            raise
        for position, next_position, batch in self._pending:
            self._view.add(position, next_position, batch)
        self._view.withdrawn.clear()
        self._forget_undo()

    def streams(self) -> list[StreamKey]:
        """Every stream that this spool has counted for."""
        return self._state.streams()

    def parts(self, stream: StreamKey) -> int:
        """How many parts without a record wait for the stream's next batch."""
        return len(self._state.parts(stream))

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
        return how many. Durable on return. Call it with nothing uncommitted."""
        self._roll(acks)
        settled = self._log.first
        for base, end in self._log.segments()[:-1]:
            if not all(acks.settles(batch) for batch in self._view.between(base, end)):
                break
            settled = end
        return self._drop_before(settled)

    def _roll(self, acks: Acks) -> None:
        """Begin a new segment if the newest is full and nothing in it is waited for any more: it can go then.
        Else it would keep its room until something is added, and that may be more than there is beside it."""
        for base, end in self._log.segments()[-1:]:
            batches = self._view.between(base, end)
            full = end - base >= self._settings.segment_bytes_max
            if full and batches and all(acks.settles(batch) for batch in batches):
                self._log.append(())
                self.commit()

    def make_room(self, wanted_bytes: int, acks: Acks) -> None:
        """With ``when_full`` "declare": give up oldest segments until there is room. Each is declared,
        durably, before it goes. Never more than an eighth of the spool is made free so. Call it with
        nothing uncommitted."""
        if self._settings.when_full != "declare":
            return
        wanted_bytes = min(wanted_bytes, self._settings.size_bytes_max // 8)
        while self.room_bytes() < wanted_bytes and len(segments := self._log.segments()) > 1:
            base, end = segments[0]
            for loss in self.given_up(self._view.between(base, end), acks):
                self.add_loss(loss)
            self.commit()
            if not self._drop_before(end):
                return

    def given_up(self, batches: list[Spooled], acks: Acks) -> list[Loss]:
        """What is declared of batches that have to make room."""
        evidence = f"the spool's {self._settings.size_bytes_max} bytes, or the disk, were full"
        return losses_of(batches, acks, self._now_us(), evidence)

    def give_up_unreadable(self, acks: Acks, *, bytes_max: int = 4 << 20) -> bool:
        """Declare those batches of the oldest segment that cannot be read any more: whoever uploads may not
        even know that they are there, and the segment would be kept for ever. Reads about ``bytes_max``, and
        goes on with the next call. Durable on return; False if none was found. Call it with nothing
        uncommitted."""
        segments = self._log.segments()
        if not segments:
            return False
        base, end = segments[0]
        gone: list[Spooled] = []
        for batch in self._view.between(max(base, self._checked), end):
            if bytes_max <= 0:
                break
            self._checked = batch.next_position
            if not acks.settles(batch):
                bytes_max -= batch.next_position - batch.position
                gone += [batch] if self._view.read(batch) is None else []
        else:
            self._checked = 0
        for loss in losses_of(gone, acks, self._now_us(), "the spool could not read them", "spool_corrupt"):
            self.add_loss(loss)
        self.commit()
        for batch in gone:
            self._view.batches.remove(batch)
        return bool(gone)

    def forget_losses(self, ids: Iterable[str]) -> None:
        """The platform has these losses durably: later snapshots leave them out."""
        for loss_id in ids:
            self._state.losses.pop(loss_id, None)

    def close(self) -> None:
        self._log.close()
        self._view.close()

    def _add(self, batch: Batch, payload: Buffer) -> None:
        position = self._append(SpoolKind.BATCH, batch, batch.header.stream, payload)
        self._pending.append((position, self._log.end, batch))

    def _append(self, kind: SpoolKind, meta: Meta, stream: StreamKey, body: Buffer = b"") -> int:
        if stream not in self._before:
            self._before[stream] = self._state.get(stream)
        try:
            [position] = self._log.append([Message(kind, msgspec.json.encode(meta), body)])
        except Unavailable:
            self._take_back()
            raise
        if isinstance(meta, LossNote) and self._losses_before is None:
            self._losses_before = dict(self._state.losses)
        self._state.apply(meta, position)
        return position

    def _take_back(self) -> None:
        for stream, state in self._before.items():
            self._state.put_back(stream, state)
        if self._losses_before is not None:
            self._state.losses = self._losses_before
        self._forget_undo()

    def _forget_undo(self) -> None:
        self._pending, self._before, self._losses_before = [], {}, None

    def _snapshot(self) -> Message:
        return Message(SpoolKind.SNAPSHOT, msgspec.json.encode(self._state.snapshot()))

    def _drop_before(self, position: int) -> int:
        dropped = self._log.drop_before(position)
        self._view.forget_before(self._log.first)
        return dropped

    def _read_identity(self) -> bytes | None:
        try:
            return read_small(self._disk, self._identity)
        except OSError as error:
            raise Unavailable(f"{self._identity} cannot be read ({error.strerror}): retry") from error

    def _doubt_outrun(self, acks: Acks) -> None:
        """A batch with an outcome beyond what was counted: the end of the spool is gone from the disk, and
        was taken for a tail that nobody was told of. Its seqs must not be given again."""
        counts = {
            stream.id: (stream, self._state.opened(stream).epoch, self._state.next(stream))
            for stream in self._state.streams()
        }
        for outcome in acks.outcomes.values():
            stream, epoch, next_ = counts.get(outcome.stream, (None, "", 0))
            if stream is not None and outcome.epoch == epoch and outcome.next > next_:
                self._unproven.add(stream)
                self._prev_next_known = False

    def _epoch(self, stream: StreamKey) -> EpochOpen:
        old = self._state.get(stream)
        if old is None:
            return EpochOpen(self._mint())
        return EpochOpen(self._mint(), old.opened.epoch, old.next if self._prev_next_known else None)
