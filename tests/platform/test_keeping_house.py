"""Journal, lake and ledger on a real disk, while everything happens to them that the simulated pipeline
leaves out: compaction, expiry, damaged files, lost databases, a journal that drops what is old. In whatever
order it comes, each record comes to rest in one account, the files hold what the books say, and nothing is
lost that the journal or the lake still has.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import msgspec
from auditor_rig import messages
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gapless.lake.catalog import Catalog
from gapless.lake.catalog_schema import CATALOG_NAME
from gapless.lake.lake import LakeSettings
from gapless.lake.limits import CheckLimits, CompactionLimits
from gapless.ledger.audit import audit
from gapless.ledger.states import Allowances
from gapless.log.disk import OsDisk
from gapless.log.frame import Frame
from gapless.log.layout import segment_bases, segment_path
from gapless.log.reader import LogReader
from gapless.log.segments import LogWriter, Message
from gapless.model.claim import Loss
from gapless.model.entry import Kind, LossEntry
from gapless.model.errors import Unavailable
from gapless.model.finding import LASTING, Finding
from gapless.model.tables import QUARANTINE
from gapless.platform.auditor_damage import remove_database
from gapless.platform.auditor_reader import BooksReader
from gapless.platform.auditor_store import FILE, LedgerStore
from gapless.platform.books import Bookkeeper
from gapless.platform.journal_retention import drop_due
from lake.lake_harness import (
    DAY_US,
    NOW_US,
    Crash,
    World,
    batch,
    check_lake,
    crashing_catalog,
    identities,
    read,
    record,
    stream_of,
)

TABLE = "App_CL"
TENANTS = ("contoso", "fabrikam")
STREAMS = tuple(stream_of(tenant, TABLE) for tenant in TENANTS)
SETTINGS = LakeSettings(
    compaction=CompactionLimits(fresh_files_max=2, settle_s=0, look_s=0),
    checks=CheckLimits(look_s=0, sweep_s=0, bytes_per_s=1 << 40),
    unlink_grace_s=0,
)
RECORDS = 3  # of a batch
STEPS_MAX = 200
QUIET = 3  # looks in a row that find nothing: a sweep of all files takes two
OF_AGENTS = {"agent_silent", "stream_dead", "claims_down"}  # there are none here
ACCOUNTS = ("journaled", "stored", "quarantined", "expired", "lost", "settled")

Seqs = set[tuple[str, int]]  # by the identities of their streams


class House(World):
    """See the module. Each thing that happens takes a number, which it is free to make use of.

    ``sent`` are all records, ``bad`` those that cannot be parsed, ``unreadable`` those whose bytes were
    damaged in the journal.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.journal.close()
        self.journal = LogWriter(OsDisk(), self.journal_directory, segment_bytes_max=1)  # one for each entry
        self.now_us = NOW_US
        self.sent, self.bad, self.unreadable = Seqs(), Seqs(), Seqs()
        self.told: list[Finding] = []
        self._sheltered = Seqs()  # what the lake had when it was damaged in the journal
        self._harmed = False  # the lake was
        self._ledger = root / "ledger"
        self._batches: dict[int, Seqs] = {}  # by their positions in the journal
        self._open()

    def _open(self) -> None:
        # What tells a catalogue from one that takes its place is the second in which it was made.
        with patch("gapless.lake.commits.time.time", lambda: self.now_us / 1e6):
            self.lake = self.open(SETTINGS)
        reader = LogReader(OsDisk(), self.journal_directory)
        self._books = Bookkeeper(LedgerStore(str(self._ledger)), reader, Catalog(self.root), postings_max=3)

    def close(self) -> None:
        self.lake.close()
        self._books.close()

    def restart(self, _: int) -> None:
        self.close()
        self._open()

    # -- the journal ------------------------------------------------------------------------------------

    def send(self, at: int) -> None:
        """A batch; in every third is a record that cannot be parsed."""
        stream = STREAMS[at % len(STREAMS)]
        first = sum(each == stream.id for each, _ in self.sent)
        lines = [record(n) for n in range(first, first + RECORDS)]
        if first // RECORDS % 3 == 1:
            lines[1] = b"\xff"
            self.bad.add((stream.id, first + 1))
        (position,) = self.append(batch(lines, first=first, stream=stream, at_us=self.now_us))
        self._batches[position] = {(stream.id, n) for n in range(first, first + RECORDS)}
        self.sent |= self._batches[position]

    def send_again(self, at: int) -> None:
        if readable := self._readable():
            frame = readable[at % len(readable)]
            (position,) = self.append(Message(Kind.BATCH, frame.meta, bytes(frame.body)))
            self._batches[position] = self._batches[frame.position]

    def damage_journal(self, at: int) -> None:
        if readable := self._readable():
            frame = readable[at % len(readable)]
            base = max(
                base for base in segment_bases(OsDisk(), self.journal_directory) if base <= frame.position
            )
            with open(segment_path(self.journal_directory, base), "r+b") as file:
                file.seek(frame.next_position - base - 2)
                file.write(bytes(byte ^ 1 for byte in frame.body[-2:]))
            self.unreadable |= self._batches[frame.position]
            if not self._harmed:
                self._sheltered |= self._rows(TABLE) | self._rows(QUARANTINE.name)

    def drop(self, _: int) -> None:
        drop_due(OsDisk(), self.journal_directory, self.lake.catalog, self.now_us)

    # -- the lake ---------------------------------------------------------------------------------------

    def step(self, _: int) -> bool:
        return self.lake.step(self.now_us).entries > 0

    def mend(self, _: int) -> bool:
        return self.lake.mend(self.now_us) is not None

    def check(self, _: int) -> bool:
        return self.lake.check(self.now_us).damaged > 0

    def compact(self, _: int) -> bool:
        return self.lake.compact_one(self.now_us) is not None

    def expire(self, _: int) -> bool:
        return self.lake.expire(self.now_us).files > 0

    def sweep(self, _: int) -> None:
        self.lake.sweep(self.now_us)

    def fold(self, _: int) -> None:
        books = BooksReader(str(self._ledger))
        self.lake.fold_postings(books.posting())
        books.close()

    def crash(self, at: int) -> None:
        """The lake's process ends at a statement to its catalogue."""
        doing = (self.step, self.mend, self.check, self.compact, self.expire, self.fold)[at % 6]
        with crashing_catalog(self.lake, at // 6):
            try:
                doing(at)
            except Crash:
                pass
        self.restart(at)

    def delete_file(self, at: int) -> None:
        if files := sorted(self.files_on_disk()):
            Path(files[at % len(files)]).unlink()
            self._harmed = True

    def alter_file(self, at: int) -> None:
        if files := sorted(self.files_on_disk()):
            path = Path(files[at % len(files)])
            content = bytearray(path.read_bytes())
            content[at % len(content)] ^= 0x10
            path.write_bytes(content)
            self._harmed = True

    def lose_catalog(self, at: int) -> None:
        self.lake.close()
        remove_database(Path(self.root, CATALOG_NAME))
        self._harmed = True
        self.now_us += 1_000_000
        self.restart(at)

    # -- the ledger -------------------------------------------------------------------------------------

    def keep_books(self, _: int) -> bool:
        try:
            return self._books.step(self.now_us) > 0
        except Unavailable:  # it is to be called again
            return True

    def post(self, _: int) -> bool:
        """What the ledger tells gets into the journal, as the gateway would put it there."""
        losses, findings = (messages(str(self._ledger), kind) for kind in ("loss", "finding"))
        for message in losses:
            loss = LossEntry(msgspec.json.decode(message, type=Loss), "the platform")
            self.append(Message(Kind.LOSS, msgspec.json.encode(loss)))
        for message in findings:
            self.told.append(msgspec.json.decode(message, type=Finding))
            self.append(Message(Kind.FINDING, message))
        return bool(losses or findings)

    def lose_books(self, at: int) -> None:
        self._books.close()
        remove_database(self._ledger / FILE)
        self.restart(at)

    def back_up_books(self, at: int) -> None:
        self.restart(at)
        shutil.copy(self._ledger / FILE, self._ledger / "backup")

    def restore_books(self, at: int) -> None:
        if (self._ledger / "backup").exists():
            self._books.close()
            remove_database(self._ledger / FILE)
            shutil.copy(self._ledger / "backup", self._ledger / FILE)
            self.restart(at)

    # -- what must hold ---------------------------------------------------------------------------------

    def pass_time(self, at: int) -> None:
        self.now_us += (1_000_000, 3_600_000_000, 90 * DAY_US, 181 * DAY_US)[at % 4]

    def settle(self) -> None:
        """All is done that there is to do."""
        everything = (self.step, self.check, self.mend, self.compact, self.keep_books, self.post)
        quiet = 0
        for _ in range(STEPS_MAX):
            self.now_us += 1_000_000
            found = [do(0) for do in everything]
            quiet = 0 if any(found) else quiet + 1
            if quiet == QUIET:
                return
        raise AssertionError("it does not come to rest")

    def verify(self) -> None:
        check_lake(self, self.lake.catalog, TENANTS)
        found: dict[str, Seqs] = defaultdict(set)
        for stream_id, stream in self._books.ledger.streams.items():
            for book in stream.epochs.values():
                assert book.balance() == []
                for account in ACCOUNTS:
                    ranges = getattr(book, account)
                    found[account] |= {(stream_id, n) for first, next_ in ranges for n in range(first, next_)}
        rows = {"stored": self._rows(TABLE), "quarantined": self._rows(QUARANTINE.name)}
        assert found["journaled"] == found["settled"] == self.sent, self.sent - found["settled"]
        assert {account: found[account] for account in rows} == rows, (found, rows)
        assert not found["stored"] & self.bad and found["quarantined"] <= self.bad
        for frame in self._readable():
            self.unreadable -= self._batches[frame.position]  # another copy
        may_be = self.unreadable if self._harmed else self.unreadable - self._sheltered
        assert found["lost"] <= may_be, found["lost"] - may_be
        assert [each.text for each in self.told if each.kind == "books_unbalanced"] == []
        still = {each.id: each for each in self.told if each.kind in LASTING - OF_AGENTS}
        opened = [each.text for each in still.values() if each.state == "opened"]
        assert not opened, opened
        totals = audit(self._books.ledger, self.now_us, allowed=Allowances()).totals
        assert (totals.pending, totals.missing) == (0, 0)

    # -- private ----------------------------------------------------------------------------------------

    def _readable(self) -> list[Frame]:
        """The batches in the journal whose bytes are there, and are what was written."""
        reader, position, found = LogReader(OsDisk(), self.journal_directory), 0, list[Frame]()
        while frames := reader.read(position, bytes_max=1 << 20):
            found += [each for each in frames if each.kind == Kind.BATCH and not each.dropped]
            position = frames[-1].next_position
        reader.close()
        return found

    def _rows(self, table: str) -> Seqs:
        rows = (row for tenant in TENANTS for row in read(self.lake.catalog, tenant, table))
        return {(stream, seq) for stream, _, seq in identities(rows)}


HAPPENS = (
    *4 * (House.send,), *3 * (House.step,), *2 * (House.keep_books,), House.send_again, House.damage_journal,
    House.drop, House.mend, House.check, House.compact, House.expire, House.sweep, House.crash,
    House.delete_file, House.alter_file, House.lose_catalog, House.post, House.fold,
    House.back_up_books, House.restore_books, House.lose_books, House.pass_time,
    House.restart,
)  # fmt: skip


Happens = list[tuple[Callable[[House, int], object], int]]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(HAPPENS), st.integers(0, 59)), min_size=5, max_size=40))
# Each was wrong once: a copy is damaged, of what the lake has; what cannot be parsed expires; a file that was
# damaged is of no lake any more.
@example([(House.send, 0), (House.send_again, 0), (House.damage_journal, 1)])
@example([(House.send, 0), (House.send, 0), (House.step, 0), (House.pass_time, 3), (House.expire, 0)])
@example(
    [
        (House.send, 0),
        (House.step, 0),
        (House.alter_file, 0),
        (House.check, 0),
        (House.keep_books, 0),
        (House.lose_catalog, 0),
    ]
)
@example(  # books that go on from before what was folded would miss some of it
    [
        (House.send, 0),
        (House.step, 0),
        (House.keep_books, 0),
        (House.back_up_books, 0),
        (House.send, 0),
        (House.step, 0),
        (House.keep_books, 0),
        (House.fold, 0),
        (House.restore_books, 0),
    ]
)
def test_each_record_comes_to_rest_once_and_only_what_nobody_has_is_lost(happens: Happens) -> None:
    with tempfile.TemporaryDirectory() as root:
        house = House(Path(root))
        for what, number in happens:
            what(house, number)
        house.settle()
        house.verify()
        house.close()
