"""The ledger: the fold of the journal's entries and of the lake's postings into books.

A plain state machine: entries in, books and events out, no clock, no file. Folding the same entries in
the same order always gives the same books; where the fold stood is kept by whoever drives it, in one
transaction with the books.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gapless.ledger.book import Account, EpochBook
from gapless.model.batch import BatchHeader
from gapless.model.claim import ClaimSet, Loss, StreamClaim, statement_digest
from gapless.model.ranges import RangeSet
from gapless.model.signing import Signed
from gapless.model.stream import EpochOpen, StreamKey

#: An agent's clock may differ from ours by so much before its claims are dated by ours instead.
_SKEW_US_MAX = 60_000_000


class StreamBook(msgspec.Struct, kw_only=True):
    """A registered stream: its epochs, oldest first, and when it was last heard of (our clock).

    A stream is registered by its first batch or claim, and leaves only by a decommission.
    """

    key: StreamKey
    registered_us: int
    epochs: dict[str, EpochBook] = msgspec.field(default_factory=dict)
    current: str = ""
    last_claim_us: int = 0
    last_batch_us: int = 0
    interval_s: float = 2.0
    backlog_first: int | None = None  # the oldest seq that the spool held at the last claim
    backlog_since_us: int = 0  # and since when that is so, with nothing journaled meanwhile
    read_bytes: int = 0
    unread_bytes: int = 0
    unread_since_us: int = 0  # since when there is something unread and the reader has not moved
    spool_used_bytes: int = 0
    spool_limit_bytes: int = 0
    fills_in_s: float | None = None
    losses: dict[str, Loss] = msgspec.field(default_factory=dict)
    decommissioned_us: int = 0


class AgentBook(msgspec.Struct, kw_only=True):
    """The chain of one agent's claims, for one tenant."""

    key: str
    n: int
    digest: str
    last_claim_us: int


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened at one entry, for the auditor to make a finding of."""

    kind: str
    at_us: int
    stream: str
    epoch: str
    text: str
    count: int = 0


class Ledger:
    """All books. ``changed`` names the streams touched since it was last emptied."""

    def __init__(self) -> None:
        self.streams: dict[str, StreamBook] = {}
        self.agents: dict[tuple[str, str], AgentBook] = {}
        self.changed: set[str] = set()
        self._ids: dict[StreamKey, str] = {}

    def batch(self, header: BatchHeader, journaled_us: int) -> list[Event]:
        """A batch became durable in the journal."""
        stream_id, stream = self._stream(header.stream, journaled_us)
        events: list[Event] = []
        book = self._epoch(stream_id, stream, header.opened, journaled_us, events)
        book.post_batch(header.first, header.next, header.read_from_us, header.read_to_us)
        book.follow(header.first, header.next, header.parts, journaled_us)
        stream.last_batch_us = max(stream.last_batch_us, journaled_us)
        stream.backlog_since_us = journaled_us
        return events

    def claims(self, signed: Signed, received_us: int) -> list[Event]:
        """An agent's claims, whose signature the gateway has verified."""
        claims = msgspec.json.decode(signed.statement, type=ClaimSet)
        skewed = abs(claims.at_us - received_us) > _SKEW_US_MAX
        at_us = received_us if skewed else min(claims.at_us, received_us)
        events: list[Event] = []
        for claim in claims.streams:
            self._claim(claims, claim, at_us, received_us, events)
        for loss in claims.losses:
            events += self.loss(loss)
        for tenant in sorted({claim.stream.tenant for claim in claims.streams}):
            events += self._chain(tenant, claims, signed, received_us)
        return events

    def posting(self, account: Account, stream_id: str, epoch: str, first: int, next_: int) -> list[Event]:
        """The lake (or a policy) posted ``[first, next)`` of a stream's epoch to an account."""
        stream = self.streams.get(stream_id)
        book = stream.epochs.get(epoch) if stream else None
        if stream is None or book is None:
            text = f"{account} was given [{first}, {next_}) of a stream or epoch that the journal never had"
            return [Event("books_unbalanced", 0, stream_id, epoch, text)]
        faults = book.post(account, first, next_)
        book.advance()
        self.changed.add(stream_id)
        return [Event("books_unbalanced", 0, stream_id, epoch, fault) for fault in faults]

    def loss(self, loss: Loss) -> list[Event]:
        """A declared loss. Declaring it again changes nothing."""
        stream_id, stream = self._stream(loss.stream, loss.declared_us)
        if loss.id in stream.losses:
            return []
        stream.losses[loss.id] = loss
        events: list[Event] = []
        book = stream.epochs.get(loss.epoch)
        if book is None:
            book = self._epoch(stream_id, stream, EpochOpen(loss.epoch), loss.declared_us, events)
        for first, next_ in loss.ranges:
            book.post("lost", first, next_)
        if loss.skipped is not None:
            book.explain(loss.skipped)
        book.advance()
        text = f"{loss.cause}: {loss.evidence}" if loss.evidence else loss.cause
        events.append(Event("loss_declared", loss.declared_us, stream_id, loss.epoch, text, loss.count))
        return events

    def decommission(self, stream_id: str, at_us: int) -> None:
        """A stream ends for good: it is no longer expected to claim, and its books stay."""
        if stream_id in self.streams:
            self.streams[stream_id].decommissioned_us = at_us
            self.changed.add(stream_id)

    def review(self, now_us: int) -> None:
        """Look at every book for seqs that no account holds: to be done every second, so that it is known
        since when."""
        for stream_id, stream in self.streams.items():
            for book in stream.epochs.values():
                if book.review(now_us):
                    self.changed.add(stream_id)

    def books(self, tenant: str | None = None, table: str | None = None) -> Iterator[tuple[str, StreamBook]]:
        """The streams of a tenant and table, in the order of their names."""
        for stream_id, stream in sorted(self.streams.items(), key=lambda item: item[1].key):
            if tenant in (None, stream.key.tenant) and table in (None, stream.key.table):
                yield stream_id, stream

    # -- private ----------------------------------------------------------------------------------------

    def _stream(self, key: StreamKey, now_us: int) -> tuple[str, StreamBook]:
        stream_id = self._ids.get(key)
        if stream_id is None:
            stream_id = self._ids[key] = key.id
        stream = self.streams.get(stream_id)
        if stream is None:
            stream = self.streams[stream_id] = StreamBook(key=key, registered_us=now_us)
        self.changed.add(stream_id)
        return stream_id, stream

    def _epoch(
        self, stream_id: str, stream: StreamBook, opened: EpochOpen, now_us: int, events: list[Event]
    ) -> EpochBook:
        """The book of an epoch. The first word of an epoch closes the predecessor that it names; one that
        nobody closes stays open, and is an indeterminate gap (I7)."""
        book = stream.epochs.get(opened.epoch)
        if book is not None:
            return book
        book = EpochBook(opened=opened, first_seen_us=now_us)
        predecessor = stream.epochs.get(opened.prev_epoch or "")
        if predecessor is not None and opened.prev_next is not None:
            predecessor.close(opened.prev_next)
        stream.epochs[opened.epoch] = book
        # An old epoch can be heard of late: it does not become the current one again.
        if all(opened.epoch != other.opened.prev_epoch for other in stream.epochs.values()):
            stream.current = opened.epoch
        else:
            successor = next(o for o in stream.epochs.values() if o.opened.prev_epoch == opened.epoch)
            if successor.opened.prev_next is not None:
                book.close(successor.opened.prev_next)
        for epoch, other in stream.epochs.items():
            if epoch != stream.current and other.closed_next is None:
                text = f"the epoch ended at {other.next} or later, and nothing says where"
                events.append(Event("epoch_unclosed", now_us, stream_id, epoch, text))
        return book

    def _claim(
        self, claims: ClaimSet, claim: StreamClaim, at_us: int, received_us: int, events: list[Event]
    ) -> None:
        stream_id, stream = self._stream(claim.stream, received_us)
        book = self._epoch(stream_id, stream, claim.opened, received_us, events)
        if not book.claim(claim.next, RangeSet(claim.held), RangeSet(claim.refused), at_us):
            text = f"the claimed next went back from {book.claimed_next} to {claim.next}"
            events.append(Event("rollback", received_us, stream_id, claim.opened.epoch, text))
            return
        if claim.closed:
            book.close(claim.next)
        if claim.opened.epoch != stream.current:
            return
        first_held = min((first for first, _ in claim.held), default=None)
        if first_held != stream.backlog_first or first_held is None:
            stream.backlog_first, stream.backlog_since_us = first_held, received_us
        if not claim.unread_bytes or claim.read_bytes != stream.read_bytes:
            stream.unread_since_us = received_us
        stream.read_bytes, stream.unread_bytes = claim.read_bytes, claim.unread_bytes
        stream.spool_used_bytes, stream.spool_limit_bytes = claims.spool_used_bytes, claims.spool_limit_bytes
        stream.fills_in_s, stream.interval_s = claims.fills_in_s, claims.interval_s
        stream.last_claim_us = max(stream.last_claim_us, received_us)

    def _chain(self, tenant: str, claims: ClaimSet, signed: Signed, received_us: int) -> list[Event]:
        digest = statement_digest(signed.statement)
        known = self.agents.get((tenant, claims.agent))
        fresh = AgentBook(key=signed.key, n=claims.n, digest=digest, last_claim_us=received_us)
        if known is None or known.key != signed.key:
            self.agents[tenant, claims.agent] = fresh
            if known is None:
                return []
            return [Event("agent_key_changed", received_us, "", "", f"agent {claims.agent} has a new key")]
        if claims.n > known.n:
            self.agents[tenant, claims.agent] = fresh
        else:
            known.last_claim_us = max(known.last_claim_us, received_us)
        contradicted = claims.n == known.n and digest != known.digest
        contradicted |= claims.n == known.n + 1 and claims.prev != known.digest
        if not contradicted:
            return []
        text = f"agent {claims.agent} made claim {claims.n} twice, or lost one: it was rolled back or cloned"
        return [Event("rollback", received_us, "", "", text)]
