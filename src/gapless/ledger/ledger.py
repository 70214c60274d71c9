"""The ledger: the fold of the journal's entries and of the lake's postings into books.

A plain state machine: entries in, books and findings out, no clock, no file. Folding the same entries in
the same order always gives the same books and the same findings, with the same ids: whoever keeps them tells
by its id one that is known already. Where the fold stood is kept by whoever drives it, in one transaction
with the books.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from gapless.ledger import events
from gapless.ledger.book import Account, EpochBook
from gapless.ledger.chains import AgentBook, Chain, Standing
from gapless.model.batch import BatchHeader
from gapless.model.claim import ClaimSet, Coverage, Loss, StreamClaim, statement_digest
from gapless.model.finding import Finding
from gapless.model.ranges import Range, RangeSet
from gapless.model.signing import Signed
from gapless.model.stream import EpochOpen, StreamKey

#: An agent's clock may differ from ours by so much before its claims are dated by what it was behind before.
_SKEW_US_MAX = 60_000_000

_RESTARTS_MAX = 64  # of one agent's claims that become findings, and that are known again


class StreamBook(msgspec.Struct, kw_only=True):
    """A registered stream: its epochs, oldest first, and when it was last heard of (our clock).

    A stream is registered by its first batch or claim, and leaves only by a decommission. One whose agent
    claims after that is expected again.
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
    left_since_us: int = 0  # since when it leaves a part of its source out; 0: it does not
    spool_used_bytes: int = 0
    spool_limit_bytes: int = 0
    fills_in_s: float | None = None
    losses: dict[str, Loss] = msgspec.field(default_factory=dict)
    decommissioned_us: int = 0
    coverage: Coverage | None = None  # as its agent claims it

    def is_last(self, epoch: str) -> bool:
        """Whether no other epoch says that it follows this one."""
        return all(epoch != other.opened.prev_epoch for other in self.epochs.values())

    def redate(self, now_us: int) -> bool:
        """The platform's clock was set back to ``now_us``, if later times are known: what stands still does
        so since now at the latest. Returns whether that was so."""
        names = (
            *("registered_us", "last_claim_us", "last_batch_us"),
            *("backlog_since_us", "unread_since_us", "left_since_us"),
        )
        later = [name for name in names if getattr(self, name) > now_us]
        for name in later:
            setattr(self, name, now_us)
        return bool(later)

    @property
    def name(self) -> str:
        """The stream as people know it."""
        return events.label(self.key)


