"""What an act comes to: the generator's ids against the rows of the tables, and the losses in the books.

No counter of the product's is believed: rows are known by the ids in their records. A loss may be declared
of a record that arrives after all (it was sent, and the receipt was not seen any more): the books must then
count it as stored, and no longer as lost.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from gapless.drills.platform_client import StoredRow
from gapless.drills.workload import LogKey


class Losses(NamedTuple):
    """What the books say of one epoch of a log: the seqs that were ever declared lost, and how many of
    them still are."""

    declared: frozenset[int]
    still_lost: int


class Tally(NamedTuple):
    """One log, counted. ``stored`` are distinct records, ``duplicates`` the rows beyond those;
    ``declared_lost`` are seqs declared lost that no row has.

    ``exact``: the seqs of the stored rows and those declared lost are together every seq from 0 on of each
    epoch, as many as records were emitted; and the books call lost what no row has, no more and no less.
    """

    log: LogKey
    emitted: int
    stored: int
    declared_lost: int
    duplicates: int
    exact: bool

    @property
    def missing(self) -> int:
        """Records that are neither stored nor declared lost."""
        return self.emitted - self.stored - self.declared_lost


def losses(audit: Mapping[str, Any]) -> dict[LogKey, dict[str, Losses]]:
    """The losses in the JSON of an audit, by log and epoch."""
    found: dict[LogKey, dict[str, Losses]] = defaultdict(dict)
    for row in audit["streams"]:
        ranges = [range(first, next_) for loss in row["losses"] for first, next_ in loss["ranges"]]
        log = LogKey(row["tenant"], row["source"], row["table"])
        found[log][row["epoch"]] = Losses(frozenset(chain.from_iterable(ranges)), row["lost"])
    return found


def tally(
    log: LogKey, emitted: Sequence[str], rows: Iterable[StoredRow], lost: Mapping[str, Losses]
) -> Tally:
    """Count one log; rows with ids of other logs are left out."""
    wanted = set(emitted)
    counts = Counter[str]()
    stored: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        if row.id in wanted:
            counts[row.id] += 1
            stored[row.epoch].add(row.seq)
    gone = {epoch: losses.declared - stored[epoch] for epoch, losses in lost.items()}
    seqs = {epoch: kept | gone.get(epoch, frozenset()) for epoch, kept in stored.items()}
    return Tally(
        log=log,
        emitted=len(wanted),
        stored=len(counts),
        declared_lost=sum(map(len, gone.values())),
        duplicates=counts.total() - len(counts),
        exact=all(each == set(range(len(each))) for each in seqs.values())
        and sum(map(len, seqs.values())) == len(wanted)
        and all(len(gone[epoch]) == losses.still_lost for epoch, losses in lost.items()),
    )
