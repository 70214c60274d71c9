"""A disk that refuses, or waits, when it is told to."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Sequence

from gapless.log.disk import Buffer, OsDisk, OsFile


class Faults:
    """What goes wrong next; shared by a disk and its files."""

    def __init__(self) -> None:
        self.write_errno = 0
        self.sync_errno = 0
        self.publish_errno = 0
        self.written_before_error = 0
        self.syncs = 0
        self.may_sync = threading.Event()
        self.may_sync.set()
        self.syncing = threading.Event()

    def fail(self, number: int) -> None:
        if number:
            raise OSError(number, os.strerror(number))


class FaultyFile(OsFile):
    def __init__(self, file: OsFile, faults: Faults, path: str) -> None:
        super().__init__(os.dup(file._fd))
        file.close()
        self._faults = faults
        self._is_segment = path.endswith(".log")

    def write(self, buffers: Sequence[Buffer], offset: int) -> None:
        if self._is_segment and self._faults.write_errno:
            data = b"".join(bytes(buffer) for buffer in buffers)
            super().write([data[: self._faults.written_before_error]], offset)
            self._faults.fail(self._faults.write_errno)
        if not self._is_segment:
            self._faults.fail(self._faults.publish_errno)
        super().write(buffers, offset)

    def sync(self) -> None:
        if self._is_segment:
            self._faults.syncs += 1
            self._faults.syncing.set()
            assert self._faults.may_sync.wait(30)
            self._faults.fail(self._faults.sync_errno)
        super().sync()


class FaultyDisk(OsDisk):
    """The operating system's files, with the faults of ``faults`` on the segments of logs."""

    def __init__(self) -> None:
        self.faults = Faults()

    def create(self, path: str) -> FaultyFile:
        self.faults.fail(self.faults.write_errno if self.faults.write_errno == errno.ENOSPC else 0)
        return FaultyFile(super().create(path), self.faults, path)

    def open(self, path: str, *, writable: bool) -> FaultyFile:
        return FaultyFile(super().open(path, writable=writable), self.faults, path)
