"""Writing and following a log, where nothing goes wrong: on real files and on simulated ones."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from random import Random

import pytest

from gapless.log.disk import Disk, OsDisk
from gapless.log.frame import HEAD_BYTES
from gapless.log.segments import DAMAGED, LogReader, LogWriter, Message
from gapless.model.errors import Unavailable
from gapless.testing.disk import SimDisk
from gapless.testing.faults import Fault, faults

from .oracle import read_all

EVERYTHING = 1 << 30


@pytest.fixture(params=["simulated", "real"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Disk, str]:
    if request.param == "real":
        return OsDisk(), str(tmp_path / "some" / "log")
    return SimDisk(Random(0)), "some/log"


def data(text: str, body: bytes = b"") -> Message:
    return Message(7, text.encode(), body)


def metas(reader: LogReader, position: int = 0, bytes_max: int = EVERYTHING) -> list[str]:
    return [frame.meta.decode() for frame in reader.read(position, bytes_max=bytes_max)]


def test_what_was_appended_is_read_once_it_is_synced(place: tuple[Disk, str]) -> None:
    log, reader = LogWriter(*place, segment_bytes_max=1 << 20), LogReader(*place)
    body = os.urandom(3_000)
    positions = log.append([data("a", body), Message(0, b""), Message(254, b"m" * 5_000, memoryview(body))])
    assert positions == [0, HEAD_BYTES + 3_001, 2 * HEAD_BYTES + 3_001]
    assert (log.end, log.durable) == (3 * HEAD_BYTES + 11_001, 0)
    assert reader.read(0, bytes_max=EVERYTHING) == []
    log.sync()
    assert log.durable == reader.durable() == log.end
    frames = reader.read(0, bytes_max=EVERYTHING)
    assert [(frame.kind, frame.meta, bytes(frame.body)) for frame in frames] == [
        (7, b"a", body),
        (0, b"", b""),
        (254, b"m" * 5_000, body),
    ]
    assert [frame.position for frame in frames] == positions
    assert [frame.next_position for frame in frames] == [*positions[1:], log.end]
    assert reader.read(log.end, bytes_max=EVERYTHING) == []


def test_reading_in_steps(place: tuple[Disk, str]) -> None:
    log, reader = LogWriter(*place, segment_bytes_max=200), LogReader(*place)
    for number in range(30):
        log.append([data(str(number), b"x" * number)])
        log.sync()
    numbers = [str(number) for number in range(30)]
    for bytes_max in (-1, 0, 1, 50, 100, 1_000, EVERYTHING):
        found = read_all(reader, 0, bytes_max=bytes_max)
        assert [seen.entry[1].decode() for seen in found.values()] == numbers
    assert metas(reader, bytes_max=0) == ["0"]
    without = reader.read(0, bytes_max=EVERYTHING, bodies=False)
    assert [frame.meta.decode() for frame in without] == numbers
    assert {bytes(frame.body) for frame in without} == {b""}


def test_segments_are_sealed_after_the_sync_that_fills_them(place: tuple[Disk, str]) -> None:
    log = LogWriter(*place, segment_bytes_max=100)
    for size in (10, 10, 500):
        log.append([data("", bytes(size))])
    assert log.segments() == [(0, log.end)], "what is synced together stands together"
    log.sync()
    log.append([data("")])
    boundary = 3 * HEAD_BYTES + 520
    assert log.segments() == [(0, boundary), (boundary, boundary + HEAD_BYTES)]
    assert place[0].names(place[1]) == [f"{0:020d}.log", f"{boundary:020d}.log", "durable"]
    assert log.kept_bytes == log.end - log.first == log.end


def test_a_snapshot_begins_each_segment(place: tuple[Disk, str]) -> None:
    written: list[str] = []
    log = LogWriter(*place, segment_bytes_max=1, snapshot=lambda: data("+".join(written)))
    for text in "abc":
        log.append([data(text)])
        log.sync()
        written.append(text)
    reader = LogReader(*place)
    assert metas(reader) == ["", "a", "a", "b", "a+b", "c"]
    assert metas(reader, reader.last_segment()) == ["a+b", "c"]
    log.append([data("not synced")])
    assert metas(reader, reader.last_segment()) == ["a+b", "c"]


def test_dropping(place: tuple[Disk, str]) -> None:
    log, reader = LogWriter(*place, segment_bytes_max=1), LogReader(*place)
    positions = []
    for text in "abcd":
        positions += log.append([data(text)])
        log.sync()
    assert log.drop_before(positions[1] - 1) == 0
    assert log.drop_before(positions[1]) == 1
    assert log.drop_before(positions[3] + 1) == 2
    assert log.drop_before(log.end) == 0, "the last one stays"
    assert log.first == reader.first() == positions[3]
    [gone, kept] = reader.read(0, bytes_max=EVERYTHING)
    assert (gone.kind, gone.position, gone.next_position) == (DAMAGED, 0, positions[3])
    assert kept.meta == b"d"


def test_a_new_segment_does_not_let_the_last_one_go_before_it_is_durable(place: tuple[Disk, str]) -> None:
    log = LogWriter(*place, segment_bytes_max=1)
    log.append([data("a")])
    log.sync()
    log.append([data("b")])
    assert log.drop_before(log.end) == 0
    log.sync()
    assert log.drop_before(log.end) == 1


def test_reopening(place: tuple[Disk, str]) -> None:
    log = LogWriter(*place, segment_bytes_max=100)
    assert log.recovery == (0, ())
    log.close()
    assert LogReader(*place).durable() == LogReader(*place).first() == 0
    for number in range(5):
        log = LogWriter(*place, segment_bytes_max=100)
        assert log.recovery == (0, ())
        assert log.end == log.durable == number * (HEAD_BYTES + 1)
        log.append([data(str(number))])
        log.sync()
        log.close()
    assert metas(LogReader(*place)) == list("01234")


def test_no_log_yet(place: tuple[Disk, str]) -> None:
    reader = LogReader(*place)
    assert (reader.durable(), reader.first(), reader.last_segment()) == (0, 0, 0)
    assert reader.read(0, bytes_max=EVERYTHING) == []
    LogWriter(*place, segment_bytes_max=100).append([data("a")])
    assert reader.read(0, bytes_max=EVERYTHING) == []


@pytest.mark.case("T1")
def test_a_position_beyond_what_is_durable_has_nothing_to_read(place: tuple[Disk, str]) -> None:
    log, reader = LogWriter(*place, segment_bytes_max=100), LogReader(*place)
    log.append([data("a")])
    log.sync()
    assert reader.read(log.end + 1_000, bytes_max=EVERYTHING) == []
    assert metas(reader) == ["a"]


def test_one_read_crosses_segments_that_are_newer_than_the_reader_has_seen(place: tuple[Disk, str]) -> None:
    """The reader's list of segments must be as new as the durable position it reads up to."""
    log, reader = LogWriter(*place, segment_bytes_max=1), LogReader(*place)
    for text in "ab":
        log.append([data(text)])
        log.sync()
    assert metas(reader, bytes_max=1) == ["a"]
    for text in "cd":
        log.append([data(text)])
        log.sync()
    assert metas(reader) == ["a", "b", "c", "d"]


