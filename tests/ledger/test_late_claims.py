"""Claims that arrive out of order: requests that waited in a gateway that stood still."""

from __future__ import annotations

from gapless.ledger.audit import audit
from gapless.ledger.chains import LATE_MAX
from gapless.ledger.ledger import Ledger
from gapless.ledger.states import Allowances
from gapless.model.claim import ClaimSet, statement_digest
from gapless.model.signing import Signed, Signer
from gapless.model.stream import EpochOpen

from .support import FIRST, SECOND, STREAM, Agent, header, says

SIGNER = Signer(b"k" * 32)


def chain(*nexts: int, start: int = 0, prev: str = "", signer: Signer = SIGNER) -> list[Signed]:
    """Statements of one agent, each with another ``next``."""
    signed = []
    for n, next_ in enumerate(nexts, start):
        claims = ClaimSet(
            agent="host-7", n=n, prev=prev, at_us=n * SECOND, interval_s=2.0, streams=(says(next_),)
        )
        signed.append(signer.sign(claims))
        prev = statement_digest(signed[-1].statement)
    return signed


def test_claims_in_any_order_are_no_step_back() -> None:
    ledger = Ledger()
    made = chain(10, 20, 30, 40)
    for at in (0, 3, 1, 2):
        assert ledger.claims(made[at], 100 * SECOND) == []
    book = ledger.streams[STREAM.id].epochs[FIRST.epoch]
    assert (book.claimed_next, book.disputed) == (40, False)


def test_a_number_used_twice_is_a_rollback_also_when_it_is_not_the_newest() -> None:
    ledger = Ledger()
    for signed in chain(10, 20, 30, 40):
        assert ledger.claims(signed, 100 * SECOND) == []
    set_back = chain(10, 15)[1]
    assert {finding.kind for finding in ledger.claims(set_back, 101 * SECOND)} == {"rollback"}
    assert ledger.streams[STREAM.id].epochs[FIRST.epoch].disputed


def test_what_comes_far_behind_the_newest_is_not_taken_for_late() -> None:
    ledger = Ledger()
    made = chain(*range(10, 60))
    ledger.claims(made[0], 0)
    ledger.claims(made[-1], 100 * SECOND)
    [finding] = ledger.claims(made[5], 101 * SECOND)
    assert finding.kind == "rollback"


def test_claims_that_go_on_and_say_less_are_a_rollback() -> None:
    ledger = Ledger()
    kinds = [[finding.kind for finding in ledger.claims(each, SECOND)] for each in chain(10, 20, 19)]
    assert kinds == [[], [], ["rollback"]]


def test_an_epoch_in_which_two_count_is_never_complete() -> None:
    """A clone that has read nothing yet speaks first: that proves nothing of what the other has read."""
    ledger = Ledger()
    original, clone = chain(17), chain(0)
    ledger.batch(header(0, 16, 29 * SECOND), 29 * SECOND)
    ledger.posting("stored", STREAM.id, FIRST.epoch, 0, 16)
    ledger.claims(clone[0], 133 * SECOND)
    ledger.claims(original[0], 134 * SECOND)
    ledger.review(135 * SECOND)
    for window in ({}, {"to_us": 100 * SECOND}):
        report = audit(ledger, 135 * SECOND, allowed=Allowances(), **window)
        assert report.verdict == "unknown"
        assert "two count in its epoch" in report.reasons[0]


def test_an_epoch_whose_end_was_damaged_may_be_claimed_shorter_and_what_is_gone_is_missing() -> None:
    """The spool lost the end of an epoch: what it claimed of it before stays due, and is no step back."""
    ledger, agent = Ledger(), Agent()
    successor = EpochOpen("2" * 32, FIRST.epoch)
    agent.claim(ledger, 10 * SECOND, says(100, held=((0, 100),)))
    for now in (12, 14, 60):
        left = says(60, held=((0, 60),), at_least=True)
        assert agent.claim(ledger, now * SECOND, left, says(0, opened=successor)) == []
        ledger.review(now * SECOND)
    stream = ledger.streams[STREAM.id]
    book = stream.epochs[FIRST.epoch]
    assert (stream.current, book.claimed_next, book.disputed) == (successor.epoch, 100, False)
    assert [(gap.first, gap.next) for gap in book.gaps(60 * SECOND, 5 * SECOND)] == [(60, 100)]
    # The end is unknown since the last claim of an agent that knew it, and not since the last one at all.
    report = audit(ledger, 60 * SECOND, from_us=11 * SECOND, to_us=13 * SECOND, allowed=Allowances())
    assert any("nothing says where" in reason for reason in report.reasons)


