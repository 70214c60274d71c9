"""The log files of a simulated machine: what writers do to them, and how an agent sees them.

Implements ``gapless.agent.sources.SourceHost``. Each file knows which records its bytes are, and when they
were destroyed: the truth that nobody in the simulation can ask for.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gapless.agent.sources.globs import path_matches
from gapless.agent.sources.port import FileStat, Listing, Scan, Seen

_DEVICE = 7


class Written(NamedTuple):
    """A record, and which bytes of its file it was (newline included)."""

    record: bytes
    start: int
    end: int


@dataclass(eq=False)
class Content:
    """What one file holds. ``destroyed_us`` is when the bytes were cut off, or nobody could open them any
    more; a file that is written again after that has a new content. ``original``: what it is a copy of."""

    path: str
    ino: int
    written: list[Written] = field(default_factory=list)
    destroyed_us: int | None = None
    original: Content | None = None

    @property
    def first(self) -> Content:
        """What was copied, or this itself."""
        return self.original or self


class _Inode:
    def __init__(self, ino: int, path: str) -> None:
        self.ino = ino
        self.data = bytearray()
        self.changed_ns = 0
        self.links = 1
        self.opened = 0
        self.content = Content(path, ino)


class SourceDisk:
    """``contents`` are all that there ever were, in the order in which they began."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._names: dict[str, _Inode] = {}
        self._changes = 0
        self._next_ino = 1000
        self._free: list[int] = []
        self.copied = 0  # how often a file was copied and emptied
        self.contents: list[Content] = []

    # What writers do.

    def append(self, path: str, records: Sequence[bytes]) -> None:
        """Add records to the end of a file, which is created if need be."""
        inode = self._names.get(path)
        if inode is None:
            inode = self._names[path] = _Inode(self._new_ino(), path)
            self.contents.append(inode.content)
        for record in records:
            start = inode.content.written[-1].end if inode.content.written else 0
            inode.data += (record + b"\n")[len(inode.data) - start :]
            inode.content.written.append(Written(record, start, len(inode.data)))
        self._changed(inode)

    def begin_line(self, path: str, beginning: bytes) -> None:
        """Add the beginning of a record to a file; ``append`` adds the rest of it."""
        inode = self._names[path]
        inode.data += beginning
        self._changed(inode)

    def copy_truncate(self, path: str, copy: str) -> None:
        """Copy a file, and empty it in place."""
        if copy in self._names:
            self.delete(copy)
        inode = self._names[path]
        twin = self._names[copy] = _Inode(self._new_ino(), copy)
        self.copied += 1
        twin.data += inode.data
        twin.content.written += inode.content.written
        twin.content.original = inode.content.first
        self.contents.append(twin.content)
        self._changed(twin)
        self.truncate(path)

    def rename(self, old: str, new: str) -> None:
        if new in self._names:
            self.delete(new)
        self._names[new] = self._names.pop(old)
        self._changed(self._names[new])

    def truncate(self, path: str) -> None:
        """Empty a file in place."""
        inode = self._names[path]
        inode.content.destroyed_us = self._now_us()
        inode.content = Content(path, inode.ino)
        self.contents.append(inode.content)
        inode.data.clear()
        self._changed(inode)

    def delete(self, path: str) -> None:
        """Remove a name; whoever has the file open can read on."""
        inode = self._names.pop(path)
        inode.links -= 1
        self._changed(inode)
        self._reclaim(inode)

    def copy_from(self, other: SourceDisk) -> None:
        """Hold what another disk holds, under the same names and numbers, but for a line half written."""
        for path, inode in other._names.items():
            twin = self._names[path] = _Inode(inode.ino, path)
            whole_bytes = inode.content.written[-1].end if inode.content.written else 0
            twin.data += inode.data[:whole_bytes]
            twin.changed_ns = inode.changed_ns
            twin.content.written += inode.content.written
            self.contents.append(twin.content)
        self._changes, self._next_ino = other._changes, other._next_ino

    def become(self, other: SourceDisk) -> None:
        """Hold what another disk holds, and nothing of what was here. Nobody may have a file open."""
        for inode in self._names.values():
            inode.content.destroyed_us = self._now_us()
        self._names.clear()
        self._free.clear()
        self.copy_from(other)

    def size(self, path: str) -> int:
        """Bytes in a file; 0 if there is none."""
        inode = self._names.get(path)
        return 0 if inode is None else len(inode.data)

    def paths(self) -> list[str]:
        return list(self._names)

    def shown(self, patterns: Sequence[str]) -> set[Content]:
        """What the files that match hold now."""
        return {
            inode.content
            for path, inode in self._names.items()
            if any(path_matches(pattern, path) for pattern in patterns)
        }

    def present(self) -> dict[int, tuple[Content, bytearray]]:
        """What each inode that has a name holds now."""
        return {inode.ino: (inode.content, inode.data) for inode in self._names.values()}

    # What a process sees.

    def scan(self, paths: Sequence[str], exclude: Sequence[str], entries_max: int) -> Scan:
        found = [
            self._seen(path)
            for path in self._names
            if any(path_matches(pattern, path) for pattern in paths)
            and not any(path_matches(pattern, path) for pattern in exclude)
        ]
        return Scan(found, [])

    def listing(self, directory: str) -> Listing:
        inside = [path for path in self._names if path.rpartition("/")[0] == directory]
        return Listing(_DEVICE, [self._seen(path) for path in inside])

    def real_path(self, path: str) -> str:
        return path

    def open(self, path: str) -> OpenSource:
        inode = self._names.get(path)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        inode.opened += 1
        return OpenSource(self, inode)

    def close(self, inode: _Inode) -> None:
        """An open file is closed, by whoever had it or by its end."""
        inode.opened -= 1
        self._reclaim(inode)

    def _reclaim(self, inode: _Inode) -> None:
        """The number of a deleted file is given to a later one, as soon as nobody holds it open."""
        if inode.links == 0 and inode.opened == 0:
            inode.content.destroyed_us = self._now_us()
            self._free.append(inode.ino)

    def _new_ino(self) -> int:
        if self._free:
            return self._free.pop()
        self._next_ino += 1
        return self._next_ino

    def _changed(self, inode: _Inode) -> None:
        self._changes += 1
        inode.changed_ns = self._changes

    def _seen(self, path: str) -> Seen:
        inode = self._names[path]
        return Seen(path, _DEVICE, inode.ino, len(inode.data), inode.changed_ns)


