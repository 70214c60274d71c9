"""The spool's room: what may be dropped, what is carried on so that the rest can go, what is given up.

Commit point: between declaring a loss and dropping its segment the loss stands, and the segment is declared
again under the same identity.
"""

from __future__ import annotations

from collections.abc import Callable

from gapless.agent.acks import Acks
from gapless.agent.follow import Spooled
from gapless.agent.frames import Batch, LossNote, SpoolKind
from gapless.agent.losses import losses_of
from gapless.agent.spool_log import SpoolLog
from gapless.agent.spool_settings import SpoolSettings
from gapless.failpoint import reached
from gapless.log.disk import Disk
from gapless.model.claim import Loss
from gapless.model.errors import Unavailable

#: What a commit may take beyond its payloads: heads, metas, a snapshot.
ROOM_MARGIN_BYTES = 64 << 10


class SpoolRoom:
    """Raises Unavailable if the disk refuses."""

    def __init__(
        self, log: SpoolLog, disk: Disk, directory: str, settings: SpoolSettings, now_us: Callable[[], int]
    ) -> None:
        self._log = log
        self._disk = disk
        self._directory = directory
        self._settings = settings
        self._now_us = now_us
        self._checked = 0  # of the oldest segment, what was seen to be readable
        # Before this, all was settled or declared when it was to go. A segment may be gone while its removal
        # is not durable: it cannot be read then, and others have forgotten what became of it.
        self._let_go = 0

    def left_bytes(self) -> int:
        """How many payload bytes may be added now, by the spool's size and by what the disk has free."""
        try:
            free = self._disk.free_bytes(self._directory) - self._settings.free_bytes_min
        except OSError:
            free = 0
        size = self._settings.size_bytes_max - self._log.writer.kept_bytes
        return max(0, min(size, free) - ROOM_MARGIN_BYTES)

    def free(self, acks: Acks) -> int:
        """Drop the oldest segments of which every batch has a receipt with its digest, or is on a loss;
        return how many. Durable on return. Call it with nothing uncommitted."""
        self._roll(acks)
        settled = self._log.writer.first
        for base, end in self._log.writer.segments()[:-1]:
            waited_for = self._log.view.between(max(base, self._let_go), end)
            if not all(acks.settles(batch) for batch in waited_for):
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
        while self.left_bytes() < wanted_bytes and len(segments := self._log.writer.segments()) > 1:
            base, end = segments[0]
            for loss in self.given_up(self._log.view.between(base, end), acks):
                self._declare(loss)
            self._log.commit()
            reached("spool", "declared", Unavailable)
            if not self._drop_before(end):
                return

    def given_up(self, batches: list[Spooled], acks: Acks) -> list[Loss]:
        """What is declared of batches that have to make room."""
        evidence = f"the spool's {self._settings.size_bytes_max} bytes, or the disk, were full"
        return losses_of(batches, acks, self._now_us(), evidence)

    def give_up_unreadable(self, acks: Acks, *, bytes_max: int = 4 << 20) -> bool:
        """Declare those batches of the oldest segment that cannot be read any more: whoever uploads may not
        even know that they are there, and the segment would be kept for ever, and they claimed as held.
        Reads about ``bytes_max``, and goes on with the next call. Durable on return; False if none was
        found. Call it with nothing uncommitted."""
        segments = self._log.writer.segments()
        if not segments:
            return False
        base, end = segments[0]
        gone: list[Spooled] = []
        # What readers could not be told of, because the disk refused just that, none of them can read yet.
        told = min(end, self._log.view.durable())
        for batch in self._log.view.between(max(base, self._checked, self._let_go), told):
            if bytes_max <= 0:
                break
            self._checked = batch.next_position
            if not acks.settles(batch):
                bytes_max -= batch.next_position - batch.position
                gone += [batch] if self._log.view.read(batch) is None else []
        else:
            self._checked = 0
        if gone and end == self._log.writer.end:
            self._log.writer.end_segment()  # so that it can go, though nothing is added
        for loss in losses_of(gone, acks, self._now_us(), "the spool could not read them", "spool_corrupt"):
            self._declare(loss)
        self._log.commit()
        for batch in gone:
            self._log.view.batches.remove(batch)
        return bool(gone)

    def carry(self, acks: Acks) -> bool:
        """Keep what the gateway refuses from holding the rest: once half of the spool is used, append anew
        the refused batches of the oldest segment, if they are the smaller part of it and all that it is
        kept for, and drop it. Durable on return; False if there was nothing to do. Call it with nothing
        uncommitted.

        A batch keeps its seqs, and is offered to the gateway once more. A crash leaves it at its old place,
        at both, or at the new one; whoever reads the log takes the new one for the old.
        """
        segments = self._log.writer.segments()
        if len(segments) < 2 or 2 * self._log.writer.kept_bytes < self._settings.size_bytes_max:
            return False
        base, end = segments[0]
        held = [batch for batch in self._log.view.between(base, end) if not acks.settles(batch)]
        held_bytes = sum(batch.next_position - batch.position for batch in held)
        if any(acks.of(batch) is None for batch in held) or 2 * held_bytes > end - base:
            return False
        for old in held:
            found = self._log.view.read(old)
            if found is None:
                return False  # damaged: whoever uploads declares it
            self._log.add(Batch(found[0], (), old.position), found[1])
        self._log.commit()
        return self._drop_before(end) > 0

    def _roll(self, acks: Acks) -> None:
        """Begin a new segment if the newest is full and nothing in it is waited for any more: it can go then.
        Else it would keep its room until something is added, and that may be more than there is beside it."""
        for base, end in self._log.writer.segments()[-1:]:
            batches = self._log.view.between(base, end)
            full = end - base >= self._settings.segment_bytes_max
            if full and batches and all(acks.settles(batch) for batch in batches):
                self._log.writer.append(())
                self._log.commit()

    def _declare(self, loss: Loss) -> None:
        self._log.append(SpoolKind.LOSS, LossNote(loss), loss.stream)

    def _drop_before(self, position: int) -> int:
        self._let_go = max(self._let_go, position)
        dropped = self._log.writer.drop_before(position)
        self._log.view.forget_before(self._log.writer.first)
        return dropped
