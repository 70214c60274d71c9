"""What stands in the spool: the kinds of its frames, and their meta (JSON).

Numbers of kinds are never reused. Only a BATCH has a body: its compressed payload, as it will be sent.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from gapless.agent.sources import FileCursor
from gapless.log.frame import Frame
from gapless.model.batch import BatchHeader, Part
from gapless.model.claim import Loss
from gapless.model.errors import UNDECODABLE
from gapless.model.stream import EpochOpen, StreamKey


class SpoolKind(IntEnum):
    """The kinds of spool frames."""

    SNAPSHOT = 1
    BATCH = 2
    CURSOR = 3
    LOSS = 4
    EPOCH = 5
    CLOSE = 6


class Batch(msgspec.Struct, frozen=True, omit_defaults=True):
    """A batch, and where its source stands after it. ``replaces``: it has the records of the batch at that
    position, which counts no more: under other seqs if its epoch was fenced, or under the same."""

    header: BatchHeader
    cursors: tuple[FileCursor, ...]
    replaces: int | None = None


class CursorChange(msgspec.Struct, frozen=True):
    """The source moved without giving a record. ``parts`` are bytes without a record (count 0): the next
    batch carries them, so that the parts of consecutive batches are adjacent (I8)."""

    stream: StreamKey
    cursors: tuple[FileCursor, ...]
    parts: tuple[Part, ...] = ()


class LossNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """A loss, and where the source goes on behind it."""

    loss: Loss
    cursors: tuple[FileCursor, ...] = ()


class EpochStart(msgspec.Struct, frozen=True, omit_defaults=True):
    """From here on the stream counts in this epoch, from 0. ``fenced``: the one before counted twice."""

    stream: StreamKey
    opened: EpochOpen
    fenced: bool = False


class EpochClose(msgspec.Struct, frozen=True):
    """Nothing is collected for the stream any more; if it is again, then in another epoch."""

    closed: StreamKey


class EndedEpoch(msgspec.Struct, frozen=True, omit_defaults=True):
    """An epoch that will not go on. ``next`` is where this spool's count of it stood; ``proven``: that is
    where it ended, and no copy of the spool or lost part of it can have counted further. ``fenced``: two
    counted in it, so that nothing can be claimed of it any more."""

    opened: EpochOpen
    next: int
    proven: bool = False
    fenced: bool = False


class StreamState(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a stream stands. ``closed``: no source is configured for it any more."""

    stream: StreamKey
    opened: EpochOpen
    next: int
    cursors: tuple[FileCursor, ...] = ()
    parts: tuple[Part, ...] = ()
    ended: tuple[EndedEpoch, ...] = ()
    closed: bool = False


class Snapshot(msgspec.Struct, frozen=True):
    """The whole state: what makes every earlier segment unnecessary but for the batches in it."""

    streams: tuple[StreamState, ...]
    losses: tuple[Loss, ...]


Meta = Snapshot | Batch | CursorChange | LossNote | EpochStart | EpochClose

_DECODERS: dict[int, msgspec.json.Decoder[Meta]] = {
    SpoolKind.SNAPSHOT: msgspec.json.Decoder(Snapshot),
    SpoolKind.BATCH: msgspec.json.Decoder(Batch),
    SpoolKind.CURSOR: msgspec.json.Decoder(CursorChange),
    SpoolKind.LOSS: msgspec.json.Decoder(LossNote),
    SpoolKind.EPOCH: msgspec.json.Decoder(EpochStart),
    SpoolKind.CLOSE: msgspec.json.Decoder(EpochClose),
}


def decode(frame: Frame) -> Meta | None:
    """What a frame says; None for one that cannot be read. Of a damaged batch whose meta is intact, the
    meta: only a BATCH has a body that can be damaged alone."""
    decoder = _DECODERS.get(frame.kind, _DECODERS[SpoolKind.BATCH])
    try:
        return decoder.decode(frame.meta)
    except UNDECODABLE:
        return None
