"""Claims that arrive out of order: requests that waited in a gateway that stood still."""

from __future__ import annotations

from gapless.ledger.audit import audit
from gapless.ledger.ledger import Ledger
from gapless.ledger.states import Allowances
from gapless.model.claim import ClaimSet, statement_digest
from gapless.model.signing import Signed, Signer

from .support import FIRST, SECOND, STREAM, header, says

SIGNER = Signer(b"k" * 32)


def chain(*nexts: int, start: int = 0, prev: str = "") -> list[Signed]:
    """Statements of one agent, each with another ``next``."""
    signed = []
    for n, next_ in enumerate(nexts, start):
        claims = ClaimSet(
            agent="host-7", n=n, prev=prev, at_us=n * SECOND, interval_s=2.0, streams=(says(next_),)
        )
        signed.append(SIGNER.sign(claims))
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
