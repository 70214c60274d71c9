"""What the audit says in the cases that the books exist for."""

from __future__ import annotations

import msgspec
import pytest

from gapless.ledger.audit import Audit, audit
from gapless.ledger.ledger import Ledger
from gapless.ledger.states import Allowances
from gapless.model.batch import Part
from gapless.model.claim import ClaimSet, Loss, SkippedBytes
from gapless.model.finding import Finding
from gapless.model.signing import Signer
from gapless.model.stream import EpochOpen, StreamKey

from .support import FIRST, SECOND, SECOND_EPOCH, STREAM, Agent, header, says

ALLOWED = Allowances()


def judged(ledger: Ledger, now_us: int, **window: int) -> Audit:
    ledger.review(now_us)
    return audit(ledger, now_us, tenant="contoso", allowed=ALLOWED, **window)  # type: ignore[arg-type]


def stored(ledger: Ledger, first: int, next_: int, epoch: str = FIRST.epoch) -> None:
    assert ledger.posting("stored", STREAM.id, epoch, first, next_) == []


def test_nothing_registered_is_unknown_not_complete() -> None:
    assert judged(Ledger(), SECOND).verdict == "unknown"


def test_a_quiet_stream_is_complete_and_its_watermark_moves() -> None:
    ledger, agent = Ledger(), Agent()
    for t in range(0, 60, 2):
        agent.claim(ledger, t * SECOND, says(0))
    report = judged(ledger, 60 * SECOND)
    assert (report.verdict, report.streams[0].state) == ("complete", "quiet")
    assert report.through_us == 58 * SECOND


def test_all_stored_is_complete_and_conserved() -> None:
    ledger, agent = Ledger(), Agent()
    ledger.batch(header(0, 10, SECOND), SECOND)
    stored(ledger, 0, 9)
    assert ledger.posting("quarantined", STREAM.id, FIRST.epoch, 9, 10) == []
    agent.claim(ledger, 30 * SECOND, says(10))
    report = judged(ledger, 31 * SECOND)
    assert report.verdict == "complete"
    assert (report.totals.claimed, report.totals.stored, report.totals.quarantined) == (10, 9, 1)


def test_a_hole_is_a_gap_after_the_lag_with_its_range_and_bracket() -> None:
    ledger, agent = Ledger(), Agent()
    ledger.batch(header(0, 10, 1 * SECOND), SECOND)
    ledger.batch(header(20, 30, 3 * SECOND), 3 * SECOND)
    agent.claim(ledger, 4 * SECOND, says(30))
    assert judged(ledger, 4 * SECOND).totals.missing == 0
    agent.claim(ledger, 9 * SECOND, says(30))
    report = judged(ledger, 9 * SECOND)
    (gap,) = report.streams[0].epochs[0].gaps
    assert (gap.first, gap.next) == (10, 20)
    assert (gap.not_before_us, gap.not_after_us) == (1 * SECOND, 3 * SECOND)
    assert (report.verdict, report.totals.missing, report.totals.pending) == ("incomplete", 10, 20)


def test_a_window_before_or_after_a_gap_is_complete_and_one_over_it_is_not() -> None:
    ledger, agent = Ledger(), Agent()
    ledger.batch(header(0, 10, 100 * SECOND), 100 * SECOND)
    ledger.batch(header(20, 30, 103 * SECOND), 103 * SECOND)
    stored(ledger, 0, 10)
    stored(ledger, 20, 30)
    agent.claim(ledger, 104 * SECOND, says(30))
    judged(ledger, 104 * SECOND)
    for t in range(106, 160, 2):
        agent.claim(ledger, t * SECOND, says(30))
    now = 160 * SECOND
    assert judged(ledger, now, from_us=110 * SECOND, to_us=140 * SECOND).verdict == "complete"
    assert judged(ledger, now, from_us=0, to_us=101 * SECOND).verdict == "incomplete"
    assert judged(ledger, now, from_us=0, to_us=99 * SECOND).verdict == "unknown", "nobody was there"
    assert judged(ledger, now, from_us=150 * SECOND).verdict == "unknown", "too young"
    assert judged(ledger, now, from_us=500 * SECOND, to_us=600 * SECOND).verdict == "unknown"
    assert judged(ledger, now, from_us=0, to_us=102 * SECOND).verdict == "incomplete"
    assert judged(ledger, now, from_us=102 * SECOND, to_us=140 * SECOND).verdict == "incomplete"


