"""Compaction: fewer files, the same rows, and nothing lost wherever it stops."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gapless.lake.compact import Compactor, CompactReport
from gapless.lake.engine import TooLarge
from gapless.lake.find import find_row
from gapless.lake.lake import Lake, LakeSettings
from gapless.lake.limits import CompactionLimits, StepLimits
from gapless.model.errors import Misconfigured
from gapless.model.tables import QUARANTINE

from .lake_harness import (
    EPOCH,
    NOW_US,
    Crash,
    CrashingDisk,
    ForgetfulDisk,
    World,
    batch,
    check_lake,
    crashing_catalog,
    identities,
    identities_of,
    read,
    record,
    records,
    stream_of,
)

TABLE = "App_CL"
STREAM = stream_of(table=TABLE)
HOUR_US = 3_600_000_000
SETTLED_US = NOW_US + 2 * HOUR_US
LIMITS = CompactionLimits(fresh_files_max=4, memory_bytes_max=64 * 1024**2)


def filled(path: Path, files: int = 4, **settings: Any) -> tuple[World, Lake]:
    """A lake whose table has so many files of one day, of two records each."""
    world = World(path)
    lake = world.open(LakeSettings(compaction=LIMITS, **settings))
    add_files(world, lake, 0, files)
    return world, lake


def add_files(world: World, lake: Lake, begin: int, files: int) -> None:
    for first in range(2 * begin, 2 * (begin + files), 2):
        world.append(batch(records(first, first + 2), first=first, stream=STREAM))
        lake.step(NOW_US)


def all_rows(lake: Lake, table: str = TABLE) -> list[dict[str, Any]]:
    return sorted(read(lake.catalog, "contoso", table), key=lambda row: (row["_Stream"], row["_Seq"]))


def compacted(lake: Lake, now_us: int) -> list[CompactReport]:
    reports = []
    while report := lake.compact_one(now_us):
        reports.append(report)
    return reports


def test_many_small_files_become_one_with_the_same_rows(tmp_path: Path) -> None:
    world, lake = filled(tmp_path, files=5)
    before = all_rows(lake)
    old = lake.catalog.files("contoso", TABLE)
    (report,) = compacted(lake, NOW_US)
    assert (report.files, report.rows, report.day) == (5, 10, "2024-09-02")
    assert report.bytes_before == sum(file.bytes for file in old)
    (new,) = lake.catalog.files("contoso", TABLE)
    assert new.bytes == report.bytes_after
    assert new.received_us == max(file.received_us for file in old)
    assert all_rows(lake) == before
    check_lake(world, lake.catalog, ["contoso"])


def test_rows_of_every_type_are_the_same_afterwards(tmp_path: Path) -> None:
    world = World(tmp_path)
    stream = stream_of()
    lake = world.open(LakeSettings(compaction=LIMITS))
    for first in range(4):
        extra = {
            "UserPrincipalName": f"user{3 - first}",
            "Unknown": {"deep": [1.5, None, "é\u0000"]},
            "CreatedDateTime": "2024-09-02T10:00:00.1234567Z",
            "ResultType": first,
            "IsRisky": first % 2 == 0,
            "DeviceDetail": {"a": ["b"]},
        }
        world.append(batch([record(first, **extra), b"{}"], first=2 * first, stream=stream))
        lake.step(NOW_US)
    before = all_rows(lake, stream.table)
    old = pq.ParquetFile(lake.catalog.files("contoso", stream.table)[0].path).schema_arrow
    assert len(compacted(lake, NOW_US)) == 1
    (file,) = lake.catalog.files("contoso", stream.table)
    assert all_rows(lake, stream.table) == before
    new = pq.ParquetFile(file.path).schema_arrow
    assert (new.names, new.types) == (old.names, old.types)
    users = [row["UserPrincipalName"] for row in read(lake.catalog, "contoso", stream.table)]
    assert users[:4] == ["user0", "user1", "user2", "user3"]


def test_compacted_files_have_small_row_groups_and_bloom_filters(tmp_path: Path) -> None:
    world = World(tmp_path)
    lake = world.open(LakeSettings(compaction=replace(LIMITS, row_group_rows=2048)))
    for first in range(0, 8000, 2000):
        world.append(batch(records(first, first + 2000), first=first, stream=STREAM))
        lake.step(NOW_US)
    compacted(lake, NOW_US)
    (file,) = lake.catalog.files("contoso", TABLE)
    metadata = pq.ParquetFile(file.path).metadata
    assert metadata.num_row_groups == 4
    assert metadata.row_group(0).column(0).compression == "ZSTD"
    check_lake(world, lake.catalog, ["contoso"])


def test_a_day_that_is_written_to_keeps_a_few_fresh_files(tmp_path: Path) -> None:
    _, lake = filled(tmp_path, files=3)
    assert compacted(lake, NOW_US) == []
    assert len(lake.catalog.files("contoso", TABLE)) == 3


def test_a_settled_day_is_compacted_as_far_as_can_be(tmp_path: Path) -> None:
    world, lake = filled(tmp_path, files=3)
    assert compacted(lake, NOW_US) == []
    assert [report.files for report in compacted(lake, SETTLED_US)] == [3]
    assert compacted(lake, SETTLED_US + HOUR_US) == []
    add_files(world, lake, 3, 1)  # late
    assert [report.files for report in compacted(lake, SETTLED_US + HOUR_US)] == [2]
    assert len(lake.catalog.files("contoso", TABLE)) == 1
    check_lake(world, lake.catalog, ["contoso"])


def test_a_new_owner_looks_at_all_days_again(tmp_path: Path) -> None:
    world, lake = filled(tmp_path, files=4)
    lake.close()
    lake = world.open(LakeSettings(compaction=LIMITS))
    assert len(compacted(lake, NOW_US)) == 1


def test_days_tables_and_tenants_are_compacted_apart(tmp_path: Path) -> None:
    world = World(tmp_path)
    lake = world.open(LakeSettings(compaction=LIMITS))
    streams = [STREAM, stream_of("fabrikam", TABLE), stream_of(table="Other_CL")]
    for number in range(4):
        lines = [record(0, "2024-09-01T10:00:00Z"), record(1), b"\xff"]
        world.append(*(batch(lines, first=3 * number, stream=stream) for stream in streams))
        lake.step(NOW_US)
    done = {(report.tenant, report.table, report.day) for report in compacted(lake, NOW_US)}
    tables = [("contoso", TABLE), ("fabrikam", TABLE), ("contoso", "Other_CL")]
    expected = {(*table, day) for table in tables for day in ("2024-09-01", "2024-09-02")}
    expected |= {(tenant, QUARANTINE.name, "2024-09-02") for tenant in ("contoso", "fabrikam")}
    assert done == expected
    check_lake(world, lake.catalog, ["contoso", "fabrikam"])


def test_a_quarantined_batch_keeps_standing_for_its_records(tmp_path: Path) -> None:
    world = World(tmp_path)
    lake = world.open(LakeSettings(compaction=LIMITS))
    for first in range(0, 40, 10):
        world.append(batch(records(0, 10), first=first, stream=STREAM, body=b"broken"))
        lake.step(NOW_US)
    (report,) = compacted(lake, NOW_US)
    (file,) = lake.catalog.files("contoso", QUARANTINE.name)
    assert (report.rows, file.rows, file.records) == (4, 4, 40)
    check_lake(world, lake.catalog, ["contoso"])


def test_files_that_are_full_are_left_alone_and_inputs_are_bounded(tmp_path: Path) -> None:
    _, lake = filled(tmp_path, files=4)
    lake.close()
    size = max(file.bytes for file in lake.catalog.files("contoso", TABLE))
    limits = replace(LIMITS, input_bytes_max=128 * 1024)
    compactor = Compactor(lake.catalog, lake._files, lake._checker, limits, str(tmp_path))
    files = [
        replace(file, bytes=size_of)
        for file, size_of in zip(
            lake.catalog.files("contoso", TABLE), (64 * 1024, 60_000, 60_000, 60_000), strict=True
        )
    ]
    assert size < 60_000
    assert compactor._choose(files, SETTLED_US) == files[1:3]
    assert compactor._choose(files[:2], SETTLED_US) == []


def test_files_that_left_their_table_can_be_read_until_the_grace_is_over(tmp_path: Path) -> None:
    world, lake = filled(tmp_path, unlink_grace_s=60)
    listed = lake.catalog.files("contoso", TABLE)
    compacted(lake, NOW_US)
    lake.sweep(NOW_US + 59_000_000)
    assert sum(pq.ParquetFile(file.path).metadata.num_rows for file in listed) == 8
    lake.close()
    lake = world.open(LakeSettings(unlink_grace_s=60))
    assert lake.sweep(NOW_US + 59_000_000) == (0, 0)  # known, though no part of any table
    assert lake.sweep(NOW_US + 60_000_001) == (0, 4)
    assert lake.sweep(NOW_US + 60_000_001) == (0, 0)
    assert world.files_on_disk() == {file.path for file in lake.catalog.files("contoso", TABLE)}
    check_lake(world, lake.catalog, ["contoso"])


def test_a_crash_at_any_effect_on_the_disk(tmp_path: Path) -> None:
    disk = CrashingDisk()
    _, lake = filled(tmp_path / "whole")
    lake._files._disk = disk
    compacted(lake, NOW_US)
    assert {"sync", "sync_dir"} <= set(disk.effects)
    for at in range(len(disk.effects)):
        world, lake = filled(tmp_path / f"{at}")
        lake._files._disk = CrashingDisk(at)
        with pytest.raises(Crash):
            compacted(lake, NOW_US)
        lake.close()
        check_recovered(world)


def test_a_crash_at_any_statement_of_the_swap(tmp_path: Path) -> None:
    _, lake = filled(tmp_path / "whole")
    with crashing_catalog(lake, -2) as asked:
        compacted(lake, NOW_US)
    for at in range(len(asked)):
        world, lake = filled(tmp_path / f"{at}")
        with crashing_catalog(lake, at), pytest.raises(Crash):
            compacted(lake, NOW_US)
        lake.close()
        check_recovered(world)


def test_what_was_swapped_outlives_a_loss_of_power(tmp_path: Path) -> None:
    world = World(tmp_path)
    disk = ForgetfulDisk()
    lake = world.open(LakeSettings(compaction=LIMITS), disk=disk)
    add_files(world, lake, 0, 4)
    assert len(compacted(lake, NOW_US)) == 1
    disk.lose_power(Path(world.root, "tables"))
    check_lake(world, lake.catalog, ["contoso"])
    assert len(all_rows(lake)) == 8


def check_recovered(world: World) -> None:
    lake = world.open(LakeSettings(compaction=LIMITS))
    check_lake(world, lake.catalog, ["contoso"])
    assert len(lake.catalog.files("contoso", TABLE)) == 4
    assert lake.sweep(NOW_US).orphans <= 1
    assert world.files_on_disk() == {file.path for file in lake.catalog.files("contoso", TABLE)}
    assert len(compacted(lake, NOW_US)) == 1
    assert identities(read(lake.catalog, "contoso", TABLE)) == identities_of(STREAM, 0, 8)


def put_off(world: World, lake: Lake, before: Sequence[Any], word: str) -> None:
    """The lake kept what it had, said so, and looks at it again only later."""
    assert compacted(lake, NOW_US) == []
    assert lake.catalog.files("contoso", TABLE) == before
    assert world.files_on_disk() == {file.path for file in before}
    (row,) = lake.catalog.notices_after(0, 9)
    assert (row.notice.kind, row.notice.tenant, row.notice.table) == ("not_compacted", "contoso", TABLE)
    assert word in row.notice.text
    assert compacted(lake, NOW_US + HOUR_US - 1) == []


def test_a_file_that_cannot_be_read_does_not_stop_other_days(tmp_path: Path) -> None:
    world, lake = filled(tmp_path)
    files = lake.catalog.files("contoso", TABLE)
    Path(files[1].path).write_bytes(b"gone bad")
    other = stream_of("fabrikam", TABLE)
    for first in range(4):
        world.append(batch(records(first, first + 1), first=first, stream=other))
        lake.step(NOW_US)
    (report,) = [report for _ in range(2) if (report := lake.compact_one(NOW_US))]
    assert report.tenant == "fabrikam"
    assert lake.catalog.files("contoso", TABLE) == [files[0], *files[2:]]
    assert lake.mend(NOW_US) == (2, 0, True)
    check_lake(world, lake.catalog, ["contoso", "fabrikam"])


def test_rows_that_changed_are_seen_before_the_swap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, lake = filled(tmp_path)
    before = lake.catalog.files("contoso", TABLE)
    sort = Compactor._sort

    def lossy(self: Compactor, connection: Any, paths: Sequence[str], to_path: str) -> None:
        sort(self, connection, paths[1:], to_path)

    monkeypatch.setattr(Compactor, "_sort", lossy)
    put_off(world, lake, before, "sorted they were")
    monkeypatch.undo()
    assert len(compacted(lake, NOW_US + HOUR_US)) == 1


def test_a_value_that_changed_is_seen_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, lake = filled(tmp_path)
    before = lake.catalog.files("contoso", TABLE)
    sort = Compactor._sort

    def altering(self: Compactor, connection: Any, paths: Sequence[str], to_path: str) -> None:
        sort(self, connection, paths, to_path)
        table = pq.read_table(to_path)
        texts = table["RawData"].to_pylist()
        texts[0], texts[1] = texts[1], texts[0]  # the same values, at other records
        pq.write_table(table.set_column(table.column_names.index("RawData"), "RawData", [texts]), to_path)

    monkeypatch.setattr(Compactor, "_sort", altering)
    put_off(world, lake, before, "sorted they were")


def test_a_full_disk_puts_a_day_off(tmp_path: Path) -> None:
    world, lake = filled(tmp_path)
    before = lake.catalog.files("contoso", TABLE)
    lake._files._disk = CrashingDisk(2, error=OSError(28, "No space left on device"))
    put_off(world, lake, before, "No space left")


def test_what_is_too_much_to_sort_at_once_is_sorted_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    world, lake = filled(tmp_path)
    sort = Compactor._sort

    def weak(self: Compactor, connection: Any, paths: Sequence[str], to_path: str) -> None:
        if len(paths) > 2:
            raise TooLarge("too much")
        sort(self, connection, paths, to_path)

    monkeypatch.setattr(Compactor, "_sort", weak)
    assert [report.files for report in compacted(lake, NOW_US)] == [2]
    check_lake(world, lake.catalog, ["contoso"])


def test_a_step_between_looking_and_swapping_is_no_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, lake = filled(tmp_path)
    sort = Compactor._sort

    def meanwhile(self: Compactor, connection: Any, paths: Sequence[str], to_path: str) -> None:
        monkeypatch.undo()
        add_files(world, lake, 4, 1)
        sort(self, connection, paths, to_path)

    monkeypatch.setattr(Compactor, "_sort", meanwhile)
    assert [report.files for report in compacted(lake, NOW_US)] == [4]
    assert len(lake.catalog.files("contoso", TABLE)) == 2
    check_lake(world, lake.catalog, ["contoso"])


def test_steps_and_housekeeping_go_on_side_by_side(tmp_path: Path) -> None:
    world = World(tmp_path)
    lake = world.open(LakeSettings(compaction=replace(LIMITS, fresh_files_max=2), unlink_grace_s=0))
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(add_files, world, lake, 0, 40)
        rounds = 0
        while not writing.done() or rounds < 3:
            lake.compact_one(NOW_US + rounds * 10_000_000)
            lake.sweep(NOW_US + rounds * 10_000_000)
            rounds += 1
        writing.result()
    assert identities(read(lake.catalog, "contoso", TABLE)) == identities_of(STREAM, 0, 80)
    assert len(lake.catalog.files("contoso", TABLE)) < 40
    check_lake(world, lake.catalog, ["contoso"])


def test_files_that_expire_meanwhile_are_not_brought_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, lake = filled(tmp_path)
    sort = Compactor._sort

    def meanwhile(self: Compactor, connection: Any, paths: Sequence[str], to_path: str) -> None:
        sort(self, connection, paths, to_path)
        assert lake.expire(NOW_US + 200 * 24 * HOUR_US).files == 4

    monkeypatch.setattr(Compactor, "_sort", meanwhile)
    assert compacted(lake, NOW_US) == []
    assert lake.catalog.files("contoso", TABLE) == []
    check_lake(world, lake.catalog, ["contoso"])
    assert len(world.files_on_disk()) == 4  # until their grace is over


def test_rows_are_found_in_compacted_files(tmp_path: Path) -> None:
    _, lake = filled(tmp_path)
    compacted(lake, NOW_US)
    found = find_row(lake.catalog, "contoso", TABLE, STREAM.id, EPOCH, 5)
    assert found is not None and found.row["_Seq"] == 5 and '"r5"' in found.row["RawData"]


def test_limits_that_cannot_be_kept_are_refused_all_at_once() -> None:
    with pytest.raises(Misconfigured) as caught:
        CompactionLimits(fresh_files_max=1, row_group_rows=0, settle_s=-1).check()
    assert len(caught.value.faults) == 3
    with pytest.raises(Misconfigured, match="chunk_records_max is 0: make it at least 1"):
        StepLimits(chunk_records_max=0).check()


def test_the_files_of_a_busy_day_stay_few(tmp_path: Path) -> None:
    """However many steps there were, a tier has fewer than ``fresh_files_max`` files afterwards."""
    world, lake = filled(tmp_path, files=0)
    for number in range(24):
        add_files(world, lake, number, 1)
        compacted(lake, NOW_US + number * 10_000_000)
        assert len(lake.catalog.files("contoso", TABLE)) < 2 * LIMITS.fresh_files_max
    check_lake(world, lake.catalog, ["contoso"])
