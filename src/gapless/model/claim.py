"""Claims: what an agent says is in its streams, every two seconds, also when nothing happens."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from gapless.model.stream import EpochOpen, StreamKey

LossCause = Literal[
    "spool_full", "spool_corrupt", "journal_corrupt", "source_truncated", "source_deleted", "operator"
]


class SkippedBytes(msgspec.Struct, frozen=True, array_like=True):
    """Bytes ``[start, end)`` of a file that were never read: a jump between its parts that is explained."""

    file: str
    start: int
    end: int


class Loss(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Records declared unrecoverable. It never disappears; a later posting can reverse it.

    ``ranges`` are exact. Where the agent never numbered the records (bytes that a truncation took before
    they were read), ``ranges`` is empty and the loss is indeterminate: at least ``records_min``, at most
    ``records_max`` (None: nobody can say), ``bytes_lost`` where the source's own sizes tell.
    With ``ended_at`` the epoch is taken to have ended at that seq: whatever it had beyond is not known, and
    nothing of it will come any more.
    The records were read, or would have been, between ``not_before_us`` and ``not_after_us``.
    """

    id: str
    stream: StreamKey
    epoch: str
    cause: LossCause
    declared_us: int
    not_before_us: int
    not_after_us: int
    ranges: tuple[tuple[int, int], ...] = ()
    records_min: int = 0
    records_max: int | None = None
    bytes_lost: int | None = None
    skipped: SkippedBytes | None = None
    ended_at: int | None = None
    evidence: str = ""

    @property
    def count(self) -> int:
        """The records in ``ranges``, exactly."""
        return sum(next_ - first for first, next_ in self.ranges)


#: Where the books of a stream begin: what was lost before it, they know only from the source's own evidence.
Coverage = Literal["from-source", "from-spool", "from-socket"]


class StreamClaim(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """As of the claim's time: the next seq of this epoch is ``next``, durably; ``held`` is what the spool
    still holds without a receipt, of it ``refused`` what the gateway would not take; the reader stands
    ``unread_bytes`` before the end of its source, and was last seen reading at ``reader_us``. For ``left_us``
    it has left a part of its source unread while it went on with the rest, or nobody could look at a part.
    ``closed`` ends the epoch at ``next``: nothing will follow, and silence is no alarm. ``at_least``: this
    agent cannot say where the epoch ended, or stands: ``next`` is what it knows of, perhaps less than it once
    claimed. ``coverage`` is left out where it is not known."""

    stream: StreamKey
    opened: EpochOpen
    next: int
    held: tuple[tuple[int, int], ...] = ()
    refused: tuple[tuple[int, int], ...] = ()
    read_bytes: int = 0
    unread_bytes: int = 0
    reader_us: int = 0
    left_us: int = 0
    closed: bool = False
    at_least: bool = False
    coverage: Coverage | None = None


#: How many numbers behind the newest of its chain a statement may arrive, when connections broke or somebody
#: on the way stood still; one that is later yet is taken for a rollback.
CLAIMS_LATE_MAX = 32


class Restart(msgspec.Struct, frozen=True):
    """A child of the agent that its watchdog replaced: which, when, why."""

    child: str
    at_us: int
    reason: str


class ClaimSet(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One agent's claims at ``at_us``; signed as a whole. ``n`` counts them and ``prev`` is the digest of
    the statement before (empty for the first), so that a rollback or a clone shows (I5).

    ``begun_with``, in the first of its chain alone, is the key that signs it: so no other chain begins with
    the same bytes, whatever its clock says.
    ``fills_in_s`` is the time left until the spool is full at the present rate; None when it is not filling.
    ``losses`` are those for which no answer of the platform has been seen yet.
    """

    agent: str
    n: int
    prev: str
    at_us: int
    interval_s: float
    streams: tuple[StreamClaim, ...]
    losses: tuple[Loss, ...] = ()
    restarts: tuple[Restart, ...] = ()
    spool_used_bytes: int = 0
    spool_limit_bytes: int = 0
    fills_in_s: float | None = None
    begun_with: str = ""
    v: int = 1


def statement_digest(statement: str) -> str:
    """What the next statement names as ``prev``: SHA-256 of the statement's bytes, in hex."""
    return hashlib.sha256(statement.encode()).hexdigest()
