"""The log on a disk that loses, tears and refuses: every promise of `oracle`, at every effect."""

from __future__ import annotations

import errno
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.testing.disk import Fate, SimDisk
from gapless.testing.faults import Fault, SimCrash, faults

from .exploration import (
    ENDS,
    KILLED,
    POWER,
    End,
    crash_everywhere,
    end,
    fail_and_crash_everywhere,
    fail_everywhere,
    go_on,
    proceed,
)
from .oracle import DIRECTORY, Owner

every_end = pytest.mark.parametrize("end_as", ENDS, ids=[name for name, _, _ in ENDS])


@pytest.mark.case("T2")
@every_end
def test_crash_at_every_effect_and_at_every_effect_of_the_recovery(end_as: End) -> None:
    crash_everywhere(end_as)


@pytest.mark.case("T32")
@every_end
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_every_effect_refused_once(error: int, end_as: End) -> None:
    fail_everywhere("", error, 1, end_as)


@every_end
@pytest.mark.parametrize("effect", ["", "write", "sync", "create", "sync_dir", "truncate", "unlink"])
def test_every_effect_of_a_kind_refused_for_a_while(effect: str, end_as: End) -> None:
    fail_everywhere(effect, errno.EIO, 4, end_as)


@every_end
def test_every_two_effects_refused_and_then_a_crash(end_as: End) -> None:
    fail_and_crash_everywhere(end_as)


@pytest.mark.case("T30")
@pytest.mark.parametrize("restarted", [False, True], ids=["goes on", "restarts"])
def test_a_disk_that_is_full_at_every_byte(restarted: bool) -> None:
    """The log takes up its work once there is room (T30)."""
    for capacity_bytes in range(600):
        disk = SimDisk(Random(capacity_bytes), capacity_bytes=capacity_bytes)
        owner = Owner(disk, segment_bytes_max=200)
        owner.may_lag = True
        owner.open()
        for sizes in [(10,), (20, 5), (60,), (1,)]:
            owner.append(*sizes)
            owner.sync()
        disk.capacity_bytes = None
        if restarted:
            end(disk, owner, KILLED)
        go_on(disk, owner)
        end(disk, owner, POWER)
        proceed(disk, owner, POWER)
    assert len(owner.acknowledged) == 7, "the last round had room for everything"


def test_what_is_refused_gives_its_room_back() -> None:
    disk = SimDisk(Random(0), capacity_bytes=400)
    owner = Owner(disk, segment_bytes_max=10_000)
    owner.open()
    owner.append(10)
    owner.sync()
    free_bytes = disk.free_bytes(DIRECTORY)
    for _ in range(3):
        owner.append(1_000)
        assert disk.free_bytes(DIRECTORY) == free_bytes


def test_what_a_refused_write_left_never_stands_behind_what_was_appended_instead() -> None:
    """The entry of the same size that takes its place ends where an older one may begin."""
    for seed in range(300):
        disk = SimDisk(Random(seed), fates=[Fate.KEPT, Fate.DROPPED])
        owner = Owner(disk, segment_bytes_max=10_000)
        owner.open()
        owner.append(10)
        owner.sync()
        owner.append(20, 30)
        disk.before_effect = faults(Fault("write", errno.ENOSPC))
        owner.append(1_000)
        owner.append(20)
        end(disk, owner, POWER)
        proceed(disk, owner, POWER)


@pytest.mark.parametrize("published", [True, False], ids=["published", "position destroyed"])
@pytest.mark.parametrize("fates", [[Fate.KEPT], [Fate.DROPPED], list(Fate)])
def test_a_new_process_writes_again_what_an_old_one_could_not_sync(
    fates: list[Fate], published: bool
) -> None:
    """The cache still has it, and takes it for clean: a sync alone would lie."""
    for seed in range(20):
        disk = SimDisk(Random(seed), fates=fates)
        owner = Owner(disk)
        owner.open()
        owner.append(10)
        owner.sync()
        owner.append(20, 2_000)
        disk.before_effect = faults(Fault("sync", errno.EIO), Fault("truncate", errno.EIO))
        owner.sync()
        end(disk, owner, KILLED)
        if not published:
            disk.damage(f"{DIRECTORY}/durable", None)
        owner.open()  # its readers have seen it
        end(disk, owner, POWER)
        proceed(disk, owner, POWER)