def test_held_records_are_pending_not_missing_and_a_frozen_backlog_is_a_stalled_upload() -> None:
    ledger, agent = Ledger(), Agent()
    for t in range(0, 20, 2):
        agent.claim(ledger, t * SECOND, says(50 + t, held=((0, 50 + t),)))
    report = judged(ledger, 19 * SECOND)
    assert report.streams[0].state == "upload stalled"
    assert (report.totals.missing, report.totals.pending, report.verdict) == (0, 68, "unknown")


def test_a_backlog_that_drains_is_not_stalled() -> None:
    ledger, agent = Ledger(), Agent()
    for t in range(0, 20, 2):
        ledger.batch(header(t, t + 2, t * SECOND), t * SECOND)
        agent.claim(ledger, t * SECOND, says(100, held=((t + 2, 100),)))
    assert judged(ledger, 19 * SECOND).streams[0].state == "active"


def test_silence_is_unknown_within_ten_seconds_and_names_the_agent() -> None:
    ledger, agent = Ledger(), Agent()
    agent.claim(ledger, 0, says(0))
    agent.claim(ledger, 2 * SECOND, says(0))
    report = judged(ledger, 9 * SECOND)
    assert (report.verdict, report.streams[0].state) == ("unknown", "agent silent")
    assert "host-7" in report.reasons[0]


def test_one_dead_stream_of_a_speaking_agent_is_told_apart_and_holds_the_table_back() -> None:
    other = StreamKey("contoso", "SigninLogs", "host-7", "other")
    ledger, agent = Ledger(), Agent()
    agent.claim(ledger, 0, says(0), says(0, stream=other))
    for t in range(2, 30, 2):
        agent.claim(ledger, t * SECOND, says(0))
    report = judged(ledger, 30 * SECOND)
    assert {r.book.key.source: r.state for r in report.streams} == {"entra": "quiet", "other": "stream dead"}
    assert (report.verdict, report.through_us) == ("unknown", 0)


def test_claims_down_while_data_arrive() -> None:
    ledger, agent = Ledger(), Agent()
    agent.claim(ledger, 0, says(0))
    ledger.batch(header(0, 10, 19 * SECOND), 19 * SECOND)
    assert judged(ledger, 20 * SECOND).streams[0].state == "claims down"


def test_a_reader_that_stands_still_before_its_end_is_stuck() -> None:
    ledger, agent = Ledger(), Agent()
    for t in range(0, 24, 2):
        agent.claim(ledger, t * SECOND, says(0, read_bytes=100, unread_bytes=10 + t))
    assert judged(ledger, 19 * SECOND).streams[0].state == "quiet"
    assert judged(ledger, 23 * SECOND).streams[0].state == "reader stuck"


def test_a_reader_that_leaves_a_part_of_its_source_out_is_stuck_though_it_moves() -> None:
    ledger, agent = Ledger(), Agent()
    for t in range(0, 24, 2):
        left_us = max(0, t - 10) * SECOND
        agent.claim(ledger, t * SECOND, says(0, read_bytes=100 * t, unread_bytes=10, left_us=left_us))
    report = judged(ledger, 23 * SECOND)
    assert (report.verdict, report.streams[0].state) == ("unknown", "reader stuck")
    agent.claim(ledger, 24 * SECOND, says(0, read_bytes=2500))
    report = judged(ledger, 25 * SECOND)
    assert (report.verdict, report.streams[0].state) == ("complete", "quiet")


def test_what_an_agent_that_was_set_back_claims_is_not_due() -> None:
    ledger, agent, restored = Ledger(), Agent(), Agent()
    agent.claim(ledger, 0, says(0))
    restored.n, restored.prev = agent.n, agent.prev  # its disk as it is now, to come back later
    ledger.batch(header(0, 100, SECOND), SECOND)
    stored(ledger, 0, 100)
    agent.claim(ledger, 2 * SECOND, says(120, held=((100, 120),)))
    [finding] = restored.claim(ledger, 4 * SECOND, says(300, held=((0, 300),)))
    assert finding.kind == "rollback"
    restored.claim(ledger, 6 * SECOND, says(300, held=((0, 300),)))
    ledger.review(7 * SECOND)
    [epoch] = judged(ledger, 20 * SECOND).streams[0].epochs
    # What the first life claimed stays due, and held by nobody; what the second one did is not added.
    assert [(gap.first, gap.next) for gap in epoch.gaps] == [(100, 120)]
    assert epoch.counts.claimed == 120


