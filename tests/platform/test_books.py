"""The books on disk: folded once whatever happens, and made again from the journal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from gapless.ledger.audit import audit
from gapless.ledger.ledger import Ledger
from gapless.ledger.states import Allowances
from gapless.log.disk import OsDisk
from gapless.log.reader import LogReader
from gapless.log.segments import LogWriter, Message
from gapless.model.batch import BatchHeader
from gapless.model.entry import BatchEntry, Kind
from gapless.model.errors import Unavailable
from gapless.model.stream import EpochOpen, StreamKey
from gapless.platform.books import Bookkeeper, read_ledger

SECOND = 1_000_000
STREAM = StreamKey("contoso", "SigninLogs", "host-7", "entra")
EPOCH = "1" * 32


@dataclass
class FakePosting:
    id: int
    first: int
    next: int
    until: int
    account: str = "stored"
    stream: str = STREAM.id
    epoch: str = EPOCH


class Platform:
    """A real journal, and postings as a lake would give them."""

    def __init__(self, root: Path) -> None:
        self.directory = str(root / "ledger")
        self.journal = LogWriter(OsDisk(), str(root / "journal"), segment_bytes_max=4096)
        self.reader = LogReader(OsDisk(), str(root / "journal"))
        self.postings: list[FakePosting] = []

    def journaled(self, first: int, next_: int) -> None:
        header = BatchHeader(
            stream=STREAM,
            opened=EpochOpen(EPOCH),
            first=first,
            next=next_,
            digest="0" * 64,
            raw_bytes=next_ - first,
            read_from_us=SECOND,
            read_to_us=SECOND,
        )
        self.journal.append(
            [Message(Kind.BATCH, msgspec.json.encode(BatchEntry(header, SECOND)), b"payload")]
        )
        self.journal.sync()

    def stored(self, first: int, next_: int) -> None:
        self.postings.append(FakePosting(len(self.postings) + 1, first, next_, self.journal.end))

    def after(self, id_: int, limit: int) -> list[FakePosting]:
        return [posting for posting in self.postings if posting.id > id_][:limit]

    def bookkeeper(self) -> Bookkeeper:
        return Bookkeeper(self.directory, self.reader, self.after, postings_max=3)


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path)


def totals(ledger: Ledger) -> tuple[int, int, int]:
    counts = audit(ledger, 2 * SECOND, allowed=Allowances()).totals
    return counts.journaled, counts.stored, counts.duplicates


def drain(keeper: Bookkeeper) -> None:
    while keeper.step(2 * SECOND):
        pass


def test_readers_see_what_was_folded_and_a_restart_folds_nothing_twice(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    for first in range(0, 100, 10):
        platform.journaled(first, first + 10)
        platform.stored(first, first + 10)
    drain(keeper)
    assert totals(read_ledger(platform.directory)) == (100, 100, 0)
    keeper.close()
    again = platform.bookkeeper()
    assert again.step(2 * SECOND) == 0
    assert totals(again.ledger) == (100, 100, 0)


def test_books_that_were_thrown_away_are_made_again(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    for first in range(0, 50, 10):
        platform.journaled(first, first + 10)
        platform.stored(first, first + 10)
    drain(keeper)
    keeper.close()
    for path in Path(platform.directory).iterdir():
        path.unlink()
    again = platform.bookkeeper()
    drain(again)
    assert totals(again.ledger) == (50, 50, 0)


def test_a_posting_waits_for_the_journal_entries_it_speaks_of(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    platform.postings.append(FakePosting(1, 0, 10, until=10**6))
    platform.journaled(0, 10)
    drain(keeper)
    assert totals(keeper.ledger) == (10, 0, 0)
    platform.postings[0].until = platform.journal.end
    drain(keeper)
    assert totals(keeper.ledger) == (10, 10, 0)


def test_what_could_not_be_kept_is_folded_again_once(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = platform.bookkeeper()
    platform.journaled(0, 10)
    real = keeper._commit

    def fail(*args: object) -> None:
        raise sa.exc.OperationalError("commit", None, OSError("the disk is full"))

    monkeypatch.setattr(keeper, "_commit", fail)
    with pytest.raises(Unavailable):
        keeper.step(2 * SECOND)
    monkeypatch.setattr(keeper, "_commit", real)
    drain(keeper)
    assert totals(keeper.ledger) == (10, 0, 0), "no duplicates: it was folded once"


def test_since_when_a_seq_is_suspect_outlives_a_restart(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    platform.journaled(0, 10)
    platform.journaled(20, 30)
    drain(keeper)
    keeper.close()
    report = audit(read_ledger(platform.directory), 8 * SECOND, allowed=Allowances())
    assert report.totals.missing == 10


def test_no_books_yet_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        read_ledger(str(tmp_path))
