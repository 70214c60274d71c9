"""What a step makes of a journal."""

from __future__ import annotations

import base64
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
import zstandard

from gapless.lake.decode import Decoded, Decoder
from gapless.lake.facts import MIXED_DAYS
from gapless.lake.find import find_row
from gapless.lake.lake import LakeSettings
from gapless.lake.limits import StepLimits
from gapless.log.segments import LogReader, Message
from gapless.model.batch import Mark, Upload
from gapless.model.entry import Kind
from gapless.model.errors import Unavailable
from gapless.model.ranges import RangeSet
from gapless.model.tables import QUARANTINE, SYSTEM_COLUMNS, table_schema

from .lake_harness import (
    DAY_US,
    EPOCH,
    NOW_US,
    TABLE,
    World,
    batch,
    check_lake,
    identities,
    identities_of,
    posted,
    read,
    record,
    records,
    stream_of,
)

STREAM = stream_of()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def stepped(world: World, settings: LakeSettings | None = None, **more: Any) -> Any:
    lake = world.open(settings, **more)
    while lake.step(NOW_US).entries:
        pass
    check_lake(world, lake.catalog, ["contoso", "fabrikam"])
    return lake


def quarantine(lake: Any, tenant: str = "contoso") -> list[dict[str, Any]]:
    return read(lake.catalog, tenant, QUARANTINE.name)


def test_records_become_rows_with_their_identity_and_times(world: World) -> None:
    position, *_ = world.append(batch(records(0, 5), first=10, at_us=NOW_US + 7))
    lake = world.open()
    report = lake.step(NOW_US)
    assert (report.stored, report.quarantined, report.duplicates, report.files) == (5, 0, 0, 1)
    assert report.position == world.journal.durable == lake.catalog.position()
    rows = read(lake.catalog, "contoso", TABLE)
    assert identities(rows) == identities_of(STREAM, 10, 15)
    assert [row["Id"] for row in rows] == [f"r{number}" for number in range(5)]
    assert {int(row["_IngestionTime"].timestamp() * 1e6) for row in rows} == {NOW_US + 7}
    expected = [*table_schema(TABLE).columns, *SYSTEM_COLUMNS]
    assert list(rows[0]) == [column.name for column in expected]
    (posting,) = lake.catalog.postings_after(0, 10)
    assert posting[1:] == (STREAM.id, EPOCH, "stored", 10, 15, NOW_US, position, report.position)
    assert lake.step(NOW_US).entries == 0


def test_a_step_without_batches_moves_the_cursor_only(world: World) -> None:
    world.append(Message(Kind.CLAIMS, b"{}", b""), Message(Kind.FINDING, b"{}", b"x"))
    lake = world.open()
    assert lake.step(NOW_US).entries == 2
    assert lake.catalog.position() == world.journal.durable
    assert lake.catalog.postings_after(0, 10) == []
    assert lake.catalog.notices_after(0, 10) == []


def test_contiguous_batches_of_a_step_are_posted_as_one_range(world: World) -> None:
    other = stream_of(agent="other")
    world.append(
        batch(records(0, 3)),
        batch(records(0, 3), stream=other),
        batch(records(3, 5), first=3),
        batch(records(7, 8), first=7),
    )
    lake = stepped(world)
    postings = lake.catalog.postings_after(0, 10)
    assert [(each.stream, each.first, each.next) for each in postings] == [
        (STREAM.id, 0, 5),
        (other.id, 0, 3),
        (STREAM.id, 7, 8),
    ]
    assert postings[0].position == 0 and postings[0].until <= postings[2].position


def test_batches_out_of_order_are_stored_as_they_come(world: World) -> None:
    for first in (6, 0, 3):
        world.append(batch(records(first, first + 3), first=first))
        stepped(world).close()
    lake = stepped(world)
    assert identities(read(lake.catalog, "contoso", TABLE)) == identities_of(STREAM, 0, 9)
    with lake.catalog.reading() as connection:
        ranges = connection.exec_driver_sql("SELECT first, next FROM accounted").all()
    assert ranges == [(0, 9)]


@pytest.mark.parametrize("together", [True, False])
def test_a_batch_that_is_in_the_journal_twice_is_stored_once(world: World, together: bool) -> None:
    world.append(batch(records(0, 4)))
    if not together:
        stepped(world).close()
    world.append(batch(records(0, 4)), batch(records(4, 6), first=4))
    lake = stepped(world)
    assert identities(read(lake.catalog, "contoso", TABLE)) == identities_of(STREAM, 0, 6)
    with lake.catalog.reading() as connection:
        counts = connection.exec_driver_sql("SELECT stored, quarantined, duplicates FROM epoch").all()
    assert counts == [(6, 0, 4)]


