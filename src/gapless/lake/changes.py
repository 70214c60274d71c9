"""What changes in the catalogue together: put together by a step, committed as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gapless.lake.facts import Account, Damaged, DataFile, EpochKey, Notice
from gapless.lake.holdings import EpochName, Ranges, count
from gapless.model.errors import Corrupt
from gapless.model.ranges import Range


@dataclass(frozen=True, slots=True)
class NewFile(DataFile):
    """A file that is not yet part of its table, and the records that it holds. Its path is relative."""

    holds: Mapping[EpochName, Ranges]


class NewPosting(NamedTuple):
    """A posting to be; fields as in ``Posting``."""

    key: EpochKey
    account: Account
    first: int
    next: int
    position: int
    until: int


#: What a posting of a step says of its files: that they hold the records, that they do not, or, of what was
#: stored by the posting before it, not any more.
_IN_FILES = {"stored": 1, "quarantined": 1, "filtered": 0, "expired": -1}


@dataclass(slots=True)
class StepCommit:
    """All that one step changes. Journal entries ``[position, until)`` are dealt with; the batches of its
    files stand within ``span``, which is the same where it is not given."""

    position: int
    until: int
    span: Range = (0, 0)
    files: list[NewFile] = field(default_factory=list)
    postings: list[NewPosting] = field(default_factory=list)
    duplicates: Counter[EpochKey] = field(default_factory=Counter)
    notices: list[Notice] = field(default_factory=list)
    _last: dict[tuple[EpochKey, Account], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.span == (0, 0):
            self.span = self.position, self.until

    def post(self, posting: NewPosting) -> None:
        """Add a posting; one that continues the last of its epoch and account becomes part of it."""
        kind = posting.key, posting.account
        at = self._last.get(kind)
        if at is not None and self.postings[at].next == posting.first:
            self.postings[at] = self.postings[at]._replace(next=posting.next, until=posting.until)
        else:
            self._last[kind] = len(self.postings)
            self.postings.append(posting)

    def check(self) -> None:
        """Raises Corrupt unless the files hold exactly the records that the postings speak of (I3): all but
        those that a rule keeps out."""
        held = sum(file.records for file in self.files)
        named = sum(count(file.holds.values()) for file in self.files)
        posted = sum(_IN_FILES[each.account] * (each.next - each.first) for each in self.postings)
        if not held == named == posted:
            raise Corrupt(
                f"{held} records were written, {named} named and {posted} posted: stop the lake and "
                "report this"
            )


class Mended(NamedTuple):
    """How far a step came with what a damaged file held: the journal was searched before ``position``. At the
    end of it ``lost``, by id of epoch, is what is nowhere; None before the end."""

    damaged: Damaged
    position: int
    lost: Mapping[int, Ranges] | None
