"""The spool on a disk that crashes and refuses: seqs dense, cursors equal to what is stored."""

from __future__ import annotations

import errno
from functools import partial
from itertools import count
from random import Random

import pytest
import spool_rig
from spool_rig import STREAM

from gapless.agent.acks import AckReader, Acks, AckWriter, Outcome
from gapless.agent.follow import Spooled, SpoolView
from gapless.agent.sources import FileCursor
from gapless.agent.spool import Spool, Times
from gapless.agent.spool_room import ROOM_MARGIN_BYTES
from gapless.agent.spool_settings import SpoolSettings
from gapless.agent.state import LOSSES_MAX
from gapless.model.batch import ORIGINS_MAX, Origin, Part
from gapless.model.errors import Unavailable
from gapless.model.ranges import RangeSet
from gapless.testing.disk import Fate, SimDisk
from gapless.testing.faults import Fault, SimCrash, faults

SMALL = SpoolSettings(size_bytes_max=8_000, segment_bytes_max=2_000, free_bytes_min=0)
FILE = "f" * 32
EFFECTS_MAX = 200
opened = partial(spool_rig.opened, settings=SMALL)


def offset(spool: Spool) -> int:
    return next((cursor.offset for cursor in spool.stream(STREAM).cursors), 0)


def add(spool: Spool, records: int) -> None:
    """Records are one byte each; their number is where they stood in the file."""
    start = offset(spool)
    spool.add_batch(
        STREAM,
        bytes(range(start, start + records)),
        raw_bytes=records,
        count=records,
        parts=(Part(FILE, start, start + records, records),),
        marks=(),
        cursors=(FileCursor(file=FILE, path="/a", offset=start + records),),
        times=Times(start, start + records),
    )


def view(disk: SimDisk) -> SpoolView:
    found = SpoolView(disk, "spool")
    found.follow_all()
    return found


def stored(disk: SimDisk) -> bytes:
    """All payloads, in order; checks that seqs are dense in their epochs and files have no jump."""
    found = view(disk)
    content = b""
    ends: dict[str, int] = {}
    for batch in found.batches:
        assert batch.first == ends.get(batch.epoch, 0)
        ends[batch.epoch] = batch.next
        read = found.read(batch)
        assert read is not None
        header, payload = read
        assert Spooled.of(batch.position, batch.next_position, header) == batch
        assert header.parts[0].start == len(content)
        content += payload
    return content


def script(spool: Spool, returned: list[int]) -> None:
    for size in (3, 5, 2, 7, 1, 4):
        try:
            add(spool, size)
            add(spool, 1)
            spool.commit()
        except Unavailable:
            continue
        returned[0] = offset(spool)


