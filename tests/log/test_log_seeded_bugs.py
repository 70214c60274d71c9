"""The exploration notices what it is there for: each of these defects, put in on purpose."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from gapless.log.disk import File, write_atomically
from gapless.log.scan import Ending
from gapless.log.segments import LogWriter
from gapless.testing.disk import SimDisk, SimFile

from .exploration import ENDS, NewDisk, crash_everywhere, fail_everywhere
from .oracle import OpenLog
from .test_write_atomically import crash_at_every_effect


class ForgetfulFile(SimFile):
    """Acknowledge before fsync."""

    def sync(self) -> None:
        pass


class StubbornFile(SimFile):
    """An fsync that is tried again after it failed, as if that could help."""

    def sync(self) -> None:
        try:
            super().sync()
        except OSError:
            super().sync()


def disk_with(file: type[SimFile]) -> NewDisk:
    class Seeded(SimDisk):
        def open(self, path: str, *, writable: bool) -> SimFile:
            return file(self, path, self._inode(path), writable=writable)

    return Seeded


class NamelessDisk(SimDisk):
    """Create and rename without an fsync of the directory."""

    def sync_dir(self, directory: str) -> None:
        pass


def keeps_torn_tails(file: File, base: int, published: int | None) -> Ending:
    return Ending(base + file.size(), max(published or 0, base), [])


def explore(new_disk: NewDisk = SimDisk, open_log: OpenLog = LogWriter) -> None:
    for end_as in ENDS:
        fail_everywhere("sync", errno.EIO, 1, end_as, new_disk, open_log)
    for end_as in ENDS:
        crash_everywhere(end_as, new_disk, open_log)


@pytest.mark.parametrize("new_disk", [disk_with(ForgetfulFile), disk_with(StubbornFile), NamelessDisk])
def test_a_log_that_is_durable_too_early_is_noticed(new_disk: NewDisk) -> None:
    with pytest.raises(AssertionError, match=r"not read back|than was there before|given twice"):
        explore(new_disk)


def test_a_torn_tail_that_is_not_cut_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gapless.log.segments.find_ending", keeps_torn_tails)
    with pytest.raises(AssertionError, match="intact bytes called damaged"):
        explore()


def test_a_position_told_to_readers_before_the_sync_is_noticed() -> None:
    class Hasty(LogWriter):
        def append(self, *arguments: object, **more: object) -> list[int]:
            positions: list[int] = super().append(*arguments, **more)  # type: ignore[arg-type]
            synced, self._synced = self._synced, self._size
            self._publish()
            self._synced = synced
            return positions

    with pytest.raises(AssertionError, match=r"not acknowledged|not told"):
        explore(open_log=Hasty)


def test_a_file_replaced_before_its_bytes_or_its_name_are_durable_is_noticed() -> None:
    def check(new_disk: Callable[..., SimDisk]) -> None:
        crash_at_every_effect(new_disk, write_atomically)

    check(SimDisk)
    for seeded in (disk_with(ForgetfulFile), NamelessDisk):
        with pytest.raises(AssertionError):
            check(seeded)
