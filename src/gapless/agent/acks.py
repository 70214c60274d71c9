"""What became of the batches: the uploader's log. The uploader alone writes it; others follow it.

    RECEIPT   the platform's signed receipt, verified before it was written
    REFUSED   the gateway will not take the batch as it is; the spool keeps it
    DAMAGED   the spool could not read it any more; a loss says what was in it
    SNAPSHOT  every outcome of a batch that the spool still holds

An outcome names the batch by its position in the spool *and* by stream, epoch, range and digest: a spool
that was lost and begun anew has other digests at the same positions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import IntEnum
from typing import Literal

import msgspec

from gapless.agent.follow import Spooled
from gapless.log.disk import Disk
from gapless.log.frame import DAMAGED, Frame
from gapless.log.segments import LogReader, LogWriter, Message
from gapless.model.claim import Loss
from gapless.model.errors import UNDECODABLE
from gapless.model.signing import Signed

#: Small: every process of the agent holds the outcomes that came since the newest segment began.
ACKS_SEGMENT_BYTES_MAX = 512 << 10


class AckKind(IntEnum):
    """The kinds of frames; numbers are never reused."""

    SNAPSHOT = 1
    RECEIPT = 2
    REFUSED = 3
    DAMAGED = 4


_KINDS = {"receipt": AckKind.RECEIPT, "refused": AckKind.REFUSED, "damaged": AckKind.DAMAGED}


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of one batch. ``text`` is the gateway's reason for a refusal."""

    what: Literal["receipt", "refused", "damaged"]
    position: int
    stream: str
    epoch: str
    first: int
    next: int
    digest: str
    at_us: int
    receipt: Signed | None = None
    loss: Loss | None = None
    text: str = ""

    @classmethod
    def of(
        cls,
        batch: Spooled,
        what: Literal["receipt", "refused", "damaged"],
        at_us: int,
        *,
        receipt: Signed | None = None,
        loss: Loss | None = None,
        text: str = "",
    ) -> Outcome:
        return cls(
            what=what,
            position=batch.position,
            stream=batch.stream.id,
            epoch=batch.epoch,
            first=batch.first,
            next=batch.next,
            digest=batch.digest,
            at_us=at_us,
            receipt=receipt,
            loss=loss,
            text=text,
        )

    def fits(self, batch: Spooled) -> bool:
        """Whether it speaks of this very batch."""
        # The stream's identity costs a hash: compared last, and only where all else fits.
        return (self.position, self.epoch, self.first, self.next, self.digest) == (
            batch.position,
            batch.epoch,
            batch.first,
            batch.next,
            batch.digest,
        ) and self.stream == batch.stream.id


class AckSnapshot(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every outcome of a batch that the spool holds, and when the last receipt came."""

    outcomes: tuple[Outcome, ...]
    last_receipt_us: int | None = None


class Acks:
    """The outcomes by position: a pure fold of the log's frames. ``taken`` counts those seen so far."""

    def __init__(self) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self.taken = 0
        self.last_receipt_us: int | None = None

    def apply(self, frame: Frame) -> None:
        """Take in what a frame says; nothing if it cannot be read."""
        with suppress(*UNDECODABLE):
            self._apply(frame)

    def _apply(self, frame: Frame) -> None:
        if frame.kind == AckKind.SNAPSHOT:
            snapshot = msgspec.json.decode(frame.meta, type=AckSnapshot)
            self.outcomes = {outcome.position: outcome for outcome in snapshot.outcomes}
            self.last_receipt_us = snapshot.last_receipt_us
        elif frame.kind in _KINDS.values():
            self.take(msgspec.json.decode(frame.meta, type=Outcome))

    def take(self, outcome: Outcome) -> None:
        # Signatures stay in the log: whoever frees compares digests.
        self.outcomes[outcome.position] = (
            outcome if outcome.receipt is None else msgspec.structs.replace(outcome, receipt=None)
        )
        self.taken += 1
        if outcome.what == "receipt":
            self.last_receipt_us = max(outcome.at_us, self.last_receipt_us or 0)

    def of(self, batch: Spooled) -> Outcome | None:
        """What became of a batch; None while nothing is known."""
        outcome = self.outcomes.get(batch.position)
        return outcome if outcome is not None and outcome.fits(batch) else None

    def settles(self, batch: Spooled) -> bool:
        """Whether the spool may let go of a batch: a receipt with the same digest, or a loss."""
        outcome = self.of(batch)
        return outcome is not None and outcome.what != "refused"

    def losses(self) -> list[Loss]:
        return [outcome.loss for outcome in self.outcomes.values() if outcome.loss is not None]

    def forget_before(self, position: int) -> None:
        """The spool dropped everything before ``position``."""
        for at in [at for at in self.outcomes if at < position]:
            del self.outcomes[at]


class AckReader:
    """Follows the uploader's log. Damage in it costs a second sending, never a batch."""

    def __init__(self, disk: Disk, directory: str) -> None:
        self._reader = LogReader(disk, directory)
        self.acks = Acks()
        self._position: int | None = None

    def follow(self) -> Acks:
        """Take in everything durable. Raises Unavailable if the disk refuses."""
        if self._position is None:
            self._position = self._reader.last_segment()
        while frames := self._reader.read(self._position, bytes_max=1 << 20):
            for frame in frames:
                self.acks.apply(frame)
                self._position = frame.next_position
        return self.acks

    def close(self) -> None:
        self._reader.close()


class AckWriter:
    """The uploader's side. ``spool_first`` says up to where the spool has let go."""

    def __init__(
        self,
        disk: Disk,
        directory: str,
        *,
        spool_first: Callable[[], int],
        segment_bytes_max: int = ACKS_SEGMENT_BYTES_MAX,
    ) -> None:
        self._spool_first = spool_first
        # Read before the writer can begin a segment, whose snapshot is of what was read here.
        reader = AckReader(disk, directory)
        self.acks = reader.acks
        self._log = LogWriter(disk, directory, segment_bytes_max=segment_bytes_max, snapshot=self._snapshot)
        reader.follow()
        reader.close()
        self._reader = LogReader(disk, directory)

    def write(self, outcomes: Iterable[Outcome]) -> None:
        """Durable on return. Raises Unavailable; then none of them counts."""
        new = list(outcomes)
        if not new:
            return
        self._log.append(Message(_KINDS[outcome.what], msgspec.json.encode(outcome)) for outcome in new)
        self._log.sync()
        for outcome in new:
            self.acks.take(outcome)
        self._log.drop_before(self._log.segments()[-1][0])

    def mend(self) -> bool:
        """Read the log as others do, and write all of it anew if they cannot: what rotted is known to nobody
        else. True if that was so; durable on return. Raises Unavailable."""
        self._log.sync()  # readers may not have been told of what was written last
        position = self._log.first
        damaged = False
        while frames := self._reader.read(position, bytes_max=1 << 20):
            damaged = damaged or any(frame.kind == DAMAGED for frame in frames)
            position = frames[-1].next_position
        if damaged:
            self._log.end_segment()
            self._log.append(())
            self._log.sync()
            self._log.drop_before(self._log.segments()[-1][0])
        return damaged

    def close(self) -> None:
        self._log.close()
        self._reader.close()

    def _snapshot(self) -> Message:
        self.acks.forget_before(self._spool_first())
        snapshot = AckSnapshot(tuple(self.acks.outcomes.values()), self.acks.last_receipt_us)
        return Message(AckKind.SNAPSHOT, msgspec.json.encode(snapshot))