def test_the_gateways_word_disputes_an_epoch_too() -> None:
    ledger, agent = Ledger(), Agent()
    agent.claim(ledger, 0, says(10, held=((0, 10),)))
    stream_id = next(iter(ledger.streams))
    ledger.finding(
        Finding(id="f", kind="fork", at_us=1, state="opened", text="", stream=stream_id, epoch=FIRST.epoch)
    )
    agent.claim(ledger, 2 * SECOND, says(50))
    ledger.review(3 * SECOND)
    [epoch] = judged(ledger, 20 * SECOND).streams[0].epochs
    assert (epoch.counts.claimed, epoch.counts.missing) == (10, 10)


def test_a_closed_stream_may_be_silent_for_ever() -> None:
    ledger, agent = Ledger(), Agent()
    ledger.batch(header(0, 10, 0), 0)
    agent.claim(ledger, SECOND, says(10, closed=True))
    assert judged(ledger, 2 * SECOND).verdict == "unknown", "not stored yet"
    stored(ledger, 0, 10)
    report = judged(ledger, 10**6 * SECOND)
    assert (report.verdict, report.streams[0].state) == ("complete", "closed")


def test_an_epoch_that_nobody_closed_is_unknown_in_its_bracket_only() -> None:
    ledger, agent = Ledger(), Agent()
    ledger.batch(header(0, 10, SECOND), SECOND)
    stored(ledger, 0, 10)
    agent.claim(ledger, 10 * SECOND, says(10))
    lost_spool = EpochOpen("3" * 32)
    assert agent.claim(ledger, 50 * SECOND, says(0, opened=lost_spool)) == []
    for t in range(52, 120, 2):
        agent.claim(ledger, t * SECOND, says(0, opened=lost_spool))
    now = 120 * SECOND
    assert judged(ledger, now, from_us=20 * SECOND, to_us=40 * SECOND).verdict == "unknown"
    assert judged(ledger, now, from_us=60 * SECOND, to_us=100 * SECOND).verdict == "complete"


def test_an_epoch_that_names_its_predecessor_closes_it() -> None:
    ledger, agent = Ledger(), Agent()
    ledger.batch(header(0, 100, SECOND), SECOND)
    stored(ledger, 0, 100)
    agent.claim(ledger, 2 * SECOND, says(100))
    assert agent.claim(ledger, 4 * SECOND, says(0, opened=SECOND_EPOCH)) == []
    assert ledger.streams[STREAM.id].epochs[FIRST.epoch].closed_next == 100
    assert judged(ledger, 5 * SECOND).verdict == "complete"


def test_a_predecessor_heard_of_late_is_closed_where_its_successor_says() -> None:
    ledger, agent = Ledger(), Agent()
    agent.claim(ledger, SECOND, says(0, opened=SECOND_EPOCH))
    ledger.batch(header(0, 40, SECOND), 2 * SECOND)
    stream = ledger.streams[STREAM.id]
    assert stream.current == SECOND_EPOCH.epoch
    agent.claim(ledger, 20 * SECOND, says(0, opened=SECOND_EPOCH))
    judged(ledger, 20 * SECOND)
    agent.claim(ledger, 26 * SECOND, says(0, opened=SECOND_EPOCH))
    assert judged(ledger, 26 * SECOND).totals.missing == 60


def a_loss(first: int, next_: int, **fields: object) -> Loss:
    loss = Loss(
        id="a" * 32,
        stream=STREAM,
        epoch=FIRST.epoch,
        cause="spool_full",
        declared_us=5 * SECOND,
        not_before_us=SECOND,
        not_after_us=4 * SECOND,
        ranges=((first, next_),),
    )
    return msgspec.structs.replace(loss, **fields)


