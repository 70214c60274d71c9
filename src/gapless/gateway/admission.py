"""What to do with a batch: journal it, answer with the receipt it has, wait, or refuse it as a fork.

The core of the gateway: no clock, no socket, no file. Its owner calls it from one thread.

For each epoch it holds which seqs are journaled or being journaled, as ranges. The digest of a batch is
held here from its arrival until the index has it; older ones are asked of the index. So memory is in
proportion to gaps and to what is under way, never to what was ever received.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, NamedTuple, Protocol, TypeVar

from gapless.model.errors import Busy
from gapless.model.ranges import RangeSet

#: The identity of a stream and one of its epochs.
EpochKey = tuple[str, str]

#: What the caller wants to be given when another request carries the same batch (see ``InFlight``).
Ticket = TypeVar("Ticket")


class Offer(NamedTuple):
    """A batch that arrived, as far as admission looks at it."""

    key: EpochKey
    first: int
    next: int
    digest: str


class Row(NamedTuple):
    """A batch that the journal holds: what its receipt is made from, again and again."""

    first: int
    next: int
    digest: str
    position: int
    journaled_us: int

    def holds(self, offer: Offer) -> bool:
        """Whether ``offer`` is this very batch (I6: the digest decides, not the identity alone)."""
        return (self.first, self.next, self.digest) == (offer.first, offer.next, offer.digest)


class Index(Protocol):
    """What was journaled before, as far as the index followed."""

    def ranges(self, key: EpochKey) -> RangeSet:
        """The seqs of an epoch that the index holds; the caller may change the set."""

    def lookup(self, key: EpochKey, first: int) -> Row | None:
        """The batch that begins at ``first``."""


class New(NamedTuple):
    """Journal it, then say ``journaled`` or ``failed``."""


class Duplicate(NamedTuple):
    """The journal has it: answer with the receipt of ``row``."""

    row: Row


class InFlight(NamedTuple, Generic[Ticket]):
    """It is being journaled for the request that holds ``ticket``: its outcome is this one's too."""

    ticket: Ticket


class Fork(NamedTuple):
    """Some of its seqs already belong to other bytes. ``text`` says which."""

    text: str


class _UnderWay(NamedTuple, Generic[Ticket]):
    offer: Offer
    ticket: Ticket


class _Epoch(Generic[Ticket]):
    """``held`` is all that is in the index, in ``unindexed`` or under way: each seq in exactly one."""

    __slots__ = ("held", "under_way", "unindexed")

    def __init__(self, held: RangeSet) -> None:
        self.held = held
        self.under_way: dict[int, _UnderWay[Ticket]] = {}
        self.unindexed: dict[int, Row] = {}


class Admission(Generic[Ticket]):
    """The state of every epoch that batches arrive for.

    ``epochs_max`` bounds the epochs held in memory, those with something under way or not yet indexed
    aside; ``under_way_max`` the batches being journaled; ``unindexed_max`` those that the index does not
    have yet.
    """

    def __init__(self, index: Index, *, epochs_max: int, under_way_max: int, unindexed_max: int) -> None:
        self._index = index
        self._epochs_max = epochs_max
        self._under_way_max = under_way_max
        self._unindexed_max = unindexed_max
        self._epochs: OrderedDict[EpochKey, _Epoch[Ticket]] = OrderedDict()
        self._unindexed: deque[tuple[int, EpochKey, int]] = deque()
        self._under_way = 0

    def decide(self, offer: Offer, ticket: Ticket) -> New | Duplicate | InFlight[Ticket] | Fork:
        """What to do with a batch. After ``New`` its seqs are taken until ``journaled`` or ``failed``.

        Raises Busy when too many are under way or not yet indexed, or when the index cannot answer yet.
        """
        epoch = self._epoch(offer.key)
        if not epoch.held.overlap(offer.first, offer.next):
            self._check_room()
            epoch.held.add(offer.first, offer.next)
            epoch.under_way[offer.first] = _UnderWay(offer, ticket)
            self._under_way += 1
            return New()
        under_way = epoch.under_way.get(offer.first)
        if under_way is not None:
            return InFlight(under_way.ticket) if under_way.offer == offer else _fork(offer, under_way.offer)
        row = epoch.unindexed.get(offer.first) or self._index.lookup(offer.key, offer.first)
        if row is None:
            return Fork(
                f"seqs of [{offer.first}, {offer.next}) were received before in batches cut elsewhere: "
                "open a new epoch"
            )
        return Duplicate(row) if row.holds(offer) else _fork(offer, row)

    def journaled(self, offer: Offer, position: int, journaled_us: int) -> Row:
        """A new batch is durable at ``position``. Returns what its receipt is made from."""
        epoch = self._epochs[offer.key]
        del epoch.under_way[offer.first]
        self._under_way -= 1
        row = Row(offer.first, offer.next, offer.digest, position, journaled_us)
        epoch.unindexed[offer.first] = row
        self._unindexed.append((position, offer.key, offer.first))
        return row

    def failed(self, offer: Offer) -> None:
        """A new batch did not become durable: it never was here."""
        epoch = self._epochs[offer.key]
        del epoch.under_way[offer.first]
        self._under_way -= 1
        epoch.held.remove(offer.first, offer.next)

    def indexed(self, position: int) -> None:
        """The index durably holds every batch before ``position``: forget their digests.

        Positions arrive here almost in order; one that is out of it waits for the next call.
        """
        while self._unindexed and self._unindexed[0][0] < position:
            _, key, first = self._unindexed.popleft()
            del self._epochs[key].unindexed[first]

    def _check_room(self) -> None:
        if self._under_way >= self._under_way_max:
            raise Busy("too many batches are being journaled: send it again in a moment")
        if self._under_way + len(self._unindexed) >= self._unindexed_max:
            raise Busy("the gateway's index is behind its journal: send it again in a moment")

    def _epoch(self, key: EpochKey) -> _Epoch[Ticket]:
        epoch = self._epochs.get(key)
        if epoch is None:
            epoch = self._epochs[key] = _Epoch(self._index.ranges(key))
            self._forget_idle()
        self._epochs.move_to_end(key)
        return epoch

    def _forget_idle(self) -> None:
        """Drop the epochs not asked about for longest, if the index knows all there is of them.

        Two looks for each epoch that comes in: so the number comes down again once they are idle.
        """
        for _ in range(2):
            if len(self._epochs) <= self._epochs_max:
                return
            key, oldest = next(iter(self._epochs.items()))
            if oldest.under_way or oldest.unindexed:
                self._epochs.move_to_end(key)
            else:
                del self._epochs[key]


def _fork(offer: Offer, other: Offer | Row) -> Fork:
    return Fork(
        f"[{offer.first}, {offer.next}) with digest {offer.digest[:16]} was received before as "
        f"[{other.first}, {other.next}) with digest {other.digest[:16]}: open a new epoch"
    )
