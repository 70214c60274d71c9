"""Folded postings say the same, in fewer rows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.lake.balance import imbalances
from gapless.lake.changes import NewFile, NewPosting, StepCommit
from gapless.lake.commits import CatalogWriter
from gapless.lake.facts import Account, EpochKey, Posting
from gapless.lake.fold import fold_postings
from gapless.model.ranges import RangeSet

EPOCHS = [EpochKey("contoso", "App_CL", stream * 32, "e" * 32) for stream in "ab"]


def commit(catalog: CatalogWriter, key: EpochKey, account: Account, first: int, next_: int) -> None:
    position = catalog.position()
    step = StepCommit(position, position + 10)
    step.post(NewPosting(key, account, first, next_, position, position + 10))
    path = f"tables/contoso/App_CL/{position}.parquet"
    holds = {key[2:]: np.array([(first, next_)])}
    step.files.append(
        NewFile("contoso", "App_CL", f"{first}", path, 1, next_ - first, 9, 5, 7, position, "", holds)
    )
    catalog.commit_step(step, position + 1)


def ranges_by(postings: Iterable[Posting]) -> dict[tuple[str, str], RangeSet]:
    """By stream and account; fails if a record is told twice, or expires before it is stored."""
    ranges: dict[tuple[str, str], RangeSet] = {}
    for posting in postings:
        length = posting.next - posting.first
        assert ranges.setdefault((posting.stream, posting.account), RangeSet()).add(*posting[4:6]) == length
        if posting.account == "expired":
            held = [
                ranges.get((posting.stream, account), RangeSet()) for account in ("stored", "quarantined")
            ]
            told = sum(b - a for each in held for a, b in each.overlap(posting.first, posting.next))
            assert told == length
    return ranges


def test_a_stream_without_gaps_has_one_posting_in_the_end() -> None:
    with tempfile.TemporaryDirectory() as root:
        catalog = CatalogWriter(root)
        for first in range(0, 60, 3):
            commit(catalog, EPOCHS[0], "stored", first, first + 3)
        base = catalog.postings_after(0, 1)[0].id - 1
        assert fold_postings(catalog, base + 7) == 7
        assert [each[4:6] for each in catalog.postings_after(0, 2)] == [(0, 21), (21, 24)]
        assert [each.first for each in catalog.postings_after(base + 7, 99)] == list(range(21, 60, 3))
        assert fold_postings(catalog, base + 7) == 0
        while fold_postings(catalog, base + 20, limit=2):
            pass
        (posting,) = catalog.postings_after(0, 99)
        assert posting[3:] == ("stored", 0, 60, 191, 0, 200)
        assert imbalances(catalog) == []


moves = st.lists(
    st.tuples(
        st.sampled_from(EPOCHS), st.integers(0, 11), st.sampled_from(["stored", "stored", "quarantined"])
    ),
    max_size=24,
    unique_by=lambda move: (move[0], move[1]),
)


@settings(max_examples=20, deadline=None)
@given(moves, st.data())
def test_whatever_is_folded_when_readers_are_told_the_same(
    made: list[tuple[EpochKey, int, Account]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as root:
        catalog = CatalogWriter(root)
        told: list[Posting] = []  # to a reader that goes on from the last id it saw
        for key, place, account in made:
            commit(catalog, key, account, 2 * place, 2 * place + 2)
            act = data.draw(st.sampled_from(["", "", "expire", "fold"]))
            files = catalog.files("contoso", "App_CL")
            if act == "expire" and files:
                file = data.draw(st.sampled_from(files))
                catalog.expire([file], catalog.position())
            told += catalog.postings_after(told[-1].id if told else 0, 99)
            if act == "fold" and told:
                fold_postings(catalog, told[-1].id, limit=data.draw(st.integers(1, 9)))
        expected = ranges_by(told)
        last = told[-1].id if told else 0
        while fold_postings(catalog, last, limit=3):
            pass
        again = catalog.postings_after(0, 999)
        assert ranges_by(again) == expected
        assert len(again) == sum(len(ranges) for ranges in expected.values())
        assert imbalances(catalog) == []
        catalog.close()