def test_of_a_batch_that_overlaps_only_what_is_new_is_stored(world: World) -> None:
    bad = [b"no json", *records(3, 5), b"nor this"]
    world.append(batch(records(2, 4), first=2), batch(records(6, 7), first=6))
    world.append(batch([*records(0, 2), *bad, *records(6, 9)], first=0))
    lake = stepped(world)
    rows = read(lake.catalog, "contoso", TABLE)
    assert identities(rows) == identities_of(STREAM, 0, 9) - Counter({(STREAM.id, EPOCH, 5): 1})
    assert [row["_Seq"] for row in quarantine(lake)] == [5]
    by_seq = {row["_Seq"]: row["Id"] for row in rows}
    assert by_seq == {seq: f"r{seq}" for seq in range(9) if seq != 5}


def test_the_same_seqs_of_another_epoch_are_other_records(world: World) -> None:
    world.append(batch(records(0, 3)), batch(records(0, 3), epoch="b" * 32))
    lake = stepped(world)
    assert len(read(lake.catalog, "contoso", TABLE)) == 6


@pytest.mark.case("T19", "T65", "graphghost")
def test_what_cannot_be_decoded_is_quarantined_with_its_bytes(world: World) -> None:
    lines = [record(0), b"plain text", b"", b"\xff\xfe{}", record(4), b"   "]
    world.append(batch(lines, first=100, marks=[Mark(4, "last_part")]))
    lake = stepped(world)
    found = {row["_Seq"]: row for row in quarantine(lake)}
    assert sorted(found) == [101, 102, 103, 104, 105]
    for seq, line in enumerate(lines, start=100):
        if seq == 100:
            continue
        row = found[seq]
        decode = base64.b64decode if row["RawEncoding"] == "base64" else str.encode
        assert decode(row["RawData"]) == line
        assert row["RawBytes"] == len(line)
        assert (row["Table"], row["_Stream"], row["_Epoch"]) == (TABLE, STREAM.id, EPOCH)
        assert int(row["TimeGenerated"].timestamp() * 1e6) == NOW_US
    assert found[103]["RawEncoding"] == "base64" and found[103]["Reason"] == "not_utf8"
    assert found[104]["Reason"].startswith("cut_line")
    accounts = [(each.account, each.first, each.next) for each in lake.catalog.postings_after(0, 10)]
    assert accounts == [("stored", 100, 101), ("quarantined", 101, 106)]


def test_cut_lines_that_are_not_text_are_kept_beside_those_that_are(world: World) -> None:
    lines = [b"a" * 9, b"\xc3", b"\xa9b", "é".encode()]
    world.append(batch(lines, marks=[Mark(at, "part") for at in range(4)]))
    lake = stepped(world)
    encodings = [(row["_Seq"], row["RawEncoding"]) for row in quarantine(lake)]
    assert encodings == [(0, "utf-8"), (1, "base64"), (2, "base64"), (3, "utf-8")]


def test_a_line_without_newline_at_its_source_is_a_record_like_others(world: World) -> None:
    world.append(batch(records(0, 2), marks=[Mark(1, "unterminated")]))
    lake = stepped(world)
    assert len(read(lake.catalog, "contoso", TABLE)) == 2


def bomb() -> bytes:
    return zstandard.compress(b"\n" * 50_000_000)