class OpenSource:
    """A file held open by a reader."""

    def __init__(self, disk: SourceDisk, inode: _Inode) -> None:
        self._disk = disk
        self._inode: _Inode | None = inode

    def pread_into(self, buffer: memoryview, offset: int) -> int:
        data = self._open().data[offset : offset + len(buffer)]
        buffer[: len(data)] = data
        return len(data)

    def stat(self) -> FileStat:
        inode = self._open()
        return FileStat(_DEVICE, inode.ino, len(inode.data), inode.changed_ns, inode.links)

    def close(self) -> None:
        if self._inode is not None:
            inode, self._inode = self._inode, None
            self._disk.close(inode)

    def _open(self) -> _Inode:
        if self._inode is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._inode


class SourceView:
    """The files as one process sees them: what it has open is closed when it ends."""

    def __init__(self, disk: SourceDisk) -> None:
        self._disk = disk
        self._opened: list[OpenSource] = []

    def scan(self, paths: Sequence[str], exclude: Sequence[str], entries_max: int) -> Scan:
        return self._disk.scan(paths, exclude, entries_max)

    def listing(self, directory: str) -> Listing:
        return self._disk.listing(directory)

    def real_path(self, path: str) -> str:
        return self._disk.real_path(path)

    def open(self, path: str) -> OpenSource:
        file = self._disk.open(path)
        self._opened.append(file)
        return file

    def end(self) -> None:
        """The process is gone."""
        while self._opened:
            self._opened.pop().close()
