"""What changes in the catalogue together: put together by a step, committed as one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from gapless.lake.catalog import Account, Notice
from gapless.model.errors import Corrupt


class EpochKey(NamedTuple):
    """An epoch of a stream, and whose it is."""

    tenant: str
    table: str
    stream: str
    epoch: str


class NewFile(NamedTuple):
    """A file that is durable and not yet part of a table; fields as in ``FileRow``, path relative."""

    tenant: str
    table: str
    day: str
    path: str
    rows: int
    records: int
    bytes: int
    min_us: int
    max_us: int
    received_us: int


class NewPosting(NamedTuple):
    """A posting to be; fields as in ``Posting``."""

    key: EpochKey
    account: Account
    first: int
    next: int
    position: int
    until: int


@dataclass(slots=True)
class StepCommit:
    """All that one step changes. Journal entries ``[position, until)`` are dealt with."""

    position: int
    until: int
    files: list[NewFile] = field(default_factory=list)
    postings: list[NewPosting] = field(default_factory=list)
    duplicates: Counter[EpochKey] = field(default_factory=Counter)
    notices: list[Notice] = field(default_factory=list)
    _last: dict[tuple[EpochKey, Account], int] = field(default_factory=dict)

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
        """Raises Corrupt unless the files hold exactly the records that the postings speak of (I3)."""
        held = sum(file.records for file in self.files)
        posted = sum(posting.next - posting.first for posting in self.postings)
        if held != posted:
            raise Corrupt(f"{held} records were written and {posted} posted: stop the lake and report this")
