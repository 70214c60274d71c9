"""The spool: seq, payload and source cursor in one durable append. The collector alone writes it.

Commit points, and what a crash leaves at each:

* after ``add_*``, before ``commit`` returned: any prefix of what was added, and it counts. Cursors,
  seqs and payloads stand in the same frames, so the source goes on exactly behind what is kept.
* at the very first start, between writing the identity file and opening epochs: an empty spool.
* in a spool that was moved, between opening new epochs and writing the identity file: epochs without a
  record; the next start opens others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from gapless.agent.acks import Acks
from gapless.agent.frames import Batch, CursorChange, EpochClose, EpochStart, LossNote, SpoolKind
from gapless.agent.losses import loss_of_hole
from gapless.agent.sources import FileCursor
from gapless.agent.spool_log import SpoolLog
from gapless.agent.spool_room import SpoolRoom
from gapless.agent.spool_settings import SpoolSettings
from gapless.log.disk import Disk, read_small, write_atomically
from gapless.model.batch import ORIGINS_MAX, BatchHeader, Mark, Origin, Part, payload_digest
from gapless.model.claim import Loss
from gapless.model.errors import Unavailable
from gapless.model.stream import EpochOpen, StreamKey


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


class Spool(SpoolLog):
    """The writer's side. Not thread-safe.

    ``place`` gives the identity of the directory once it exists; one that differs from what the spool was
    written with means a copy or a restored backup, and no counter is proven to be the last one.
    ``mint`` gives epochs (32 hex digits). ``room`` drops and gives up. Raises
    Unavailable if the disk refuses.
    """

    room_type = SpoolRoom

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
        super().__init__(disk, directory, segment_bytes_max=settings.segment_bytes_max)
        self._disk = disk
        self._now_us = now_us
        self._mint = mint
        self._identity = f"{directory}/identity"
        self._place = place(directory).encode()
        self.moved = self._read_identity() != self._place
        self._unproven = set(self.state.streams()) if self.moved or self.state.broken else set()
        self._prev_next_known = not (self.moved or self.state.broken)
        self.room = self.room_type(self, disk, directory, settings, now_us)

    def start(self, streams: Iterable[StreamKey], acks: Acks) -> None:
        """Collect ``streams`` from now on, and no others: open an epoch for each whose counter is not proven
        or was closed, close those of the others, and declare what damage took. Durable on return."""
        collected = list(streams)
        if self.moved and not self.state.streams():
            # Before any epoch: one that a crash left behind would be unclosed for ever.
            self._write_identity()
        self._doubt_outrun(acks)
        for stream in dict.fromkeys([*collected, *sorted(self._unproven)]):
            state = self.state.get(stream)
            if state is None or state.closed or stream in self._unproven:
                self.append(SpoolKind.EPOCH, EpochStart(stream, self._epoch(stream)), stream)
        for stream in self.state.streams():
            state = self.state.get(stream)
            if stream not in collected and state is not None and not state.closed:
                self.append(SpoolKind.CLOSE, EpochClose(stream), stream)
        for hole in self.view.holes:
            if (loss := loss_of_hole(hole, acks, self._now_us())) is not None:
                self.append(SpoolKind.LOSS, LossNote(loss), hole.stream)
        self.commit()
        self.view.holes.clear()
        self._unproven.clear()
        if self.moved:
            self._write_identity()

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
        first = self.state.next(stream)
        header = BatchHeader(
            stream=stream,
            opened=self.state.opened(stream),
            first=first,
            next=first + count,
            digest=payload_digest(payload),
            raw_bytes=raw_bytes,
            read_from_us=times.from_us,
            read_to_us=times.to_us,
            parts=(*self.state.parts(stream), *parts),
            marks=marks,
        )
        self.add(Batch(header, cursors), payload)
        return header

    def add_cursors(
        self, stream: StreamKey, cursors: tuple[FileCursor, ...], parts: tuple[Part, ...] = ()
    ) -> None:
        """The source moved without a record. As ``add_batch``."""
        self.append(SpoolKind.CURSOR, CursorChange(stream, cursors, parts), stream)

    def add_loss(self, loss: Loss, cursors: tuple[FileCursor, ...] = ()) -> None:
        """Post a loss, and move the source behind it. As ``add_batch``."""
        self.append(SpoolKind.LOSS, LossNote(loss, cursors), loss.stream)

    def renumber(self, stream: StreamKey, fenced: Collection[str], acks: Acks) -> bool:
        """Go on in another epoch if the platform fenced the present one (its counter was used twice), and
        give one batch of a fenced epoch that has no receipt new seqs in the present one. Durable on return;
        False if there was none. To be called, before anything is added to the stream, until it says so.

        Of the fenced epoch nothing is claimed any more: which of two agents' records its seqs were, only
        the platform's journal can tell. The new header names the seqs that the batch had there. The copy and
        the withdrawal of the old batch are one frame, so a crash leaves either. The spool may grow over its
        size meanwhile, by a segment at most.
        """
        if self.state.opened(stream).epoch in fenced:
            opened = EpochOpen(self._mint(), self.state.opened(stream).epoch)
            self.append(SpoolKind.EPOCH, EpochStart(stream, opened, fenced=True), stream)
            self.commit()
        for old in self.view.batches:
            if old.stream != stream or old.epoch not in fenced or acks.settles(old):
                continue
            found = self.view.read(old)
            if found is None:
                continue  # damaged: whoever uploads declares it
            header, payload = found
            first = self.state.next(stream)
            header = msgspec.structs.replace(
                header,
                opened=self.state.opened(stream),
                first=first,
                next=first + old.records,
                renumbers=(*header.renumbers, Origin(old.epoch, old.first))[-ORIGINS_MAX:],
            )
            self.add(Batch(header, (), old.position), payload)
            self.commit()
            self.room.free(acks)
            return True
        return False

    def forget_losses(self, ids: Iterable[str]) -> None:
        """The platform has these losses durably: later snapshots leave them out."""
        for loss_id in ids:
            self.state.losses.pop(loss_id, None)

    def _write_identity(self) -> None:
        try:
            write_atomically(self._disk, self._identity, self._place)
        except OSError as error:
            raise Unavailable(f"{self._identity} was not written ({error.strerror}): retry") from error
        self.moved = False

    def _read_identity(self) -> bytes | None:
        try:
            return read_small(self._disk, self._identity)
        except OSError as error:
            raise Unavailable(f"{self._identity} cannot be read ({error.strerror}): retry") from error

    def _doubt_outrun(self, acks: Acks) -> None:
        """A batch with an outcome beyond what was counted: the end of the spool is gone from the disk, and
        was taken for a tail that nobody was told of. Its seqs must not be given again."""
        counts = {
            stream.id: (stream, self.state.opened(stream).epoch, self.state.next(stream))
            for stream in self.state.streams()
        }
        for outcome in acks.outcomes.values():
            stream, epoch, next_ = counts.get(outcome.stream, (None, "", 0))
            if stream is not None and outcome.epoch == epoch and outcome.next > next_:
                self._unproven.add(stream)
                self._prev_next_known = False

    def _epoch(self, stream: StreamKey) -> EpochOpen:
        old = self.state.get(stream)
        if old is None:
            return EpochOpen(self._mint())
        return EpochOpen(self._mint(), old.opened.epoch, old.next if self._prev_next_known else None)
