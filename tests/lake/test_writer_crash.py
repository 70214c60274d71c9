"""Exactly once, wherever a step is cut off: at any effect on the disk, at any statement to the catalogue."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from gapless.lake.changes import NewFile, NewPosting, StepCommit
from gapless.lake.commits import CatalogWriter, Fenced
from gapless.lake.decode import Decoded, Decoder
from gapless.lake.facts import EpochKey
from gapless.lake.lake import Lake, LakeSettings
from gapless.lake.limits import StepLimits
from gapless.lake.storing import TenantStore
from gapless.model.errors import Corrupt, Unavailable
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
    records,
    stream_of,
)

TABLE = "App_CL"  # few columns make many runs quick
STREAM = stream_of(table=TABLE)


def filled(path: Path) -> World:
    """A journal whose step writes two files, and has a repeated batch."""
    world = World(path)
    lines = [*records(0, 4), b"\xff"]
    world.append(batch(lines, stream=STREAM), batch(lines, stream=STREAM))
    return world


def check_done(world: World, lake: Lake) -> None:
    """Everything is there once, and nothing is on the disk that the catalogue does not know."""
    assert lake.catalog.position() == world.journal.durable
    check_lake(world, lake.catalog, ["contoso"])
    assert identities(read(lake.catalog, "contoso", TABLE)) == identities_of(STREAM, 0, 4)
    assert identities(read(lake.catalog, "contoso", QUARANTINE.name)) == identities_of(STREAM, 4, 5)
    known = {file.path for table in (TABLE, QUARANTINE.name) for file in lake.catalog.files("contoso", table)}
    assert world.files_on_disk() == known
    assert lake.step(NOW_US).entries == 0


def recovered(world: World) -> Lake:
    lake = world.open()
    check_lake(world, lake.catalog, ["contoso"])
    lake.sweep(NOW_US)
    lake.step(NOW_US)
    return lake


def disk_effects(path: Path) -> list[str]:
    disk = CrashingDisk()
    filled(path).open(disk=disk).step(NOW_US)
    return disk.effects


def test_a_crash_at_any_effect_on_the_disk(tmp_path: Path) -> None:
    effects = disk_effects(tmp_path / "whole")
    assert {"create", "write", "sync", "make_dirs", "sync_dir"} <= set(effects)
    # Before an effect is after the one before it.
    places = [(at, True) for at in range(len(effects))]
    places += [(at, False) for at, effect in enumerate(effects) if at == 0 or effect == "write"]
    for at, after in places:
        world = filled(tmp_path / f"{at} {after}")
        lake = world.open(disk=CrashingDisk(at, after=after))
        with pytest.raises(Crash, match=effects[at]):
            lake.step(NOW_US)
        lake.close()
        check_done(world, recovered(world))


@pytest.mark.case("T32")
def test_a_disk_that_refuses_leaves_nothing_behind_and_can_be_asked_again(tmp_path: Path) -> None:
    for at, effect in enumerate(disk_effects(tmp_path / "whole")):
        world = filled(tmp_path / f"{at}")
        number = (errno.ENOSPC, errno.EIO)[at % 2]
        lake = world.open(disk=CrashingDisk(at, error=OSError(number, "no")))
        with pytest.raises(Unavailable):
            lake.step(NOW_US)
        assert lake.catalog.position() == 0, effect
        assert world.files_on_disk() == set(), effect
        lake.step(NOW_US)
        check_done(world, lake)


def test_what_a_step_committed_outlives_a_loss_of_power(tmp_path: Path) -> None:
    world = filled(tmp_path)
    disk = ForgetfulDisk()
    world.open(disk=disk).step(NOW_US)
    world.append(batch(records(5, 7), first=5, stream=STREAM))
    lake = world.open(disk=disk)
    lake.step(NOW_US)
    disk.lose_power(Path(world.root, "tables"))
    check_lake(world, lake.catalog, ["contoso"])
    assert identities(read(lake.catalog, "contoso", TABLE)).total() == 6


class Watched(Decoder):
    """A decoder that tells whether it is at work."""

    def __init__(self) -> None:
        super().__init__()
        self.at_work = threading.Event()

    def decode(self, *arguments: Any, **more: Any) -> Decoded:
        self.at_work.set()
        try:
            return super().decode(*arguments, **more)
        finally:
            self.at_work.clear()


def several(path: Path) -> World:
    """A journal whose step writes files of one table while it decodes records of the next."""
    world = World(path)
    world.append(*(batch(records(0, 3), stream=stream) for stream in SEVERAL))
    return world


SEVERAL = [stream_of(table=f"App{number}_CL") for number in range(4)]
SMALL_CHUNKS = LakeSettings(step=StepLimits(chunk_records_max=1))


def test_a_crash_while_the_next_records_are_decoded(tmp_path: Path) -> None:
    whole = CrashingDisk()
    several(tmp_path / "whole").open(SMALL_CHUNKS, disk=whole).step(NOW_US)
    places = [at for at, effect in enumerate(whole.effects) if effect in ("create", "write")]
    assert len(places) == 2 * len(SEVERAL)
    for at in places:
        world = several(tmp_path / f"{at}")
        decoder = Watched()
        lake = world.open(SMALL_CHUNKS, disk=CrashingDisk(at), decoder=decoder)
        with pytest.raises(Crash):
            lake.step(NOW_US)
        assert not decoder.at_work.is_set()  # whatever ends a step, nothing of it goes on
        lake.close()
        lake = recovered(world)
        check_lake(world, lake.catalog, ["contoso"])
        for stream in SEVERAL:
            assert identities(read(lake.catalog, "contoso", stream.table)) == identities_of(stream, 0, 3)
        assert len(world.files_on_disk()) == len(SEVERAL)
        lake.close()


def statements(path: Path) -> list[str]:
    lake = filled(path).open()
    with crashing_catalog(lake, -2) as asked:
        lake.step(NOW_US)
    return asked


def test_a_crash_at_any_statement_of_the_commit(tmp_path: Path) -> None:
    asked = statements(tmp_path / "whole")
    assert asked[-1] == "COMMIT" and len(asked) > 8
    for at in range(len(asked)):
        world = filled(tmp_path / f"{at}")
        lake = world.open()
        with crashing_catalog(lake, at), pytest.raises(Crash):
            lake.step(NOW_US)
        lake.close()
        again = world.open()
        assert again.catalog.position() == 0
        assert again.catalog.postings_after(0, 9) == []
        assert again.catalog.tables("contoso") == []
        again.close()
        check_done(world, recovered(world))


def failing(monkeypatch: pytest.MonkeyPatch, fail: Callable[[], None], *, committed: bool) -> None:
    original = CatalogWriter.commit_step

    def commit_step(self: CatalogWriter, step: StepCommit, now_us: int) -> None:
        monkeypatch.undo()
        if committed:
            original(self, step, now_us)
        fail()

    monkeypatch.setattr(CatalogWriter, "commit_step", commit_step)


def crash() -> None:
    raise Crash


def no_answer() -> None:
    raise Unavailable("the catalogue went away")


@pytest.mark.parametrize("committed", [False, True])
def test_a_crash_around_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, committed: bool) -> None:
    world = filled(tmp_path)
    lake = world.open()
    failing(monkeypatch, crash, committed=committed)
    with pytest.raises(Crash):
        lake.step(NOW_US)
    lake.close()
    check_done(world, recovered(world))


@pytest.mark.parametrize("committed", [False, True])
def test_a_commit_whose_outcome_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    world = filled(tmp_path)
    lake = world.open()
    failing(monkeypatch, no_answer, committed=committed)
    with pytest.raises(Unavailable):
        lake.step(NOW_US)
    assert lake.step(NOW_US).entries == (0 if committed else 2)
    check_done(world, lake)


def test_a_catalogue_that_is_locked_is_waited_for_or_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gapless.lake.commits._BUSY_TIMEOUT_S", 0.01)
    world = filled(tmp_path)
    lake = world.open()
    other = sa.create_engine(f"sqlite:///{world.root}/catalog.db")
    with other.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="try again"):
            lake.step(NOW_US)
        connection.exec_driver_sql("ROLLBACK")
    lake.step(NOW_US)
    check_done(world, lake)


def test_a_second_writer_takes_over_and_the_first_can_do_nothing_more(tmp_path: Path) -> None:
    world = filled(tmp_path)
    first = world.open()
    first.step(NOW_US)
    world.append(batch(records(5, 8), first=5, stream=STREAM))
    second = world.open()
    before = world.files_on_disk()
    with pytest.raises(Fenced):
        first.step(NOW_US)
    left = world.files_on_disk() - before
    assert len(left) == 1  # the first cannot know whether it was committed
    for act in (lambda: first.catalog.forget(["x"]), lambda: first.expire(NOW_US + 400 * 86_400_000_000)):
        with pytest.raises(Fenced):
            act()
    assert second.sweep(NOW_US).orphans == 1
    assert second.step(NOW_US).stored == 3
    check_lake(world, second.catalog, ["contoso"])
    assert world.files_on_disk().isdisjoint(left)


def test_a_writer_that_is_overtaken_between_its_files_and_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new owner's sweep removes files that the old one has just written and is about to commit."""
    world = filled(tmp_path)
    first = world.open()
    seconds: list[Lake] = []
    original = CatalogWriter.commit_step

    def commit_step(self: CatalogWriter, step: StepCommit, now_us: int) -> None:
        if not seconds:
            seconds.append(world.open())
            assert seconds[0].sweep(now_us).orphans == len(step.files)
        original(self, step, now_us)

    monkeypatch.setattr(CatalogWriter, "commit_step", commit_step)
    with pytest.raises(Fenced):
        first.step(NOW_US)
    seconds[0].step(NOW_US)
    check_done(world, seconds[0])