def test_what_a_replaced_key_said_before_it_was_replaced_is_due_and_no_step_back() -> None:
    """The disk is lost, a new key speaks, and then statements of the old one arrive."""
    ledger, old, new = Ledger(), Agent(), Agent(private_key=b"o" * 32)
    other = EpochOpen("3" * 32)
    old.claim(ledger, 10 * SECOND, says(50))
    [changed] = new.claim(ledger, 20 * SECOND, says(0, opened=other))
    assert changed.kind == "agent_key_changed"
    assert old.claim(ledger, 21 * SECOND, says(80, held=((50, 80),))) == []
    assert new.claim(ledger, 22 * SECOND, says(3, opened=other)) == []
    ledger.review(22 * SECOND)
    stream = ledger.streams[STREAM.id]
    book = stream.epochs[FIRST.epoch]
    assert (stream.current, book.claimed_next) == (other.epoch, 80)
    assert [(gap.first, gap.next) for gap in book.gaps(30 * SECOND, 5 * SECOND)] == [(0, 80)]


def test_an_epoch_that_only_a_replaced_key_spoke_of_does_not_become_the_current_one() -> None:
    ledger, old, new = Ledger(), Agent(), Agent(private_key=b"o" * 32)
    old.claim(ledger, 10 * SECOND, says(50))
    unheard, current = EpochOpen("3" * 32, FIRST.epoch, 50), EpochOpen("4" * 32)
    new.claim(ledger, 20 * SECOND, says(0, opened=current))
    assert old.claim(ledger, 21 * SECOND, says(50, closed=True), says(7, opened=unheard)) == []
    stream = ledger.streams[STREAM.id]
    assert stream.current == current.epoch
    assert stream.epochs[unheard.epoch].next == 7


def test_a_replaced_key_that_goes_on_for_long_is_in_use_again() -> None:
    ledger, old, new = Ledger(), Agent(), Agent(private_key=b"o" * 32)
    old.claim(ledger, 10 * SECOND, says(50))
    new.claim(ledger, 20 * SECOND, says(50))
    told = [old.claim(ledger, (21 + n) * SECOND, says(50 + n)) for n in range(LATE_MAX + 1)]
    assert [len(findings) for findings in told] == LATE_MAX * [0] + [1]
    assert ledger.streams[STREAM.id].last_claim_us == (21 + LATE_MAX) * SECOND


def test_the_epoch_of_a_replaced_key_that_is_in_use_again_is_the_current_one() -> None:
    """It was first heard of while the key was thought to be replaced. (Seed 2219 of the simulator: the stream
    was told of as dead for ever, while its agent claimed it.)"""
    ledger, old, new = Ledger(), Agent(), Agent(private_key=b"o" * 32)
    old.claim(ledger, 10 * SECOND, says(50))
    new.claim(ledger, 20 * SECOND, says(50))
    ended, opened = says(50, closed=True), EpochOpen("3" * 32, FIRST.epoch, 50)
    for n in range(LATE_MAX + 1):
        assert ledger.streams[STREAM.id].current == FIRST.epoch
        old.claim(ledger, (21 + n) * SECOND, ended, says(n, opened=opened))
    stream = ledger.streams[STREAM.id]
    assert (stream.current, stream.last_claim_us) == (opened.epoch, (21 + LATE_MAX) * SECOND)


def test_a_replaced_key_that_uses_a_number_twice_was_rolled_back() -> None:
    ledger, old, new = Ledger(), Agent(), Agent(private_key=b"o" * 32)
    restored = Agent()
    for agent, now in ((old, 10), (new, 20)):
        agent.claim(ledger, now * SECOND, says(50))
    kinds = {finding.kind for finding in restored.claim(ledger, 30 * SECOND, says(40))}
    assert "rollback" in kinds
    assert ledger.streams[STREAM.id].epochs[FIRST.epoch].disputed