def bomb_that_hides_its_size() -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False).compress(b"\n" * 50_000_000)


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"count": 4}, "count_mismatch"),
        ({"count": 2}, "count_mismatch"),
        ({"body": bomb()}, "undecodable"),
        ({"body": bomb_that_hides_its_size()}, "undecodable"),
        ({"body": b"not zstd at all"}, "undecodable"),
        ({"body": b""}, "undecodable"),
        ({"body": zstandard.compress(b"a\nb\nc")}, "undecodable"),
        ({"body": zstandard.compress(b"a\nb\nc"), "raw_bytes": 5}, "undecodable"),
        ({"body": zstandard.compress(b"a\nb\nc\n") + b"more", "raw_bytes": 6}, "undecodable"),
        ({"body": zstandard.compress(b"a\nb\nc\n")[:-2], "raw_bytes": 6}, "undecodable"),
        ({"body": bomb(), "raw_bytes": 50_000_000}, "too_large"),
    ],
)
def test_a_batch_that_is_not_what_it_says_is_quarantined_as_a_whole(
    world: World, lie: dict[str, Any], reason: str
) -> None:
    settings = LakeSettings(step=StepLimits(raw_bytes_max=1_000_000))
    good = stream_of(agent="good")
    world.append(batch(records(0, 2), stream=good))
    position, after = world.append(
        batch(records(0, 3), first=7, **lie), batch(records(0, 2), stream=good, first=2)
    )
    lake = stepped(world, settings)
    assert identities(read(lake.catalog, "contoso", TABLE)) == identities_of(good, 0, 4)
    count = lie.get("count", 3)
    (row,) = quarantine(lake)
    assert (row["Reason"], row["_Seq"], row["RawEncoding"]) == (reason, 7, "journal")
    where = msgspec.json.decode(row["_Extra"])
    assert (where["next"], where["position"], where["until"]) == (7 + count, position, after)
    assert list(posted(lake.catalog.postings_after(0, 9), "quarantined")[STREAM.id, EPOCH]) == [
        (7, 7 + count)
    ]
    (notice,) = lake.catalog.notices_after(0, 9)
    assert notice.notice.kind == "batch_quarantined" and notice.notice.tenant == "contoso"
    assert notice.notice.position == position
    found = find_row(lake.catalog, "contoso", TABLE, STREAM.id, EPOCH, 7 + count - 1)
    assert found is not None and found.table == QUARANTINE.name and found.row["_Seq"] == 7
    assert find_row(lake.catalog, "contoso", TABLE, STREAM.id, EPOCH, 7 + count) is None


def test_a_zip_bomb_takes_no_more_memory_than_its_header_says(world: World) -> None:
    """The frame's own word on its size is not trusted, whichever way it is told."""
    world.append(
        batch(records(0, 3), body=bomb()), batch(records(3, 6), first=3, body=bomb_that_hides_its_size())
    )
    lake = world.open()
    tracemalloc.start()
    lake.step(NOW_US)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000
    assert len(quarantine(lake)) == 2


def test_a_batch_of_a_table_that_is_not_known_is_quarantined(world: World) -> None:
    stream = stream_of(table="NoSuchTable")
    world.append(batch(records(0, 3), stream=stream))
    lake = stepped(world)
    (row,) = quarantine(lake)
    assert (row["Reason"], row["Table"]) == ("unknown_table", "NoSuchTable")


def test_entries_that_cannot_be_read_are_noticed_and_passed_over(world: World) -> None:
    bad = Message(Kind.BATCH, b'{"header": 5}', b"")
    impossible = batch(records(0, 1), count=-1)
    start, middle, end = world.append(bad, impossible, batch(records(0, 2)))
    lake = stepped(world)
    assert len(read(lake.catalog, "contoso", TABLE)) == 2
    notices = [row.notice for row in lake.catalog.notices_after(0, 9)]
    assert [(each.kind, each.position, each.until) for each in notices] == [
        ("unreadable", start, middle),
        ("unreadable", middle, end),
    ]


def test_a_header_that_says_more_records_than_a_batch_can_have_is_not_believed(world: World) -> None:
    """Else a few of them would make the books overflow."""
    huge = 1 << 61
    for number in range(3):
        stream = stream_of(agent=f"liar{number}")
        world.append(batch(records(0, 1), stream=stream, count=huge, raw_bytes=huge))
    world.append(batch(records(0, 2)))
    lake = stepped(world)
    assert len(read(lake.catalog, "contoso", TABLE)) == 2
    assert [row.notice.kind for row in lake.catalog.notices_after(0, 9)] == ["unreadable"] * 3


def test_a_journal_that_cannot_be_read_is_asked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.append(batch(records(0, 2)))
    lake = world.open()

    def refuse(*_: Any, **__: Any) -> list[Any]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(LogReader, "read", refuse)
    with pytest.raises(Unavailable, match="Input/output error"):
        lake.step(NOW_US)
    monkeypatch.undo()
    assert lake.step(NOW_US).stored == 2


