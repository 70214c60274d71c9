"""What the journal drops when its retention is over, and what a lake that is made anew makes of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from gapless.lake.lake import Lake
from gapless.log.disk import OsDisk
from gapless.log.segments import LogWriter
from gapless.platform.journal_retention import drop_due

from .lake_harness import (
    DAY_US,
    NOW_US,
    World,
    batch,
    check_lake,
    identities,
    identities_of,
    posted,
    read,
    records,
    stream_of,
)

TABLE = "App_CL"
STREAM = stream_of(table=TABLE)


class OldWorld(World):
    """Its journal has a segment for every batch."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.journal.close()
        self.journal = LogWriter(OsDisk(), self.journal_directory, segment_bytes_max=1)

    def drop(self, lake: Lake, now_us: int) -> int:
        return drop_due(OsDisk(), self.journal_directory, lake.catalog, now_us)


def filled(path: Path) -> tuple[OldWorld, Lake]:
    """Three days of records, of which one was quarantined as a whole."""
    world = OldWorld(path)
    for day in range(3):
        at_us = NOW_US + day * DAY_US
        body = b"broken" if day == 1 else None
        world.append(
            batch(records(5 * day, 5 * day + 5), first=5 * day, stream=STREAM, at_us=at_us, body=body)
        )
    world.append(batch(records(15, 16), first=15, stream=STREAM, at_us=NOW_US + 3 * DAY_US))
    lake = world.open()
    while lake.step(NOW_US + 3 * DAY_US).more:
        pass
    return world, lake


def test_nothing_goes_that_a_table_still_has_rows_of_or_that_is_young(tmp_path: Path) -> None:
    world, lake = filled(tmp_path)
    now_us = NOW_US + 182 * DAY_US
    assert world.drop(lake, now_us) == 0, "old enough, but not expired yet"
    assert lake.expire(now_us).records == 5  # of quarantine
    assert world.drop(lake, now_us) == 0, "the step that took it in wrote another file, which is still there"
    later_us = NOW_US + 190 * DAY_US
    assert lake.expire(later_us).records == 11
    assert world.drop(lake, NOW_US + 179 * DAY_US) == 0, "nothing needs it, but it is young"
    assert world.drop(lake, NOW_US + 181 * DAY_US) == 1
    assert world.drop(lake, later_us) == 2, "the last segment is the writer's"


def test_what_the_lake_has_not_taken_in_stays(tmp_path: Path) -> None:
    world = OldWorld(tmp_path)
    for first in range(3):
        world.append(batch(records(first, first + 1), first=first, stream=STREAM))
    lake = world.open()
    assert world.drop(lake, NOW_US + 999 * DAY_US) == 0


def test_a_lake_that_is_made_anew_knows_what_was_dropped_as_expired(tmp_path: Path) -> None:
    world, lake = filled(tmp_path)
    now_us = NOW_US + 190 * DAY_US
    lake.expire(now_us)
    assert world.drop(lake, now_us) == 3
    world.append(batch(records(16, 18), first=16, stream=STREAM, at_us=now_us))
    assert lake.step(now_us).stored == 2
    lake.close()
    shutil.rmtree(world.root)
    again = world.open()
    while again.step(now_us).more:
        pass
    check_lake(world, again.catalog, ["contoso"])
    (told,) = posted(again.catalog.postings_after(0, 99), "expired").values()
    assert list(told) == [(0, 15)]
    assert identities(read(again.catalog, "contoso", TABLE)) == identities_of(STREAM, 15, 18)
    assert again.catalog.notices_after(0, 9) == []