def test_a_cursor_that_moved_fences_too(tmp_path: Path) -> None:
    world = filled(tmp_path)
    lake = world.open()
    lake.step(NOW_US)
    with pytest.raises(Fenced):
        lake.catalog.commit_step(StepCommit(0, 10), NOW_US)
    check_done(world, lake)


def test_the_catalogue_takes_nothing_twice_whatever_it_is_told(tmp_path: Path) -> None:
    world = filled(tmp_path)
    lake = world.open()
    lake.step(NOW_US)
    posting = lake.catalog.postings_after(0, 9)[0]
    position = lake.catalog.position()
    step = StepCommit(position, position + 1)
    with lake.catalog.reading() as connection:
        key = connection.exec_driver_sql(
            f"SELECT tenant, table_name, stream, epoch FROM epoch WHERE stream = '{posting.stream}'"
        ).one()
    (file, *_) = lake.catalog.files("contoso", TABLE)
    new = NewFile(
        file.tenant, file.table, file.day, "tables/x.parquet", 1, 1, 9, file.min_us, file.max_us,
        file.received_us, "", {(posting.stream, posting.epoch): np.array([(2, 3)])},
    )  # fmt: skip
    step.files.append(new)
    step.post(NewPosting(EpochKey(*key), "stored", 2, 3, position, position + 1))
    with pytest.raises(Corrupt, match="twice"):
        lake.catalog.commit_step(step, NOW_US)
    unbalanced = StepCommit(position, position + 1, files=[new])
    with pytest.raises(Corrupt, match="posted"):
        lake.catalog.commit_step(unbalanced, NOW_US)
    check_done(world, lake)