def test_segments_dropped_under_a_reader(place: tuple[Disk, str]) -> None:
    """Between its look at the directory and the opening of a file; what is kept is still read."""
    disk, _ = place
    log, reader = LogWriter(*place, segment_bytes_max=1), LogReader(*place)
    positions = []
    for text in "abcdef":
        positions += log.append([data(text)])
        log.sync()
    open_file = disk.open

    def open_late(path: str, *, writable: bool) -> object:
        if path.endswith(f"{positions[1]:020d}.log"):
            log.drop_before(positions[3])
        return open_file(path, writable=writable)

    disk.open = open_late  # type: ignore[method-assign, assignment]
    frames = reader.read(0, bytes_max=EVERYTHING, bodies=False)
    gone = [(frame.position, frame.next_position) for frame in frames if frame.kind == DAMAGED]
    assert (gone[0][0], gone[-1][1]) == (positions[1], positions[3])
    assert [frame.meta for frame in frames if frame.kind != DAMAGED] == [b"a", b"d", b"e", b"f"]


def test_kind_255_is_never_written(place: tuple[Disk, str]) -> None:
    log = LogWriter(*place, segment_bytes_max=100)
    with pytest.raises(ValueError, match="255"):
        log.append([data("a"), Message(DAMAGED, b"")])
    log.append([data("b")])
    log.sync()
    assert metas(LogReader(*place)) == ["b"]


