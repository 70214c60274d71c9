"""The index is a fold: whatever happens to its file, it says what the journal says."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.gateway.admission import EpochKey, Row
from gapless.gateway.index import BatchIndex
from gapless.log.disk import OsDisk
from gapless.log.segments import LogReader, LogWriter, Message
from gapless.model.claim import statement_digest
from gapless.model.entry import BatchEntry, ClaimsEntry, ConfigEntry, Kind
from gapless.model.errors import Busy, Corrupt, Unavailable
from gapless.model.finding import Finding
from gapless.model.ranges import RangeSet

from .support import EPOCH, NOW_US, STREAM, Agent, batch, epoch

KEY = (STREAM.id, EPOCH)


class Log:
    """A journal to write to by hand, and indexes over it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "index.sqlite"
        self.writer = LogWriter(OsDisk(), f"{directory}/journal", segment_bytes_max=1 << 20)

    def append(self, *messages: Message) -> list[int]:
        positions = self.writer.append(messages)
        self.writer.sync()
        return positions

    def index(self) -> BatchIndex:
        return BatchIndex(str(self.path), LogReader(OsDisk(), f"{self.directory}/journal"))


def batch_message(first: int, next_: int, *, epoch: str = EPOCH, salt: str = "") -> Message:
    header, payload = batch(first, next_, epoch=epoch, salt=salt)
    return Message(Kind.BATCH, msgspec.json.encode(BatchEntry(header, NOW_US)), payload)


def finding_message(kind: str, stream: str, epoch: str) -> Message:
    finding = Finding(
        id=f"{kind}/{epoch}", kind="fork", at_us=1, state="opened", text="", stream=stream, epoch=epoch
    )
    return Message(Kind.FINDING, msgspec.json.encode(msgspec.structs.replace(finding, kind=kind)))


def follow(index: BatchIndex) -> BatchIndex:
    while index.step():
        pass
    return index


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path)
    yield log
    log.writer.close()


def test_batches_are_found_by_where_they_begin_and_by_what_they_hold(log: Log) -> None:
    at = log.append(batch_message(0, 10), batch_message(20, 25), batch_message(0, 3, epoch=epoch(2)))
    index = follow(log.index())
    digest = batch(20, 25)[0].digest
    assert index.lookup(KEY, 20) == Row(20, 25, digest, at[1], NOW_US)
    assert index.lookup(KEY, 21) is None
    assert index.lookup((STREAM.id, epoch(3)), 20) is None
    found = [index.find(KEY, seq) for seq in (0, 9, 10, 19, 20, 24, 25)]
    assert [row and row.position for row in found] == [at[0], at[0], None, None, at[1], at[1], None]
    assert index.ranges(KEY) == RangeSet([(0, 10), (20, 25)])
    index.close()


@pytest.mark.parametrize("steps", [1, 2])
def test_of_two_batches_with_one_identity_the_first_counts(log: Log, steps: int) -> None:
    index = log.index()
    at = log.append(batch_message(0, 10))
    if steps == 2:
        follow(index)
    log.append(batch_message(0, 10, salt="x"))
    follow(index)
    row = index.lookup(KEY, 0)
    assert row is not None and row.position == at[0]
    index.close()


RANGES = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(1, 4), st.booleans()), max_size=25
)


@settings(max_examples=15, deadline=None)
@given(arriving=RANGES)
def test_ranges_are_joined_whatever_order_and_steps_they_come_in(
    tmp_path_factory: pytest.TempPathFactory, arriving: list[tuple[int, int, int, bool]]
) -> None:
    log = Log(tmp_path_factory.mktemp("log"))
    index = log.index()
    expected: dict[EpochKey, RangeSet] = {}
    for number, first, count, step in arriving:
        key = (STREAM.id, epoch(number))
        log.append(batch_message(first, first + count, epoch=key[1]))
        expected.setdefault(key, RangeSet()).add(first, first + count)
        if step:
            follow(index)
    follow(index)
    for key, ranges in expected.items():
        assert index.ranges(key) == ranges
    index.close()
    with sqlite3.connect(log.path) as connection:
        (count,) = connection.execute("SELECT count(*) FROM ranges").fetchone()
    connection.close()
    assert count == sum(map(len, expected.values()))  # joined, not merely the same members
    log.writer.close()


