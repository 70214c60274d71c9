"""Work one piece ahead: its order, its bounds, and that nothing of it is left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from gapless.lake.ahead import OneAhead

WAIT_S = 30.0  # far more than any of it takes


@pytest.fixture
def ahead() -> Iterator[OneAhead]:
    ahead = OneAhead("test")
    yield ahead
    ahead.close()


def double(piece: int) -> int:
    return 2 * piece


@pytest.mark.parametrize("pieces", [0, 1, 2, 3, 50])
def test_results_come_in_the_order_of_the_pieces(ahead: OneAhead, pieces: int) -> None:
    assert list(ahead.map(double, range(pieces))) == [2 * piece for piece in range(pieces)]


def test_the_next_piece_is_worked_on_while_a_result_is_made_use_of(ahead: OneAhead) -> None:
    begun = [threading.Event() for _ in range(3)]
    with closing(ahead.map(lambda piece: begun[piece].set(), range(3))) as results:
        next(results)
        assert begun[1].wait(WAIT_S)


def test_pieces_are_made_by_the_caller_and_no_more_than_two_of_them_ahead(ahead: OneAhead) -> None:
    made: list[int] = []
    makers = set()

    def pieces() -> Iterator[int]:
        for number in range(9):
            made.append(number)
            makers.add(threading.get_ident())
            yield number

    for used, _ in enumerate(ahead.map(double, pieces())):
        assert len(made) <= used + 2
    assert makers == {threading.get_ident()}


def test_what_the_work_raises_is_raised_in_its_turn(ahead: OneAhead) -> None:
    results = ahead.map(lambda piece: 6 // (2 - piece), range(5))
    assert [next(results), next(results)] == [3, 6]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(ahead.map(double, [4])) == [8]


def test_what_making_a_piece_raises_is_raised(ahead: OneAhead) -> None:
    done: list[float] = []
    with pytest.raises(ZeroDivisionError):
        for result in ahead.map(float, (6 // (2 - number) for number in range(5))):
            done.append(result)
    assert done in ([], [3.0])


def test_no_work_goes_on_once_it_is_closed(ahead: OneAhead) -> None:
    begun, may_end = threading.Event(), threading.Event()
    worked: list[int] = []

    def work(piece: int) -> None:
        if piece == 1:
            begun.set()
            assert may_end.wait(WAIT_S)
        worked.append(piece)

    results = ahead.map(work, range(9))
    next(results)
    assert begun.wait(WAIT_S)
    threading.Timer(0.01, may_end.set).start()
    results.close()
    assert worked == [0, 1]


def test_without_work_there_is_no_thread() -> None:
    before = threading.active_count()
    OneAhead("idle").close()
    assert list(OneAhead("idle").map(double, [])) == []
    assert threading.active_count() == before
