"""The port between the file source and a disk: five questions, so that a simulated disk can answer them.

Nothing here promises durability: the source only ever reads. Every method may raise OSError, which the
source reports and retries; none may block for longer than the disk takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

#: A device and an inode number.
FileId = tuple[int, int]


class Seen(NamedTuple):
    """A regular file as a look at a directory showed it. ``changed_ns`` moves with every change of the
    content (st_ctime_ns where there is one: it is the kernel's own and cannot be set back)."""

    path: str
    dev: int
    ino: int
    size: int
    changed_ns: int

    @property
    def id(self) -> FileId:
        return self.dev, self.ino


class FileStat(NamedTuple):
    """An open file as it is now. ``links`` is 0 once its last name has been deleted."""

    dev: int
    ino: int
    size: int
    changed_ns: int
    links: int

    @property
    def id(self) -> FileId:
        return self.dev, self.ino


class Scan(NamedTuple):
    """Every file that matches, and the directories whose content could not be read this time (nothing
    can be concluded from not seeing a file below one of those). A directory that does not exist is no
    failure."""

    files: list[Seen]
    failed: list[tuple[str, OSError]]


class Listing(NamedTuple):
    """The regular files of one directory (no descent), and the device that the directory is on."""

    dev: int
    files: list[Seen]


class SourceFile(Protocol):
    """A file held open for reading: it stays readable whatever happens to its names."""

    def pread_into(self, buffer: memoryview, offset: int) -> int:
        """Fill ``buffer`` from ``offset``; the bytes read. Fewer than asked for means end of file."""

    def stat(self) -> FileStat: ...

    def close(self) -> None: ...


class SourceHost(Protocol):
    """What a file source asks of a disk."""

    def scan(self, paths: Sequence[str], exclude: Sequence[str], entries_max: int) -> Scan:
        """The regular files that match any pattern of ``paths`` and none of ``exclude``, following
        links; a file may come under several names. No directory that matches an ``exclude`` is read. Where
        the directories hold more than ``entries_max`` entries in all, those beyond failed."""

    def listing(self, directory: str) -> Listing: ...

    def real_path(self, path: str) -> str:
        """``path`` with every symbolic link resolved, so that its directory is where rotation happens."""

    def open(self, path: str) -> SourceFile: ...
