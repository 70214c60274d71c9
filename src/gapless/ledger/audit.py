"""The audit: what the books say of each stream, and whether a window is complete.

A window is judged by collection time: a record belongs to it if it was read at its source within it.

* ``incomplete``: a gap or a loss may lie in the window; which seqs, and how many, is said exactly.
* ``unknown``: nobody witnesses the window to its end, or an epoch in it ended and nothing says where.
* ``complete``: neither, and there is a witness. No streams at all is unknown: 0 of 0 proves nothing.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gapless.ledger.book import EpochBook, Gap
from gapless.ledger.ledger import Ledger, StreamBook
from gapless.ledger.states import Allowances, State, ended, silent_agents, state_of
from gapless.model.claim import Loss

Verdict = Literal["complete", "incomplete", "unknown"]

_FOREVER_US = 1 << 62


class Counts(msgspec.Struct):
    """Records by account. claimed = stored + quarantined + filtered + expired + lost + renumbered + pending
    + missing."""

    claimed: int = 0
    journaled: int = 0
    stored: int = 0
    quarantined: int = 0
    filtered: int = 0
    expired: int = 0
    lost: int = 0
    renumbered: int = 0
    pending: int = 0
    missing: int = 0
    duplicates: int = 0

    def add(self, other: Counts) -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class GapReport(msgspec.Struct, frozen=True):
    """A gap; ``edge`` is the hop after the last one that held it (I12)."""

    first: int
    next: int
    not_before_us: int
    not_after_us: int
    edge: str


class EpochReport(msgspec.Struct, frozen=True):
    """One epoch of one stream. Of times, 0 means that nobody can say."""

    stream: str
    epoch: str
    state: State
    counts: Counts
    watermark_us: int
    gaps: tuple[GapReport, ...]
    unclosed: bool
    open_end: tuple[int, int] | None  # between which times it ended, where nothing says how far it went


class StreamReport(msgspec.Struct, frozen=True):
    """A stream with its epochs. ``reach_us`` is the time up to which it is known what is missing."""

    book: StreamBook
    stream: str
    state: State
    reach_us: int
    watermark_us: int
    epochs: tuple[EpochReport, ...]
    losses: tuple[Loss, ...]


class Audit(msgspec.Struct, frozen=True):
    """``through_us``: every stream's books are settled up to there. ``reasons`` say why not complete."""

    as_of_us: int
    verdict: Verdict
    through_us: int
    totals: Counts
    streams: tuple[StreamReport, ...]
    reasons: tuple[str, ...]


def audit(
    ledger: Ledger,
    now_us: int,
    *,
    tenant: str | None = None,
    table: str | None = None,
    from_us: int | None = None,
    to_us: int | None = None,
    audited_us: int | None = None,
    allowed: Allowances,
) -> Audit:
    """Judge the window ``[from_us, to_us)`` of a tenant and table (None: all of them). Changes nothing.

    The end of the window is taken back by ``allowed.settle_s``: what is younger is on its way. A stream
    that has ended is awaited to its end. ``audited_us`` is when the books were last brought up to date
    (None: they are now); if that is too long ago, the verdict is unknown, whatever they say.
    """
    quiet_agents = silent_agents(ledger, now_us, allowed)
    streams = [
        _stream_report(stream_id, stream, quiet_agents, now_us, allowed)
        for stream_id, stream in ledger.books(tenant, table)
    ]
    totals = Counts()
    for report in streams:
        for epoch in report.epochs:
            totals.add(epoch.counts)
    incomplete: list[str] = []
    unknown: list[str] = [] if streams else ["no stream is registered here, so nothing witnesses the window"]
    window_from = from_us or 0
    window_to = min(now_us - int(allowed.settle_s * 1e6), _FOREVER_US if to_us is None else to_us)
    # A gap or a loss counts as soon as it is known, however young.
    losses_to = _FOREVER_US if to_us is None else to_us
    if from_us is not None and from_us >= window_to and from_us > 0:
        unknown.append(f"the window is empty, or younger than {allowed.settle_s:.0f} s: ask again later")
    elif streams and to_us is not None and all(each.book.registered_us >= to_us for each in streams):
        unknown.append("no stream was known here before the window ended, so nothing witnesses it")
    for report in streams:
        _judge_losses(report, window_from, losses_to, incomplete, unknown)
        _judge_reach(report, window_to, to_us is None, unknown)
    stale = [] if audited_us is None else _staleness(audited_us, now_us, allowed)
    verdict: Verdict = "incomplete" if incomplete else "unknown" if unknown else "complete"
    if stale:
        verdict = "unknown"
    through = min((report.watermark_us for report in streams), default=0)
    return Audit(
        now_us, verdict, min(through, now_us), totals, tuple(streams), (*stale, *incomplete, *unknown)
    )


def _staleness(audited_us: int, now_us: int, allowed: Allowances) -> list[str]:
    """Books dated ahead of now, after a clock that was set back, are as good as old ones."""
    if abs(now_us - audited_us) <= allowed.audited_s * 1e6:
        return []
    if not audited_us:
        return ["the books have not caught up with the journal yet, so they prove nothing of now"]
    age = f"{abs(now_us - audited_us) / 1e6:.0f} s {'ago' if now_us > audited_us else 'ahead of this clock'}"
    return [f"the books were last brought up to date {age}: see to the platform's ledger process"]