def test_damage_in_the_journal_is_noticed_with_what_was_lost(world: World) -> None:
    body = zstandard.compress(b"".join(line + b"\n" for line in records(0, 3)))
    first, second = world.append(batch(records(0, 3)), batch(records(3, 5), first=3))
    segment = Path(world.journal_directory, f"{0:020d}.log")
    data = bytearray(segment.read_bytes())
    data[data.index(body) + 5] ^= 1
    segment.write_bytes(data)
    lake = stepped(world)
    assert identities(read(lake.catalog, "contoso", TABLE)) == identities_of(STREAM, 3, 5)
    (notice,) = [row.notice for row in lake.catalog.notices_after(0, 9)]
    assert (notice.kind, notice.position, notice.until) == ("damaged", first, second)
    assert (notice.tenant, notice.table) == ("contoso", TABLE)
    assert f"[0, 3) of stream {STREAM.id}" in notice.text
    world.append(batch(records(0, 3)))  # sent again: the damaged one was not accounted for
    assert lake.step(NOW_US).stored == 3


def test_tenants_and_tables_share_no_file(world: World) -> None:
    streams = [stream_of(tenant, table) for tenant in ("contoso", "fabrikam") for table in (TABLE, "App_CL")]
    for number, stream in enumerate(streams):
        lines = [*records(0, number + 1), b"\xffbroken"]
        world.append(batch(lines, stream=stream))
    lake = stepped(world)
    for stream, number in zip(streams, range(1, 5), strict=True):
        rows = read(lake.catalog, stream.tenant, stream.table)
        assert identities(rows) == identities_of(stream, 0, number)
    for tenant in ("contoso", "fabrikam"):
        assert lake.catalog.tables(tenant) == ["App_CL", QUARANTINE.name, TABLE]
        ours = {stream.id for stream in streams if stream.tenant == tenant}
        assert {row["_Stream"] for row in quarantine(lake, tenant)} == ours
    assert lake.catalog.tables("nobody") == []
    assert lake.catalog.files("nobody", TABLE) == []


def test_each_day_has_its_own_file_and_queries_find_them_by_time(world: World) -> None:
    lines = [
        record(0, "2024-09-01T23:59:59.999999Z"),
        record(1, "2024-09-02T00:00:00Z"),
        record(2, "2024-09-02T23:59:59.999999Z"),
        record(3, "2024-09-03T00:00:00Z"),
    ]
    world.append(batch(lines))
    lake = stepped(world)
    assert [file.day for file in lake.catalog.files("contoso", TABLE)] == [
        "2024-09-01",
        "2024-09-02",
        "2024-09-03",
    ]
    midnight_us = NOW_US // DAY_US * DAY_US  # of 2024-09-02

    def days(from_us: int | None, to_us: int | None) -> list[str]:
        return [file.day for file in lake.catalog.files("contoso", TABLE, from_us, to_us)]

    assert days(midnight_us, midnight_us + DAY_US) == ["2024-09-02"]
    assert days(midnight_us - 1, midnight_us) == ["2024-09-01"]
    assert days(None, midnight_us) == ["2024-09-01"]
    assert days(midnight_us + DAY_US, None) == ["2024-09-03"]
    assert days(midnight_us + DAY_US + 1, None) == []


def test_records_without_a_time_stand_under_the_day_they_were_received(world: World) -> None:
    lines = [b'{"Id":"a"}', b'{"Id":"b","TimeGenerated":"soon"}']
    world.append(batch(lines, at_us=NOW_US), batch(lines, first=2, at_us=NOW_US + DAY_US))
    lake = stepped(world)
    files = lake.catalog.files("contoso", TABLE)
    assert [(file.day, file.rows) for file in files] == [("2024-09-02", 2), ("2024-09-03", 2)]
    rows = read(lake.catalog, "contoso", TABLE)
    assert [row["_TimeSource"] for row in rows] == ["received"] * 4
    assert [row["TimeGenerated"] for row in rows] == [row["_IngestionTime"] for row in rows]


def test_no_sender_can_make_a_step_write_a_file_for_every_day(world: World) -> None:
    lines = [record(number, f"20{number % 60 + 10}-01-01T00:00:00Z") for number in range(120)]
    lines += records(120, 130)
    world.append(batch(lines))
    lake = stepped(world, LakeSettings(step=StepLimits(days_max=3)))
    files = lake.catalog.files("contoso", TABLE)
    assert len(files) == 4
    assert sum(file.day == MIXED_DAYS for file in files) == 1
    assert [file.rows for file in files if file.day == "2024-09-02"] == [10]