class Ledger:
    """All books. ``changed`` and ``changed_agents`` name those touched since they were last emptied."""

    def __init__(self) -> None:
        self.streams: dict[str, StreamBook] = {}
        self.agents: dict[tuple[str, str], AgentBook] = {}
        self.changed: set[str] = set()
        self.changed_agents: set[tuple[str, str]] = set()
        self._ids: dict[StreamKey, str] = {}

    def batch(self, header: BatchHeader, journaled_us: int) -> None:
        """A batch became durable in the journal."""
        _, stream = self._stream(header.stream, journaled_us)
        book = self._epoch(stream, header.opened, journaled_us)
        book.post_batch(header.first, header.next, header.read_from_us, header.read_to_us)
        book.follow(header.first, header.next, header.parts, journaled_us)
        for origin in header.renumbers:
            if (before := stream.epochs.get(origin.epoch)) is not None:
                before.post_renumbered(origin.first, origin.first + header.count)
        stream.last_batch_us = max(stream.last_batch_us, journaled_us)
        stream.backlog_since_us = journaled_us

    def claims(self, signed: Signed, received_us: int, not_allowed: tuple[str, ...] = ()) -> list[Finding]:
        """An agent's claims, whose signature the gateway has verified; without what they say of streams
        that are not the agent's to speak of."""
        claims = msgspec.json.decode(signed.statement, type=ClaimSet)
        if not_allowed:
            claims = msgspec.structs.replace(
                claims,
                streams=tuple(each for each in claims.streams if each.stream.id not in not_allowed),
                losses=tuple(each for each in claims.losses if each.stream.id not in not_allowed),
            )
        findings: list[Finding] = []
        digest = statement_digest(signed.statement)
        tenants = sorted({claim.stream.tenant for claim in claims.streams} or {""})
        standings = {tenant: self._standing(tenant, claims, signed.key, digest) for tenant in tenants}
        made_us = {tenant: self._made_us(tenant, claims, received_us) for tenant in tenants}
        for claim in claims.streams:
            at_us = made_us[claim.stream.tenant]
            match standings[claim.stream.tenant]:
                case "next":
                    findings += self._claim(claims, claim, at_us, received_us)
                case "contradicts":
                    self._dispute(claim)  # before anything of it is taken
                    findings += self._claim(claims, claim, at_us, received_us)
                case "outdated":
                    self._claim_outdated(claim, received_us)
        for loss in claims.losses:
            findings += self.loss(loss)
        for tenant, standing in standings.items():
            findings += self._agent(tenant, claims, signed.key, digest, standing, received_us)
        return findings

    def posting(
        self,
        account: Account | Literal["withdrawn", "lost"],
        stream_id: str,
        epoch: str,
        first: int,
        next_: int,
        *,
        at_us: int = 0,
    ) -> list[Finding]:
        """The lake (or a policy) posted ``[first, next)`` of a stream's epoch to an account; or took back
        that it has them ("withdrawn"), or will ever have ("lost")."""
        stream = self.streams.get(stream_id)
        book = stream.epochs.get(epoch) if stream else None
        if stream is None or book is None:
            faults = [f"{account} was given [{first}, {next_}) of a stream or epoch the journal never had"]
        else:
            faults = _post(book, account, first, next_)
            book.advance()
            self.changed.add(stream_id)
        if not faults:
            return []
        key = stream.key if stream else None
        return [events.unbalanced(account, stream_id, key, epoch, next_ - first, faults, at_us)]

    def unheard(self, stream_id: str, epoch: str, first: int, next_: int) -> list[Range]:
        """What of ``[first, next)`` the journal never had, as far as the books know its epoch."""
        stream = self.streams.get(stream_id)
        book = stream.epochs.get(epoch) if stream else None
        return [] if book is None else book.journaled.holes(first, next_)

    def vouch(self, stream_id: str, epoch: str, ranges: Iterable[Range]) -> None:
        """The lake posts these seqs, and they stood in a part of the journal that cannot be read any more.
        It read them there, so they were journaled. For an epoch that is known."""
        for first, next_ in ranges:
            self.streams[stream_id].epochs[epoch].vouch(first, next_)
        self.changed.add(stream_id)

    def forget_lake(self) -> None:
        """Another lake is made from the journal, and will post all of it anew."""
        for stream_id, stream in self.streams.items():
            for book in stream.epochs.values():
                book.forget_lake()
            self.changed.add(stream_id)

    def loss(self, loss: Loss) -> list[Finding]:
        """A declared loss. Declaring it again changes nothing."""
        stream_id, stream = self._stream(loss.stream, loss.declared_us)
        if loss.id in stream.losses:
            return []
        stream.losses[loss.id] = loss
        book = stream.epochs.get(loss.epoch)
        if book is None:
            book = self._epoch(stream, EpochOpen(loss.epoch), loss.declared_us)
        self._lose(book, loss)
        if loss.skipped is not None:
            book.explain(loss.skipped)
        if loss.ended_at is not None:
            book.close(max(loss.ended_at, book.next))
            book.held = RangeSet()
        book.advance()
        return [events.loss_declared(stream_id, loss)]

    def lose(self, loss: Loss) -> None:
        """A loss that was declared before takes what has come to rest nowhere since."""
        self._lose(self.streams[loss.stream.id].epochs[loss.epoch], loss)

    def at_rest(self, loss: Loss) -> bool:
        """Whether all that a loss speaks of has come to rest somewhere."""
        stream = self.streams.get(loss.stream.id)
        book = stream.epochs.get(loss.epoch) if stream else None
        return book is not None and not any(book.settled.holes(*each) for each in loss.ranges)

    def finding(self, finding: Finding) -> None:
        """The gateway saw two count in one epoch."""
        stream = self.streams.get(finding.stream)
        book = stream.epochs.get(finding.epoch) if stream else None
        if finding.kind in ("fork", "rollback") and book is not None:
            book.dispute()
            self.changed.add(finding.stream)

    def decommission(self, stream_id: str, at_us: int) -> None:
        """A stream ends: it is no longer expected to claim, and its books stay. What its agent still held
        when it was last heard of will not come: that is missing. A claim that follows takes it back."""
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.decommissioned_us = at_us
            for book in stream.epochs.values():
                book.held = RangeSet()
            self.changed.add(stream_id)

    def review(self, now_us: int) -> None:
        """Look at every book for seqs that no account holds: to be done every second, so that it is known
        since when."""
        for stream_id, stream in self.streams.items():
            if stream.redate(now_us):
                self.changed.add(stream_id)
            for book in stream.epochs.values():
                if book.redate(now_us) | book.review(now_us):
                    self.changed.add(stream_id)

    def books(self, tenant: str | None = None, table: str | None = None) -> Iterator[tuple[str, StreamBook]]:
        """The streams of a tenant and table, in the order of their names."""
        asked = [
            (stream.key, stream_id)
            for stream_id, stream in self.streams.items()
            if tenant in (None, stream.key.tenant) and table in (None, stream.key.table)
        ]
        for _, stream_id in sorted(asked):
            yield stream_id, self.streams[stream_id]

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

    def _epoch(self, stream: StreamBook, opened: EpochOpen, now_us: int) -> EpochBook:
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
        if stream.is_last(opened.epoch):
            stream.current = opened.epoch
        else:
            successor = next(o for o in stream.epochs.values() if o.opened.prev_epoch == opened.epoch)
            if successor.opened.prev_next is not None:
                book.close(successor.opened.prev_next)
        return book

    def _claim(self, claims: ClaimSet, claim: StreamClaim, at_us: int, received_us: int) -> list[Finding]:
        stream_id, stream = self._stream(claim.stream, received_us)
        book = self._epoch(stream, claim.opened, received_us)
        held, refused = RangeSet(claim.held), RangeSet(claim.refused)
        stream.decommissioned_us = 0  # whoever speaks is not gone: its silence has to be an alarm again
        if claim.at_least:
            book.claim_at_least(claim.next)
            book.hold(held, refused)
        elif not book.claim(claim.next, held, refused, at_us):
            return [events.went_back(stream_id, claim, book.claimed_next, received_us)]
        if claim.closed and not book.disputed:
            book.close(claim.next)
        if claim.opened.epoch != stream.current:
            # One that was first heard of from a chain that was thought to be replaced may be the current one.
            if claim.closed or claim.at_least or not stream.is_last(claim.opened.epoch):
                return []
            stream.current = claim.opened.epoch
        # What the gateway refuses is not what the uploader is held up by.
        backlog_first = min(
            (a for first, next_ in held for a, _ in refused.holes(first, next_)), default=None
        )
        # A backlog that gets shorter because the spool gave records up does not get on: batches alone do.
        if stream.backlog_first is None or backlog_first is None:
            stream.backlog_since_us = received_us
        stream.backlog_first = backlog_first
        if not claim.unread_bytes or claim.read_bytes != stream.read_bytes:
            stream.unread_since_us = received_us
        stream.read_bytes, stream.unread_bytes = claim.read_bytes, claim.unread_bytes
        stream.left_since_us = max(1, received_us - claim.left_us) if claim.left_us else 0
        stream.spool_used_bytes, stream.spool_limit_bytes = claims.spool_used_bytes, claims.spool_limit_bytes
        stream.fills_in_s, stream.interval_s = claims.fills_in_s, claims.interval_s
        stream.last_claim_us = max(stream.last_claim_us, received_us)
        stream.coverage = claim.coverage
        return []

    def _claim_outdated(self, claim: StreamClaim, received_us: int) -> None:
        """A claim of a chain that another took the place of: what it says was given is due, and no more. What
        its agent held then, that one may have lost with the chain."""
        _, stream = self._stream(claim.stream, received_us)
        book = stream.epochs.get(claim.opened.epoch)
        if book is None:
            current = stream.current
            book = self._epoch(stream, claim.opened, received_us)
            stream.current = current or claim.opened.epoch
        book.claim_at_least(claim.next)
        if claim.closed and not book.disputed:
            book.close(claim.next)

    def _standing(self, tenant: str, claims: ClaimSet, key: str, digest: str) -> Standing:
        known = self.agents.get((tenant, claims.agent))
        if known is None:
            return "next"
        goes_back = any(self._goes_back(claim) for claim in claims.streams if claim.stream.tenant == tenant)
        return known.standing(key, claims, digest, goes_back=goes_back)

    def _made_us(self, tenant: str, claims: ClaimSet, received_us: int) -> int:
        """When a statement was made, by our clock, and never later than that: an agent that nobody answered
        repeats an old one, and requests wait."""
        if abs(claims.at_us - received_us) <= _SKEW_US_MAX:
            return min(claims.at_us, received_us)
        known = self.agents.get((tenant, claims.agent))
        return min(received_us, claims.at_us + (known.behind_us if known else 0))

    def _goes_back(self, claim: StreamClaim) -> bool:
        """Whether a claim says less than another said (I5)."""
        stream = self.streams.get(claim.stream.id)
        book = stream.epochs.get(claim.opened.epoch) if stream else None
        return book is not None and not claim.at_least and book.goes_back(claim.next)

    def _dispute(self, claim: StreamClaim) -> None:
        """A claim contradicts those before it: its epoch is disputed if it was known already."""
        stream = self.streams.get(claim.stream.id)
        book = stream.epochs.get(claim.opened.epoch) if stream else None
        if book is not None:
            book.dispute()

    def _lose(self, book: EpochBook, loss: Loss) -> None:
        for first, next_ in loss.ranges:
            book.lose(first, next_, from_journal=loss.cause == "journal_corrupt")
        book.advance()
        self.changed.add(loss.stream.id)

    def _agent(
        self, tenant: str, claims: ClaimSet, key: str, digest: str, standing: Standing, received_us: int
    ) -> list[Finding]:
        """The chain of an agent's claims, and what the agent says of itself."""
        known = self.agents.get((tenant, claims.agent))
        self.changed_agents.add((tenant, claims.agent))
        seen = known.restarts if known else ()
        speaks_now = standing not in ("late", "outdated")
        restarts = claims.restarts[-_RESTARTS_MAX:]
        findings = [
            events.restarted(tenant, claims.agent, restart, received_us)
            for restart in restarts
            if restart not in seen
        ]
        if known is None:
            known = AgentBook(key=key, chain=Chain(n=claims.n), last_claim_us=received_us)
            self.agents[tenant, claims.agent] = known
        elif known.key != key and speaks_now:
            findings.append(events.key_changed(tenant, claims.agent, key, received_us))
        if standing == "contradicts":
            findings.append(events.rolled_back(tenant, claims.agent, key, claims.n, received_us))
        if speaks_now:
            known.restarts = restarts
            known.timed(received_us - claims.at_us)
        known.last_claim_us = max(known.last_claim_us, received_us)
        known.take(key, claims, digest, standing)
        return findings


def _post(
    book: EpochBook, account: Account | Literal["withdrawn", "lost"], first: int, next_: int
) -> list[str]:
    match account:
        case "withdrawn":
            return book.withdraw(first, next_)
        case "lost":
            book.lose(first, next_, from_journal=True)
            return []
        case _:
            return book.post(account, first, next_)
