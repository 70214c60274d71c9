"""The books on disk: folded once whatever happens, made again from the journal, read while they change."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from auditor_rig import EPOCH, SECOND, STREAM, FakeNotice, FakePosting, Platform

from gapless.lake.facts import Notice
from gapless.ledger.audit import audit
from gapless.ledger.ledger import Ledger
from gapless.ledger.states import Allowances
from gapless.log.layout import segment_path
from gapless.log.segments import Message
from gapless.model.entry import Kind
from gapless.model.errors import Unavailable
from gapless.model.finding import Finding
from gapless.platform import auditor_store
from gapless.platform.auditor_reader import BooksReader
from gapless.platform.books import Bookkeeper, read_ledger


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path)


def totals(ledger: Ledger) -> tuple[int, int, int]:
    counts = audit(ledger, 2 * SECOND, allowed=Allowances()).totals
    return counts.journaled, counts.stored, counts.duplicates


def drain(keeper: Bookkeeper, now_us: int = 2 * SECOND) -> None:
    while keeper.step(now_us):
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


@pytest.mark.case("T23")
@pytest.mark.parametrize("content", ["another format", "no database", "cut short"])
def test_books_of_another_format_are_made_again_by_themselves(platform: Platform, content: str) -> None:
    path = Path(platform.directory, auditor_store.FILE)
    platform.journaled(0, 10)
    if content == "another format":
        keeper = platform.bookkeeper()
        drain(keeper)
        keeper.close()
        engine = sa.create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            connection.exec_driver_sql("update state set value = 1 where name = 'format'")
        engine.dispose()
    else:
        path.parent.mkdir()
        path.write_bytes(b"no database at all, but long enough to look like one" * 99 * (content[0] == "n"))
    again = platform.bookkeeper()
    drain(again)
    assert totals(read_ledger(platform.directory)) == (10, 0, 0)


def test_whatever_bit_of_the_books_changes_they_say_the_same_as_before(platform: Platform) -> None:
    platform.journaled(0, 10)
    platform.lost(20, 30)
    keeper = platform.bookkeeper()
    drain(keeper)
    keeper.close()
    platform.journaled(10, 20)
    path = Path(platform.directory, auditor_store.FILE)
    good = path.read_bytes()
    for at in range(0, len(good), len(good) // 60):
        changed = bytearray(good)
        changed[at] ^= 1 << at % 8
        path.write_bytes(changed)
        again = platform.bookkeeper()
        with suppress(Unavailable):  # it is seen to be damaged where it is damaged
            drain(again)
        drain(again)
        assert totals(again.ledger) == totals(read_ledger(platform.directory)) == (20, 0, 0), at
        again.close()


@pytest.mark.parametrize("gone", ["deleted", "zeroed"])
def test_books_that_go_while_they_are_kept_are_made_again(platform: Platform, gone: str) -> None:
    keeper = platform.bookkeeper()
    platform.journaled(0, 10)
    drain(keeper)
    path = Path(platform.directory, auditor_store.FILE)
    if gone == "deleted":
        path.unlink()
    else:
        path.write_bytes(bytes(path.stat().st_size))
    platform.journaled(10, 20)
    with suppress(Unavailable):
        drain(keeper)
    drain(keeper)
    assert totals(keeper.ledger) == totals(read_ledger(platform.directory)) == (20, 0, 0)


def test_a_posting_waits_for_the_journal_entries_it_speaks_of(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    platform.postings.append(FakePosting(1, 0, 10, until=10**6))
    platform.journaled(0, 10)
    drain(keeper)
    assert totals(keeper.ledger) == (10, 0, 0)
    platform.postings[0].until = platform.journal.end
    drain(keeper)
    assert totals(keeper.ledger) == (10, 10, 0)


@pytest.mark.parametrize("broken", ["_keep_books", "_keep_findings", "_send", "read_state"])
def test_what_could_not_be_kept_is_folded_again_once(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    keeper = platform.bookkeeper()
    platform.journaled(0, 10)
    platform.lost(20, 30)

    def fail(*args: object) -> None:
        raise sa.exc.OperationalError("commit", None, OSError("the disk is full"))

    with monkeypatch.context() as patched:
        patched.setattr(auditor_store, broken, fail)
        with pytest.raises(Unavailable):
            keeper.step(2 * SECOND)
        assert not keeper.caught_up
    assert platform.outbox() == []
    drain(keeper)
    assert keeper.caught_up
    assert totals(keeper.ledger) == (10, 0, 0), "no duplicates: it was folded once"
    assert [finding.kind for finding in platform.outbox()] == ["loss_declared"]


def test_a_lake_that_fails_half_way_makes_nothing_count_twice(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    platform.journaled(0, 10)

    def refuse(id_: int, limit: int) -> list[FakeNotice]:
        raise OSError("gone")

    platform.lake.notices_after = refuse  # type: ignore[method-assign]
    with pytest.raises(OSError):
        keeper.step(2 * SECOND)
    del platform.lake.notices_after  # type: ignore[method-assign]
    drain(keeper)
    assert totals(keeper.ledger) == (10, 0, 0)


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
    assert list(tmp_path.iterdir()) == [], "who only reads makes no file"


def test_an_entry_that_says_nothing_known_is_told_of_and_passed_over(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    for meta in (b"{}", b"\xff", msgspec.json.encode({"header": {}})):
        platform.journal.append([Message(Kind.BATCH, meta, b"x")])
    platform.journaled(0, 10)
    drain(keeper)
    assert totals(keeper.ledger) == (10, 0, 0)
    assert [finding.kind for finding in platform.outbox()] == ["journal_damaged"] * 3


# -- what the lake could not take in -----------------------------------------------------------------------


def test_a_batch_whose_payload_is_damaged_is_declared_lost_once(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    where = platform.journaled(0, 10, damaged=True)
    platform.journaled(10, 20)
    platform.stored(10, 20)
    drain(keeper)
    assert totals(keeper.ledger)[0] == 20, "the books do not look at payloads"
    notice = Notice("damaged", "the journal is damaged", *where, STREAM.tenant, STREAM.table)
    platform.lake.notices.append(FakeNotice(1, 5 * SECOND, notice))
    drain(keeper)
    (finding,) = platform.outbox()
    assert (finding.kind, finding.tenant) == ("journal_damaged", "contoso")
    (loss,) = platform.losses()
    assert (loss.cause, loss.ranges, loss.epoch) == ("journal_corrupt", ((0, 10),), EPOCH)

    platform.loss_entry(loss)
    drain(keeper)
    assert platform.losses() == [], "the journal has it"
    counts = audit(keeper.ledger, 9 * SECOND, allowed=Allowances()).totals
    assert (counts.lost, counts.pending, counts.stored) == (10, 0, 10)
    platform.lake.notices.append(FakeNotice(2, 6 * SECOND, notice))
    drain(keeper)
    assert platform.losses() == [], "a lake made anew says the same again"
    keeper.close()
    Path(platform.directory, auditor_store.FILE).unlink()
    again = platform.bookkeeper()
    drain(again)
    assert platform.losses() == [], "known from the journal before the notice is read"

    platform.journaled(0, 10)  # another copy of the batch, which reverses the loss
    platform.stored(0, 10)
    drain(again)
    counts = audit(again.ledger, 9 * SECOND, allowed=Allowances()).totals
    assert (counts.lost, counts.pending, counts.stored) == (0, 0, 20)


def test_a_loss_does_not_take_what_another_copy_had_stored_or_will(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    where = platform.journaled(0, 10, damaged=True)
    platform.journaled(0, 10)
    drain(keeper)
    platform.lake.notices.append(FakeNotice(1, 5 * SECOND, Notice("damaged", "damaged", *where)))
    drain(keeper)
    (loss,) = platform.losses()
    platform.loss_entry(loss)
    drain(keeper)
    platform.stored(0, 10)
    drain(keeper)
    counts = audit(keeper.ledger, 9 * SECOND, allowed=Allowances()).totals
    assert (counts.lost, counts.stored) == (0, 10)
    assert keeper.ledger.streams[STREAM.id].epochs[EPOCH].balance() == []
    assert {finding.kind for finding in platform.outbox()} == {"journal_damaged", "loss_declared"}


def test_damage_whose_seqs_cannot_be_named_is_a_finding_and_a_gap(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    where = platform.journaled(0, 10, damaged=True, header=True)
    platform.journaled(10, 20)
    platform.lake.notices.append(FakeNotice(1, 5 * SECOND, Notice("damaged", "damaged", *where)))
    drain(keeper)
    drain(keeper, 8 * SECOND)
    assert {finding.kind for finding in platform.outbox()} == {"journal_damaged", "gap"}
    assert platform.losses() == []
    report = audit(keeper.ledger, 9 * SECOND, allowed=Allowances())
    assert [(gap.first, gap.next) for gap in report.streams[0].epochs[0].gaps] == [(0, 10)]


@pytest.mark.parametrize(
    ("notice", "finding"),
    [("batch_quarantined", "batch_quarantined"), ("not_compacted", "lake_damaged"), ("new", "lake_damaged")],
)
def test_other_notices_are_findings_that_are_told_once(platform: Platform, notice: str, finding: str) -> None:
    keeper = platform.bookkeeper()
    for id_ in (1, 2):  # a lake made anew says the same again
        said = Notice(notice, "its words", tenant="contoso", table="SigninLogs")
        platform.lake.notices.append(FakeNotice(id_, 5 * SECOND, said))
        drain(keeper)
    (told,) = platform.outbox()
    assert (told.kind, told.tenant, told.text) == (finding, "contoso", "contoso/SigninLogs: its words")


def gaps_of(keeper: Bookkeeper, now_us: int) -> list[tuple[int, int, str]]:
    report = audit(keeper.ledger, now_us, allowed=Allowances())
    return [(gap.first, gap.next, gap.edge) for gap in report.streams[0].epochs[0].gaps]


def faults_of(platform: Platform) -> list[Finding]:
    return [finding for finding in platform.outbox() if finding.kind == "books_unbalanced"]


def gap_findings(platform: Platform) -> list[Finding]:
    return [finding for finding in platform.outbox() if finding.kind == "gap"]


def test_what_was_destroyed_after_the_books_had_seen_it_is_missing_and_said_so(platform: Platform) -> None:
    """The journal lost a whole entry, head and all, between the ledger's look and the lake's."""
    keeper = platform.bookkeeper()
    for first in (0, 10, 20):
        platform.journaled(first, first + 10)
    drain(keeper)
    platform.stored(0, 10)
    drain(keeper, 3 * SECOND)
    platform.stored(20, 30)
    drain(keeper, 4 * SECOND)
    assert gap_findings(platform) == [], "the lake may yet come to it"
    platform.lake.cursor = platform.journal.end
    drain(keeper, 5 * SECOND)
    drain(keeper, 11 * SECOND)
    (finding,) = gap_findings(platform)
    assert (finding.count, finding.edge) == (10, "journal to lake")
    assert gaps_of(keeper, 11 * SECOND) == [(10, 20, "journal to lake")]
    keeper.close()
    again = platform.bookkeeper()
    assert gaps_of(again, 11 * SECOND) == [(10, 20, "journal to lake")]
    platform.stored(10, 20)  # another lake had it after all
    drain(again, 12 * SECOND)
    assert gaps_of(again, 12 * SECOND) == []
    assert gap_findings(platform)[-1].state == "closed"


@pytest.mark.parametrize("made_anew", [False, True])
def test_the_lake_is_a_witness_of_what_the_journal_lost_and_of_nothing_else(
    platform: Platform, made_anew: bool
) -> None:
    """The lake had read the batch when the journal lost it, head and all; the books had not, or are made
    anew later, when nothing else knows of it."""
    places = {first: platform.journaled(first, first + 10) for first in (0, 10, 20)}
    keeper = platform.bookkeeper()
    if made_anew:
        drain(keeper)
    position, until = places[10]
    with open(segment_path(str(platform.root / "journal"), 0), "r+b") as file:
        file.seek(position)
        file.write(bytes(until - position))
    if made_anew:
        keeper.close()
        Path(platform.directory, auditor_store.FILE).unlink()
        keeper = platform.bookkeeper()
    platform.claimed(40, 2 * SECOND, held=((30, 40),))
    for first, place in places.items():
        platform.stored(first, first + 10, place)
    drain(keeper, 2 * SECOND)
    assert totals(keeper.ledger) == (30, 30, 0)
    assert gaps_of(keeper, 12 * SECOND) == [] and not faults_of(platform)
    # It says that these stood where the journal is whole, and has none of them.
    platform.stored(30, 40, places[20])
    drain(keeper, 12 * SECOND)
    assert totals(keeper.ledger) == (30, 30, 0)
    assert "[30, 40), which the journal never had" in faults_of(platform)[0].text
    keeper.close()


def test_a_lake_that_is_beside_the_journal_all_the_time_raises_no_alarm(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    for first in range(0, 200, 10):
        platform.journaled(first, first + 10)
        keeper.step((2 + first) * SECOND)
        platform.stored(first, first + 10)
        platform.lake.cursor = platform.journal.end
        keeper.step((7 + first) * SECOND)
    drain(keeper, 300 * SECOND)
    assert gap_findings(platform) == []


def test_postings_that_cannot_be_read_are_no_proof_that_there_are_none(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = platform.bookkeeper()
    platform.journaled(0, 10)
    platform.stored(0, 10)
    platform.lake.cursor = platform.journal.end

    def refuse(id_: int, limit: int) -> list[FakePosting]:
        raise Unavailable("busy")

    with monkeypatch.context() as patched:
        patched.setattr(platform.lake, "posted_after", refuse)
        for second in range(2, 12):
            keeper.step(second * SECOND)
    drain(keeper, 12 * SECOND)
    assert gap_findings(platform) == []


def test_what_a_damaged_file_held_is_missing_at_once_until_it_is_posted_again(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    platform.journaled(0, 30)
    platform.stored(0, 30)
    drain(keeper)
    end = platform.journal.end
    platform.postings.append(FakePosting(2, 10, 20, end, "withdrawn"))
    path = "tables/contoso/SigninLogs/x.parquet"
    said = Notice("file_damaged", "it is gone", 0, 0, "contoso", "SigninLogs", path)
    platform.lake.notices.append(FakeNotice(1, 5 * SECOND, said))
    drain(keeper, 5 * SECOND)
    assert gaps_of(keeper, 5 * SECOND) == [(10, 20, "journal to lake")]
    assert {finding.kind for finding in platform.outbox()} == {"file_damaged", "gap"}
    platform.postings.append(FakePosting(3, 10, 20, end))
    said = Notice("file_mended", "made again", 0, 0, "contoso", "SigninLogs", path)
    platform.lake.notices.append(FakeNotice(2, 6 * SECOND, said))
    drain(keeper, 7 * SECOND)
    assert gaps_of(keeper, 7 * SECOND) == []
    assert keeper.ledger.streams[STREAM.id].epochs[EPOCH].balance() == []
    closed = {finding.kind for finding in platform.outbox() if finding.state == "closed"}
    assert closed == {"file_damaged", "gap"}


def test_what_neither_a_file_nor_the_journal_has_is_declared_lost_once(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    platform.journaled(0, 30)
    platform.stored(0, 30)
    end = platform.journal.end
    platform.postings.append(FakePosting(2, 10, 20, end, "withdrawn"))
    platform.postings.append(FakePosting(3, 10, 13, end))
    platform.postings.append(FakePosting(4, 13, 20, end, "lost"))
    drain(keeper, 5 * SECOND)
    (loss,) = platform.losses()
    assert (loss.cause, loss.ranges, loss.stream, loss.epoch) == (
        "journal_corrupt",
        ((13, 20),),
        STREAM,
        EPOCH,
    )
    platform.loss_entry(loss)
    drain(keeper, 6 * SECOND)
    assert platform.losses() == []

    def settled(keeper: Bookkeeper) -> tuple[int, int, int]:
        counts = audit(keeper.ledger, 9 * SECOND, allowed=Allowances()).totals
        return counts.stored, counts.lost, counts.missing

    assert settled(keeper) == (23, 7, 0)
    keeper.close()
    Path(platform.directory, auditor_store.FILE).unlink()
    again = platform.bookkeeper()
    drain(again, 7 * SECOND)
    assert (settled(again), platform.losses()) == ((23, 7, 0), [])
    assert again.ledger.streams[STREAM.id].epochs[EPOCH].balance() == []


def test_books_that_hear_of_a_withdrawal_of_what_was_never_stored_say_so(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    platform.journaled(0, 10)
    platform.postings.append(FakePosting(1, 0, 10, platform.journal.end, "withdrawn"))
    drain(keeper)
    assert "books_unbalanced" in {finding.kind for finding in platform.outbox()}


# -- readers -----------------------------------------------------------------------------------------------


def test_a_reader_reads_only_what_changed_and_its_answers_do_not_change(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []
    decode = auditor_store.decode_stream
    monkeypatch.setattr(auditor_store, "decode_stream", lambda book: decoded.append(book) or decode(book))
    keeper = platform.bookkeeper()
    for agent in ("a", "b", "c"):
        platform.journaled(0, 10, agent=agent)
    drain(keeper)
    decoded.clear()
    reader = BooksReader(platform.directory)
    before = reader.books()
    assert len(before.ledger.streams) == len(decoded) == 3
    assert before.audited_us == 2 * SECOND
    platform.journaled(10, 20, agent="b")
    drain(keeper, 3 * SECOND)
    decoded.clear()
    after = reader.books()
    assert len(decoded) == 1 and after.audited_us == 3 * SECOND
    assert totals(before.ledger) == (30, 0, 0) and totals(after.ledger) == (40, 0, 0)
    assert reader.books().ledger is after.ledger
    reader.close()


def test_a_reader_notices_books_that_were_made_anew(platform: Platform) -> None:
    keeper = platform.bookkeeper()
    platform.journaled(0, 10)
    drain(keeper)
    reader = BooksReader(platform.directory)
    assert totals(reader.books().ledger) == (10, 0, 0)
    keeper.close()
    for path in Path(platform.directory).iterdir():
        path.unlink()
    with pytest.raises(Unavailable):
        reader.books()
    platform.journaled(10, 20, agent="other")
    again = platform.bookkeeper()
    drain(again)
    assert totals(reader.books().ledger) == (20, 0, 0)
    reader.close()


# -- the auditor's heartbeat -------------------------------------------------------------------------------


def test_books_that_nobody_brings_up_to_date_prove_nothing(platform: Platform) -> None:
    platform.journaled(0, 10)
    platform.stored(0, 10)
    keeper = platform.bookkeeper()
    drain(keeper)
    reader = BooksReader(platform.directory)
    books = reader.books()
    window = {"allowed": Allowances(), "from_us": 0, "to_us": 1 << 61, "audited_us": books.audited_us}
    verdicts = {
        now: audit(books.ledger, now * SECOND, **window).verdict  # type: ignore[arg-type]
        for now in (3, 12, 13, 10_000, 1)
    }
    assert verdicts == {3: "complete", 12: "complete", 13: "unknown", 10_000: "unknown", 1: "complete"}
    ahead = audit(books.ledger, 3 * SECOND, **{**window, "audited_us": 60 * SECOND})  # type: ignore[arg-type]
    assert ahead.verdict == "unknown", "the clock was set back"
    stale = audit(books.ledger, 60 * SECOND, **window)  # type: ignore[arg-type]
    assert "brought up to date 58 s ago" in stale.reasons[0]
    drain(keeper, 60 * SECOND)
    assert reader.books().audited_us == 60 * SECOND, "also when nothing changed"
    reader.close()


def test_books_behind_the_journal_are_not_audited(platform: Platform) -> None:
    for first in range(0, 50, 10):
        platform.journaled(first, first + 10)
    keeper = platform.bookkeeper(entries_bytes_max=1)
    reader = BooksReader(platform.directory)
    for _ in range(4):
        assert keeper.step(2 * SECOND) == 1 and not keeper.caught_up
        assert reader.books().audited_us == 0
    assert keeper.step(2 * SECOND) == 1 and keeper.caught_up
    assert reader.books().audited_us == 2 * SECOND
    reader.close()


def test_books_ahead_of_the_journal_are_not_audited(platform: Platform) -> None:
    platform.journaled(0, 10)
    keeper = platform.bookkeeper()
    drain(keeper)
    platform.reader.durable = lambda: 0  # type: ignore[method-assign]
    keeper.step(9 * SECOND)
    assert not keeper.caught_up
    assert BooksReader(platform.directory).books().audited_us == 2 * SECOND


def test_a_lake_that_is_made_anew_is_followed_from_its_beginning(platform: Platform) -> None:
    platform.journaled(0, 30)
    platform.stored(0, 30)
    keeper = platform.bookkeeper()
    drain(keeper)
    # Another catalogue, whose ids are of another era: it has less so far, and posts all of it anew.
    platform.postings.clear()
    platform.postings.append(FakePosting((1 << 32) + 1, 0, 10, platform.journal.end))
    drain(keeper)
    [stream] = keeper.ledger.streams.values()
    book = stream.epochs[EPOCH]
    assert (list(book.stored), list(book.settled)) == ([(0, 10)], [(0, 10)])
    assert book.balance() == []
    platform.postings.append(FakePosting((1 << 32) + 2, 10, 30, platform.journal.end))
    drain(keeper)
    assert list(book.stored) == [(0, 30)]
    assert [f.kind for f in platform.outbox() if f.kind == "books_unbalanced"] == []
