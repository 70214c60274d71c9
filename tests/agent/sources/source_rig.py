"""A collector in miniature: polls a file source, keeps what is durable, and can crash."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gapless.agent.sources import Chunk, FileCursor, FileSettings, FileSource, OsHost, Skipped
from gapless.agent.sources.globs import path_matches
from gapless.agent.sources.port import FileStat, Listing, Scan, Seen
from gapless.model.batch import Mark

START_US = 1_725_000_000_000_000


@dataclass
class Run:
    """A chunk, kept: the records, and the bytes of the file that they were."""

    file: str
    start: int
    end: int
    records: list[bytes]
    marks: tuple[Mark, ...]
    raw: bytes
    done: bool


def run_of(chunk: Chunk) -> Run:
    """Copy a chunk out, and check that it is consistent in itself."""
    data, part = bytes(chunk.data), chunk.part
    assert data.count(b"\n") == chunk.count == part.count
    assert not data or data.endswith(b"\n")
    assert all(0 <= mark.at < chunk.count for mark in chunk.marks)
    raw = data
    if any(mark.kind in ("part", "unterminated") for mark in chunk.marks):
        assert chunk.count == 1
        raw = data[:-1]
    if part.end - part.start == len(raw) + 1:
        raw = b"\n" + raw
    assert part.end - part.start == len(raw)
    assert (chunk.cursor.file, chunk.cursor.offset, chunk.cursor.done) == (part.file, part.end, part.done)
    return Run(part.file, part.start, part.end, data.split(b"\n")[:-1], chunk.marks, raw, part.done)


#: Rigs made by the test that runs; closed after it.
RIGS: list[Rig] = []


@dataclass
class Rig:
    """``step`` moves the clock, polls, reads and makes durable; ``crash`` goes back to what is durable."""

    settings: FileSettings
    host: object = field(default_factory=OsHost)
    resumed: bool | None = None
    now_us: int = START_US
    elapsed_us: int = 7_000_000
    durable: dict[str, FileCursor] = field(default_factory=dict)
    kept: list[Run | Skipped] = field(default_factory=list)
    pending: list[Chunk | Skipped | tuple[Run, FileCursor]] = field(default_factory=list)
    _mint: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)

    def __post_init__(self) -> None:
        self.source = self._new_source()
        RIGS.append(self)

    def _new_source(self) -> FileSource:
        return FileSource(
            self.settings,
            self.host,  # type: ignore[arg-type]
            lambda: f"{self._mint():032x}",
            self.durable.values(),
            resumed=self.resumed,
        )

    def step(self, seconds: float = 1.0, *, budget: int = 1 << 40, commit: bool = True) -> None:
        self.pass_time(seconds)
        self.source.poll(self.now_us, self.elapsed_us)
        for event in self.source.read(self.now_us, budget):
            self.pending.append((run_of(event), event.cursor) if isinstance(event, Chunk) else event)
        if commit:
            self.commit()

    def pass_time(self, seconds: float) -> None:
        self.now_us += int(seconds * 1e6)
        self.elapsed_us += int(seconds * 1e6)

    def commit(self) -> None:
        for event in self.pending:
            run, cursor = event if isinstance(event, tuple) else (event, event.cursor)
            self.kept.append(run)
            if cursor.done:
                self.durable.pop(cursor.file, None)
            else:
                self.durable[cursor.file] = cursor
        self.pending.clear()

    def crash(self) -> None:
        """Lose everything that is not durable, and start again."""
        self.source.close()
        self.pending.clear()
        self.source = self._new_source()

    def set_back(self) -> None:
        """A commit fails: go back to what is durable, in the same run."""
        self.pending.clear()
        self.source.resume(self.durable.values())

    def settle(self, seconds: float = 30.0) -> None:
        """Let every timer run out."""
        for _ in range(int(seconds / 5)):
            self.step(5.0)

    @property
    def runs(self) -> list[Run]:
        return [run for run in self.kept if isinstance(run, Run)]

    @property
    def skipped(self) -> list[Skipped]:
        return [event for event in self.kept if isinstance(event, Skipped)]

    @property
    def records(self) -> list[bytes]:
        return [record for run in self.runs for record in run.records]

    @property
    def marks(self) -> list[tuple[bytes, str]]:
        return [(run.records[mark.at], mark.kind) for run in self.runs for mark in run.marks]

    def streams(self) -> dict[str, tuple[int, bytes]]:
        """Of each file: where reading began, and all bytes since. Checks that parts are adjacent."""
        streams: dict[str, tuple[int, bytes]] = {}
        for run in self.runs:
            start, raw = streams.get(run.file, (run.start, b""))
            assert start + len(raw) == run.start, "a part is not adjacent to the one before"
            streams[run.file] = (start, raw + run.raw)
        return streams


class Inode:
    """A file of the simulated disk."""

    def __init__(self, dev: int, ino: int) -> None:
        self.dev, self.ino, self.content, self.changed_ns = dev, ino, b"", 0
        self.links = self.opened = 0


class RealDisk:
    """What writers do, on the file system of this machine."""

    def append(self, path: str, content: bytes) -> None:
        with open(path, "ab") as file:
            file.write(content)

    def copy(self, path: str, to: str) -> None:
        shutil.copy(path, to)

    def empty(self, path: str) -> None:
        os.truncate(path, 0)

    def rename(self, path: str, to: str) -> None:
        os.rename(path, to)

    def delete(self, path: str) -> None:
        os.unlink(path)

    def ino(self, path: str) -> int:
        return os.stat(path).st_ino


class MemoryDisk:
    """A disk in memory, on which inodes are reused, devices renumbered, and calls fail as told."""

    def __init__(self) -> None:
        self.dev = 1
        self.names: dict[str, Inode] = {}
        self.errors: dict[str, OSError] = {}  # by path: open, pread of it, and listing of it, fail
        self.missing: set[str] = set()  # directories that are not there
        self._clock = itertools.count(1).__next__
        self._next_ino = itertools.count(100).__next__
        self._free: list[int] = []

    # what writers do

    def write(self, path: str, content: bytes) -> None:
        """Create or replace the content in place."""
        inode = self.names.get(path)
        if inode is None:
            inode = self.names[path] = Inode(self.dev, self._free.pop() if self._free else self._next_ino())
            inode.links = 1
        self.change(inode, content)

    def append(self, path: str, content: bytes) -> None:
        self.write(path, (self.names[path].content if path in self.names else b"") + content)

    def delete(self, path: str) -> None:
        inode = self.names.pop(path)
        inode.links -= 1
        self.change(inode, inode.content)
        self._reclaim(inode)

    def copy(self, path: str, to: str) -> None:
        self.write(to, self.names[path].content)

    def empty(self, path: str) -> None:
        self.write(path, b"")

    def ino(self, path: str) -> int:
        return self.names[path].ino

    def rename(self, old: str, new: str) -> None:
        self.names[new] = self.names.pop(old)

    def change(self, inode: Inode, content: bytes) -> None:
        inode.content, inode.changed_ns = content, self._clock()

    def _reclaim(self, inode: Inode) -> None:
        """The number of a deleted file is given to the next one, as soon as nobody holds it open."""
        if not inode.links and not inode.opened:
            self._free.append(inode.ino)

    # the port

    def scan(self, paths: Sequence[str], exclude: Sequence[str], entries_max: int) -> Scan:
        failed = [(path, error) for path, error in self.errors.items() if path not in self.names]
        files = [
            self._seen(path)
            for path in self.names
            if any(path_matches(pattern, path) for pattern in paths)
            and not any(path_matches(pattern, path) for pattern in exclude)
            and not any(path.startswith(f"{hidden}/") for hidden in [*self.missing, *dict(failed)])
        ]
        return Scan(files, failed)

    def listing(self, directory: str) -> Listing:
        if directory in self.missing:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        self._check(directory)
        return Listing(
            self.dev, [self._seen(path) for path in self.names if path.rpartition("/")[0] == directory]
        )

    def real_path(self, path: str) -> str:
        return path

    def open(self, path: str) -> MemoryFile:
        self._check(path)
        if path not in self.names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return MemoryFile(self, path, self.names[path])

    def _check(self, path: str) -> None:
        if path in self.errors:
            raise self.errors[path]

    def _seen(self, path: str) -> Seen:
        inode = self.names[path]
        return Seen(path, inode.dev, inode.ino, len(inode.content), inode.changed_ns)


class MemoryFile:
    def __init__(self, disk: MemoryDisk, path: str, inode: Inode) -> None:
        self._disk, self._path, self._inode = disk, path, inode
        inode.opened += 1

    def pread_into(self, buffer: memoryview, offset: int) -> int:
        self._disk._check(self._path)
        content = self._inode.content[offset : offset + len(buffer)]
        buffer[: len(content)] = content
        return len(content)

    def stat(self) -> FileStat:
        inode = self._inode
        return FileStat(inode.dev, inode.ino, len(inode.content), inode.changed_ns, inode.links)

    def close(self) -> None:
        self._inode.opened -= 1
        self._disk._reclaim(self._inode)
        self._inode = Inode(0, 0)
