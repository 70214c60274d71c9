"""Sets of sequence numbers as disjoint half-open ranges: the arithmetic of the books.

Memory and work are in proportion to the number of holes, never to the number of records: adding a range
that continues the last one touches one number.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]


class RangeSet:
    """A mutable set of integers >= 0, kept as sorted, disjoint, non-adjacent ranges ``[first, next)``.

    Two parallel lists, so that bisection works on plain integers. ``total`` is kept up to date with each
    change, independently of the ranges, as the second measure of invariant I14.
    """

    __slots__ = ("_firsts", "_nexts", "total")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._firsts: list[int] = []
        self._nexts: list[int] = []
        self.total = 0
        for first, next_ in ranges:
            self.add(first, next_)

    def add(self, first: int, next_: int) -> int:
        """Add ``[first, next_)``; return how many of its members are new. An empty range adds nothing.

        Raises ValueError for a range that is negative or ends before it begins.
        """
        if first < 0 or next_ < first:
            raise ValueError(f"not a range of sequence numbers: [{first}, {next_})")
        if first == next_:
            return 0
        firsts, nexts = self._firsts, self._nexts
        if nexts and nexts[-1] == first:  # the common case: the stream goes on
            nexts[-1] = next_
            self.total += next_ - first
            return next_ - first
        # The ranges touched are those that end at or after `first` and begin at or before `next_`.
        low = bisect_left(nexts, first)
        high = bisect_right(firsts, next_)
        if low == high:
            firsts.insert(low, first)
            nexts.insert(low, next_)
            self.total += next_ - first
            return next_ - first
        held = sum(nexts[i] - firsts[i] for i in range(low, high))
        merged_first, merged_next = min(first, firsts[low]), max(next_, nexts[high - 1])
        firsts[low:high] = [merged_first]
        nexts[low:high] = [merged_next]
        added = (merged_next - merged_first) - held
        self.total += added
        return added

    def remove(self, first: int, next_: int) -> int:
        """Remove ``[first, next_)``; return how many members went."""
        if first >= next_:
            return 0
        firsts, nexts = self._firsts, self._nexts
        low = bisect_right(nexts, first)
        high = bisect_left(firsts, next_)
        if low >= high:
            return 0
        kept: list[Range] = []
        if firsts[low] < first:
            kept.append((firsts[low], first))
        if nexts[high - 1] > next_:
            kept.append((next_, nexts[high - 1]))
        before = sum(nexts[i] - firsts[i] for i in range(low, high))
        firsts[low:high] = [f for f, _ in kept]
        nexts[low:high] = [n for _, n in kept]
        removed = before - sum(n - f for f, n in kept)
        self.total -= removed
        return removed

    def update(self, other: Iterable[Range]) -> int:
        """Add every range of ``other``; return how many members are new."""
        return sum([self.add(first, next_) for first, next_ in other])

    def prefix(self) -> int:
        """The smallest number not held: everything in ``[0, prefix)`` is."""
        return self._nexts[0] if self._firsts and self._firsts[0] == 0 else 0

    def end(self) -> int:
        """One past the largest member; 0 when empty."""
        return self._nexts[-1] if self._nexts else 0

    def covers(self, first: int, next_: int) -> bool:
        """Whether all of ``[first, next_)`` is held."""
        if first >= next_:
            return True
        i = bisect_right(self._firsts, first) - 1
        return i >= 0 and self._nexts[i] >= next_

    def overlap(self, first: int, next_: int) -> list[Range]:
        """The parts of ``[first, next_)`` that are held."""
        if first >= next_:
            return []
        firsts, nexts = self._firsts, self._nexts
        low = bisect_right(nexts, first)
        high = bisect_left(firsts, next_)
        return [(max(first, firsts[i]), min(next_, nexts[i])) for i in range(low, high)]

    def holes(self, first: int, next_: int) -> list[Range]:
        """The parts of ``[first, next_)`` that are not held."""
        holes: list[Range] = []
        at = first
        for held_first, held_next in self.overlap(first, next_):
            if held_first > at:
                holes.append((at, held_first))
            at = held_next
        if at < next_:
            holes.append((at, next_))
        return holes

    def __iter__(self) -> Iterator[Range]:
        return zip(self._firsts, self._nexts, strict=True)

    def __len__(self) -> int:
        """How many disjoint ranges there are (not how many members: that is ``total``)."""
        return len(self._firsts)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __contains__(self, seq: int) -> bool:
        return self.covers(seq, seq + 1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        return self._firsts == other._firsts and self._nexts == other._nexts

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"RangeSet({list(self)})"

    def copy(self) -> RangeSet:
        twin = RangeSet()
        twin._firsts, twin._nexts, twin.total = self._firsts[:], self._nexts[:], self.total
        return twin

    def counted_anew(self) -> int:
        """The number of members, summed from the ranges: must equal ``total`` (I14)."""
        return sum(self._nexts) - sum(self._firsts)


def union(sets: Iterable[RangeSet]) -> RangeSet:
    """A new set that holds what any of ``sets`` holds."""
    result = RangeSet()
    for each in sets:
        result.update(each)
    return result
