"""What is said of one record: the answer of ``GET /v1/records/{stream}/{epoch}/{seq}``.

Times are ISO 8601 in UTC with microseconds; None where nobody can say.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from gapless.model.signing import Signed

Place = Literal["stored", "quarantined", "filtered", "expired", "renumbered", "pending", "missing", "lost"]


class BatchShown(msgspec.Struct, frozen=True, kw_only=True):
    """The batch ``[first, next)`` that brought the record. ``digest`` is the SHA-256 of its compressed
    payload, ``raw_bytes`` the size of its records with their newlines."""

    first: int
    next: int
    digest: str
    raw_bytes: int | None
    read_from: str | None
    read_to: str | None
    journaled: str | None


class GapShown(msgspec.Struct, frozen=True, kw_only=True):
    """The gap that a missing record is in; ``edge`` is the hop after the last one that held it."""

    first: int
    next: int
    not_before: str | None
    not_after: str | None
    edge: str


class LossShown(msgspec.Struct, frozen=True, kw_only=True):
    """The loss that a lost record was declared in."""

    id: str
    cause: str
    declared: str | None
    evidence: str


class RecordAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One record. ``place`` is where it is; ``why`` says more, or is the reason of quarantine.

    ``raw`` is the record without the newline that ended it, as text or in base64, as ``encoding`` says; None
    where ``raw_missing`` says why. ``mark`` is what the agent had to do to it at the source. ``position`` is
    where its batch stands in the journal, ``file`` the path in the platform's data directory of the Parquet
    file that has its row. ``receipt`` is the platform's signed word on the batch.
    """

    tenant: str
    table: str
    agent: str
    source: str
    stream: str
    epoch: str
    seq: int
    place: Place
    why: str = ""
    raw: str | None = None
    encoding: Literal["utf-8", "base64"] | None = None
    raw_bytes: int | None = None
    raw_missing: str | None = None
    mark: str | None = None
    batch: BatchShown | None = None
    position: int | None = None
    file: str | None = None
    receipt: Signed | None = None
    gap: GapShown | None = None
    loss: LossShown | None = None


class Wanted(NamedTuple):
    """The record that is asked for."""

    tenant: str
    table: str
    stream: str
    epoch: str
    seq: int

    @property
    def id(self) -> str:
        return f"{self.stream}/{self.epoch}/{self.seq}"


class Rest(NamedTuple):
    """Where the record is, and the fields of the answer that go with it."""

    place: Place
    why: str = ""
    file: str | None = None
    gap: GapShown | None = None
    loss: LossShown | None = None
