"""A disk whose segments refuse when they are told to."""

from __future__ import annotations

import os
from collections.abc import Sequence

from gapless.log.disk import Buffer, OsDisk, OsFile


class Faults:
    """What goes wrong, as numbers of errors; 0 is nothing."""

    write_errno = 0
    sync_errno = 0


class FaultyFile(OsFile):
    def __init__(self, file: OsFile, faults: Faults) -> None:
        super().__init__(os.dup(file._fd))
        file.close()
        self._faults = faults

    def write(self, buffers: Sequence[Buffer], offset: int) -> None:
        if self._faults.write_errno:
            super().write([b"".join(bytes(b) for b in buffers)[:50]], offset)
            raise OSError(self._faults.write_errno, "refused")
        super().write(buffers, offset)

    def sync(self) -> None:
        if self._faults.sync_errno:
            raise OSError(self._faults.sync_errno, "refused")
        super().sync()


class FaultyDisk(OsDisk):
    """The operating system's files, with ``faults`` on the segments of logs."""

    def __init__(self) -> None:
        self.faults = Faults()

    def create(self, path: str) -> OsFile:
        file = super().create(path)
        return FaultyFile(file, self.faults) if path.endswith(".log") else file

    def open(self, path: str, *, writable: bool) -> OsFile:
        file = super().open(path, writable=writable)
        return FaultyFile(file, self.faults) if path.endswith(".log") else file