def test_a_declared_loss_is_counted_and_reversed_when_the_records_arrive_after_all() -> None:
    ledger, agent = Ledger(), Agent()
    agent.claim(ledger, SECOND, says(30))
    ledger.batch(header(0, 10, SECOND), SECOND)
    stored(ledger, 0, 10)
    (finding,) = ledger.loss(a_loss(5, 30))
    assert (finding.kind, finding.count) == ("loss_declared", 25) and "25 records [5, 30)" in finding.text
    assert ledger.loss(a_loss(5, 30)) == [], "declared once"
    agent.claim(ledger, 30 * SECOND, says(30))
    report = judged(ledger, 31 * SECOND)
    assert (report.totals.lost, report.totals.missing, report.verdict) == (20, 0, "incomplete")
    ledger.batch(header(10, 30, SECOND), 32 * SECOND)
    stored(ledger, 10, 30)
    agent.claim(ledger, 33 * SECOND, says(30))
    report = judged(ledger, 34 * SECOND)
    assert (report.totals.lost, report.totals.stored, report.verdict) == (0, 30, "complete")
    assert report.streams[0].losses, "the declaration itself never disappears"


def test_downstream_never_has_what_upstream_had_not() -> None:
    ledger = Ledger()
    ledger.batch(header(0, 10, SECOND), SECOND)
    (finding,) = ledger.posting("stored", STREAM.id, FIRST.epoch, 5, 15)
    assert finding.kind == "books_unbalanced" and "[10, 15)" in finding.text
    assert ledger.streams[STREAM.id].epochs[FIRST.epoch].stored.total == 5


@pytest.mark.parametrize("second", ["stored", "quarantined"])
def test_a_seq_comes_to_rest_once(second: str) -> None:
    ledger = Ledger()
    ledger.batch(header(0, 10, SECOND), SECOND)
    stored(ledger, 0, 10)
    (finding,) = ledger.posting(second, STREAM.id, FIRST.epoch, 3, 5)  # type: ignore[arg-type]
    assert "[3, 5) a second time" in finding.text
    book = ledger.streams[STREAM.id].epochs[FIRST.epoch]
    assert (book.stored.total, book.settled.total, book.balance()) == (10, 10, [])


def test_expiry_moves_what_was_stored() -> None:
    ledger = Ledger()
    ledger.batch(header(0, 10, SECOND), SECOND)
    stored(ledger, 0, 10)
    assert ledger.posting("expired", STREAM.id, FIRST.epoch, 0, 4) == []
    book = ledger.streams[STREAM.id].epochs[FIRST.epoch]
    assert (book.stored.total, book.expired.total, book.settled.total, book.balance()) == (6, 4, 10, [])


def test_a_claim_that_goes_back_is_an_alarm_and_is_not_taken() -> None:
    ledger, agent = Ledger(), Agent()
    agent.claim(ledger, SECOND, says(100))
    assert [finding.kind for finding in agent.claim(ledger, 2 * SECOND, says(90))] == ["rollback"]
    assert ledger.streams[STREAM.id].epochs[FIRST.epoch].next == 100


def test_a_clone_that_claims_beside_the_original_is_seen_by_the_chain() -> None:
    ledger, original, clone = Ledger(), Agent(), Agent()
    original.claim(ledger, SECOND, says(10))
    findings = clone.claim(ledger, SECOND + 1, says(11))
    assert [finding.kind for finding in findings] == ["rollback"]


def test_a_jump_in_the_source_is_kept_until_a_loss_explains_it() -> None:
    ledger = Ledger()
    ledger.batch(header(0, 1, SECOND, parts=(Part("f", 0, 100, 1),)), SECOND)
    ledger.batch(header(2, 3, SECOND, parts=(Part("f", 200, 300, 1),)), SECOND)
    book = ledger.streams[STREAM.id].epochs[FIRST.epoch]
    assert not book.jumps, "the batch between them has not arrived"
    ledger.batch(header(1, 2, SECOND, parts=(Part("f", 100, 150, 1),)), SECOND)
    assert book.jumps["150/f"][0] == SkippedBytes("f", 150, 200)
    ledger.loss(a_loss(0, 0, ranges=(), skipped=SkippedBytes("f", 150, 200)))
    assert not book.jumps


