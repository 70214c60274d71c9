"""Retention: what is old enough goes, into the books; nothing else does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gapless.lake.lake import Lake, LakeSettings
from gapless.lake.limits import StepLimits
from gapless.lake.retention import Retention
from gapless.model.errors import Misconfigured

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
    posted,
    read,
    record,
    records,
    stream_of,
)

TABLE = "App_CL"
STREAM = stream_of(table=TABLE)
LONGER = stream_of("fabrikam", TABLE)
SETTINGS = LakeSettings(retention=Retention(180, {"fabrikam": 365}))


def fold(world: World, *messages: Any, settings: LakeSettings = SETTINGS) -> Lake:
    world.append(*messages)
    lake = world.open(settings)
    lake.step(NOW_US)
    return lake


def test_old_records_expire_and_are_posted_by_epoch_in_ranges(tmp_path: Path) -> None:
    world = World(tmp_path)
    other = "b" * 32
    lake = fold(
        world,
        batch(records(0, 5), stream=STREAM),
        batch(records(7, 9), first=7, stream=STREAM),
        batch(records(0, 2), stream=STREAM, epoch=other),
        batch(records(5, 7), first=5, stream=STREAM),
    )
    last = lake.catalog.postings_after(0, 99)[-1].id
    now_us = NOW_US + 180 * DAY_US
    assert lake.expire(now_us) == (0, 0)
    assert lake.expire(now_us + 1) == (1, 11)
    expired = lake.catalog.postings_after(last, 99)
    assert [(each.epoch, each.account, each.first, each.next) for each in expired] == [
        (EPOCH, "expired", 0, 9),
        (other, "expired", 0, 2),
    ]
    assert {(each.at_us, each.position, each.until) for each in expired} == {
        (now_us + 1, lake.catalog.position(), lake.catalog.position())
    }
    assert lake.catalog.files("contoso", TABLE) == []
    check_lake(world, lake.catalog, ["contoso"])
    assert lake.expire(now_us + 1) == (0, 0)
    assert lake.sweep(now_us + 2).unlinked == 0  # still in its grace
    assert lake.sweep(now_us + 601_000_000).unlinked == 1
    assert world.files_on_disk() == set()


def test_what_expired_is_not_taken_in_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    lake = fold(world, batch(records(0, 5), stream=STREAM))
    lake.expire(NOW_US + 181 * DAY_US)
    world.append(batch(records(0, 5), stream=STREAM))
    assert lake.step(NOW_US + 181 * DAY_US).duplicates == 5
    check_lake(world, lake.catalog, ["contoso"])


def test_a_tenant_may_keep_its_rows_longer(tmp_path: Path) -> None:
    world = World(tmp_path)
    lake = fold(world, batch(records(0, 2), stream=STREAM), batch(records(0, 3), stream=LONGER))
    assert lake.expire(NOW_US + 364 * DAY_US).records == 2
    assert identities(read(lake.catalog, "fabrikam", TABLE)) == identities_of(LONGER, 0, 3)
    assert lake.expire(NOW_US + 366 * DAY_US).records == 3
    check_lake(world, lake.catalog, ["contoso", "fabrikam"])


def test_age_is_counted_from_receipt_so_wrong_clocks_do_no_harm(tmp_path: Path) -> None:
    world = World(tmp_path)
    lines = [record(0, "2001-01-01T00:00:00Z"), record(1, "2090-01-01T00:00:00Z"), record(2)]
    lake = fold(world, batch(lines, stream=STREAM))
    assert lake.expire(NOW_US + 179 * DAY_US).records == 0
    assert lake.expire(NOW_US + 181 * DAY_US).records == 3


@pytest.mark.parametrize("later", [0, 1])
@pytest.mark.parametrize("chunk_records_max", [2, 100])
def test_a_file_stays_until_its_youngest_row_is_old_enough(
    tmp_path: Path, later: int, chunk_records_max: int
) -> None:
    world = World(tmp_path)
    lake = fold(
        world,
        batch(records(0, 2), stream=STREAM, at_us=NOW_US + (1 - later) * DAY_US),
        batch(records(2, 4), first=2, stream=STREAM, at_us=NOW_US + later * DAY_US),
        settings=LakeSettings(step=StepLimits(chunk_records_max=chunk_records_max)),
    )
    assert lake.expire(NOW_US + 180 * DAY_US + 1).records == 0
    assert lake.expire(NOW_US + 181 * DAY_US + 1).records == 4


def test_quarantined_records_expire_too_also_as_whole_batches(tmp_path: Path) -> None:
    world = World(tmp_path)
    lines = [*records(0, 2), b"\xff", record(3), b"\xfe", b"\xfd"]
    lake = fold(
        world,
        batch(lines, stream=STREAM),
        batch(records(0, 10), first=6, stream=STREAM, body=b"broken"),
        batch(records(0, 4), first=20, stream=STREAM, body=b"broken"),
    )
    assert lake.expire(NOW_US + 181 * DAY_US) == (2, 20)
    postings = lake.catalog.postings_after(0, 99)
    assert list(posted(postings, "expired")[STREAM.id, EPOCH]) == [(0, 16), (20, 24)]
    assert lake.catalog.tables("contoso") == []
    check_lake(world, lake.catalog, ["contoso"])


def test_compacted_files_expire_like_fresh_ones(tmp_path: Path) -> None:
    world = World(tmp_path)
    lake = fold(world)
    for number in range(3):
        world.append(batch(records(0, 4), first=8 * number, stream=STREAM, at_us=NOW_US + number))
        lake.step(NOW_US)
    assert lake.compact_one(NOW_US + DAY_US) is not None
    now_us = NOW_US + 180 * DAY_US
    assert lake.expire(now_us + 2).records == 0
    assert lake.expire(now_us + 3).records == 12
    postings = lake.catalog.postings_after(0, 99)
    assert list(posted(postings, "expired")[STREAM.id, EPOCH]) == [(0, 4), (8, 12), (16, 20)]
    check_lake(world, lake.catalog, ["contoso"])


def test_a_file_that_cannot_be_read_expires_too_because_the_catalogue_knows_what_it_held(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    lake = fold(world, batch([record(0), record(1, "2024-09-01T00:00:00Z")], stream=STREAM))
    (damaged, _) = lake.catalog.files("contoso", TABLE)
    Path(damaged.path).write_bytes(b"nothing to be read here")
    assert lake.expire(NOW_US + 181 * DAY_US) == (2, 2)
    check_lake(world, lake.catalog, ["contoso"])


def test_a_crash_at_any_statement_of_the_expiry(tmp_path: Path) -> None:
    message = batch(records(0, 4), stream=STREAM)
    lake = fold(World(tmp_path / "whole"), message)
    with crashing_catalog(lake, -2) as asked:
        lake.expire(NOW_US + 181 * DAY_US)
    for at in range(len(asked)):
        world = World(tmp_path / f"{at}")
        lake = fold(world, message)
        with crashing_catalog(lake, at), pytest.raises(Crash):
            lake.expire(NOW_US + 181 * DAY_US)
        lake.close()
        lake = world.open(SETTINGS)
        check_lake(world, lake.catalog, ["contoso"])
        assert identities(read(lake.catalog, "contoso", TABLE)) == identities_of(STREAM, 0, 4)
        assert lake.expire(NOW_US + 181 * DAY_US).records == 4
        check_lake(world, lake.catalog, ["contoso"])


def test_no_tenant_may_have_less_than_all_others() -> None:
    with pytest.raises(Misconfigured) as caught:
        Retention(0, {"contoso": -1, "fabrikam": 365}).check()
    assert len(caught.value.faults) == 2
    with pytest.raises(Misconfigured, match="tenant contoso is 179"):
        Retention(180, {"contoso": 179, "fabrikam": 180}).check()
    assert Retention(200, {"contoso": 200}).check().days == 200
    assert Retention().days == 180


def test_a_lake_with_such_a_retention_does_not_open(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured):
        World(tmp_path).open(LakeSettings(retention=Retention(180, {"contoso": 30})))
