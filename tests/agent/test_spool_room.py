"""A spool is never full for ever: what nobody waits for goes, also where it is the newest or unreadable."""

from __future__ import annotations

import errno
from functools import partial
from itertools import count
from random import Random

import pytest
import spool_rig
from spool_rig import STREAM

from gapless.agent.acks import Acks, Outcome
from gapless.agent.follow import Spooled, SpoolView
from gapless.agent.sources import FileCursor
from gapless.agent.spool import Spool, Times
from gapless.agent.spool_room import ROOM_MARGIN_BYTES
from gapless.agent.spool_settings import SpoolSettings
from gapless.log.layout import segment_path
from gapless.model.errors import Unavailable
from gapless.testing.disk import Fate, SimDisk
from gapless.testing.faults import Fault, faults

SETTINGS = SpoolSettings(size_bytes_max=ROOM_MARGIN_BYTES + 6_000, segment_bytes_max=2_000, free_bytes_min=0)
opened = partial(spool_rig.opened, settings=SETTINGS)


def add(spool: Spool, payload_bytes: int) -> None:
    spool.add_batch(
        STREAM,
        bytes(payload_bytes),
        raw_bytes=1,
        count=1,
        parts=(),
        marks=(),
        cursors=(FileCursor(file="f" * 32, path="/a"),),
        times=Times(1, 2),
    )
    spool.commit()


def batches(disk: SimDisk) -> list[Spooled]:
    view = SpoolView(disk, "spool")
    view.follow_all()
    return view.batches


def receive(acks: Acks, *received: Spooled) -> None:
    for batch in received:
        acks.take(Outcome.of(batch, "receipt", 1))


def test_what_readers_were_not_told_of_yet_is_not_unreadable() -> None:
    """The disk took a batch, and refused the little file that says so."""
    disk, mints = SimDisk(Random(1)), count(1)
    spool = opened(disk, mints)
    disk.before_effect = faults(Fault("write", errno.EIO, path_end="durable"))
    add(spool, 7_000)
    assert SpoolView(disk, "spool").durable() < spool.view.batches[0].next_position
    assert not spool.room.give_up_unreadable(Acks())
    add(spool, 1)
    assert [(batch.first, batch.next) for batch in batches(disk)] == [(0, 1), (1, 2)]
    assert not spool.state.losses


def test_what_went_though_not_durably_so_is_not_unreadable() -> None:
    """Whoever uploads sees that a segment is gone, and forgets what became of it."""
    disk, mints, acks = SimDisk(Random(1)), count(1), Acks()
    spool = opened(disk, mints)
    add(spool, 2_500)
    add(spool, 2_500)
    receive(acks, batches(disk)[0])
    disk.before_effect = faults(Fault("sync_dir", errno.EIO))
    with pytest.raises(Unavailable):
        spool.room.free(acks)
    assert len(batches(disk)) == 1
    assert not spool.room.give_up_unreadable(Acks()) and not spool.state.losses
    assert spool.room.free(Acks()) == 1


@pytest.mark.parametrize("again", [False, True])
def test_a_full_segment_goes_when_nothing_in_it_is_waited_for_though_it_is_the_newest(again: bool) -> None:
    disk, mints, acks = SimDisk(Random(0)), count(1), Acks()
    spool = opened(disk, mints)
    add(spool, 7_000)
    assert spool.room.left_bytes() == 0
    if again:
        spool.close()
        spool = opened(disk, mints, acks=acks)
    assert spool.room.free(acks) == 0
    receive(acks, *batches(disk))
    assert spool.room.free(acks) == 1
    assert spool.room.left_bytes() > 4_000
    used = spool.used_bytes
    assert spool.room.free(acks) == 0
    assert spool.used_bytes == used
    add(spool, 10)
    assert [(batch.first, batch.next) for batch in batches(disk)] == [(1, 2)]


def test_a_batch_that_nobody_can_read_is_declared_and_its_segment_goes() -> None:
    disk, mints, acks = SimDisk(Random(0)), count(1), Acks()
    spool = opened(disk, mints)
    for _ in range(3):
        add(spool, 2_000)
    assert spool.room.left_bytes() == 0
    first, *others = batches(disk)
    disk.flip(segment_path("spool", 0), 8 * first.position + 80)
    known = batches(disk)
    assert known == others  # an uploader that starts now does not know of it
    receive(acks, *known)
    assert spool.room.free(acks) == 0
    assert spool.room.give_up_unreadable(acks)
    assert not spool.room.give_up_unreadable(acks)
    assert spool.room.free(acks) == 3
    view = SpoolView(disk, "spool")
    view.follow_all()
    [loss] = view.state.losses.values()
    assert (loss.cause, loss.ranges) == ("spool_corrupt", ((0, 1),))


def test_a_segment_with_a_batch_that_nobody_can_read_goes_though_nothing_is_added_behind_it() -> None:
    """Of a spool that is not full: whoever knew the batch before it rotted claims it as held until then."""
    disk, mints, acks = SimDisk(Random(0)), count(1), Acks()
    spool = opened(disk, mints)
    claims = SpoolView(disk, "spool")
    for _ in range(2):
        add(spool, 10)
    claims.follow_all()
    kept, rotten = claims.batches
    disk.flip(segment_path("spool", 0), 8 * rotten.position + 80)
    receive(acks, kept)
    assert spool.room.give_up_unreadable(acks)
    assert spool.room.free(acks) == 1
    claims.follow_all()
    assert claims.batches == []
    [loss] = claims.state.losses.values()
    assert loss.ranges == ((1, 2),)
    add(spool, 10)
    assert [(batch.first, batch.next) for batch in batches(disk)] == [(2, 3)]


def test_what_can_be_read_is_not_given_up() -> None:
    disk = SimDisk(Random(0))
    spool = opened(disk, count(1))
    for _ in range(3):
        add(spool, 2_000)
    for _ in range(5):
        assert not spool.room.give_up_unreadable(Acks(), bytes_max=2_000)
    assert len(batches(disk)) == 3


@pytest.mark.case("T1")
def test_seqs_that_have_a_receipt_are_not_given_again_when_the_end_of_the_spool_is_gone() -> None:
    """The power fails, which loses the position that was told to be durable; and the last frame rots."""
    disk, mints, acks = SimDisk(Random(0), fates=[Fate.DROPPED]), count(1), Acks()
    spool = opened(disk, mints)
    add(spool, 100)
    [batch] = batches(disk)
    receive(acks, batch)
    disk.crash()
    disk.flip(segment_path("spool", 0), 8 * batch.position + 80)
    spool = opened(disk, mints, acks=acks)
    state = spool.stream(STREAM)
    assert state.opened.epoch != batch.epoch
    assert (state.opened.prev_epoch, state.opened.prev_next) == (batch.epoch, None)