def test_a_batch_that_alternates_good_and_bad_is_quarantined_as_a_whole(world: World) -> None:
    limits = StepLimits(quarantine_runs_max=10)
    fine = [line for number in range(10) for line in (record(number), b"bad")]
    wild = [line for number in range(11) for line in (record(number), b"bad")]
    other = stream_of(agent="other")
    world.append(batch(fine), batch(wild, stream=other))
    lake = stepped(world, LakeSettings(step=limits))
    assert identities(read(lake.catalog, "contoso", TABLE)).total() == 10
    of_other = [row for row in quarantine(lake) if row["_Stream"] == other.id]
    assert [(row["Reason"], row["_Seq"]) for row in of_other] == [("scattered", 0)]
    assert list(posted(lake.catalog.postings_after(0, 99), "quarantined")[other.id, EPOCH]) == [(0, 22)]


@pytest.mark.parametrize("chunk_records_max", [1, 3, 7, 1000])
@pytest.mark.parametrize("chunk_bytes_max", [1, 500, 1 << 20])
def test_how_records_are_cut_into_chunks_does_not_show(
    world: World, chunk_records_max: int, chunk_bytes_max: int
) -> None:
    limits = StepLimits(chunk_records_max=chunk_records_max, chunk_bytes_max=chunk_bytes_max)
    lines = [*records(0, 5), b"bad", *records(6, 10), b"worse", b"cut"]
    world.append(
        batch(lines, marks=[Mark(11, "part")]),
        batch(records(0, 2), first=100),
        batch(records(0, 2), first=100),
        batch(records(12, 16), first=12),
    )
    lake = stepped(world, LakeSettings(step=limits))
    rows = read(lake.catalog, "contoso", TABLE)
    bad = {5, 10, 11}
    assert {row["_Seq"]: row["Id"] for row in rows} == {
        **{seq: f"r{seq}" for seq in range(16) if seq not in bad},
        100: "r0",
        101: "r1",
    }
    assert {row["_Seq"]: row["RawData"] for row in quarantine(lake)} == {5: "bad", 10: "worse", 11: "cut"}
    assert len(lake.catalog.files("contoso", TABLE)) == 1


def test_tables_and_tenants_of_one_step_do_not_mix(world: World) -> None:
    """Chunks of one record: the next one, often of another table, is decoded while this one is stored."""
    tables = ("SigninLogs", "App_CL", "NoSuchTable", "AuditLogs")
    streams = [stream_of(tenant, table) for table in tables for tenant in ("contoso", "fabrikam")]
    for first in (0, 4):
        lines = [*records(first, first + 3), b"\xff"]
        world.append(*(batch(lines, first=first, stream=stream) for stream in streams))
    lake = stepped(world, LakeSettings(step=StepLimits(chunk_records_max=1)))
    for stream in streams:
        rows = read(lake.catalog, stream.tenant, stream.table)
        good = 0 if stream.table == "NoSuchTable" else 6
        assert {row["_Seq"] for row in rows} == ({0, 1, 2, 4, 5, 6} if good else set())
        assert identities(rows).total() == good
        assert len(lake.catalog.files(stream.tenant, stream.table)) == (1 if good else 0)
    for tenant in ("contoso", "fabrikam"):
        of_table = Counter(row["Table"] for row in quarantine(lake, tenant))
        assert of_table == {"SigninLogs": 2, "App_CL": 2, "AuditLogs": 2, "NoSuchTable": 2}


def test_a_step_takes_no_more_than_its_limits(world: World) -> None:
    lines = records(0, 10)
    size = sum(len(line) + 1 for line in lines)
    world.append(*(batch(lines, first=10 * number) for number in range(10)))
    lake = world.open(LakeSettings(step=StepLimits(group_bytes_max=3 * size)))
    reports = [lake.step(NOW_US) for _ in range(5)]
    assert [report.entries for report in reports] == [3, 3, 3, 1, 0]
    assert [report.more for report in reports] == [True, True, True, False, False]
    world.append(*(Message(Kind.CLAIMS, b"{}") for _ in range(5)))
    few = world.open(LakeSettings(step=StepLimits(entries_max=2)))
    assert [few.step(NOW_US).entries for _ in range(4)] == [2, 2, 1, 0]