def test_a_snapshot_that_fails_leaves_no_segment_without_one() -> None:
    place = SimDisk(Random(0)), "log"
    failing = [True]

    def snapshot() -> Message:
        if failing:
            raise KeyError(failing.pop())
        return data("snapshot")

    log = LogWriter(*place, segment_bytes_max=100, snapshot=snapshot)
    with pytest.raises(KeyError):
        log.append([data("a")])
    log.append([data("b")])
    log.sync()
    assert metas(LogReader(*place)) == ["snapshot", "b"]


def test_readers_are_told_later_if_telling_them_fails() -> None:
    """What is durable is acknowledged: failing it would have its owner append it twice."""
    told = set()
    for seed in range(9):
        disk = SimDisk(Random(seed))
        log, reader = LogWriter(disk, "log", segment_bytes_max=1), LogReader(disk, "log")
        log.append([data("a")])
        disk.before_effect = faults(Fault("write", errno.EIO, path_end="durable"))
        log.sync()
        assert log.durable == HEAD_BYTES + 1
        told.add(reader.durable())
        log.sync()
        assert metas(reader) == ["a"]
    assert told == {0, HEAD_BYTES + 1}


def test_what_the_operating_system_refuses_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable, match="Not a directory"):
        LogWriter(OsDisk(), f"{tmp_path}/file/log", segment_bytes_max=100)
    log = LogWriter(OsDisk(), f"{tmp_path}/log", segment_bytes_max=100)
    log.append([data("a")])
    log.sync()
    segment = tmp_path / "log" / f"{0:020d}.log"
    segment.unlink()
    segment.mkdir()
    with pytest.raises(Unavailable, match="Is a directory"):
        LogReader(OsDisk(), f"{tmp_path}/log").read(0, bytes_max=1)


def test_a_reader_in_another_thread_keeps_up_with_the_writer(tmp_path: Path) -> None:
    """Real files, many segments, dropped as they are read: everything comes, once, in order."""
    place = OsDisk(), str(tmp_path / "log")
    count, failures = 2_000, list[BaseException]()
    read_to = [0]

    def write() -> None:
        try:
            log = LogWriter(*place, segment_bytes_max=2_000)
            for first in range(0, count, 10):
                log.append([data(str(number), bytes(number % 50)) for number in range(first, first + 10)])
                log.sync()
                log.drop_before(read_to[0])
        except BaseException as error:
            failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    reader, position, found = LogReader(*place), 0, list[str]()
    while len(found) < count and (writer.is_alive() or position < reader.durable()):
        for frame in reader.read(position, bytes_max=3_000):
            assert (frame.kind, frame.position) == (7, position)
            found.append(frame.meta.decode())
            position = frame.next_position
        read_to[0] = position
    writer.join(30)
    assert not failures
    assert found == [str(number) for number in range(count)]


_ACKNOWLEDGE_FOREVER = """
import sys
from gapless.log.disk import OsDisk
from gapless.log.segments import LogReader, LogWriter, Message
log = LogWriter(OsDisk(), sys.argv[1], segment_bytes_max=3_000)
number = int(sys.argv[2])
while True:
    log.append([Message(7, b"%d" % (number + each), bytes(each * 50)) for each in range(3)])
    log.sync()
    number += 3
    print(number, flush=True)
"""


@pytest.mark.system
def test_killed_at_any_time_every_acknowledged_entry_is_there(tmp_path: Path) -> None:
    """SIGKILL under load, again and again (T17)."""
    place = OsDisk(), str(tmp_path / "log")
    acknowledged, random = 0, Random(0)
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", _ACKNOWLEDGE_FOREVER, place[1], str(acknowledged)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(random.randrange(1, 50)):
            acknowledged = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split(b"\n")[:-1]
        process.wait()
        process.stdout.close()
        acknowledged = int(rest[-1]) if rest else acknowledged
        LogWriter(*place, segment_bytes_max=3_000).close()
        found = [int(seen.entry[1]) for seen in read_all(LogReader(*place), 0).values()]
        assert found[:acknowledged] == list(range(acknowledged))
        assert found == list(range(len(found)))
        assert len(found) <= acknowledged + 3
        acknowledged = len(found)
