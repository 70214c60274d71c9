"""Nothing but a receipt for the very batch settles it; nothing is given up."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from gapless.agent.acks import Acks, Outcome
from gapless.agent.dispatch import Answer, Dispatch, DispatchSettings, outcome_of
from gapless.agent.follow import Spooled
from gapless.model.batch import BatchHeader, payload_digest
from gapless.model.receipt import Receipt
from gapless.model.signing import Signer
from gapless.model.stream import EpochOpen, StreamKey

STREAM = StreamKey("contoso", "SigninLogs", "host-7", "files")
SIGNER = Signer(b"1" * 32)


def spooled(at: int) -> Spooled:
    header = BatchHeader(
        stream=STREAM,
        opened=EpochOpen("0" * 32),
        first=at * 10,
        next=at * 10 + 10,
        digest=payload_digest(b"%d" % at),
        raw_bytes=10,
        read_from_us=1,
        read_to_us=1,
    )
    return Spooled.of(at * 100, at * 100 + 100, header)


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


def test_oldest_first_bounded_and_retried_without_end() -> None:
    dispatch = Dispatch(DispatchSettings(in_flight_max=2), Random(1))
    acks = Acks()
    acks.take(Outcome.of(spooled(0), "receipt", 1))
    dispatch.offer([spooled(at) for at in range(5)], acks)
    first, second = dispatch.take(0), dispatch.take(0)
    assert (first, second, dispatch.take(0)) == (spooled(1), spooled(2), None)
    now_us = 0
    for _ in range(100):
        dispatch.failed(spooled(1), now_us)
        assert dispatch.take(now_us) == spooled(3)
        dispatch.failed(spooled(3), now_us)
        now_us += 31_000_000
        assert dispatch.take(now_us) == spooled(1)
    dispatch.settled(spooled(1))
    dispatch.settled(spooled(2))
    dispatch.hurry()
    assert [dispatch.take(now_us), dispatch.take(now_us)] == [spooled(3), spooled(4)]
    assert dispatch.backlog == 2