@pytest.mark.parametrize("fate", [Fate.KEPT, Fate.DROPPED])
@pytest.mark.parametrize("cut", [True, False], ids=["cut", "not cut"])
def test_what_a_failed_sync_may_have_saved_never_stands_beside_what_was_appended_instead(
    fate: Fate, cut: bool
) -> None:
    """Failed but persisted, and failed and not persisted; the file cut after it or not."""
    disk = SimDisk(Random(0), fates=[fate])
    owner = Owner(disk, segment_bytes_max=10_000)
    owner.open()
    owner.append(10)
    owner.sync()
    disk.before_effect = faults(
        Fault("sync", errno.EIO, path_end=".log"), Fault("truncate", errno.EIO, times=0 if cut else 1)
    )
    owner.append(20, 30)
    owner.sync()
    assert len(owner.acknowledged) == 1
    owner.append(20)
    owner.sync()
    assert len(owner.acknowledged) == 2
    end(disk, owner, POWER)
    owner.open()
    assert sorted(int(meta) for _, meta, _ in owner.acknowledged.values()) == [1, 4]
    proceed(disk, owner, POWER)


def test_a_sync_is_not_tried_again_on_the_file_where_it_failed() -> None:
    disk = SimDisk(Random(0), fates=[Fate.DROPPED])
    owner = Owner(disk, segment_bytes_max=10_000)
    owner.open()
    owner.append(10)
    owner.sync()
    owner.append(20)
    disk.before_effect = faults(Fault("sync", errno.EIO))
    owner.sync()
    touched: list[tuple[str, str]] = []
    disk.before_effect = lambda effect, path: touched.append((effect, path))
    owner.sync()
    owner.append(30)
    owner.sync()
    assert ("sync", "root/log/00000000000000000000.log") not in touched
    assert ("write", "root/log/00000000000000000000.log") not in touched


STEPS = st.one_of(
    st.tuples(st.just("append"), st.lists(st.sampled_from([0, 1, 10, 40, 472, 600, 5_000]), max_size=3)),
    st.tuples(st.just("sync"), st.none()),
    st.tuples(st.just("drop"), st.floats(0, 1)),
    st.tuples(st.just("follow"), st.sampled_from([1, 200, 1 << 20])),
    st.tuples(st.just("open"), st.none()),
    st.tuples(st.just("end"), st.sampled_from([KILLED, POWER])),
)
TROUBLES = st.one_of(
    st.none(),
    st.none(),
    st.builds(
        Fault,
        effect=st.sampled_from(["", "", "write", "sync", "create", "sync_dir", "truncate", "unlink"]),
        error=st.sampled_from([None, None, errno.EIO, errno.ENOSPC]),
        skip=st.integers(0, 8),
        times=st.integers(1, 3),
        path_end=st.sampled_from(["", ".log"]),
    ),
)


def step(disk: SimDisk, owner: Owner, name: str, argument: object) -> None:
    match name, argument:
        case "append", list(sizes):
            owner.append(*sizes)
        case "sync", None:
            owner.sync()
        case "drop", float(share):
            owner.drop_before(int(owner.followed * share))
        case "follow", int(bytes_max):
            owner.follow(bytes_max)
        case "open", None:
            owner.open()
        case "end", str(how):
            end(disk, owner, how)


@pytest.mark.case("T27", "T28")
@settings(max_examples=400, deadline=None)
@given(
    steps=st.lists(st.tuples(STEPS, TROUBLES), max_size=40),
    random=st.randoms(use_true_random=False),
    how=st.sampled_from([KILLED, POWER]),
)
def test_any_owner_on_any_disk(
    steps: list[tuple[tuple[str, object], Fault | None]], random: Random, how: str
) -> None:
    disk = SimDisk(random)
    owner = Owner(disk)
    owner.may_lag = True
    owner.open()
    for (name, argument), trouble in steps:
        # Hypothesis may give the same fault again: it is used up only in a copy.
        disk.before_effect = faults(replace(trouble)) if trouble else faults()
        try:
            step(disk, owner, name, argument)
        except SimCrash:
            end(disk, owner, how)
    end(disk, owner, how)
    proceed(disk, owner, how)