class Stumbling(Decoder):
    """A decoder that fails on what it does not like, or loses records without a word."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def decode(self, schema: Any, payload: Any, **more: Any) -> Decoded:
        decoded = super().decode(schema, payload, **more)
        if b"poison" not in bytes(payload):
            return decoded
        match self.how:
            case "raises":
                raise RuntimeError("cannot stomach this")
            case "memory":
                raise MemoryError
            case "loses":
                return Decoded(decoded.rows.slice(1), decoded.quarantined)
            case "doubles":
                return Decoded(decoded.rows.take([0, 0, *range(2, len(decoded.rows))]), decoded.quarantined)
        raise AssertionError


@pytest.mark.parametrize("how", ["raises", "loses", "doubles"])
def test_a_batch_that_the_decoder_stumbles_over_does_not_stop_the_others(world: World, how: str) -> None:
    poisoned = stream_of(agent="poisoned")
    world.append(
        batch(records(0, 3)),
        batch([record(0), record(1, Note="poison")], stream=poisoned),
        batch(records(3, 5), first=3),
    )
    lake = stepped(world, decoder=Stumbling(how))
    assert identities(read(lake.catalog, "contoso", TABLE)) == identities_of(STREAM, 0, 5)
    (row,) = quarantine(lake)
    assert (row["Reason"], row["_Stream"]) == ("undecodable", poisoned.id)


def test_want_of_memory_is_not_the_batchs_fault(world: World) -> None:
    world.append(batch([record(0, Note="poison")]))
    stumbling = Stumbling("memory")
    lake = world.open(decoder=stumbling)
    with pytest.raises(Unavailable):
        lake.step(NOW_US)
    assert lake.catalog.position() == 0 and world.files_on_disk() == set()
    stumbling.how = ""
    assert world.open().step(NOW_US).stored == 1


def test_a_journal_that_ends_before_the_cursor_is_not_read(world: World, tmp_path: Path) -> None:
    world.append(batch(records(0, 3)))
    stepped(world).close()
    elsewhere = World(tmp_path / "elsewhere")
    elsewhere.root = world.root
    with pytest.raises(Unavailable, match="where the lake goes on"):
        elsewhere.open().step(NOW_US)


def test_any_record_is_found_again(world: World) -> None:
    world.append(batch([*records(0, 3), b"bad"]), batch(records(4, 6), first=4, at_us=NOW_US + 1))
    lake = stepped(world)
    for seq in (0, 2, 4, 5):
        found = find_row(lake.catalog, "contoso", TABLE, STREAM.id, EPOCH, seq)
        assert found is not None and found.table == TABLE
        assert (found.row["_Seq"], found.row["Id"]) == (seq, f"r{seq}")
        assert found.row["TimeGenerated"].isoformat() == "2024-09-02T12:00:00+00:00"
    found = find_row(lake.catalog, "contoso", TABLE, STREAM.id, EPOCH, 3)
    assert found is not None and found.table == QUARANTINE.name and found.row["RawData"] == "bad"
    assert find_row(lake.catalog, "contoso", TABLE, STREAM.id, EPOCH, 6) is None
    assert find_row(lake.catalog, "contoso", TABLE, STREAM.id, "b" * 32, 0) is None
    assert find_row(lake.catalog, "fabrikam", TABLE, STREAM.id, EPOCH, 0) is None


def test_fresh_files_are_compressed_and_have_no_more_than_the_table(world: World) -> None:
    world.append(batch(records(0, 100)))
    lake = stepped(world)
    (file,) = lake.catalog.files("contoso", TABLE)
    column = pq.ParquetFile(file.path).metadata.row_group(0).column(0)
    assert column.compression == "ZSTD"


def test_a_batch_that_a_rule_filters_out_is_posted_so_and_in_no_file(tmp_path: Path) -> None:
    world = World(tmp_path)
    kept, filtered = stream_of(agent="gapless-gateway"), stream_of(agent="gapless-gateway:filtered")
    world.append(
        batch(records(0, 5), stream=filtered, upload=Upload("dcr", filtered=True)),
        batch(records(5, 9), stream=kept, upload=Upload("dcr", "content")),
        batch(records(0, 5), stream=filtered, upload=Upload("dcr", filtered=True)),
        batch(records(9, 11), stream=filtered, first=5, upload=Upload("dcr", filtered=True)),
    )
    lake = world.open()
    report = lake.step(NOW_US)
    assert (report.stored, report.filtered, report.duplicates) == (4, 7, 5)
    assert identities(read(lake.catalog, "contoso", TABLE)) == identities_of(kept, 0, 4)
    postings = lake.catalog.postings_after(0, 100)
    assert posted(postings, "filtered") == {(filtered.id, EPOCH): RangeSet([(0, 7)])}
    assert posted(postings, "stored") == {(kept.id, EPOCH): RangeSet([(0, 4)])}
    check_lake(world, lake.catalog, ["contoso"])
    lake.close()
