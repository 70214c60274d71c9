"""Files to spool, on real directories: every record once, whatever commit fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from random import Random

import pytest
import zstandard
from spool_rig import STREAM, opened

from gapless.agent.acks import Acks
from gapless.agent.collector import Collector, CollectorSettings
from gapless.agent.follow import SpoolView
from gapless.agent.sources import FileCursor, FileSettings, FileSource, OsHost
from gapless.agent.spool_settings import SpoolSettings
from gapless.testing.disk import SimDisk
from gapless.testing.faults import Fault, faults


def rig(
    request: pytest.FixtureRequest, tmp_path: Path, disk: SimDisk, size_bytes_max: int = 1 << 20
) -> Collector:
    numbers = count(1)

    def mint() -> str:
        return f"{next(numbers):032x}"

    settings = SpoolSettings(size_bytes_max=size_bytes_max, segment_bytes_max=2_000, free_bytes_min=0)
    spool = opened(disk, numbers, settings)
    followed = FileSettings(paths=(f"{tmp_path}/*.log",))

    sources: list[FileSource] = []

    def source(cursors: Iterable[FileCursor]) -> FileSource:
        if sources:
            sources[0].resume(cursors)
        else:
            sources.append(FileSource(followed, OsHost(), mint, cursors))
            request.addfinalizer(sources[0].close)
        return sources[0]

    return Collector(spool, {STREAM: source}, CollectorSettings(batch_bytes_max=500), mint)


def stored(disk: SimDisk) -> bytes:
    view = SpoolView(disk, "spool")
    view.follow_all()
    content = b""
    at = 0
    for batch in view.batches:
        read = view.read(batch)
        assert read is not None
        header, payload = read
        assert header.check().first == at
        at = header.next
        assert zstandard.get_frame_parameters(payload).content_size == header.raw_bytes
        raw = zstandard.ZstdDecompressor().decompress(payload)
        assert raw.count(b"\n") == header.count
        content += raw
    return content


ELAPSED_US = count(0, 1_000_000)


def run(collector: Collector, done: Callable[[], bool]) -> None:
    for second in range(60):
        collector.tick(1_000_000 * second, next(ELAPSED_US), Acks())
        if done():
            return
    raise AssertionError("not collected within 60 ticks")


@pytest.mark.case("T46")
def test_records_reach_the_spool_once_although_commits_fail(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    disk = SimDisk(Random(1))
    collector = rig(request, tmp_path, disk)
    lines = b"".join(b"record %d\n" % n for n in range(300))
    (tmp_path / "a.log").write_bytes(lines)
    disk.before_effect = faults(Fault("sync", 5, skip=0), Fault("write", 28, skip=4))
    run(collector, lambda: len(stored(disk)) >= len(lines))
    collector.tick(100_000_000, next(ELAPSED_US), Acks())
    assert stored(disk) == lines


def test_a_full_spool_stops_reading(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    disk = SimDisk(Random(1))
    collector = rig(request, tmp_path, disk, size_bytes_max=4_000)
    (tmp_path / "a.log").write_bytes(b"record\n" * 10)
    for second in range(5):
        assert collector.tick(1_000_000 * second, next(ELAPSED_US), Acks()).full
    assert stored(disk) == b""


def test_a_truncated_file_is_a_loss(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    disk = SimDisk(Random(1))
    collector = rig(request, tmp_path, disk)
    path = tmp_path / "a.log"
    path.write_bytes(b"one\ntwo\nunread")
    run(collector, lambda: stored(disk) == b"one\ntwo\n")
    path.write_bytes(b"")
    path.write_bytes(b"new\n")
    run(collector, lambda: stored(disk).endswith(b"new\n"))
    view = SpoolView(disk, "spool")
    view.follow_all()
    assert [loss.cause for loss in view.state.losses.values()] == ["source_truncated"]


def test_a_file_that_lost_its_name_is_read_to_its_end_although_a_commit_fails(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    disk = SimDisk(Random(1))
    collector = rig(request, tmp_path, disk)
    path = tmp_path / "a.log"
    path.write_bytes(b"one\n")
    run(collector, lambda: stored(disk) == b"one\n")
    with path.open("ab", buffering=0) as writer:
        writer.write(b"two\n")
        path.unlink()
        disk.before_effect = faults(Fault("sync", 5))
        assert collector.tick(61_000_000, next(ELAPSED_US), Acks()).error
        writer.write(b"three\n")
    run(collector, lambda: stored(disk) == b"one\ntwo\nthree\n")
    view = SpoolView(disk, "spool")
    view.follow_all()
    assert not view.state.losses
