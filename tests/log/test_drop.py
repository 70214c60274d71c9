"""Dropping bodies from sealed segments: everything else reads as before, whatever is cut off or refused."""

from __future__ import annotations

import errno
from random import Random

import pytest

from gapless.log.disk import Disk
from gapless.log.drop import drop_bodies_before
from gapless.log.frame import Frame
from gapless.log.layout import segment_path
from gapless.log.segments import LogReader, LogWriter, Message
from gapless.model.errors import Unavailable
from gapless.testing.disk import SimDisk
from gapless.testing.faults import Fault, SimCrash, faults

BATCH, OTHER = 1, 2
EFFECTS_MAX = 100


def filled(disk: SimDisk, segments: int = 4) -> list[Frame]:
    """Segments of three batches and an entry of another kind each; what stands in them."""
    writer = LogWriter(disk, "log", segment_bytes_max=1_000)
    for segment in range(segments):
        writer.append(
            [Message(BATCH, b"old%d" % segment, bytes([65 + n]) * 400) for n in range(3)]
            + [Message(OTHER, b"claims", b"kept")]
        )
        writer.sync()
    writer.append([Message(BATCH, b"young", b"z" * 10)])
    writer.sync()
    writer.close()
    return read(disk)


def read(disk: Disk, *, bodies: bool = True) -> list[Frame]:
    reader = LogReader(disk, "log")
    return reader.read(0, bytes_max=1 << 30, bodies=bodies)


def drop(disk: Disk, position: int = 1 << 40, *, keep: bytes = b"", segments_max: int = 99) -> int:
    return drop_bodies_before(
        disk, "log", position, BATCH, lambda meta: meta != keep, segments_max=segments_max
    )


def heads(frames: list[Frame]) -> list[tuple[int, int, int, bytes]]:
    return [frame[:4] for frame in frames]


def test_bodies_go_and_all_else_stays_where_it_is() -> None:
    disk = SimDisk(Random(1))
    before = filled(disk)
    assert drop(disk) == 4
    after = read(disk)
    assert heads(after) == heads(before)
    for was, now in zip(before, after, strict=True):
        gone = was.kind == BATCH and was.meta != b"young"
        assert (now.dropped, bytes(now.body)) == (gone, b"" if gone else bytes(was.body))
    assert heads(read(disk, bodies=False)) == heads(before)
    assert drop(disk) == 0
    writer = LogWriter(disk, "log", segment_bytes_max=1_000)
    assert writer.recovery == (0, ())
    writer.append([Message(BATCH, b"new", b"x")])
    writer.sync()
    assert read(disk)[-1].meta == b"new"


def test_it_goes_no_further_than_it_may() -> None:
    disk = SimDisk(Random(1))
    before = filled(disk)
    third = before[8].position
    assert drop(disk, third - 1) == 1
    assert drop(disk, third, segments_max=1) == 1
    assert drop(disk, keep=b"old3") == 1
    assert [frame.dropped for frame in read(disk)].count(True) == 9
    assert drop(disk, keep=b"old3") == 0


def test_a_reader_that_has_the_segment_open_reads_on() -> None:
    disk = SimDisk(Random(1))
    before = filled(disk)
    reader = LogReader(disk, "log")
    first = reader.read(0, bytes_max=1)
    drop(disk)
    rest = reader.read(first[-1].next_position, bytes_max=1 << 30)
    assert heads(first + rest) == heads(before)
    assert not rest[0].dropped and bytes(rest[0].body) == bytes(before[1].body)


def test_a_damaged_segment_stays_as_it_is() -> None:
    disk = SimDisk(Random(1))
    before = filled(disk)
    path = segment_path("log", before[4].position)
    file = disk.open(path, writable=True)
    file.write([b"\0" * 4], before[5].position - before[4].position)
    file.sync()
    assert drop(disk) == 4
    assert [frame.dropped for frame in read(disk)].count(True) == 9


@pytest.mark.parametrize("error", [None, errno.EIO, errno.ENOSPC])
def test_each_effect_may_be_the_last_or_fail(error: int | None) -> None:
    for skip in range(EFFECTS_MAX):
        disk = SimDisk(Random(skip))
        before = filled(disk)
        fault = Fault("", error, skip)
        disk.before_effect = faults(fault)
        try:
            drop(disk)
        except (Unavailable, SimCrash):
            pass
        done = bool(fault.times)
        disk.before_effect = faults()
        if error is None:
            disk.crash()
            LogWriter(disk, "log", segment_bytes_max=1_000).close()  # which says again what is durable
        for was, now in zip(before, read(disk), strict=True):
            assert now[:4] == was[:4]
            assert now.dropped or bytes(now.body) == bytes(was.body)
            assert not (now.dropped and was.meta == b"young")
        drop(disk)
        assert [frame.dropped for frame in read(disk)].count(True) == 12
        if done:
            return
    raise AssertionError("there are more effects than were tried")