@pytest.mark.parametrize("broken", ["post", "quarantine"])
def test_a_step_that_loses_count_commits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """The files' records and the postings are counted apart: a defect in either stops the step."""
    world = filled(tmp_path)
    if broken == "post":
        monkeypatch.setattr(TenantStore, "_post", lambda *_: None)
    else:
        monkeypatch.setattr("gapless.lake.storing.quarantine_rows", lambda *_: None)
        monkeypatch.setattr("gapless.lake.storing.DayFiles.write", lambda *_: None)
    lake = world.open()
    with pytest.raises(Corrupt):
        lake.step(NOW_US)
    monkeypatch.undo()
    assert lake.catalog.position() == 0
    lake.step(NOW_US)
    check_done(world, lake)


def test_the_sweep_spares_what_is_not_the_lakes(tmp_path: Path) -> None:
    world = filled(tmp_path)
    lake = world.open()
    lake.step(NOW_US)
    lake.close()
    directory = Path(world.root, "tables", "contoso", TABLE)
    spared = [directory / "notes.txt", directory / "2024-09-02.x.y.parquet", directory.parent / "file"]
    orphan = directory / f"2024-09-02.1.{EPOCH}.parquet"
    living = directory / f"2024-09-02.2.{EPOCH}.parquet"  # of the owner that sweeps
    for path in [*spared, orphan, living]:
        path.write_bytes(b"")
    lake = world.open()
    assert lake.catalog.generation == 2
    assert lake.sweep(NOW_US).orphans == 1
    assert not orphan.exists() and living.exists() and all(path.exists() for path in spared)
    check_lake(world, lake.catalog, ["contoso"])
