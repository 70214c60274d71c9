"""A file whose end was cut off behind the reader goes on where it was cut: no discontinuity."""

from __future__ import annotations

import pytest

from gapless.ledger.book import EpochBook
from gapless.model.batch import Part
from gapless.model.claim import SkippedBytes

from .support import FIRST

FILE = "f" * 32


def part(start: int, end: int, *, done: bool = False) -> Part:
    return Part(FILE, start, end, 1 if end > start else 0, done)


@pytest.mark.parametrize("loss_first", [True, False])
def test_a_cut_end_is_no_jump_whenever_its_loss_arrives(loss_first: bool) -> None:
    book = EpochBook(opened=FIRST, first_seen_us=0)
    book.follow(0, 1, (part(0, 100),), 1)
    if loss_first:
        book.explain(SkippedBytes(FILE, 100, 250))
    book.follow(1, 2, (part(100, 130),), 2)
    if not loss_first:
        book.explain(SkippedBytes(FILE, 100, 250))
    book.follow(2, 3, (part(130, 130, done=True),), 3)
    assert book.jumps == {}


def test_a_jump_is_explained_by_a_loss_that_came_before_it_and_by_no_other() -> None:
    book = EpochBook(opened=FIRST, first_seen_us=0)
    book.explain(SkippedBytes(FILE, 100, 250))
    book.follow(0, 1, (part(0, 100),), 1)
    book.follow(1, 2, (part(250, 300),), 2)
    assert book.jumps == {}
    book.follow(2, 3, (part(310, 320),), 3)
    assert [jump for jump, _ in book.jumps.values()] == [SkippedBytes(FILE, 300, 310)]


def test_a_jump_to_elsewhere_than_the_loss_says_stays_one() -> None:
    book = EpochBook(opened=FIRST, first_seen_us=0)
    book.follow(0, 1, (part(0, 100),), 1)
    book.explain(SkippedBytes(FILE, 100, 250))
    book.follow(1, 2, (part(260, 300),), 2)
    assert [jump for jump, _ in book.jumps.values()] == [SkippedBytes(FILE, 100, 260)]
