"""Nothing but a receipt for the very batch settles it; nothing is given up."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapless.agent.acks import Acks, Outcome
from gapless.agent.dispatch import Answer, Dispatch, UploadSettings, outcome_of
from gapless.agent.follow import Spooled
from gapless.model.batch import payload_digest
from gapless.model.receipt import Receipt
from gapless.model.signing import Signer
from gapless.model.stream import StreamKey

STREAM = StreamKey("contoso", "SigninLogs", "host-7", "files")
SIGNER = Signer(b"1" * 32)
ONE_BY_ONE = UploadSettings(request_batches_max=1)


def spooled(at: int) -> Spooled:
    return Spooled(
        position=at * 100,
        next_position=at * 100 + 100,
        stream=STREAM,
        epoch="0" * 32,
        first=at * 10,
        next=at * 10 + 10,
        digest=payload_digest(b"%d" % at),
        raw_bytes=10,
        read_from_us=1,
        read_to_us=1,
    )


def answer(batch: Spooled, signer: Signer = SIGNER, **other: Any) -> Answer:
    receipt = Receipt(
        stream=STREAM,
        epoch=batch.epoch,
        first=batch.first,
        next=batch.next,
        digest=batch.digest,
        position=0,
        journaled_us=1,
    )
    return Answer(status="receipt", receipt=signer.sign(msgspec.structs.replace(receipt, **other)))


def dispatch(settings: UploadSettings, batches: int, acks: Acks | None = None) -> Dispatch:
    made = Dispatch(settings, Random(1))
    made.offer([spooled(at) for at in range(batches)], acks or Acks())
    return made


def numbers(batches: tuple[Spooled, ...]) -> list[int]:
    return [batch.position // 100 for batch in batches]


def test_a_receipt_for_the_batch_settles_it() -> None:
    outcome = outcome_of(spooled(1), answer(spooled(1)), SIGNER.public_key, 5)
    assert outcome is not None
    assert outcome.fits(spooled(1))
    assert not outcome.fits(spooled(2))


@pytest.mark.parametrize(
    "wrong",
    [
        {"digest": "0" * 64},
        {"first": 9},
        {"next": 21},
        {"epoch": "1" * 32},
        {"stream": StreamKey("other", "SigninLogs", "host-7", "files")},
        {"signer": Signer(b"2" * 32)},
    ],
)
def test_any_other_receipt_settles_nothing(wrong: dict[str, Any]) -> None:
    assert outcome_of(spooled(1), answer(spooled(1), **wrong), SIGNER.public_key, 5) is None


@pytest.mark.parametrize(
    "said", [None, Answer(status="receipt"), Answer(status="busy"), Answer(status="refused")]
)
def test_words_without_a_receipt_settle_nothing(said: Answer | None) -> None:
    assert outcome_of(spooled(1), said, SIGNER.public_key, 5) is None


def test_requests_are_filled_oldest_first_by_bytes_and_by_number() -> None:
    by_bytes = dispatch(UploadSettings(request_bytes_max=350), 5)
    assert [numbers(by_bytes.take(0)), numbers(by_bytes.take(0))] == [[0, 1, 2], [3, 4]]
    by_number = dispatch(UploadSettings(request_batches_max=2), 3)
    assert [numbers(by_number.take(0)), numbers(by_number.take(0))] == [[0, 1], [2]]
    assert by_number.take(0) == ()


def test_a_batch_larger_than_a_request_may_be_has_one_of_its_own() -> None:
    large = dispatch(UploadSettings(request_bytes_max=50), 2)
    assert [numbers(large.take(0)), numbers(large.take(0))] == [[0], [1]]


def test_what_has_an_outcome_is_not_offered_again_but_one_of_the_refused() -> None:
    acks = Acks()
    acks.take(Outcome.of(spooled(0), "receipt", 1))
    for at in (1, 2, 3):
        acks.take(Outcome.of(spooled(at), "refused", 1))
    again = dispatch(UploadSettings(), 5, acks)
    assert [numbers(again.take(0)) for _ in range(3)] == [[1], [4], []]


def test_the_refused_are_tried_one_at_a_time_in_turn_and_sent_once_one_is_taken() -> None:
    tested = dispatch(UploadSettings(refused_retry_s=60.0), 3)
    for batch in tested.take(0):
        tested.settled(batch, "refused", 0)
    assert (tested.backlog, tested.refused) == (0, 3)
    for now_s, at in ((60, 0), (120, 1), (180, 2), (240, 0)):
        assert not tested.due(now_s - 0.01)
        (batch,) = tested.take(now_s)
        assert numbers((batch,)) == [at] and tested.take(now_s + 1000) == ()
        tested.settled(batch, "refused", now_s)
    tested.hurry()
    (batch,) = tested.take(240)
    tested.settled(batch, "receipt", 240)
    assert numbers(tested.take(240)) == [0, 2] and tested.refused == 0


def test_a_refused_batch_that_cannot_be_tried_makes_way_for_the_next() -> None:
    tested = dispatch(UploadSettings(refused_retry_s=60.0), 4)
    for batch in tested.take(0):
        tested.settled(batch, "refused", 0)
    (batch,) = tested.take(60)
    tested.settled(batch, "damaged", 60)
    (batch,) = tested.take(60)
    tested.withdraw([batch.position])
    assert numbers(tested.take(60)) == [2]
    tested.forget_before(300)
    assert numbers(tested.take(60)) == [3]


def test_streams_do_not_wait_for_the_refusals_of_others() -> None:
    other = StreamKey("contoso", "AuditLogs", "host-7", "files")
    tested = dispatch(UploadSettings(), 1)
    tested.offer([spooled(at)._replace(stream=other) for at in (1, 2)], Acks())
    for batch in tested.take(0):
        tested.settled(batch, "refused", 0)
    mine, others = tested.take(60)
    tested.settled(others, "receipt", 60)
    tested.settled(mine, "refused", 60)
    assert numbers(tested.take(60)) == [2] and tested.refused == 1


def test_retried_without_end_and_at_bounded_intervals() -> None:
    one = dispatch(UploadSettings(retry_min_s=1.0, retry_max_s=30.0), 1)
    now_s = 0.0
    for number in range(1000):
        (batch,) = one.take(now_s)
        one.failed(batch, now_s)
        longest_s = min(30.0, 2.0**number)
        assert not one.due(now_s + longest_s * 0.66)
        now_s += longest_s
        assert one.due(now_s)


def test_those_that_failed_and_those_never_sent_take_turns() -> None:
    both = dispatch(ONE_BY_ONE, 6)
    for _ in range(3):
        (batch,) = both.take(0)
        both.failed(batch, 0)
    order = [numbers(both.take(100))[0] for _ in range(6)]
    assert [at for at in order if at < 3] == [0, 1, 2]
    assert [at for at in order if at >= 3] == [3, 4, 5]
    assert all((a < 3) != (b < 3) for a, b in pairwise(order))


def test_a_suspect_is_sent_alone() -> None:
    three = dispatch(UploadSettings(), 3)
    batches = three.take(0)
    three.failed(batches[0], 0)
    three.failed(batches[1], 0, alone=True)
    three.failed(batches[2], 0)
    assert [numbers(three.take(100)) for _ in range(3)] == [[0], [1], [2]]


def test_what_was_not_sent_keeps_its_place_and_does_not_wait() -> None:
    two = dispatch(ONE_BY_ONE, 2)
    (first,) = two.take(0)
    two.put_back(first)
    assert two.take(0) == (first,)
    assert two.retrying == 0


def test_hurry_makes_all_of_it_due() -> None:
    two = dispatch(ONE_BY_ONE, 2)
    for _ in range(2):
        two.failed(*two.take(0), 0, wait_s=1000)
    assert two.take(0) == ()
    two.hurry()
    assert [numbers(two.take(0)), numbers(two.take(0))] == [[0], [1]]


def test_withdrawn_and_forgotten_batches_are_sent_no_more_even_if_they_were_under_way() -> None:
    five = dispatch(ONE_BY_ONE, 5)
    taken = [five.take(0)[0] for _ in range(2)]
    five.forget_before(100)
    five.withdraw([100, 200])
    for batch in taken:
        five.failed(batch, 0)
        five.put_back(batch)
    assert (five.backlog, five.in_flight, five.retrying) == (2, 0, 0)
    assert [numbers(five.take(1000)) for _ in range(3)] == [[3], [4], []]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["take", "settle", "refuse", "damage", "fail", "alone", "back", "hurry", "withdraw", "forget"]
        ),
        st.integers(0, 30),
    ),
    max_size=80,
)


@given(STEPS)
def test_every_batch_is_in_one_place_until_it_is_settled_or_gone(steps: list[tuple[str, int]]) -> None:
    tested = dispatch(UploadSettings(request_batches_max=3, request_bytes_max=250), 20)
    left, refused = {at * 100 for at in range(20)}, set[int]()
    flying: list[Spooled] = []
    now_s = 0.0
    for step, number in steps:
        now_s += number
        batch = (
            flying.pop(number % len(flying))
            if flying and step in ("settle", "refuse", "damage", "fail", "alone", "back")
            else None
        )
        match step:
            case "take":
                taken = tested.take(now_s)
                assert {b.position for b in taken} <= left - {b.position for b in flying}
                assert list(taken) == sorted(taken, key=lambda b: b.position)
                flying += taken
            case "settle" | "damage" if batch:
                tested.settled(batch, "receipt" if step == "settle" else "damaged", now_s)
                left.discard(batch.position)
                refused.discard(batch.position)
            case "refuse" if batch:
                tested.settled(batch, "refused", now_s)
                refused.add(batch.position)
            case "fail" | "alone" if batch:
                tested.failed(batch, now_s, alone=step == "alone")
            case "back" if batch:
                tested.put_back(batch)
            case "hurry":
                tested.hurry()
            case "withdraw":
                tested.withdraw([number * 100])
                left.discard(number * 100)
            case "forget":
                tested.forget_before(number * 50)
                left = {position for position in left if position >= number * 50}
        refused &= left
        tried = {b.position for b in flying} & refused
        assert tested.refused == len(refused)
        assert len(left) - len(refused) <= tested.backlog <= len(left) - len(refused) + 1 and len(tried) <= 1
    for batch in flying:
        tested.put_back(batch)
    again: list[int] = []
    while taken := tested.take(now_s + 1e6):
        again += [b.position for b in taken]
        for batch in taken:
            tested.settled(batch, "receipt", now_s)
    assert sorted(again) == sorted(left)


def test_settings_name_their_faults() -> None:
    assert UploadSettings().faults() == []
    faults = UploadSettings(in_flight_max=0, io_timeout_s=float("nan"), retry_min_s=60.0).faults()
    assert [fault.split()[0] for fault in faults] == ["in_flight_max", "io_timeout_s", "retry_max_s"]
