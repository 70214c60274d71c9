"""The journal in local segment files: the conformance suite, and what is special to files."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from gapless.journal.local import LocalJournal
from gapless.log.disk import OsDisk
from gapless.log.frame import DAMAGED
from gapless.log.lock import DirectoryLock
from gapless.log.segments import LogWriter
from gapless.model.errors import Unavailable

from .conformance import QUEUE_BYTES_MAX, Harness, JournalConformance, contents, everything, message
from .faults import FaultyDisk


class LocalHarness(Harness):
    def __init__(self, directory: Path) -> None:
        self.directory = str(directory)
        self.disk = FaultyDisk()

    def open(self) -> LocalJournal:
        return LocalJournal(
            self.disk, self.directory, segment_bytes_max=2_000, queue_bytes_max=QUEUE_BYTES_MAX
        )

    def stall(self) -> None:
        self.disk.faults.syncing.clear()
        self.disk.faults.may_sync.clear()

    def stalled(self) -> None:
        assert self.disk.faults.syncing.wait(10)

    def resume(self) -> None:
        self.disk.faults.may_sync.set()
        self.disk.faults.sync_errno = 0

    def refuse(self) -> None:
        self.disk.faults.sync_errno = errno.EIO


@pytest.fixture
def harness(tmp_path: Path) -> LocalHarness:
    return LocalHarness(tmp_path / "journal")


class TestLocalJournalConforms(JournalConformance):
    pass


def test_waiters_share_one_sync(harness: LocalHarness) -> None:
    journal = harness.open()

    async def run() -> None:
        harness.stall()
        first = asyncio.create_task(journal.append([message(0)]))
        await asyncio.to_thread(harness.stalled)
        rest = [asyncio.create_task(journal.append([message(n)])) for n in range(1, 50)]
        await asyncio.sleep(0)  # let them queue
        harness.resume()
        await asyncio.gather(first, *rest)

    asyncio.run(run())
    assert harness.disk.faults.syncs == 2
    journal.close()


@pytest.mark.case("T30", "T42")
@pytest.mark.parametrize("written", [0, 1, 40, 100])
def test_a_full_disk_fails_the_append_and_later_ones_succeed(harness: LocalHarness, written: int) -> None:
    journal = harness.open()
    asyncio.run(journal.append([message(0)]))
    harness.disk.faults.written_before_error = written
    harness.disk.faults.write_errno = errno.ENOSPC
    with pytest.raises(Unavailable):
        asyncio.run(journal.append([message(1), message(2)]))
    harness.disk.faults.write_errno = 0
    asyncio.run(journal.append([message(3)]))
    assert contents(journal) == [message(0), message(3)]
    journal.close()


def test_a_disk_that_is_full_from_the_start_fails_and_recovers(harness: LocalHarness) -> None:
    journal = harness.open()
    harness.disk.faults.write_errno = errno.ENOSPC
    with pytest.raises(Unavailable):
        asyncio.run(journal.append([message(1)]))
    harness.disk.faults.write_errno = 0
    asyncio.run(journal.append([message(1)]))
    assert contents(journal) == [message(1)]
    journal.close()


def test_what_is_durable_is_not_failed_because_readers_cannot_be_told(harness: LocalHarness) -> None:
    journal = harness.open()
    harness.disk.faults.publish_errno = errno.ENOSPC
    asyncio.run(journal.append([message(1)]))
    harness.disk.faults.publish_errno = 0
    asyncio.run(journal.append([message(2)]))
    assert contents(journal) == [message(1), message(2)]
    journal.close()


def test_a_defect_in_the_writer_fails_everything_from_then_on(
    harness: LocalHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = harness.open()

    def defect(self: LogWriter) -> None:
        raise AssertionError

    monkeypatch.setattr(LogWriter, "sync", defect)
    for _ in range(2):
        with pytest.raises(Unavailable, match="restart the platform"):
            asyncio.run(journal.append([message(1)]))
    monkeypatch.undo()
    journal.close()


def test_an_old_failure_is_forgotten_when_nobody_tries_again(tmp_path: Path) -> None:
    now = [100.0]
    disk = FaultyDisk()
    journal = LocalJournal(disk, str(tmp_path / "journal"), monotonic_s=lambda: now[0])
    disk.faults.sync_errno = errno.EIO
    with pytest.raises(Unavailable):
        asyncio.run(journal.append([message(1)]))
    now[0] += 5
    assert journal.stalled_s() == 5
    now[0] += 60
    assert journal.stalled_s() == 0
    with pytest.raises(Unavailable):
        asyncio.run(journal.append([message(1)]))
    assert journal.stalled_s() == 65
    journal.close()


def test_opening_reports_and_cuts_a_torn_tail(harness: LocalHarness) -> None:
    journal = harness.open()
    asyncio.run(journal.append([message(1)]))
    journal.close()
    segment = next(Path(harness.directory).glob("*.log"))
    with segment.open("ab") as file:
        file.write(b"GF torn")
    journal = harness.open()
    assert journal.recovery.torn_bytes == 7
    assert journal.recovery.damaged == ()
    assert contents(journal) == [message(1)]
    journal.close()


def test_opening_reports_damage_to_what_was_acknowledged_and_reuses_no_position(
    harness: LocalHarness,
) -> None:
    journal = harness.open()
    positions = asyncio.run(journal.append([message(1), message(2)]))
    journal.close()
    segment = next(Path(harness.directory).glob("*.log"))
    data = bytearray(segment.read_bytes())
    data[positions[1] + 3] ^= 0xFF
    segment.write_bytes(data)
    journal = harness.open()
    assert journal.recovery.damaged == ((positions[1], len(data)),)
    (after,) = asyncio.run(journal.append([message(3)]))
    assert after >= len(data)
    assert [frame.kind for frame in everything(journal.reader())] == [
        message(1).kind,
        DAMAGED,
        message(3).kind,
    ]
    journal.close()


def test_no_segment_is_ever_dropped(harness: LocalHarness) -> None:
    journal = harness.open()
    for n in range(40):
        asyncio.run(journal.append([message(n, size=500)]))
    journal.close()
    assert len(list(Path(harness.directory).glob("*.log"))) >= 8
    journal = harness.open()
    assert len(contents(journal)) == 40
    journal.close()


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    directory = str(tmp_path / "new" / "journal")
    lock = DirectoryLock(directory)
    with pytest.raises(Unavailable, match="another process"):
        DirectoryLock(directory)
    lock.close()
    lock.close()
    DirectoryLock(directory).close()
    LocalJournal(OsDisk(), directory).close()
