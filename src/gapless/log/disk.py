"""The file system as the durable logs need it: a small port with exact promises.

The simulator puts a disk under it that loses, tears and refuses; the code above cannot tell.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from gapless.failpoint import reached

Buffer = bytes | bytearray | memoryview

_WRITEV_BUFFERS_MAX = 1000  # IOV_MAX is at least 1024 on Linux


class File(Protocol):
    """One open file. Methods raise OSError as the operating system would."""

    def write(self, buffers: Sequence[Buffer], offset: int) -> None:
        """Write all bytes from ``offset`` on. After an error an unknown part of them was written, and
        nothing is durable before ``sync``."""

    def pread(self, size_bytes: int, offset: int) -> bytes:
        """Up to ``size_bytes`` at ``offset``; fewer only at the end of the file."""

    def sync(self) -> None:
        """On return all that was written is durable. An error is final: this file may have lost any of
        what was written since the last good sync, and a second sync would falsely succeed."""

    def truncate(self, size_bytes: int) -> None:
        """Cut the file; durable with the next ``sync``."""

    def size(self) -> int: ...

    def close(self) -> None: ...


class Disk(Protocol):
    """Directories and the files in them. Paths are strings below a root that the caller chose."""

    def create(self, path: str) -> File:
        """A new, empty file; FileExistsError if there is one. Its name is durable after ``sync_dir``."""

    def open(self, path: str, *, writable: bool) -> File:
        """An existing file; FileNotFoundError if there is none."""

    def head(self, path: str, size_bytes: int) -> bytes:
        """The first bytes of a file, fewer only if it ends before; FileNotFoundError if there is none. What
        ``open``, ``pread`` and ``close`` give, for small files that are looked at often."""

    def rename(self, old: str, new: str) -> None:
        """Replace ``new`` atomically; durable after ``sync_dir``."""

    def unlink(self, path: str) -> None: ...

    def names(self, directory: str) -> list[str]:
        """The names in a directory, sorted; empty if it does not exist."""

    def make_dirs(self, directory: str) -> None:
        """Create a directory and its parents, each durable on return. Fine if it exists."""

    def sync_dir(self, directory: str) -> None:
        """On return the names in this directory are durable."""

    def free_bytes(self, directory: str) -> int:
        """What an unprivileged process may still write on this file system."""


class OsFile:
    """A file of the operating system."""

    def __init__(self, descriptor: int) -> None:
        self._fd = descriptor

    def write(self, buffers: Sequence[Buffer], offset: int) -> None:
        queue = [memoryview(buffer) for buffer in buffers if len(buffer)]
        while queue:
            written = os.pwritev(self._fd, queue[:_WRITEV_BUFFERS_MAX], offset)
            if written == 0:
                raise OSError(errno.EIO, "nothing was written")
            offset += written
            done = 0
            while done < len(queue) and written >= len(queue[done]):
                written -= len(queue[done])
                done += 1
            queue = queue[done:]
            if written:
                queue[0] = queue[0][written:]

    def pread(self, size_bytes: int, offset: int) -> bytes:
        data = os.pread(self._fd, size_bytes, offset)
        if len(data) == size_bytes or not data:
            return data
        pieces = [data]
        got = len(data)
        while got < size_bytes and (data := os.pread(self._fd, size_bytes - got, offset + got)):
            pieces.append(data)
            got += len(data)
        return b"".join(pieces)

    def sync(self) -> None:
        os.fdatasync(self._fd)

    def truncate(self, size_bytes: int) -> None:
        os.ftruncate(self._fd, size_bytes)

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        if self._fd >= 0:
            descriptor, self._fd = self._fd, -1  # gone whatever close says: never close it twice
            os.close(descriptor)


class OsDisk:
    """The file system of the operating system."""

    def create(self, path: str) -> OsFile:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return OsFile(os.open(path, flags, 0o600))

    def open(self, path: str, *, writable: bool) -> OsFile:
        flags = os.O_RDWR if writable else os.O_RDONLY
        return OsFile(os.open(path, flags | os.O_CLOEXEC))

    def head(self, path: str, size_bytes: int) -> bytes:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, size_bytes, 0)
        finally:
            os.close(descriptor)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def names(self, directory: str) -> list[str]:
        try:
            return sorted(os.listdir(directory))
        except FileNotFoundError:
            return []

    def make_dirs(self, directory: str) -> None:
        parent = os.path.dirname(os.path.abspath(directory))
        if os.path.isdir(directory):
            # Whoever created it may have been killed before its name was durable.
            with suppress(PermissionError):  # a parent that we may not read: we did not create it
                self.sync_dir(parent)
            return
        self.make_dirs(parent)
        with suppress(FileExistsError):
            os.mkdir(directory, 0o700)
        self.sync_dir(parent)

    def sync_dir(self, directory: str) -> None:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, directory: str) -> int:
        stats = os.statvfs(directory)
        return stats.f_bavail * stats.f_frsize


def write_atomically(disk: Disk, path: str, data: bytes) -> None:
    """Replace a small file: after a crash it holds the old bytes or the new ones, never anything else.

    Durable on return. A crash before the rename leaves ``path + ".new"``, which the next call overwrites.
    """
    temporary, name = path + ".new", os.path.basename(path)
    try:
        disk.unlink(temporary)
    except FileNotFoundError:
        pass
    file = disk.create(temporary)
    try:
        file.write([data], 0)
        file.sync()
    finally:
        file.close()
    reached(name, "rename")
    disk.rename(temporary, path)
    reached(name, "renamed")
    disk.sync_dir(os.path.dirname(path) or ".")


def read_small(disk: Disk, path: str) -> bytes | None:
    """The whole of a small file, or None if there is none."""
    try:
        file = disk.open(path, writable=False)
    except FileNotFoundError:
        return None
    try:
        return file.pread(file.size(), 0)
    finally:
        file.close()