@pytest.mark.case("T3", "T32")
@pytest.mark.parametrize("error", [None, errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("fates", [(Fate.KEPT,), (Fate.DROPPED,), tuple(Fate)])
def test_each_effect_may_be_the_last_or_fail(error: int | None, fates: tuple[Fate, ...]) -> None:
    for skip in range(EFFECTS_MAX):
        disk, mints, returned = SimDisk(Random(skip), fates=fates), count(1), [0]
        fault = Fault("", error, skip)
        disk.before_effect = faults(fault)
        try:
            script(opened(disk, mints), returned)
        except (SimCrash, Unavailable):
            pass
        if fault.times:
            assert skip > 10
            return
        disk.before_effect = faults()
        disk.crash()
        spool = opened(disk, mints)
        kept = offset(spool)
        assert kept >= returned[0]
        assert stored(disk) == bytes(range(kept))
        add(spool, 2)
        spool.commit()
        assert stored(disk) == bytes(range(kept + 2))
    pytest.fail("more effects than the script can have")


def test_what_a_failed_commit_took_back_is_given_again_with_the_same_seqs() -> None:
    disk = SimDisk(Random(1))
    spool = opened(disk, count(1))
    add(spool, 4)
    spool.commit()
    disk.before_effect = faults(Fault("sync", errno.EIO))
    add(spool, 3)
    with pytest.raises(Unavailable):
        spool.commit()
    assert (spool.stream(STREAM).next, offset(spool)) == (4, 4)
    add(spool, 5)
    spool.commit()
    assert stored(disk) == bytes(range(9))


def filled(disk: SimDisk, settings: SpoolSettings = SMALL) -> Spool:
    """A spool of several segments."""
    spool = opened(disk, count(1), settings=settings)
    for _ in range(12):
        add(spool, 10)
        spool.commit()
    return spool


def acks_for(disk: SimDisk, *, digest: str | None = None, but: int = -1) -> Acks:
    acks = Acks()
    for at, batch in enumerate(view(disk).batches):
        if at != but:
            if digest is not None:
                batch = batch._replace(digest=digest)
            acks.take(Outcome.of(batch, "receipt", 5))
    return acks


def test_only_receipts_with_the_same_digest_free() -> None:
    disk = SimDisk(Random(1))
    spool = filled(disk)
    assert spool.room.free(Acks()) == 0
    assert spool.room.free(acks_for(disk, digest="0" * 64)) == 0
    assert spool.room.free(acks_for(disk, but=0)) == 0
    before = spool.used_bytes
    assert spool.room.free(acks_for(disk)) > 0
    assert spool.used_bytes < before
    spool.close()
    disk.crash()
    again = opened(disk, count(90))
    assert (again.stream(STREAM).next, offset(again)) == (120, 120)
    assert again.stream(STREAM).opened.epoch == f"{1:032x}"


def test_a_refused_batch_is_kept() -> None:
    disk = SimDisk(Random(1))
    spool = filled(disk)
    acks = acks_for(disk)
    acks.take(Outcome.of(view(disk).batches[0], "refused", 5))
    assert spool.room.free(acks) == 0


@pytest.mark.case("T33")
def test_declare_posts_the_exact_ranges_of_what_it_drops() -> None:
    disk = SimDisk(Random(1))
    settings = SpoolSettings(
        size_bytes_max=ROOM_MARGIN_BYTES + 10_000,
        segment_bytes_max=2_000,
        free_bytes_min=0,
        when_full="declare",
    )
    spool = filled(disk, settings)
    acks = Acks()
    acks.take(Outcome.of(view(disk).batches[1], "receipt", 5))
    all_before = {b.first for b in view(disk).batches}
    room = spool.room.left_bytes()
    spool.room.make_room(room + 1, acks)
    found = view(disk)
    gone = all_before - {b.first for b in found.batches}
    declared = {s for loss in found.state.losses.values() for f, n in loss.ranges for s in range(f, n)}
    assert gone
    assert declared == {s for f in gone - {10} for s in range(f, f + 10)}
    assert spool.room.left_bytes() > room


@pytest.mark.case("T26")
@pytest.mark.parametrize("first", [8_000, 64_000])
def test_the_size_may_be_changed_up_and_down_over_what_the_spool_holds(first: int) -> None:
    disk, mints, held = SimDisk(Random(1)), count(1), 0
    for size in (first, 72_000 - first, first, 4_000, 64_000):
        # Segments end elsewhere each time, and some are gone from the middle of the log's life.
        settings = SpoolSettings(size_bytes_max=size, segment_bytes_max=size // 4, free_bytes_min=0)
        spool = opened(disk, mints, settings=settings)
        assert offset(spool) == held, "nothing that was kept is forgotten, whatever it may take now"
        for _ in range(4):
            add(spool, 3)
            spool.commit()
        held += 12
        disk.kill()
        assert stored(disk) == bytes(range(held))
    acks = Acks()
    for batch in view(disk).batches:
        acks.take(Outcome.of(batch, "receipt", 5))
    spool = opened(disk, mints, acks=acks)
    assert spool.room.free(acks) > 0
    add(spool, 1)
    spool.commit()
    assert offset(spool) == held + 1


def test_block_drops_nothing() -> None:
    disk = SimDisk(Random(1))
    spool = filled(disk)
    assert spool.room.left_bytes() == 0
    spool.room.make_room(1_000, Acks())
    assert len(view(disk).batches) == 12


def test_a_copied_spool_opens_epochs_that_name_the_last() -> None:
    disk = SimDisk(Random(1))
    mints = count(1)
    spool = opened(disk, mints)
    add(spool, 4)
    spool.commit()
    spool.close()
    same = opened(disk, mints)
    assert same.stream(STREAM).opened.epoch == f"{1:032x}"
    same.close()
    for _ in range(2):  # the second start at the new place changes nothing
        moved = opened(disk, mints, place="elsewhere")
        state = moved.stream(STREAM)
        assert (state.opened.epoch, state.opened.prev_epoch) == (f"{2:032x}", f"{1:032x}")
        assert (state.opened.prev_next, state.next, offset(moved)) == (None, 0, 4)
        moved.close()


def test_a_lost_spool_never_reuses_its_epoch() -> None:
    mints = count(1)
    first = opened(SimDisk(Random(1)), mints).stream(STREAM).opened
    second = opened(SimDisk(Random(1)), mints).stream(STREAM).opened
    assert first.epoch != second.epoch
    assert second.prev_epoch is None


@pytest.mark.case("T18")
def test_damage_is_declared_and_what_had_a_receipt_is_not() -> None:
    disk = SimDisk(Random(1))
    spool = filled(disk)
    batches = view(disk).batches
    acks = Acks()
    acks.take(Outcome.of(batches[0], "receipt", 5))
    spool.close()
    path = f"spool/{0:020d}.log"
    content = bytearray(disk.content(path))
    for batch in batches[:2]:
        content[batch.position] ^= 1
    disk.damage(path, bytes(content))
    again = opened(disk, count(50), acks=acks)
    [loss] = view(disk).state.losses.values()
    assert (loss.cause, loss.ranges) == ("spool_corrupt", ((10, 20),))
    assert again.stream(STREAM).opened.epoch == f"{1:032x}"


def test_damage_behind_the_last_snapshot_ends_the_epoch() -> None:
    disk = SimDisk(Random(1))
    spool = opened(disk, count(1))
    add(spool, 4)
    spool.commit()
    add(spool, 4)
    spool.commit()
    last = view(disk).batches[-1]
    spool.close()
    disk.flip(f"spool/{0:020d}.log", last.position * 8)
    again = opened(disk, count(50))
    state = again.stream(STREAM)
    assert (state.opened.prev_epoch, state.opened.prev_next) == (f"{1:032x}", None)
    assert offset(again) == 4


def test_outcomes_outlive_a_crash_and_segments() -> None:
    disk = SimDisk(Random(1))
    filled(disk)
    batches = view(disk).batches
    for _ in range(2):
        writer = AckWriter(disk, "acks", spool_first=lambda: 0, segment_bytes_max=1_000)
        for batch in batches:
            writer.write([Outcome.of(batch, "receipt", 5)])
        writer.close()
        disk.crash()
    writer = AckWriter(disk, "acks", spool_first=lambda: batches[3].position, segment_bytes_max=1_000)
    assert all(writer.acks.settles(batch) for batch in batches)


def fence_script(spool: Spool, acks: Acks) -> None:
    while spool.renumber(STREAM, {f"{1:032x}"}, acks):
        pass


def test_a_fenced_epoch_is_left_and_its_batches_are_given_new_seqs() -> None:
    disk = SimDisk(Random(1))
    spool = filled(disk)
    acks = acks_for(disk, but=7)
    last = view(disk).batches[-1]
    del acks.outcomes[last.position]
    fence_script(spool, acks)
    add(spool, 5)
    spool.commit()
    found = view(disk)
    new = [batch for batch in found.batches if batch.epoch == f"{2:032x}"]
    assert [(batch.first, batch.next) for batch in new] == [(0, 10), (10, 20), (20, 25)]
    assert bytes(b"".join(read[1] for batch in new if (read := found.read(batch)))) == bytes(
        [*range(70, 80), *range(110, 125)]
    )
    assert len(found.withdrawn) == 2
    headers = [read[0] for batch in new if (read := found.read(batch))]
    assert [header.renumbers for header in headers] == [
        (Origin(f"{1:032x}", 70),),
        (Origin(f"{1:032x}", 110),),
        (),
    ]
    assert all(acks.settles(batch) for batch in found.batches if batch not in new)
    state = spool.stream(STREAM)
    assert (state.opened.prev_epoch, state.opened.prev_next) == (f"{1:032x}", None)
    assert [(old.next, old.proven) for old in state.ended] == [(120, False)]


def test_a_batch_that_is_fenced_again_and_again_names_all_the_seqs_that_it_had() -> None:
    disk = SimDisk(Random(1))
    spool = opened(disk, count(1))
    add(spool, 10)
    spool.commit()
    fenced = set[str]()
    for _ in range(ORIGINS_MAX + 2):
        fenced.add(spool.stream(STREAM).opened.epoch)
        while spool.renumber(STREAM, fenced, Acks()):
            pass
    found = view(disk)
    [batch] = found.batches
    read = found.read(batch)
    assert read is not None
    assert read[0].renumbers == tuple(Origin(f"{n:032x}", 0) for n in range(3, 3 + ORIGINS_MAX))
    assert read[0].check().epoch == f"{3 + ORIGINS_MAX:032x}"


def test_a_crash_while_renumbering_loses_and_doubles_nothing() -> None:
    for effect in range(EFFECTS_MAX):
        disk = SimDisk(Random(effect))
        mints = count(1)
        spool = opened(disk, mints)
        for _ in range(6):
            add(spool, 10)
            spool.commit()
        disk.before_effect = faults(Fault("", None, skip=effect))
        try:
            fence_script(spool, Acks())
        except SimCrash:
            pass
        else:
            assert effect > 10
            return
        disk.crash()
        disk.before_effect = faults()
        again = opened(disk, mints)
        fence_script(again, Acks())
        found = view(disk)
        content = [bytes(read[1]) for batch in found.batches if (read := found.read(batch))]
        assert b"".join(content) == bytes(range(60))
        assert {batch.epoch for batch in found.batches} == {again.stream(STREAM).opened.epoch}
    pytest.fail("more effects than the script can have")


def test_many_losses_are_kept_in_few_with_the_same_ranges() -> None:
    disk = SimDisk(Random(1))
    settings = SpoolSettings(
        size_bytes_max=ROOM_MARGIN_BYTES + 400_000,
        segment_bytes_max=10_000,
        free_bytes_min=0,
        when_full="declare",
    )
    spool = opened(disk, count(1), settings=settings)
    for at in range(3 * LOSSES_MAX):
        spool.add_batch(
            STREAM, bytes(20_000), raw_bytes=10, count=10, parts=(), marks=(), cursors=(), times=Times(at, at)
        )
        spool.commit()
        spool.room.make_room(50_000, Acks())
    found = view(disk)
    gone = found.batches[0].first
    assert gone > 10 * 2 * LOSSES_MAX
    assert len(found.state.losses) <= LOSSES_MAX
    assert found.state.losses == spool.state.losses
    lost = RangeSet(each for loss in found.state.losses.values() for each in loss.ranges)
    assert list(lost) == [(0, gone)]


def refused(disk: SimDisk, first: int) -> Acks:
    """Every batch has a receipt, but the one that begins at ``first``: the gateway refuses that."""
    acks = Acks()
    for batch in view(disk).batches:
        acks.take(Outcome.of(batch, "refused" if batch.first == first else "receipt", 5))
    return acks


@pytest.mark.case("T51")
def test_a_refused_batch_holds_up_no_other() -> None:
    disk = SimDisk(Random(1))
    spool = filled(disk)
    [kept] = [batch for batch in view(disk).batches if batch.first == 10]
    for _ in range(40):
        acks = refused(disk, 10)
        spool.room.free(acks)
        spool.room.carry(acks)
        add(spool, 1) if offset(spool) < 250 else None
        spool.commit()
        assert spool.used_bytes < SMALL.size_bytes_max
    found = view(disk)
    [carried] = [batch for batch in found.batches if batch.first == 10]
    assert carried.position > kept.position
    assert (carried.epoch, carried.next, carried.digest) == (kept.epoch, kept.next, kept.digest)
    read = found.read(carried)
    assert read is not None and bytes(read[1]) == bytes(range(10, 20))
    assert min(batch.first for batch in found.batches if batch != carried) > 20
    again = opened(disk, count(50))
    assert again.stream(STREAM).next == offset(spool)


@pytest.mark.parametrize("error", [None, errno.EIO, errno.ENOSPC])
def test_whatever_fails_while_it_is_carried_a_refused_batch_stays(error: int | None) -> None:
    for effect in range(EFFECTS_MAX):
        disk = SimDisk(Random(effect))
        mints = count(1)
        spool = opened(disk, mints)
        for _ in range(12):
            add(spool, 10)
            spool.commit()
        acks = refused(disk, 10)
        fault = Fault("", error, skip=effect)
        disk.before_effect = faults(fault)
        try:
            spool.room.free(acks)
            assert spool.room.carry(acks)
        except (SimCrash, Unavailable):
            pass
        disk.before_effect = faults()
        disk.crash()
        again = opened(disk, mints)
        found = view(disk)
        [kept] = [batch for batch in found.batches if batch.first == 10]
        read = found.read(kept)
        assert read is not None and bytes(read[1]) == bytes(range(10, 20))
        assert (again.stream(STREAM).next, offset(again)) == (120, 120)
        if fault.times:
            assert effect > 3
            return
    pytest.fail("more effects than the script can have")


def test_outcomes_that_rotted_are_written_anew_for_those_who_had_not_read_them() -> None:
    disk = SimDisk(Random(1))
    spool = filled(disk)
    batch = view(disk).batches[0]
    writer = AckWriter(disk, "acks", spool_first=lambda: 0)
    writer.write([Outcome.of(batch, "receipt", 5)])
    assert not writer.mend()
    disk.flip(f"acks/{0:020d}.log", 8 * len(disk.content(f"acks/{0:020d}.log")) - 100)
    assert not AckReader(disk, "acks").follow().settles(batch)
    assert writer.mend()
    assert AckReader(disk, "acks").follow().settles(batch)
    assert not writer.mend()
    writer.close()
    spool.close()
