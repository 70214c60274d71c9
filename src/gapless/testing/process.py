"""Processes that end at any change of the disk, stand still, and are started anew."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from random import Random

from gapless.log.disk import Buffer
from gapless.testing.clock import Action, Loop
from gapless.testing.disk import SimDisk, SimFile
from gapless.testing.faults import SimCrash


class Process:
    """One life of a process: what it had begun does not outlive it. ``ended`` is called when it ends by
    itself, with the reason."""

    def __init__(self, name: str, loop: Loop, ended: Callable[[Process, str], None]) -> None:
        self.name = name
        self.alive = True
        self._loop = loop
        self._ended = ended
        self._frozen = False
        self._held: list[Action] = []
        self._at_end: list[Action] = []
        self._effects_left: int | None = None

    def after(self, delay_us: int, action: Action) -> None:
        """Do ``action`` then, if the process still lives; later, if it stands still."""
        self._loop.after(delay_us, lambda: self.run(action))

    def poll(self, every_us: int, disk: SimDisk, action: Action) -> None:
        """Do ``action`` at the first look, of one each ``every_us``, before which ``disk`` has changed: for
        who found nothing to do on it, and would find nothing again."""
        changes = disk.changes

        def look() -> None:
            if disk.changes != changes:
                action()
            else:
                self.after(every_us, look)

        self.after(every_us, look)

    def run(self, action: Action) -> None:
        """Do ``action`` now, as this process."""
        if not self.alive:
            return
        if self._frozen:
            self._held.append(action)
            return
        try:
            action()
        except SimCrash as crash:
            self.end()
            self._ended(self, str(crash))

    def at_end(self, action: Action) -> None:
        """Do ``action`` when it ends: what the operating system would tidy up."""
        self._at_end.append(action)

    def end(self) -> None:
        """It is gone, whatever it was doing."""
        self.alive = False
        self._held.clear()
        while self._at_end:
            self._at_end.pop()()

    def freeze(self) -> None:
        """It does nothing any more, and does not know."""
        self._frozen = True

    def thaw(self) -> None:
        """It goes on where it stood."""
        self._frozen = False
        held, self._held = self._held, []
        for action in held:
            self._loop.after(0, lambda action=action: self.run(action))  # type: ignore[misc]

    def crash_at(self, effects: int) -> None:
        """End it at its ``effects``-th change of the disk from now on (0: at the next)."""
        self._effects_left = effects

    def spare(self) -> None:
        """Let it live on, whatever was planned for it."""
        self._effects_left = None

    def effect(self, name: str, path: str) -> None:
        """Every change that it makes to a disk passes here, before it takes place."""
        if not self.alive:
            raise SimCrash(f"{name} of {path} after the end")
        if self._effects_left is not None:
            self._effects_left -= 1
            if self._effects_left < 0:
                raise SimCrash(f"before {name} of {path}")


class ProcessDisk:
    """A machine's disk as one process uses it: ``gapless.log.disk.Disk``. What it has open dies with it."""

    def __init__(self, disk: SimDisk, process: Process) -> None:
        self._disk = disk
        self._process = process

    def create(self, path: str) -> ProcessFile:
        self._process.effect("create", path)
        return ProcessFile(self._disk.create(path), path, self._process)

    def open(self, path: str, *, writable: bool) -> ProcessFile:
        return ProcessFile(self._disk.open(path, writable=writable), path, self._process)

    def head(self, path: str, size_bytes: int) -> bytes:
        return self._disk.head(path, size_bytes)

    def rename(self, old: str, new: str) -> None:
        self._process.effect("rename", new)
        self._disk.rename(old, new)

    def unlink(self, path: str) -> None:
        self._process.effect("unlink", path)
        self._disk.unlink(path)

    def names(self, directory: str) -> list[str]:
        return self._disk.names(directory)

    def make_dirs(self, directory: str) -> None:
        self._disk.make_dirs(directory)

    def sync_dir(self, directory: str) -> None:
        self._process.effect("sync_dir", directory)
        self._disk.sync_dir(directory)

    def free_bytes(self, directory: str) -> int:
        return self._disk.free_bytes(directory)


class ProcessFile:
    """A file that one process has open."""

    def __init__(self, file: SimFile, path: str, process: Process) -> None:
        self._file = file
        self._path = path
        self._process = process

    def write(self, buffers: Sequence[Buffer], offset: int) -> None:
        self._process.effect("write", self._path)
        self._file.write(buffers, offset)

    def pread(self, size_bytes: int, offset: int) -> bytes:
        return self._file.pread(size_bytes, offset)

    def sync(self) -> None:
        self._process.effect("sync", self._path)
        self._file.sync()

    def truncate(self, size_bytes: int) -> None:
        self._process.effect("truncate", self._path)
        self._file.truncate(size_bytes)

    def size(self) -> int:
        return self._file.size()

    def close(self) -> None:
        self._file.close()


class DiskTroubles:
    """A machine's disk that refuses now and then: ``before_effect`` of a SimDisk. ``rates`` are chances for
    each effect, by its name; those named in ``once`` fail the next time, and not again; ``struck`` counts."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.rates: dict[str, float] = {}
        self.once: set[str] = set()
        self.full = False
        self.struck = 0

    def strike(self, effect: str, path: str) -> None:
        if self.full and effect in ("write", "create"):
            self.struck += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        rate = self.rates.get(effect)
        if effect in self.once:
            self.once.discard(effect)
            rate = 1.0
        if rate and self._random.random() < rate:
            self.struck += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
