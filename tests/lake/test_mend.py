"""A data file that is gone or altered is noticed, and what it held is made again, each record once."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapless.lake.facts import FileRow
from gapless.lake.holdings import decode, encode, joined
from gapless.lake.lake import Lake, LakeSettings
from gapless.lake.limits import CheckLimits, StepLimits
from gapless.model.errors import Corrupt, Misconfigured
from gapless.model.ranges import RangeSet
from gapless.model.tables import QUARANTINE

from .lake_harness import (
    DAY_US,
    EPOCH,
    NOW_US,
    Crash,
    World,
    batch,
    check_lake,
    crashing_catalog,
    identities,
    identities_of,
    posted_now,
    read,
    record,
    records,
    stream_of,
)

TABLE = "App_CL"
STREAM = stream_of(table=TABLE)
OTHER = stream_of(table=TABLE, agent="other")
LATER_US = NOW_US + 3600_000_000


def filled(path: Path, settings: LakeSettings | None = None) -> tuple[World, Lake]:
    """Two steps: two streams, two days, some quarantined, one batch as a whole, one twice."""
    world = World(path)
    lines = [record(0), record(1, "2024-09-01T00:00:00Z"), b"\xff", record(3)]
    world.append(
        batch(lines, stream=STREAM),
        batch(records(0, 3), stream=OTHER),
        batch(records(0, 5), first=4, stream=STREAM, body=b"broken"),
    )
    lake = world.open(settings)
    while lake.step(NOW_US).more:
        pass
    world.append(batch(records(9, 12), first=9, stream=STREAM), batch(lines, stream=STREAM))
    while lake.step(NOW_US).more:
        pass
    check_whole(world, lake)
    return world, lake


def check_whole(world: World, lake: Lake) -> None:
    check_lake(world, lake.catalog, ["contoso"])
    held = identities(read(lake.catalog, "contoso", TABLE))
    assert held == sum(
        (identities_of(STREAM, *each) for each in ((0, 2), (3, 4), (9, 12))), identities_of(OTHER, 0, 3)
    )


def all_files(lake: Lake) -> list[FileRow]:
    return lake.catalog.files_after(0, 99)


def mended(lake: Lake) -> list[tuple[int, int, bool]]:
    return list(iter(lambda: lake.mend(LATER_US), None))


def checked(lake: Lake, from_us: int = LATER_US) -> int:
    """Check all files; how many were damaged."""
    return sum(lake.check(from_us + second * 1_000_000).damaged for second in range(3))


def flip(path: str) -> None:
    data = bytearray(Path(path).read_bytes())
    data[len(data) // 2] ^= 1
    Path(path).write_bytes(data)


def kinds(lake: Lake) -> list[str]:
    return [row.notice.kind for row in lake.catalog.notices_after(0, 99) if row.notice.path]


@pytest.mark.parametrize("harm", ["gone", "flipped", "cut"])
@pytest.mark.parametrize("which", range(4))
def test_a_damaged_file_leaves_its_table_and_is_made_again(tmp_path: Path, harm: str, which: int) -> None:
    world, lake = filled(tmp_path)
    file = all_files(lake)[which]
    if harm == "gone":
        Path(file.path).unlink()
    elif harm == "flipped":
        flip(file.path)
    else:
        Path(file.path).write_bytes(Path(file.path).read_bytes()[:-1])
    assert checked(lake) == 1
    content = lake.catalog.content("contoso", file.table)
    assert file not in content.files and content.damaged_records == file.records
    assert kinds(lake) == ["file_damaged"]
    check_lake(world, lake.catalog, ["contoso"])  # without it, and the books say so
    (report,) = mended(lake)
    assert report == (file.records, 0, True)
    assert kinds(lake) == ["file_damaged", "file_mended"]
    assert lake.catalog.content("contoso", file.table).damaged_records == 0
    assert lake.catalog.tables("contoso") == sorted([TABLE, QUARANTINE.name])
    check_whole(world, lake)
    assert checked(lake, LATER_US + DAY_US) == 0


def test_all_files_may_be_gone_at_once_and_small_steps_mend_them(tmp_path: Path) -> None:
    world, lake = filled(tmp_path)
    lake.close()
    lake = world.open(LakeSettings(step=StepLimits(entries_max=1)))
    for file in all_files(lake):
        Path(file.path).unlink()
    assert checked(lake) == len(kinds(lake)) == 4
    assert lake.catalog.files("contoso", TABLE) == []
    assert {done for _, _, done in mended(lake)} == {False, True}
    check_whole(world, lake)


def test_nothing_is_found_where_nothing_is_wrong_and_the_rate_is_kept(tmp_path: Path) -> None:
    settings = LakeSettings(checks=CheckLimits(look_s=10, sweep_s=3600, bytes_per_s=1))
    _, lake = filled(tmp_path, settings)
    files = {file.id: file.bytes for file in all_files(lake)}
    assert lake.check(NOW_US) == (1, 0)  # the first at once, the next when its bytes have been waited for
    assert lake.check(NOW_US + 1_000_000) == (0, 0)
    read, now_us = 1, NOW_US
    for _ in range(sum(files.values()) // 10 + 1):
        now_us += 10_000_000
        read += lake.check(now_us).files
    assert read == len(files)
    assert lake.check(NOW_US + 7200_000_000).files == 1
    assert kinds(lake) == []


def test_an_altered_file_is_not_compacted_into_a_whole_one(tmp_path: Path) -> None:
    world, lake = filled(tmp_path)
    victim = lake.catalog.files("contoso", TABLE)[-1]
    flip(victim.path)
    assert [lake.compact_one(NOW_US + DAY_US) for _ in range(9)] == [None] * 9
    assert victim.id not in {file.id for file in all_files(lake)}
    mended(lake)
    check_whole(world, lake)


def test_compacted_files_are_made_again_too(tmp_path: Path) -> None:
    world, lake = filled(tmp_path)
    while lake.compact_one(NOW_US + DAY_US):
        pass
    for file in all_files(lake):
        flip(file.path)
    assert checked(lake) == 3
    mended(lake)
    check_whole(world, lake)


def test_what_the_journal_does_not_have_any_more_is_lost_exactly(tmp_path: Path) -> None:
    world = World(tmp_path)
    at = world.append(*(batch(records(n, n + 2), first=n, stream=STREAM) for n in (0, 2, 4)))
    lake = world.open()
    lake.step(NOW_US)
    (segment,) = Path(world.journal_directory).glob("*.log")
    data = bytearray(segment.read_bytes())
    data[at[1] : at[2]] = bytes(at[2] - at[1])
    segment.write_bytes(data)
    Path(all_files(lake)[0].path).unlink()
    lake.check(LATER_US)
    assert mended(lake) == [(4, 2, True)]
    assert identities(read(lake.catalog, "contoso", TABLE)) == identities_of(STREAM, 0, 2) + identities_of(
        STREAM, 4, 6
    )
    last = lake.catalog.postings_after(0, 99)[-1]
    assert (last.account, last.epoch, last.first, last.next) == ("lost", EPOCH, 2, 4)
    assert "2 are lost" in lake.catalog.notices_after(0, 9)[-1].notice.text
    check_lake(world, lake.catalog, ["contoso"])
    # If they come once more after all, they are stored.
    world.append(batch(records(2, 4), first=2, stream=STREAM))
    assert lake.step(LATER_US).stored == 2
    assert identities(read(lake.catalog, "contoso", TABLE)) == identities_of(STREAM, 0, 6)
    check_lake(world, lake.catalog, ["contoso"])


def test_a_record_that_comes_again_while_it_is_missing_is_stored_once(tmp_path: Path) -> None:
    world, lake = filled(tmp_path)
    for file in all_files(lake):
        Path(file.path).unlink()
    lake.check(LATER_US)
    world.append(batch(records(9, 12), first=9, stream=STREAM))
    assert lake.step(LATER_US).stored == 3
    mended(lake)
    check_whole(world, lake)


@pytest.mark.parametrize("act", ["check", "mend"])
def test_a_crash_at_any_statement_of_finding_or_mending(tmp_path: Path, act: str) -> None:
    def until_act(path: Path) -> tuple[World, Lake]:
        world, lake = filled(path)
        Path(lake.catalog.files("contoso", TABLE)[0].path).unlink()
        if act == "mend":
            lake.check(LATER_US)
        return world, lake

    _, lake = until_act(tmp_path / "whole")
    with crashing_catalog(lake, -2) as asked:
        getattr(lake, act)(LATER_US)
    assert asked[-1] == "COMMIT"
    for at in range(len(asked)):
        world, lake = until_act(tmp_path / f"{at}")
        with crashing_catalog(lake, at), pytest.raises(Crash):
            getattr(lake, act)(LATER_US)
        lake.close()
        lake = world.open()
        lake.sweep(LATER_US)
        lake.check(LATER_US)
        mended(lake)
        check_whole(world, lake)
        assert world.files_on_disk() >= {file.path for file in all_files(lake)}


def test_folded_postings_tell_the_same_after_something_was_taken_back(tmp_path: Path) -> None:
    world, lake = filled(tmp_path)
    lake.fold_postings(lake.catalog.postings_after(0, 999)[-1].id)
    Path(lake.catalog.files("contoso", TABLE)[0].path).unlink()
    lake.check(LATER_US)
    mended(lake)
    world.append(batch(records(12, 14), first=12, stream=STREAM))
    lake.step(LATER_US)
    told = posted_now(lake.catalog.postings_after(0, 999))
    while lake.fold_postings(lake.catalog.postings_after(0, 999)[-1].id):
        pass
    assert posted_now(lake.catalog.postings_after(0, 999)) == told


def test_a_catalogue_of_format_1_learns_what_its_files_hold(tmp_path: Path) -> None:
    world, lake = filled(tmp_path)
    before = {file.id: (file.digest, file.records) for file in all_files(lake)}
    lake.close()
    as_format_1(world.root)
    lake = world.open()
    assert {file.id: (file.digest, file.records) for file in all_files(lake)} == before
    for file in all_files(lake):
        Path(file.path).unlink()
    lake.check(LATER_US)
    mended(lake)
    check_whole(world, lake)


def test_a_format_1_lake_with_a_file_that_is_not_whole_says_what_to_do(tmp_path: Path) -> None:
    world, lake = filled(tmp_path)
    Path(lake.catalog.files("contoso", TABLE)[0].path).unlink()
    lake.close()
    as_format_1(world.root)
    with pytest.raises(Corrupt):
        world.open()


def test_a_catalogue_of_format_2_counts_what_is_filtered_from_here_on(tmp_path: Path) -> None:
    world, lake = filled(tmp_path)
    lake.close()
    with sqlite3.connect(f"{world.root}/catalog.db") as connection:
        connection.execute("ALTER TABLE epoch DROP COLUMN filtered")
        connection.execute("UPDATE lake SET format = 2")
    check_whole(world, world.open())


def as_format_1(root: str) -> None:
    with sqlite3.connect(f"{root}/catalog.db") as connection:
        connection.execute("DROP TABLE damaged")
        for column in ("digest", "position", "until", "holds"):
            connection.execute(f"ALTER TABLE file DROP COLUMN {column}")
        connection.execute("ALTER TABLE notice DROP COLUMN path")
        connection.execute("ALTER TABLE epoch DROP COLUMN filtered")
        connection.execute("UPDATE lake SET format = 1")


def test_limits_that_cannot_be_kept_are_refused() -> None:
    with pytest.raises(Misconfigured, match="bytes_per_s"):
        CheckLimits(bytes_per_s=0).check()


runs = st.lists(
    st.tuples(st.integers(0, 200), st.integers(1, 9)), min_size=1, max_size=20, unique_by=lambda run: run[0]
)


@given(st.dictionaries(st.integers(1, 1 << 40), runs, min_size=1, max_size=5))
def test_holdings_come_back_from_bytes_as_disjoint_ranges(made: dict[int, list[tuple[int, int]]]) -> None:
    holdings, expected = {}, {}
    for id_, parts in made.items():
        spread = [(10 * first, 10 * first + length) for first, length in parts]
        expected[id_] = list(RangeSet(spread))
        holdings[id_] = joined([np.array([each]) for each in spread])
    found = decode(encode(holdings))
    assert {id_: [tuple(each) for each in ranges.tolist()] for id_, ranges in found.items()} == expected


def test_a_record_in_two_files_is_seen() -> None:
    with pytest.raises(Corrupt):
        joined([np.array([(0, 5)]), np.array([(4, 6)])])
