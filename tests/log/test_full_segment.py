"""A segment that was full when the log was closed is not gone on with."""

from __future__ import annotations

from random import Random

from gapless.log.segments import LogReader, LogWriter, Message
from gapless.testing.disk import SimDisk


def test_a_full_segment_is_left_when_the_log_is_opened_again() -> None:
    disk = SimDisk(Random(0))
    log = LogWriter(disk, "log", segment_bytes_max=1_000)
    log.append([Message(1, b"m", bytes(990))])
    assert len(log.segments()) == 1
    log.sync()
    log.close()
    log = LogWriter(disk, "log", segment_bytes_max=1_000)
    end = log.end
    log.append([Message(2, b"n")])
    log.sync()
    assert [base for base, _ in log.segments()] == [0, end]
    assert [frame.meta for frame in LogReader(disk, "log").read(0, bytes_max=1 << 20)] == [b"m", b"n"]