def _stream_report(
    stream_id: str, stream: StreamBook, quiet: set[tuple[str, str]], now_us: int, allowed: Allowances
) -> StreamReport:
    lag_us = int(allowed.lag_s * 1e6)
    state = state_of(stream, (stream.key.tenant, stream.key.agent) in quiet, now_us, allowed)
    reach, watermark = now_us, now_us
    epochs = []
    for epoch, book in stream.epochs.items():
        gaps = book.gaps(now_us, lag_us)
        unclosed = epoch != stream.current and book.closed_next is None
        over = book.closed_next is not None or bool(stream.decommissioned_us)
        if not (book.finished or (stream.decommissioned_us and _known_to_end(book, gaps))):
            watermark = min(watermark, book.watermark_us)
        if not unclosed and not (over and _known_to_end(book, gaps)):
            reach = min(reach, book.reach_us(gaps))
        reports = tuple(
            GapReport(gap.first, gap.next, gap.not_before_us, gap.not_after_us, book.edge(gap))
            for gap in gaps
        )
        counts = _counts(book, gaps)
        open_end = _open_end(stream, epoch, book, unclosed)
        epochs.append(
            EpochReport(stream_id, epoch, state, counts, book.watermark_us, reports, unclosed, open_end)
        )
    losses = tuple(stream.losses.values())
    return StreamReport(stream, stream_id, state, reach, watermark, tuple(epochs), losses)


def _known_to_end(book: EpochBook, gaps: list[Gap]) -> bool:
    """Every seq that is known of is settled or in a gap."""
    return book.settled.total + sum(gap.next - gap.first for gap in gaps) >= book.next


def _counts(book: EpochBook, gaps: list[Gap]) -> Counts:
    missing = sum(gap.next - gap.first for gap in gaps)
    return Counts(
        claimed=book.next,
        journaled=book.journaled.total,
        stored=book.stored.total,
        quarantined=book.quarantined.total,
        filtered=book.filtered.total,
        expired=book.expired.total,
        lost=book.lost.total,
        renumbered=book.renumbered.total,
        pending=book.next - book.settled.total - missing,
        missing=missing,
        duplicates=book.duplicate_records,
    )


def _judge_losses(
    report: StreamReport, from_us: int, to_us: int, incomplete: list[str], unknown: list[str]
) -> None:
    """What is known to be missing, or may be, within the window."""
    name = report.book.name
    for epoch in report.epochs:
        for gap in epoch.gaps:
            if _overlaps(gap.not_before_us, gap.not_after_us, from_us, to_us):
                incomplete.append(
                    f"{name}: {gap.next - gap.first} records missing, [{gap.first}, {gap.next})"
                )
        if epoch.open_end is None or not _overlaps(*epoch.open_end, from_us, to_us):
            continue
        if epoch.unclosed:
            reached = epoch.counts.claimed
            unknown.append(f"{name}: an epoch ended at {reached} or later, and nothing says where")
        else:
            unknown.append(f"{name}: two count in its epoch, and nothing says what both have read")
    for loss in report.losses:
        still = _still_lost(report.book, loss)
        if still and _overlaps(loss.not_before_us, loss.not_after_us, from_us, to_us):
            incomplete.append(f"{name}: {still} records declared lost ({loss.cause})")


def _judge_reach(report: StreamReport, to_us: int, to_the_end: bool, unknown: list[str]) -> None:
    """Whether the stream is witnessed, and its books settled, to the end of the window."""
    pending = sum(epoch.counts.pending for epoch in report.epochs)
    if to_the_end and report.state in ("agent silent", "stream dead", "claims down", "reader stuck"):
        unknown.append(f"{report.book.name}: {report.state}")
    elif to_the_end and ended(report.book) and pending:
        unknown.append(f"{report.book.name}: {pending} records are not stored yet")
    elif report.reach_us < to_us:
        unknown.append(f"{report.book.name}: {report.state}, {pending} records are not stored yet")


def _still_lost(book: StreamBook, loss: Loss) -> int | str:
    """How many of a loss's records are still lost; "some" where the number was never known."""
    epoch = book.epochs.get(loss.epoch)
    if loss.ranges and epoch is not None:
        return sum(b - a for first, next_ in loss.ranges for a, b in epoch.lost.overlap(first, next_))
    return "some"


def _open_end(stream: StreamBook, epoch: str, book: EpochBook, unclosed: bool) -> tuple[int, int] | None:
    if book.closed_next is not None or not (unclosed or book.disputed):
        return None
    # Where two counted, the claims of one say nothing of what the other had read by then.
    silent_us = book.first_seen_us if book.disputed else book.last_claim_us
    names = list(stream.epochs)
    later = names[names.index(epoch) + 1 :] if unclosed else []
    return silent_us, stream.epochs[later[0]].first_seen_us if later else 0


def _overlaps(not_before_us: int, not_after_us: int, from_us: int, to_us: int) -> bool:
    """Whether something between the two times may lie in the window; an open bracket (0) always may."""
    return not_before_us < to_us and (not_after_us == 0 or not_after_us >= from_us)
