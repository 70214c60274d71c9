"""Range sets against a set of integers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapless.model.ranges import Range, RangeSet, union

END = 40
RANGES = st.tuples(st.integers(0, END), st.integers(0, END)).map(lambda pair: (min(pair), max(pair)))
CHANGES = st.lists(st.tuples(st.sampled_from(["add", "add", "remove"]), RANGES), max_size=30)


def members(ranges: RangeSet | list[Range]) -> set[int]:
    return {seq for first, next_ in ranges for seq in range(first, next_)}


def check_form(ranges: RangeSet) -> None:
    """Sorted, disjoint, not even adjacent, none empty; counted twice with one result (I14)."""
    flat = [bound for each in ranges for bound in each]
    assert flat == sorted(set(flat))
    assert ranges.total == ranges.counted_anew() == len(members(ranges))
    assert len(ranges) == len(list(ranges))
    assert bool(ranges) == (ranges.total > 0)


def built(changes: list[tuple[str, Range]]) -> tuple[RangeSet, set[int]]:
    ranges, oracle = RangeSet(), set[int]()
    for change, (first, next_) in changes:
        these = set(range(first, next_))
        if change == "add":
            assert ranges.add(first, next_) == len(these - oracle)
            oracle |= these
        else:
            assert ranges.remove(first, next_) == len(these & oracle)
            oracle -= these
        check_form(ranges)
        assert members(ranges) == oracle
    return ranges, oracle


@given(changes=CHANGES, asked=RANGES)
def test_every_question(changes: list[tuple[str, Range]], asked: Range) -> None:
    ranges, oracle = built(changes)
    first, next_ = asked
    these = set(range(first, next_))
    assert ranges.prefix() == next(seq for seq in range(END + 2) if seq not in oracle)
    assert ranges.end() == max(oracle, default=-1) + 1
    assert ranges.covers(first, next_) == (these <= oracle)
    assert (first in ranges) == (first in oracle)
    overlap, holes = ranges.overlap(first, next_), ranges.holes(first, next_)
    for parts, expected in ((overlap, these & oracle), (holes, these - oracle)):
        check_form(RangeSet(parts))
        assert list(RangeSet(parts)) == parts, "in order, merged, none empty"
        assert members(parts) == expected


@given(changes=CHANGES, more=st.lists(RANGES, max_size=10))
def test_sets_of_ranges_together(changes: list[tuple[str, Range]], more: list[Range]) -> None:
    ranges, oracle = built(changes)
    other = RangeSet(more)
    check_form(other)
    assert members(other) == members(more)
    both = union([ranges, other])
    check_form(both)
    assert members(both) == oracle | members(more)
    twin = ranges.copy()
    assert twin == ranges
    assert twin.update(other) == len(members(more) - oracle)
    check_form(twin)
    assert twin == both == RangeSet(reversed(list(both)))
    assert members(ranges) == oracle, "a copy shares nothing"
    assert (twin == ranges) == (members(more) <= oracle)


@given(changes=CHANGES)
def test_what_is_removed_and_put_back(changes: list[tuple[str, Range]]) -> None:
    ranges, _ = built(changes)
    twin = ranges.copy()
    for first, next_ in list(ranges):
        assert twin.remove(first, next_) == next_ - first
    assert (list(twin), twin.total, twin.prefix(), twin.end()) == ([], 0, 0, 0)
    twin.update(ranges)
    assert twin == ranges


@pytest.mark.parametrize(("first", "next_"), [(-1, 3), (-2, -1), (5, 4)])
def test_what_is_no_range_is_refused(first: int, next_: int) -> None:
    ranges = RangeSet([(0, 3)])
    with pytest.raises(ValueError, match="not a range"):
        ranges.add(first, next_)
    assert list(ranges) == [(0, 3)]


def test_questions_about_nothing() -> None:
    ranges = RangeSet([(2, 4)])
    for first, next_ in [(3, 3), (9, 9), (4, 2)]:
        assert ranges.remove(first, next_) == 0
        assert ranges.covers(first, next_)
        assert ranges.overlap(first, next_) == ranges.holes(first, next_) == []
    assert ranges == RangeSet([(2, 3), (3, 4)])


def test_the_cost_is_in_the_holes_not_in_the_records() -> None:
    ranges = RangeSet()
    for first in range(0, 10**15, 10**12):
        ranges.add(first, first + 10**12)
    assert (len(ranges), ranges.total) == (1, 10**15)


def test_equality_is_of_members_and_a_set_cannot_be_hashed() -> None:
    assert RangeSet([(0, 1)]) != [(0, 1)]
    assert repr(RangeSet([(0, 1), (4, 5)])) == "RangeSet([(0, 1), (4, 5)])"
    with pytest.raises(TypeError):
        hash(RangeSet())
