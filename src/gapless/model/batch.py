"""Batches: runs of consecutive records of one epoch, immutable once spooled."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from gapless.model.errors import Refused
from gapless.model.stream import EpochOpen, StreamKey, check_epoch

#: Earlier seqs that a batch names: so often at most can an epoch be fenced before the batch gets through.
ORIGINS_MAX = 16

#: For ``Upload.time``: no field, but the time at which the gateway received the records.
RECEIVED = "now()"

#: What the agent had to do to a record at the source. "part": cut out of a line longer than
#: line_bytes_max, more follows; "last_part": the end of such a line; "unterminated": the source's last
#: line had no newline when the quiet time was over; "continued": bytes that were appended to such a line.
MarkKind = Literal["part", "last_part", "unterminated", "continued"]


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """A record that is not simply one line of its source: its ordinal within the batch, and why."""

    at: int
    kind: MarkKind


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A run of a batch's records that came from one file: bytes ``[start, end)`` held ``count`` records.

    ``file`` is the identity that the agent gave to the file, not its path: paths change in rotation.
    ``done`` says that the file was read to its end and will not be read again.
    """

    file: str
    start: int
    end: int
    count: int
    done: bool = False


class Origin(msgspec.Struct, frozen=True, array_like=True):
    """Where a batch's records were numbered before: in an epoch that was fenced, from ``first`` on."""

    epoch: str
    first: int


class Upload(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the gateway has a batch of its own from: one request for a data collection rule. ``content`` is
    the digest (SHA-256, hex) of what was sent, in the last batch of the request alone (so the request is
    known only when all of it is there), and ``begins`` the same in a batch before it; ``request`` the id that
    the client gave it (empty: none). ``filtered``: the rule keeps the batch's records out of its table.
    ``time`` names the field that is the records' TimeGenerated; empty: the one of that name."""

    rule: str
    content: str = ""
    request: str = ""
    filtered: bool = False
    begins: str = ""
    time: str = ""


class BatchHeader(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a batch says of itself. Its payload is the records, each followed by a newline, compressed
    as one zstd frame; ``digest`` is the SHA-256 of the compressed bytes, in hex. ``renumbers``: which seqs
    its records had before, the latest last; those are not awaited any more. ``upload`` is set in the
    gateway's own batches, and only there."""

    stream: StreamKey
    opened: EpochOpen
    first: int
    next: int
    digest: str
    raw_bytes: int
    read_from_us: int
    read_to_us: int
    parts: tuple[Part, ...] = ()
    marks: tuple[Mark, ...] = ()
    renumbers: tuple[Origin, ...] = ()
    upload: Upload | None = None
    v: int = 1

    @property
    def epoch(self) -> str:
        return self.opened.epoch

    @property
    def count(self) -> int:
        return self.next - self.first

    def check(self) -> BatchHeader:
        """Return self if the header is consistent in itself. Raises Refused."""
        self.stream.check()
        check_epoch(self.epoch)
        if self.v != 1:
            raise Refused(f"batch format {self.v} is not known here: upgrade the platform before its agents")
        if not 0 <= self.first < self.next < 1 << 62:
            raise Refused(f"batch range [{self.first}, {self.next}) is empty or not a range")
        if self.raw_bytes < self.count:
            raise Refused("batch raw_bytes is smaller than its number of records, each ends in a newline")
        if self.parts and sum(part.count for part in self.parts) != self.count:
            raise Refused("the batch's parts do not add up to its number of records")
        if any(part.end < part.start for part in self.parts):
            raise Refused("a part of the batch ends before it begins")
        for origin in self.renumbers:
            check_epoch(origin.epoch)
            if origin.first < 0 or origin.epoch == self.epoch:
                raise Refused("the batch renumbers seqs that cannot be: they are of an epoch before its own")
        if any(not 0 <= mark.at < self.count for mark in self.marks):
            raise Refused("a mark of the batch stands outside its range")
        return self


def payload_digest(payload: bytes | bytearray | memoryview) -> str:
    """SHA-256 of a compressed payload, in hex."""
    return hashlib.sha256(payload).hexdigest()
