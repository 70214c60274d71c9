"""From the journal to whole, counted payloads: what one step of the lake takes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import zstandard

from gapless.lake.facts import Notice
from gapless.log.frame import Frame
from gapless.log.port import EntryReader
from gapless.log.segments import DAMAGED
from gapless.model.batch import BatchHeader
from gapless.model.entry import BatchEntry, Kind
from gapless.model.errors import UNDECODABLE, Refused
from gapless.model.ranges import Range

#: The journal is read in pieces of this size, so that little is read twice where a step stops.
_READ_BYTES = 256 * 1024

_decoder = msgspec.json.Decoder(BatchEntry)
_zstd = zstandard.ZstdDecompressor()


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch of the journal. ``new`` are those of its seqs that the lake does not account for yet;
    ``dropped``: its retention is over, and the journal has its records no more."""

    header: BatchHeader
    stream: str
    journaled_us: int
    position: int
    until: int
    body: memoryview
    new: Sequence[Range]
    dropped: bool = False

    @property
    def new_count(self) -> int:
        return sum(next_ - first for first, next_ in self.new)


@dataclass(slots=True)
class Group:
    """The entries of one step: ``[position, until)`` of the journal."""

    position: int
    until: int
    entries: int = 0
    raw_bytes: int = 0
    full: bool = False  #: a limit ended it, not the journal's end
    batches: list[Batch] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)


class Undecodable(Exception):
    """A batch's payload is not what its header says; ``reason`` is what quarantine stores."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def take(
    reader: EntryReader, position: int, *, group_bytes_max: int, entries_max: int, raw_bytes_max: int
) -> Group:
    """Read entries from ``position`` until they are ``entries_max`` or their records are ``group_bytes_max``
    (exceeded by one batch at most; entries without records count with their own size), or there are no more.
    """
    group = Group(position, position)
    taken_bytes = 0
    while not group.full:
        frames = reader.read(group.until, bytes_max=_READ_BYTES)
        if not frames:
            break
        for frame in frames:
            raw_bytes = _add(group, frame, raw_bytes_max)
            taken_bytes += max(raw_bytes, frame.next_position - frame.position)
            group.full = taken_bytes >= group_bytes_max or group.entries >= entries_max
            if group.full:
                break
    return group


def unpack(batch: Batch, *, raw_bytes_max: int) -> bytes:
    """The records of a batch, each ended by a newline, as many as its header says. Raises Undecodable.

    Never takes more memory than the header's ``raw_bytes``, and that never above ``raw_bytes_max``: the
    frame's own word on its size is compared before anything is allocated.
    """
    header = batch.header
    if header.raw_bytes > raw_bytes_max:
        raise Undecodable("too_large", f"it says {header.raw_bytes} bytes, {raw_bytes_max} are allowed")
    try:
        promised = zstandard.frame_content_size(batch.body)
        if promised not in (-1, header.raw_bytes):
            raise Undecodable("undecodable", f"its frame says {promised} bytes, not {header.raw_bytes}")
        payload = _zstd.decompress(batch.body, max_output_size=header.raw_bytes, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Undecodable("undecodable", f"it is not one whole zstd frame: {error}") from error
    if len(payload) != header.raw_bytes:
        raise Undecodable("undecodable", f"it holds {len(payload)} bytes, its header says {header.raw_bytes}")
    if not payload.endswith(b"\n"):
        raise Undecodable("undecodable", "its last record does not end in a newline")
    lines = int(np.count_nonzero(np.frombuffer(payload, np.uint8) == ord("\n")))
    if lines != header.count:
        raise Undecodable("count_mismatch", f"it holds {lines} records, its header says {header.count}")
    return payload


def _add(group: Group, frame: Frame, raw_bytes_max: int) -> int:
    """Add an entry to the group; return the bytes of its records."""
    group.entries += 1
    group.until = frame.next_position
    if frame.kind == DAMAGED:
        group.notices.append(_damage(frame))
        return 0
    if frame.kind != Kind.BATCH:
        return 0
    try:
        entry = _decoder.decode(frame.meta)
        header = entry.header.check()
        if header.count > raw_bytes_max:  # a record is a byte at least: the books must not take its word
            raise Refused(f"it says {header.count} records, {raw_bytes_max} are allowed")
    except (*UNDECODABLE, Refused) as error:
        text = f"the lake passed over a batch whose header it cannot read: {error}"
        group.notices.append(Notice("unreadable", text, frame.position, frame.next_position))
        return 0
    group.batches.append(
        Batch(
            header=header,
            stream=header.stream.id,
            journaled_us=entry.journaled_us,
            position=frame.position,
            until=frame.next_position,
            body=frame.body,
            new=((header.first, header.next),),
            dropped=frame.dropped,
        )
    )
    if frame.dropped:
        return 0
    group.raw_bytes += header.raw_bytes
    return header.raw_bytes


def _damage(frame: Frame) -> Notice:
    where = (frame.position, frame.next_position)
    text = f"the journal is damaged from {where[0]} to {where[1]}, and the lake passed over it"
    try:
        header = _decoder.decode(frame.meta).header
    except UNDECODABLE:
        return Notice("damaged", text, *where)
    text += f": there was [{header.first}, {header.next}) of stream {header.stream.id}, epoch {header.epoch}"
    return Notice("damaged", text, *where, header.stream.tenant, header.stream.table)
