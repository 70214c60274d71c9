"""Simulated time and processes: what the rest stands on."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from gapless.log.disk import write_atomically
from gapless.testing.clock import START_US, Loop, WallClock
from gapless.testing.disk import SimDisk
from gapless.testing.faults import SimCrash
from gapless.testing.process import DiskTroubles, Process, ProcessDisk


def test_what_falls_due_happens_in_order_and_not_before() -> None:
    loop, happened = Loop(Random(1)), list[tuple[str, int]]()

    def note(name: str) -> None:
        happened.append((name, loop.now_us - START_US))

    loop.after(30, lambda: note("c"))
    loop.after(10, lambda: (note("a"), loop.after(10, lambda: note("b"))))
    loop.run_until(START_US + 30)
    assert happened == [("a", 10), ("b", 20)]
    assert loop.now_us == START_US + 30
    loop.run_until(START_US + 31)
    assert happened[-1] == ("c", 30)


def test_the_order_of_one_microsecond_is_the_seeds() -> None:
    def order(seed: int) -> list[int]:
        loop, happened = Loop(Random(seed)), list[int]()
        for name in range(10):
            loop.after(5, lambda name=name: happened.append(name))  # type: ignore[misc]
        loop.run_until(START_US + 6)
        return happened

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(5)}) > 1


def test_a_wall_clock_jumps_stands_and_is_set_right() -> None:
    loop = Loop(Random(0))
    clock = WallClock(loop)
    clock.jump(-5_000_000)
    assert clock.now_us() == START_US - 5_000_000
    clock.freeze()
    loop.run_until(START_US + 9)
    assert clock.now_us() == START_US - 5_000_000
    clock.set_right()
    assert clock.now_us() == loop.now_us


def process(loop: Loop) -> tuple[Process, list[str]]:
    ends: list[str] = []
    return Process("p", loop, lambda _, why: ends.append(why)), ends


def test_a_frozen_process_does_everything_later_and_an_ended_one_nothing() -> None:
    loop, happened = Loop(Random(0)), list[str]()
    one, _ = process(loop)
    one.freeze()
    one.after(1, lambda: happened.append("held"))
    loop.run_until(START_US + 5)
    assert happened == []
    one.thaw()
    loop.run_until(START_US + 6)
    assert happened == ["held"]
    one.after(1, lambda: happened.append("never"))
    one.end()
    loop.run_until(START_US + 9)
    assert happened == ["held"]


@pytest.mark.parametrize("effects", range(7))
def test_a_process_ends_at_any_effect_and_leaves_the_old_file_or_the_new(effects: int) -> None:
    loop = Loop(Random(0))
    disk = SimDisk(Random(effects))
    disk.make_dirs("/d")
    write_atomically(disk, "/d/f", b"old")
    one, ends = process(loop)
    mine = ProcessDisk(disk, one)
    one.crash_at(effects)
    one.run(lambda: write_atomically(mine, "/d/f", b"new"))
    assert bool(ends) == (effects < 6)  # unlink (there is none), create, write, sync, rename, sync_dir
    assert disk.content("/d/f") == (b"new" if effects >= 5 else b"old")
    if ends:
        with pytest.raises(SimCrash):
            mine.unlink("/d/f")


def test_who_polls_a_disk_acts_once_it_has_changed() -> None:
    loop, disk, acted = Loop(Random(0)), SimDisk(Random(0)), list[int]()
    disk.make_dirs("/d")
    one, _ = process(loop)
    one.poll(10, disk, lambda: acted.append(loop.now_us - START_US))
    loop.run_until(START_US + 35)
    assert acted == []
    disk.create("/d/f")
    loop.run_until(START_US + 100)
    assert acted == [40]


@pytest.mark.parametrize(
    "change",
    [
        lambda disk: disk.open("/d/f", writable=True).write([b"x"], 0),
        lambda disk: disk.open("/d/f", writable=True).truncate(0),
        lambda disk: disk.rename("/d/f", "/d/g"),
        lambda disk: disk.unlink("/d/f"),
        lambda disk: disk.damage("/d/f", None),
        lambda disk: disk.flip("/d/f", 0),
        lambda disk: disk.restore({}),
        lambda disk: disk.crash(),
    ],
)
def test_whatever_happens_to_a_disk_counts_as_a_change(change: Callable[[SimDisk], None]) -> None:
    disk = SimDisk(Random(0))
    disk.make_dirs("/d")
    disk.create("/d/f").write([b"abc"], 0)
    before = disk.changes
    change(disk)
    assert disk.changes > before


def test_a_disk_that_is_full_takes_nothing_and_then_everything() -> None:
    disk, troubles = SimDisk(Random(0)), DiskTroubles(Random(0))
    disk.make_dirs("/d")
    disk.before_effect = troubles.strike
    troubles.full = True
    with pytest.raises(OSError, match="No space"):
        disk.create("/d/f")
    troubles.full = False
    disk.create("/d/f")
    assert troubles.struck == 1


def test_an_image_is_the_disk_as_it_was_and_restoring_it_ends_what_was_open() -> None:
    disk = SimDisk(Random(0))
    disk.make_dirs("/d")
    write_atomically(disk, "/d/f", b"one")
    image = disk.image()
    write_atomically(disk, "/d/f", b"two")
    file = disk.open("/d/f", writable=False)
    disk.restore(image)
    with pytest.raises(OSError):
        file.pread(3, 0)
    assert disk.content("/d/f") == b"one"
    assert disk.names("/d") == ["f"]
    assert disk.durable("/d") == {"/d/f": b"one"}
