"""Admission against a model that simply remembers everything."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gapless.gateway.admission import Admission, Duplicate, EpochKey, Fork, InFlight, New, Offer, Row
from gapless.model.errors import Busy
from gapless.model.ranges import RangeSet

EPOCHS_MAX = 2
UNDER_WAY_MAX = 3
UNINDEXED_MAX = 5

KEYS = [("stream", "e1"), ("stream", "e2"), ("other", "e1")]


class ListIndex:
    """The index as a list of the batches it has."""

    def __init__(self) -> None:
        self.rows: list[tuple[EpochKey, Row]] = []

    def ranges(self, key: EpochKey) -> RangeSet:
        return RangeSet((row.first, row.next) for k, row in self.rows if k == key)

    def lookup(self, key: EpochKey, first: int) -> Row | None:
        return next((row for k, row in self.rows if k == key and row.first == first), None)


def new_admission(index: ListIndex) -> Admission[int]:
    return Admission(index, epochs_max=EPOCHS_MAX, under_way_max=UNDER_WAY_MAX, unindexed_max=UNINDEXED_MAX)


def overlap(offer: Offer, first: int, next_: int) -> bool:
    return offer.first < next_ and first < offer.next


class AdmissionMachine(RuleBasedStateMachine):
    """Batches come in any order, twice, cut elsewhere, with other bytes; some fail; the index follows
    when it likes; the process restarts. ``journal`` is what was made durable, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.index = ListIndex()
        self.admission = new_admission(self.index)
        self.journal: list[tuple[EpochKey, Row]] = []
        self.under_way: dict[Offer, int] = {}
        self.tickets = 0

    @rule(
        key=st.sampled_from(KEYS),
        first=st.integers(0, 6),
        count=st.integers(1, 3),
        digest=st.sampled_from("ab"),
    )
    def offer(self, key: EpochKey, first: int, count: int, digest: str) -> None:
        offer = Offer(key, first, first + count, digest)
        self.tickets += 1
        journaled = [row for k, row in self.journal if k == key and overlap(offer, row.first, row.next)]
        taken = [o for o in self.under_way if o.key == key and overlap(offer, o.first, o.next)]
        full = (
            len(self.under_way) >= UNDER_WAY_MAX
            or len(self.under_way) + len(self.journal) - len(self.index.rows) >= UNINDEXED_MAX
        )
        if not journaled and not taken and full:
            with pytest.raises(Busy):
                self.admission.decide(offer, self.tickets)
            return
        decision = self.admission.decide(offer, self.tickets)
        if [row for row in journaled if row[:3] == offer[1:]]:
            assert decision == Duplicate(journaled[0])
        elif offer in self.under_way:
            assert decision == InFlight(self.under_way[offer])
        elif journaled or taken:
            assert isinstance(decision, Fork)
        else:
            assert decision == New()
            self.under_way[offer] = self.tickets

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def journaled(self, data: st.DataObject) -> None:
        offer = data.draw(st.sampled_from(sorted(self.under_way)))
        del self.under_way[offer]
        position = 100 * (1 + len(self.journal))
        row = self.admission.journaled(offer, position, journaled_us=position + 1)
        assert row == Row(offer.first, offer.next, offer.digest, position, position + 1)
        self.journal.append((offer.key, row))

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def failed(self, data: st.DataObject) -> None:
        offer = data.draw(st.sampled_from(sorted(self.under_way)))
        del self.under_way[offer]
        self.admission.failed(offer)

    @rule(steps=st.integers(1, 3))
    def index_follows(self, steps: int) -> None:
        self.index.rows = self.journal[: len(self.index.rows) + steps]
        if self.index.rows:
            self.admission.indexed(self.index.rows[-1][1].position + 100)  # where the next one stands

    @rule()
    def restart(self) -> None:
        """What was under way was told to nobody; the index catches up before anything is asked."""
        self.under_way = {}
        self.index.rows = self.journal[:]
        self.admission = new_admission(self.index)

    @invariant()
    def no_seq_is_journaled_twice(self) -> None:
        for key in KEYS:
            rows = [row for k, row in self.journal if k == key]
            assert RangeSet((r.first, r.next) for r in rows).total == sum(r.next - r.first for r in rows)

    @invariant()
    def memory_is_bounded(self) -> None:
        epochs = self.admission._epochs.values()
        idle = [e for e in epochs if not e.under_way and not e.unindexed]
        assert len(idle) <= EPOCHS_MAX + 1
        assert sum(len(e.unindexed) for e in epochs) == len(self.journal) - len(self.index.rows)


AdmissionMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAdmission = AdmissionMachine.TestCase


def test_a_batch_out_of_order_with_the_index_is_forgotten_a_call_later() -> None:
    index = ListIndex()
    admission = new_admission(index)
    first, second = Offer(KEYS[0], 0, 1, "a"), Offer(KEYS[0], 1, 2, "a")
    for offer in (first, second):
        assert admission.decide(offer, 0) == New()
    rows = [admission.journaled(second, 200, 1), admission.journaled(first, 100, 1)]
    admission.indexed(150)  # 100 stands behind 200: it waits
    assert admission.decide(first, 0) == Duplicate(rows[1])
    index.rows = [(KEYS[0], row) for row in rows]
    admission.indexed(300)
    assert not admission._unindexed
    assert admission.decide(first, 0) == Duplicate(rows[1])