def test_it_goes_on_where_it_stopped(log: Log) -> None:
    log.append(batch_message(0, 10))
    index = follow(log.index())
    cursor = index.cursor
    index.close()
    log.append(batch_message(10, 20))
    index = log.index()
    assert index.cursor == cursor
    assert not index.complete
    follow(index)
    assert index.complete
    assert index.ranges(KEY) == RangeSet([(0, 20)])
    index.close()


def test_until_it_has_caught_up_it_does_not_say_that_a_batch_is_not_there(log: Log) -> None:
    log.append(batch_message(0, 10))
    index = log.index()
    for ask in (lambda: index.ranges(KEY), lambda: index.lookup(KEY, 0), lambda: index.find(KEY, 0)):
        with pytest.raises(Busy):
            ask()
    assert index.chain(("host-7", "k")) is None  # claims do not wait for it
    assert index.fences() == []
    index.close()


def damage_none(path: Path) -> None:
    path.unlink()


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_zeros(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def damage_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 100])


def damage_text(path: Path) -> None:
    path.write_text("not a database, but quite long all the same" * 1000)


def damage_format(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET format = 999")


def damage_cursor(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE meta SET cursor = 1000000000")


@pytest.mark.case("T23")
@pytest.mark.parametrize(
    "damage",
    [damage_none, damage_empty, damage_zeros, damage_half, damage_text, damage_format, damage_cursor],
)
def test_a_file_that_is_gone_damaged_or_foreign_is_built_again(log: Log, damage: object) -> None:
    log.append(*(batch_message(10 * n, 10 * n + 10, epoch=epoch(n % 50)) for n in range(150)))
    follow(log.index()).close()
    assert callable(damage)
    damage(log.path)
    index = log.index()
    for _ in range(5):
        try:
            follow(index)
            index.ranges(KEY)
        except (Unavailable, Busy):
            continue  # damage that shows only where it is touched: the next step begins anew
    assert index.ranges((STREAM.id, epoch(3))).total == 30
    assert all(index.lookup((STREAM.id, epoch(n % 50)), 10 * n) for n in range(150))
    index.close()


def test_damage_that_shows_in_use_makes_nobody_believe_that_a_batch_is_new(log: Log) -> None:
    log.append(*(batch_message(10 * n, 10 * n + 10, epoch=epoch(n % 50)) for n in range(150)))
    follow(log.index()).close()
    size = log.path.stat().st_size
    with log.path.open("r+b") as file:  # every page but the first, which holds the list of tables
        file.seek(4096)
        file.write(b"\xaa" * (size - 4096))
    index = log.index()
    answers: list[object] = []
    for _ in range(3):
        try:
            answers.append(index.lookup(KEY, 10))
        except (Unavailable, Busy) as error:
            answers.append(type(error))
    assert Row not in map(type, answers) and None not in answers
    assert not index.complete
    while not index.complete:
        index.step()
    assert index.lookup(KEY, 10) is not None
    index.close()


def test_an_index_of_another_longer_journal_is_built_again(log: Log, tmp_path: Path) -> None:
    log.append(batch_message(0, 10), batch_message(10, 20))
    follow(log.index()).close()
    (tmp_path / "other").mkdir()
    shorter = Log(tmp_path / "other")
    shorter.append(batch_message(0, 10))
    log.path.rename(shorter.path)
    index = follow(shorter.index())
    assert index.ranges(KEY) == RangeSet([(0, 10)])
    index.close()
    shorter.writer.close()


def test_an_answer_read_while_the_file_was_replaced_is_not_believed(log: Log) -> None:
    log.append(batch_message(0, 10))
    index = follow(log.index())
    with pytest.raises(Busy, match="replaced"), index._reading():
        index._damaged = True
        follow(index)
        assert index.complete
    assert index.lookup(KEY, 0) is not None
    index.close()


def test_another_writer_of_the_same_file_is_noticed(log: Log) -> None:
    log.append(batch_message(0, 10))
    one, other = log.index(), log.index()
    follow(one)
    with pytest.raises(Unavailable, match="another process"):
        other.step()
    one.close()
    other.close()


def test_its_files_are_for_their_owner_alone(log: Log) -> None:
    log.append(batch_message(0, 10))
    index = follow(log.index())
    files = list(log.directory.glob("index.sqlite*"))
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    index.close()


def test_a_place_where_it_cannot_be_is_said_in_a_sentence(log: Log) -> None:
    with pytest.raises(Unavailable, match="index"):
        BatchIndex(f"{log.directory}/nowhere/index.sqlite", LogReader(OsDisk(), str(log.directory)))


@pytest.mark.parametrize("steps", [1, 5])
def test_the_newest_claims_of_each_agent_are_kept_and_of_equals_the_first(log: Log, steps: int) -> None:
    agent = Agent()
    sent = [agent.claims(EPOCH) for _ in range(3)]
    twin = agent.restored()
    twin.n = 1
    sent += [twin.claims(epoch(2)), twin.claims(epoch(2))]
    index = log.index()
    at = []
    for signed in sent:
        at += log.append(Message(Kind.CLAIMS, msgspec.json.encode(ClaimsEntry(signed, NOW_US))))
        if steps > 1:
            follow(index)
    follow(index)
    chain = index.chain(("host-7", agent.signer.public_key))
    assert chain is not None
    assert (chain.n, chain.digest, chain.position) == (2, statement_digest(sent[2].statement), at[2])
    index.close()


def test_fences_come_from_findings_and_other_entries_change_nothing(log: Log) -> None:
    config = Message(Kind.CONFIG, msgspec.json.encode(ConfigEntry(at_us=1, by="x", change="y")))
    log.append(
        config,
        finding_message("fork", "s1", "e1"),
        finding_message("gap", "s1", "e2"),
        finding_message("rollback", "s2", "e2"),
        finding_message("fork", "s1", "e1"),
        Message(200, b"from a later version", b""),
    )
    index = follow(log.index())
    assert index.fences() == [("s1", "e1"), ("s2", "e2")]
    assert index.complete
    index.close()


def test_an_entry_that_cannot_be_read_any_more_is_stepped_over(log: Log) -> None:
    at = log.append(batch_message(0, 10), batch_message(10, 20), batch_message(20, 30))
    segment = next((log.directory / "journal").glob("*.log"))
    data = bytearray(segment.read_bytes())
    data[at[1] + 40] ^= 0xFF
    segment.write_bytes(data)
    index = follow(log.index())
    assert index.ranges(KEY) == RangeSet([(0, 10), (20, 30)])
    index.close()


def test_an_entry_of_an_unknown_format_stops_the_fold_there(log: Log) -> None:
    log.append(batch_message(0, 10))
    index = follow(log.index())
    cursor = index.cursor
    log.append(Message(Kind.BATCH, b'{"v":2}', b""), batch_message(10, 20))
    with pytest.raises(Corrupt, match="upgrade"):
        index.step()
    assert index.cursor == cursor
    index.close()


def test_a_commit_that_failed_and_was_kept_is_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(tmp_path)
    log.append(batch_message(0, 10))
    index = log.index()
    monkeypatch.setattr("gapless.failpoint._directory", str(tmp_path))
    (tmp_path / "index:committed").write_text("fail")
    with pytest.raises(Unavailable):
        index.step()
    log.append(batch_message(10, 15))
    follow(index)
    assert list(index.ranges(KEY)) == [(0, 15)]
    assert list(follow(log.index()).ranges(KEY)) == [(0, 15)]