def test_an_agents_clock_two_days_ahead_proves_nothing_about_the_future() -> None:
    ledger, agent = Ledger(), Agent()
    ahead = 2 * 86400 * SECOND
    agent.n += 1
    signed = agent._signer.sign(
        msgspec.convert(
            {
                "agent": "host-7",
                "n": 1,
                "prev": "",
                "at_us": ahead,
                "interval_s": 2.0,
                "streams": [msgspec.to_builtins(says(0))],
            },
            type=__import__("gapless.model.claim", fromlist=["ClaimSet"]).ClaimSet,
        )
    )
    ledger.claims(signed, 100 * SECOND)
    assert judged(ledger, 101 * SECOND).through_us == 100 * SECOND


def test_a_decommissioned_stream_holds_nobody_back_and_what_it_held_is_missing() -> None:
    ledger, agent = Ledger(), Agent()
    ledger.batch(header(0, 10, 0), 0)
    stored(ledger, 0, 10)
    agent.claim(ledger, SECOND, says(15, held=((10, 15),)))
    stream_id = next(iter(ledger.streams))
    assert judged(ledger, 100 * SECOND).verdict == "unknown"
    ledger.decommission(stream_id, 100 * SECOND)
    judged(ledger, 101 * SECOND)
    report = judged(ledger, 120 * SECOND)
    assert (report.verdict, report.totals.missing) == ("incomplete", 5)
    ledger.batch(header(10, 15, 0), 121 * SECOND)
    stored(ledger, 10, 15)
    assert judged(ledger, 140 * SECOND).verdict == "complete"


def test_a_decommissioned_stream_whose_agent_speaks_after_all_is_expected_again() -> None:
    """A mistake of an operator, or claims that waited in a gateway: neither hides a silence."""
    ledger, agent = Ledger(), Agent()
    agent.claim(ledger, SECOND, says(0))
    ledger.decommission(STREAM.id, 2 * SECOND)
    agent.claim(ledger, 3 * SECOND, says(15, held=((0, 15),)))
    report = judged(ledger, 100 * SECOND)
    assert (report.verdict, report.streams[0].state, report.totals.pending) == ("unknown", "agent silent", 15)
    ledger.decommission(STREAM.id, 100 * SECOND)
    judged(ledger, 101 * SECOND)
    report = judged(ledger, 120 * SECOND)
    assert (report.verdict, report.totals.missing) == ("incomplete", 15)


def test_what_is_said_of_streams_that_are_not_the_agents_counts_for_nothing() -> None:
    ledger = Ledger()
    other = StreamKey("fabrikam", "SigninLogs", "host-7", "entra")
    says_both = (says(10), says(7, stream=other))
    claims = ClaimSet(agent="host-7", n=1, prev="", at_us=SECOND, interval_s=2.0, streams=says_both)
    ledger.claims(Signer(b"k" * 32).sign(claims), SECOND, (other.id,))
    assert list(ledger.streams) == [STREAM.id]
    assert list(ledger.agents) == [("contoso", "host-7")]


def test_a_clock_that_was_ahead_and_is_set_right_proves_nothing() -> None:
    """What was settled while it was wrong is dated tomorrow: that must not cover what is read today."""
    ledger, agent = Ledger(), Agent()
    tomorrow, now = 200_000 * SECOND, 100_000 * SECOND
    ledger.batch(header(0, 10, tomorrow), tomorrow)
    ledger.posting("stored", STREAM.id, FIRST.epoch, 0, 10)
    agent.claim(ledger, tomorrow, says(10))
    for at in range(60):
        agent.claim(ledger, now + at * SECOND, says(20, held=((10, 20),)))
        ledger.review(now + at * SECOND)
    report = audit(ledger, now + 60 * SECOND, allowed=Allowances())
    assert (report.verdict, report.through_us) == ("unknown", 0)
    assert report.streams[0].state == "upload stalled"
    ledger.batch(header(10, 20, now), now + 60 * SECOND)
    ledger.posting("stored", STREAM.id, FIRST.epoch, 10, 20)
    agent.claim(ledger, now + 61 * SECOND, says(20))
    assert audit(ledger, now + 61 * SECOND, allowed=Allowances()).verdict == "complete"
