"""Whatever arrives in whatever order: every seq is in one account, and the numbers add up."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gapless.ledger.audit import audit
from gapless.ledger.encoding import decode_stream, encode_book
from gapless.ledger.ledger import Ledger
from gapless.ledger.states import Allowances
from gapless.model.batch import Origin
from gapless.model.stream import EpochOpen

from .support import FIRST, SECOND, STREAM, Agent, header, says

SEQS = 60


@st.composite
def cuts(draw: st.DrawFn) -> list[tuple[int, int]]:
    inner = draw(st.sets(st.integers(1, SEQS - 1), max_size=12))
    edges = [0, *sorted(inner), SEQS]
    return list(itertools.pairwise(edges))


@given(batches=cuts(), data=st.data())
def test_every_seq_has_one_account_and_what_is_nowhere_is_missing(
    batches: list[tuple[int, int]], data: st.DataObject
) -> None:
    arrived = data.draw(st.lists(st.sampled_from(batches), max_size=2 * len(batches)))
    rests = data.draw(st.lists(st.sampled_from(["stored", "quarantined", ""]), min_size=SEQS, max_size=SEQS))
    held = data.draw(st.lists(st.sampled_from(batches), max_size=3, unique=True))
    ledger, agent = Ledger(), Agent()
    for first, next_ in arrived:
        ledger.batch(header(first, next_, SECOND), SECOND)
    journaled = {seq for first, next_ in arrived for seq in range(first, next_)}
    posted = {seq: rest for seq, rest in enumerate(rests) if rest and seq in journaled}
    for seq, rest in posted.items():
        assert ledger.posting(rest, STREAM.id, FIRST.epoch, seq, seq + 1) == []  # type: ignore[arg-type]
    agent.claim(ledger, 2 * SECOND, says(SEQS, held=tuple(held)))
    allowed = Allowances()
    ledger.review(3 * SECOND)
    agent.claim(ledger, 9 * SECOND, says(SEQS, held=tuple(held)))
    report = audit(ledger, 9 * SECOND, allowed=allowed)

    holding = {seq for first, next_ in held for seq in range(first, next_)}
    missing = set(range(SEQS)) - journaled - holding
    said = {seq for gap in report.streams[0].epochs[0].gaps for seq in range(gap.first, gap.next)}
    assert said == missing
    totals = report.totals
    assert totals.stored == sum(rest == "stored" for rest in posted.values())
    assert totals.quarantined == sum(rest == "quarantined" for rest in posted.values())
    settled = totals.stored + totals.quarantined + totals.filtered + totals.expired + totals.lost
    assert totals.claimed == SEQS == settled + totals.pending + totals.missing
    book = ledger.streams[STREAM.id].epochs[FIRST.epoch]
    assert book.balance() == []
    assert report.verdict == "incomplete" if missing else report.verdict != "incomplete"
    stream = ledger.streams[STREAM.id]
    assert decode_stream(encode_book(stream)) == stream


@given(batches=cuts(), data=st.data())
def test_what_arrives_under_other_seqs_is_awaited_under_its_old_ones_no_more(
    batches: list[tuple[int, int]], data: st.DataObject
) -> None:
    """A fenced epoch's batches are renumbered; some of them arrive under their old seqs all the same."""
    later = EpochOpen("2" * 32, FIRST.epoch)
    ledger, agent = Ledger(), Agent()
    agent.claim(ledger, SECOND, says(SEQS, held=((0, SEQS),)))
    arrivals = data.draw(
        st.lists(st.tuples(st.sampled_from(batches), st.booleans()), max_size=2 * len(batches))
    )
    seen = {False: set[int](), True: set[int]()}
    for (first, next_), renumbered in arrivals:
        origin = (Origin(FIRST.epoch, first),) if renumbered else ()
        ledger.batch(
            header(first, next_, SECOND, opened=later if renumbered else FIRST, renumbers=origin), SECOND
        )
        seen[renumbered].update(range(first, next_))
    agent.claim(ledger, 2 * SECOND, says(SEQS), says(SEQS, opened=later))
    book = ledger.streams[STREAM.id].epochs[FIRST.epoch]
    moved = {seq for first, next_ in book.renumbered for seq in range(first, next_)}
    assert moved == seen[True] - seen[False]
    assert book.balance() == []
    missing = {seq for gap in book.gaps(2 * SECOND, 0) for seq in range(gap.first, gap.next)}
    assert missing == set(range(SEQS)) - seen[True] - seen[False]
    counts = audit(ledger, 2 * SECOND, allowed=Allowances(lag_s=0.0)).streams[0].epochs[0].counts
    assert counts.claimed == counts.renumbered + counts.pending + counts.missing == SEQS


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=12))
def test_the_watermark_never_passes_an_unsettled_seq(claims: list[tuple[int, int]]) -> None:
    ledger, agent = Ledger(), Agent()
    ledger.batch(header(0, 200, 0), 0)
    next_, settled = 0, 0
    safe_us = 0
    for step, (grown, stored) in enumerate(claims, start=1):
        at_us = step * SECOND
        next_ += grown
        if settled + stored <= 200:
            ledger.posting("stored", STREAM.id, FIRST.epoch, settled, settled + stored)
            settled += stored
        agent.claim(ledger, at_us, says(next_, held=((200, max(200, next_)),)))
        if next_ <= settled:
            safe_us = at_us
        book = ledger.streams[STREAM.id].epochs[FIRST.epoch]
        assert book.watermark_us >= safe_us
        passed = [t for t, n in _history(claims[:step]) if t * SECOND <= book.watermark_us]
        assert all(dict(_history(claims[:step]))[t] <= settled for t in passed)


def _history(claims: list[tuple[int, int]]) -> list[tuple[int, int]]:
    total, history = 0, []
    for step, (grown, _) in enumerate(claims, start=1):
        total += grown
        history.append((step, total))
    return history
