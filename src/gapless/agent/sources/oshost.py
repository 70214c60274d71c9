"""The disk of this machine, behind the port of the file source."""

from __future__ import annotations

import errno
import os
import resource
import stat
from collections.abc import Callable, Iterator, Sequence

from gapless.agent.sources.globs import is_wild, name_matcher, path_matches, split_pattern
from gapless.agent.sources.port import FileStat, Listing, Scan, Seen

# O_NONBLOCK: a name that became a FIFO since it was looked at must not hang the collector.
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
#: So many descriptors of the process are left to others than sources: a spool that could not be opened for
#: want of one would never be.
_DESCRIPTORS_LEFT = 32


class OsFile:
    """A descriptor; see SourceFile."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def pread_into(self, buffer: memoryview, offset: int) -> int:
        return os.preadv(self._fd, [buffer], offset)

    def stat(self) -> FileStat:
        found = os.fstat(self._fd)
        return FileStat(found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns, found.st_nlink)

    def close(self) -> None:
        os.close(self._fd)


class OsHost:
    """Directories and files of this machine; see SourceHost.

    ``goes_on`` is called for each file that was looked at, or opened: a look at very many files, or at a
    slow disk, takes long without being stuck.
    """

    def __init__(self, goes_on: Callable[[], None] = lambda: None) -> None:
        self._goes_on = goes_on

    def scan(self, paths: Sequence[str], exclude: Sequence[str], entries_max: int) -> Scan:
        walk = _Walk(entries_max, exclude, self._goes_on)
        files = [seen for pattern in paths for seen in walk.files("", split_pattern(pattern))]
        if exclude:
            files = [seen for seen in files if not walk.excludes(seen.path)]
        return Scan(files, walk.failed)

    def listing(self, directory: str) -> Listing:
        with os.scandir(directory) as entries:
            files = [seen for entry in entries if (seen := _seen_if_readable(entry)) is not None]
        return Listing(os.stat(directory).st_dev, files)

    def real_path(self, path: str) -> str:
        return os.path.realpath(path)

    def open(self, path: str) -> OsFile:
        """As ``SourceHost``; with EMFILE while the process has all descriptors but a few."""
        self._goes_on()
        fd = os.open(path, _OPEN_FLAGS)  # the lowest that is free
        if fd >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _DESCRIPTORS_LEFT:
            os.close(fd)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)
        return OsFile(fd)


class _Walk:
    """One scan: what it has failed to read, and how many entries it may still look at."""

    def __init__(self, entries_max: int, exclude: Sequence[str], goes_on: Callable[[], None]) -> None:
        self._exclude = exclude
        self._goes_on = goes_on
        self.failed: list[tuple[str, OSError]] = []
        self._entries_max = self._left = entries_max

    def excludes(self, path: str) -> bool:
        return any(path_matches(other, path) for other in self._exclude)

    def _fail(self, path: str, error: OSError) -> None:
        if not self.excludes(path):
            self.failed.append((path, error))

    def files(self, directory: str, parts: tuple[str, ...]) -> Iterator[Seen]:
        """The files below ``directory`` ("" is the root) that match the pattern's remaining parts."""
        if self.excludes(directory):
            return
        part, rest = parts[0], parts[1:]
        if not is_wild(part):
            path = f"{directory}/{part}"
            if rest:
                yield from self.files(path, rest)
            elif (seen := self._stat(path, None)) is not None:
                yield seen
            return
        if part == "**":
            yield from self.files(directory, rest)
        matches = name_matcher(part).match
        for entry in self._entries(directory or "/"):
            if not matches(entry.name):
                continue
            if not rest:
                if (seen := self._stat(entry.path, entry)) is not None:
                    yield seen
            elif part == "**":
                # Links are not descended into here: they may lead in a circle.
                if entry.is_dir(follow_symlinks=False):
                    yield from self.files(entry.path, parts)
            elif self._is_dir(entry):
                yield from self.files(entry.path, rest)

    def _entries(self, directory: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(directory) as entries:
                found = list(entries)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self._fail(directory, error)
            return []
        self._left -= len(found)
        if self._left < 0:
            text = f"more than entries_max = {self._entries_max} entries below the patterns: narrow them"
            self._fail(directory, OSError(text))
            return []
        return found

    def _is_dir(self, entry: os.DirEntry[str]) -> bool:
        try:
            return entry.is_dir()
        except OSError as error:
            self._fail(entry.path, error)
            return False

    def _stat(self, path: str, entry: os.DirEntry[str] | None) -> Seen | None:
        self._goes_on()
        try:
            return _seen(path, entry)
        except OSError as error:
            self._fail(path, error)
            return None


def _seen(path: str, entry: os.DirEntry[str] | None) -> Seen | None:
    """What a name leads to, if that is a regular file. Raises OSError, but not for a name that is gone
    or a link that leads nowhere."""
    try:
        found = os.stat(path) if entry is None else entry.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return Seen(path, found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns)


def _seen_if_readable(entry: os.DirEntry[str]) -> Seen | None:
    try:
        return _seen(entry.path, entry)
    except OSError:
        return None