def test_a_chain_whose_key_was_damaged_is_late_like_any_other() -> None:
    """The key is replaced and the chain goes on: the first statement, with the old key, arrives last."""
    ledger = Ledger()
    [before] = chain(10)
    [after] = chain(20, start=1, prev=statement_digest(before.statement), signer=Signer(b"n" * 32))
    assert [ledger.claims(each, SECOND) for each in (after, before)] == [[], []]
    book = ledger.streams[STREAM.id].epochs[FIRST.epoch]
    assert (book.claimed_next, book.disputed) == (20, False)
    [goes_on] = chain(30, start=2, prev=statement_digest(after.statement))
    assert [finding.kind for finding in ledger.claims(goes_on, SECOND)] == ["agent_key_changed"]


def test_a_replaced_chain_whose_key_was_damaged_is_outdated_like_any_other() -> None:
    """Two statements with a key that nobody heard of arrive when their chain was lost and another began."""
    ledger, new = Ledger(), Agent(private_key=b"o" * 32)
    [first] = chain(10)
    later = chain(20, 30, start=1, prev=statement_digest(first.statement), signer=Signer(b"n" * 32))
    assert ledger.claims(first, SECOND) == []
    [changed] = new.claim(ledger, 2 * SECOND, says(40))
    assert changed.kind == "agent_key_changed"
    assert [ledger.claims(each, 3 * SECOND) for each in later] == [[], []]
    assert new.claim(ledger, 4 * SECOND, says(50)) == []
    assert not ledger.streams[STREAM.id].epochs[FIRST.epoch].disputed


def test_a_chain_that_nobody_heard_of_is_believed_that_the_count_went_back_when_it_goes_on() -> None:
    """What a machine whose chain was lost had said last may arrive behind what it says now. A machine that
    was set back says it again and again; until then it does not count as heard of."""
    ledger, now_speaks, unheard = Ledger(), Agent(), Agent(private_key=b"o" * 32)
    now_speaks.claim(ledger, 10 * SECOND, says(50))
    told = [unheard.claim(ledger, (11 + n) * SECOND, says(40)) for n in range(LATE_MAX + 1)]
    assert told == [[]] * (LATE_MAX + 1)
    assert ledger.streams[STREAM.id].last_claim_us == 10 * SECOND
    kinds = {finding.kind for finding in unheard.claim(ledger, 60 * SECOND, says(40))}
    assert kinds == {"rollback", "agent_key_changed"}


def test_two_keys_that_follow_the_same_statement_are_two_agents() -> None:
    ledger = Ledger()
    [first] = chain(10)
    prev = statement_digest(first.statement)
    [one] = chain(20, start=1, prev=prev, signer=Signer(b"n" * 32))
    [other] = chain(21, start=1, prev=prev, signer=Signer(b"o" * 32))
    assert ledger.claims(first, SECOND) == []
    assert [finding.kind for finding in ledger.claims(one, SECOND)] == ["agent_key_changed"]
    assert "rollback" in {finding.kind for finding in ledger.claims(other, SECOND)}


def test_an_old_statement_that_is_repeated_after_an_outage_is_no_witness_of_now() -> None:
    """What was read while nobody answered is in none of what the agent had said: that is not complete."""
    ledger = Ledger()
    made = zip(chain(10, 10, 10, 14), (0, 1, 200, 201), strict=True)
    for made_s, (signed, received_s) in enumerate(made):
        assert ledger.claims(signed, received_s * SECOND) == []
        assert ledger.streams[STREAM.id].epochs[FIRST.epoch].last_claim_us == made_s * SECOND


def test_a_clock_that_is_an_hour_off_is_allowed_for_once_it_is_known() -> None:
    for off_s in (-3600, 3600):
        ledger = Ledger()
        for n, signed in enumerate(chain(*range(10, 20), start=4000)):
            received_us = (4000 + n + off_s) * SECOND
            assert ledger.claims(signed, received_us) == []
            made_us = ledger.streams[STREAM.id].epochs[FIRST.epoch].last_claim_us
            assert n == 0 or made_us == received_us


def test_an_agent_that_doubts_its_count_is_heard_and_is_no_step_back() -> None:
    ledger, agent = Ledger(), Agent()
    agent.claim(ledger, 10 * SECOND, says(100, held=((0, 100),)))
    assert agent.claim(ledger, 12 * SECOND, says(0, at_least=True)) == []
    stream = ledger.streams[STREAM.id]
    assert stream.last_claim_us == 12 * SECOND
    ledger.review(12 * SECOND)
    assert [(gap.first, gap.next) for gap in stream.epochs[FIRST.epoch].gaps(20 * SECOND, 0)] == [(0, 100)]
