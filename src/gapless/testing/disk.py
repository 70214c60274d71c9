"""A disk in memory that loses, tears and refuses as real ones may: what the port promises, and no more.

Everything has two states: what this boot sees (the page cache), and what the next one finds for certain
(the disk). Between them stand the changes that no ``sync`` (a file's bytes) or ``sync_dir`` (a
directory's names) has carried over. ``crash`` lets chance decide about each of them; a ``sync`` that fails
does the same and then, as Linux does, takes the pages for clean: this boot still reads the new bytes, and
a later sync succeeds without having saved them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from gapless.log.disk import Buffer
from gapless.testing.faults import SimCrash, faults

_TORN_AT_BYTES = (512, 4096)  # a sector, a page
_ENDLESS_BYTES = 1 << 50


class Fate(Enum):
    """What becomes of one change that was not synced."""

    KEPT = "kept"
    DROPPED = "dropped"
    TORN = "torn"  # some of its sectors or pages; a change of names is kept or dropped instead


@dataclass(eq=False)
class _Inode:
    cached: bytearray = field(default_factory=bytearray)
    on_disk: bytearray = field(default_factory=bytearray)
    unsynced: list[tuple[int, bytes | None]] = field(default_factory=list)  # (offset, data) or (size, None)

    def change(self, offset: int, data: bytes | None) -> None:
        _apply(self.cached, offset, data)
        self.unsynced.append((offset, data))


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    """Write ``data`` at ``offset``, or without data cut or extend to ``offset`` bytes."""
    content.extend(bytes(max(0, offset - len(content))))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data


def _blocks(offset: int, data: bytes, block_bytes: int) -> Iterator[tuple[int, bytes]]:
    """``data`` in pieces that end where the blocks of the file do."""
    at = 0
    while at < len(data):
        end = at + block_bytes - (offset + at) % block_bytes
        yield offset + at, data[at:end]
        at = end


class SimFile:
    """An open file of a SimDisk; dead (EBADF) once its process has ended."""

    def __init__(self, disk: SimDisk, path: str, inode: _Inode, *, writable: bool) -> None:
        self._disk = disk
        self._path = path
        self._inode: _Inode | None = inode
        self._writable = writable
        self._boot, self._process = disk.boots, disk.processes

    def write(self, buffers: Sequence[Buffer], offset: int) -> None:
        inode = self._open(writable=True)
        data = b"".join(buffers)
        room_bytes = self._disk.room_bytes(len(inode.cached) - offset)
        try:
            self._disk.effect("write", self._path)
        except OSError:
            blocks = list(_blocks(offset, data, _TORN_AT_BYTES[0]))
            for at, block in blocks[: self._disk.random.randint(0, len(blocks))]:
                inode.change(at, block)
            raise
        inode.change(offset, data[:room_bytes])
        if len(data) > room_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)

    def pread(self, size_bytes: int, offset: int) -> bytes:
        return bytes(self._open().cached[offset : offset + size_bytes])

    def sync(self) -> None:
        inode = self._open()
        try:
            self._disk.effect("sync", self._path)
        except OSError:
            self._disk.lose_writes(inode)
            raise
        for offset, data in inode.unsynced:
            _apply(inode.on_disk, offset, data)
        inode.unsynced.clear()

    def truncate(self, size_bytes: int) -> None:
        inode = self._open(writable=True)
        self._disk.effect("truncate", self._path)
        inode.change(size_bytes, None)

    def size(self) -> int:
        return len(self._open().cached)

    def close(self) -> None:
        self._inode = None

    def _open(self, *, writable: bool = False) -> _Inode:
        # What it does not outlive: the boot, and its process if it writes.
        inode, disk = self._inode, self._disk
        alive = self._boot == disk.boots and (not self._writable or self._process == disk.processes)
        if inode is None or not alive or writable > self._writable:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), self._path)
        return inode


class SimDisk:
    """Implements ``gapless.log.disk.Disk``.

    ``random`` decides the fate of what was not synced, among ``fates``. ``before_effect`` is called with
    the name and path of each change before it takes place (create, write, sync, truncate, rename, unlink,
    make_dirs, sync_dir); it may raise SimCrash, after which nothing reaches the disk until ``crash`` or
    ``kill``, or an OSError, with which the change fails: a write after some of its sectors, a sync with
    its data lost.
    ``capacity_bytes`` bounds the files' bytes; a write beyond it stops there with ENOSPC.
    """

    def __init__(
        self,
        random: Random,
        *,
        fates: Sequence[Fate] = tuple(Fate),
        capacity_bytes: int | None = None,
    ) -> None:
        self.random = random
        self.fates = fates
        self.capacity_bytes = capacity_bytes
        self.before_effect: Callable[[str, str], None] = faults()
        self.changes = 0  #: grows with all that anybody can see of it
        self.boots = 0
        self.processes = 0
        self._ended = False
        self._names: dict[str, _Inode] = {}
        self._listed: dict[str, list[str]] = {}  # what `names` gave since they changed last
        self._names_on_disk: dict[str, _Inode] = {}
        self._names_unsynced: list[dict[str, _Inode | None]] = []  # each is one change: all of it or nothing
        self._directories: set[str] = set()

    # The port.

    def create(self, path: str) -> SimFile:
        self._directory_of(path)
        if path in self._names:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        self.effect("create", path)
        if self.room_bytes(0) == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        self._change_names({path: _Inode()})
        return self.open(path, writable=True)

    def open(self, path: str, *, writable: bool) -> SimFile:
        return SimFile(self, path, self._inode(path), writable=writable)

    def head(self, path: str, size_bytes: int) -> bytes:
        return bytes(self._inode(path).cached[:size_bytes])

    def rename(self, old: str, new: str) -> None:
        inode = self._inode(old)
        self.effect("rename", new)
        self._change_names({old: None, new: inode})

    def unlink(self, path: str) -> None:
        self._inode(path)
        self.effect("unlink", path)
        self._change_names({path: None})

    def names(self, directory: str) -> list[str]:
        listed = self._listed.get(directory)
        if listed is None:
            inside = (path[len(directory) + 1 :] for path in self._names if _parent(path) == directory)
            listed = self._listed[directory] = sorted(inside)
        return listed[:]

    def make_dirs(self, directory: str) -> None:
        if directory not in self._directories:
            self.effect("make_dirs", directory)
            while directory:
                self._directories.add(directory)
                directory = _parent(directory)

    def sync_dir(self, directory: str) -> None:
        self._directory_of(f"{directory}/.")
        self.effect("sync_dir", directory)  # names are journalled: after an error they wait for the next
        for change in self._names_unsynced:
            if directory in map(_parent, change):
                _rename(self._names_on_disk, change)
        self._names_unsynced = [each for each in self._names_unsynced if directory not in map(_parent, each)]

    def free_bytes(self, directory: str) -> int:
        return self.room_bytes(0)

    # What a test does to it.

    def crash(self) -> None:
        """The power goes: open files are dead, and of what was not synced any part may be gone."""
        changed = [inode for change in self._names_unsynced for inode in change.values() if inode]
        for inode in {id(inode): inode for inode in [*self._all(), *changed]}.values():
            self.lose_writes(inode)
        self._lose_names()
        self._names = dict(self._names_on_disk)
        self._listed.clear()
        for inode in self._all():
            inode.cached[:] = inode.on_disk
        self.boots += 1
        self.changes += 1
        self.kill()

    def kill(self) -> None:
        """The process that writes ends and the machine runs on: what it had open is dead, no byte is lost.
        Files that are open for reading belong to other processes."""
        self.processes += 1
        self._ended = False

    def put(self, path: str, data: bytes) -> None:
        """People or other programs write a file: it is there at once, and for good."""
        self._directories.add(_parent(path))
        self._names[path] = self._names_on_disk[path] = _Inode(bytearray(data), bytearray(data))
        self._listed.clear()
        self.changes += 1

    def content(self, path: str) -> bytes:
        return bytes(self._inode(path).cached)

    def durable(self, directory: str) -> dict[str, bytearray]:
        """What a power loss right now would certainly leave in a directory. Not to be changed."""
        return {
            path: inode.on_disk for path, inode in self._names_on_disk.items() if _parent(path) == directory
        }

    def image(self) -> dict[str, bytes]:
        """A copy of all files, as a backup takes it."""
        return {path: bytes(inode.cached) for path, inode in self._names.items()}

    def restore(self, image: dict[str, bytes]) -> None:
        """The disk holds this image now, durably, and nothing else; what was open is dead."""
        self.boots += 1
        self.changes += 1
        self.kill()
        self._names_unsynced.clear()
        self._listed.clear()
        self._names = {
            path: _Inode(bytearray(content), bytearray(content)) for path, content in image.items()
        }
        self._names_on_disk = dict(self._names)
        for path in image:
            directory = _parent(path)
            while directory:
                self._directories.add(directory)
                directory = _parent(directory)

    def damage(self, path: str, content: bytes | None) -> None:
        """The file rots: it now holds other bytes, or with None is gone; no program did it."""
        self.changes += 1
        if content is None:
            del self._names[path]
            self._listed.clear()
            self._names_on_disk.pop(path, None)
            self._names_unsynced = [change for change in self._names_unsynced if path not in change]
            return
        inode = self._inode(path)
        inode.cached[:] = inode.on_disk[:] = content
        inode.unsynced.clear()

    def flip(self, path: str, bit: int) -> None:
        """Damage one bit, counted from the start of the file."""
        content = bytearray(self.content(path))
        content[bit // 8] ^= 1 << bit % 8
        self.damage(path, bytes(content))

    # What the port's methods and the open files have in common.

    def effect(self, name: str, path: str) -> None:
        """Every change passes here before it takes place."""
        self.changes += 1
        if self._ended:
            raise SimCrash(f"{name} of {path} after the end")
        try:
            self.before_effect(name, path)
        except SimCrash:
            self._ended = True
            raise

    def room_bytes(self, overwritten_bytes: int) -> int:
        """How much a write may put on the disk, of which so much takes the place of other bytes."""
        if self.capacity_bytes is None:
            return _ENDLESS_BYTES
        used = sum(len(inode.cached) for inode in {id(each): each for each in self._names.values()}.values())
        return max(0, self.capacity_bytes - used) + max(0, overwritten_bytes)

    def lose_writes(self, inode: _Inode) -> None:
        """Each unsynced change of a file meets its fate, and counts as clean from then on."""
        for offset, data in inode.unsynced:
            fate = self.random.choice(self.fates)
            if fate is Fate.TORN and data is not None:
                self._tear(inode.on_disk, offset, data)
            elif fate is Fate.KEPT:
                _apply(inode.on_disk, offset, data)
        inode.unsynced.clear()

    def _tear(self, on_disk: bytearray, offset: int, data: bytes) -> None:
        if self.random.random() < 0.5:  # the size may reach the disk before the bytes do: zeros
            on_disk.extend(bytes(max(0, offset + len(data) - len(on_disk))))
        for at, block in _blocks(offset, data, self.random.choice(_TORN_AT_BYTES)):
            if self.random.random() < 0.5:
                _apply(on_disk, at, block)

    def _change_names(self, change: dict[str, _Inode | None]) -> None:
        self._names_unsynced.append(change)
        self._listed.clear()
        _rename(self._names, change)

    def _lose_names(self) -> None:
        for change in self._names_unsynced:
            fate = self.random.choice(self.fates)
            if fate is Fate.KEPT or (fate is Fate.TORN and self.random.random() < 0.5):
                _rename(self._names_on_disk, change)
        self._names_unsynced.clear()

    def _all(self) -> list[_Inode]:
        return [*self._names.values(), *self._names_on_disk.values()]

    def _inode(self, path: str) -> _Inode:
        try:
            return self._names[path]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None

    def _directory_of(self, path: str) -> None:
        if _parent(path) not in self._directories:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _rename(names: dict[str, _Inode], change: dict[str, _Inode | None]) -> None:
    for path, inode in change.items():
        if inode is None:
            names.pop(path, None)
        else:
            names[path] = inode
