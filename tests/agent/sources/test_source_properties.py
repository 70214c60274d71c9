"""Random lives of log files against the source: every byte a generation of a file ever held is read exactly
once, or told as skipped, or was never there when anybody looked."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from source_rig import MemoryDisk, RealDisk, Rig

from gapless.agent.sources import FileSettings, OsHost, Skipped


@dataclass
class Generation:
    """What one file held from when it was created or emptied until it was emptied or deleted.

    ``known`` bytes at its front were there when the source last looked (of a source that crashed: when it
    last made durable what it knew of this file); what was added after that and taken away again is beyond
    any reader. ``gone``: it is where no reader can be expected to find it. ``away``: under another name.
    """

    number: int
    content: bytes = b""
    known: int = 0
    gone: bool = False
    away: bool = False
    rotated: str = ""
    path: str = ""
    lost_tail: int | None = None  # bytes from here on exist nowhere any more


@dataclass
class World:
    """The directory, and what its writers did."""

    directory: str
    disk: RealDisk | MemoryDisk
    live: dict[str, Generation] = field(default_factory=dict)
    every: list[Generation] = field(default_factory=list)
    visible: list[Generation] = field(default_factory=list)
    count: itertools.count[int] = field(default_factory=itertools.count)

    def path(self, name: str) -> str:
        return f"{self.directory}/{name}.log"

    def current(self, name: str) -> Generation:
        if name not in self.live:
            generation = Generation(len(self.every), path=self.path(name))
            self.live[name] = generation
            self.every.append(generation)
            self.disk.append(self.path(name), b"")
        return self.live[name]

    def append(self, name: str, text: bytes) -> None:
        generation = self.current(name)
        generation.content += text
        self.disk.append(self.path(name), text)

    def unique(self, width: int) -> bytes:
        n = next(self.count)
        return b"%08d" % n + b"x" * width  # all end alike

    def rotated(self, name: str) -> str:
        return f"{self.directory}/{name}.log.{next(self.count)}"


class FileLives(RuleBasedStateMachine):
    """Writers, rotations and crashes; the pattern matches the rotated names or not."""

    pattern = "*.log*"
    open_files_max = 100
    in_memory = False

    def __init__(self) -> None:
        super().__init__()
        self.directory = "/log" if self.in_memory else tempfile.mkdtemp()
        self.disk = MemoryDisk() if self.in_memory else RealDisk()
        self.world = World(self.directory, self.disk)
        self.rig = Rig(
            FileSettings(
                paths=(f"{self.directory}/{self.pattern}",),
                rescan_s=0.1,
                read_bytes_max=600,
                line_bytes_max=900,
                rotated_quiet_s=20.0,
                open_files_max=self.open_files_max,
            ),
            self.disk if self.in_memory else OsHost(),
            resumed=True,
        )
        self.durable_known: dict[int, int] = {}

    names = st.sampled_from(("app", "web"))
    widths = st.sampled_from([1, 100, 400, 2000])

    @rule(name=names, widths=st.lists(widths, min_size=1, max_size=4))
    def append_lines(self, name: str, widths: list[int]) -> None:
        self.world.append(name, b"".join(self.world.unique(width) + b"\n" for width in widths))

    @rule(name=names, width=widths)
    def append_part_of_a_line(self, name: str, width: int) -> None:
        self.world.append(name, self.world.unique(width))

    @rule(name=names)
    def end_the_line(self, name: str) -> None:
        if name in self.world.live and self.world.live[name].content:
            self.world.append(name, b"\n")

    @rule(name=names)
    def rename_rotate(self, name: str) -> None:
        if name in self.world.live:
            generation = self.world.live.pop(name)
            generation.rotated = self.world.rotated(name)
            self.disk.rename(self.world.path(name), generation.rotated)
            generation.away = True
            if self.pattern == "*.log" and generation.known == 0:
                generation.gone = True  # under a name that no pattern shows, and never seen before

    @rule(name=names, looked=st.booleans(), racing=st.booleans())
    def copy_truncate(self, name: str, looked: bool, racing: bool) -> None:
        if name not in self.world.live:
            return
        path = self.world.path(name)
        generation = self.world.live[name]
        self.disk.copy(path, self.world.rotated(name))
        copied = len(generation.content)
        if looked:
            self.look(0.2, None, True)
        if racing:
            self.append_lines(name, [100])
        self.disk.empty(path)
        generation.lost_tail = copied
        if self.pattern == "*.log" and generation.known == 0:
            generation.gone = True
        del self.world.live[name]
        self.world.current(name)

    @rule(name=names)
    def truncate(self, name: str) -> None:
        if name in self.world.live:
            self.disk.empty(self.world.path(name))
            self.world.live.pop(name).gone = True
            self.world.current(name)

    @rule(name=names, width=widths, lines=st.integers(1, 3))
    def rewrite(self, name: str, width: int, lines: int) -> None:
        """In place, often to the same size: only the numbers in the records are others."""
        if name in self.world.live:
            before = self.world.live[name].content.count(b"\n")
            self.truncate(name)
            self.append_lines(name, [width] * (before or lines))

    @rule(number=st.integers(0, 3))
    def delete_rotated(self, number: int) -> None:
        rotated = [g for g in self.world.every if g.rotated]
        if number < len(rotated):
            generation = rotated[number]
            self.disk.delete(generation.rotated)
            generation.rotated, generation.gone = "", True

    @rule(name=names)
    def delete(self, name: str) -> None:
        if name in self.world.live:
            self.disk.delete(self.world.path(name))
            self.world.live.pop(name).gone = True

    @rule(
        seconds=st.sampled_from([0.2, 1.0, 6.0]),
        budget=st.sampled_from([None, None, 0, 1, 1500]),
        commit=st.booleans(),
    )
    def look(self, seconds: float, budget: int | None, commit: bool) -> None:
        self.rig.step(seconds, budget=1 << 40 if budget is None else budget, commit=commit)
        for generation in self.world.every:
            if not generation.gone and generation.lost_tail is None:
                generation.known = len(generation.content)
        if commit:
            self.durable_known = self.known_durably()

    def known_durably(self) -> dict[int, int]:
        """How many bytes of each generation the durable cursors speak of."""
        files = self.generations_of_files()
        by_ino = {self.disk.ino(self.world.path(name)): g for name, g in self.world.live.items()}
        known = {}
        for file, cursor in self.rig.durable.items():
            generation = files.get(file) or by_ino.get(cursor.ino)
            if generation is not None:
                known[generation.number] = cursor.size
        return known

    @rule()
    def crash(self) -> None:
        self.rig.crash()
        for generation in self.world.every:
            generation.known = min(generation.known, self.durable_known.get(generation.number, 0))
            if self.pattern == "*.log" and generation.away and not generation.known:
                generation.gone = True  # renamed out of all patterns before anything durable named it

    @rule()
    def set_back(self) -> None:
        """What was only seen may be forgotten, as in a crash; but what is open is open still."""
        self.rig.set_back()
        for generation in self.world.every:
            generation.known = min(generation.known, self.durable_known.get(generation.number, 0))

    def generations_of_files(self) -> dict[str, Generation]:
        """Whose content each file identity has given so far (records are unique, so bytes tell)."""
        found: dict[str, Generation] = {}
        for file, (start, raw) in self.rig.streams().items():
            if not raw:
                continue
            holders = [g for g in self.world.every if g.content[start : start + len(raw)] == raw]
            assert len(holders) == 1, f"{raw[:60]!r} at {start} is in {len(holders)} files"
            found[file] = holders[0]
        return found

    @invariant()
    def no_byte_twice(self) -> None:
        covered: dict[int, list[tuple[int, int]]] = {}
        streams = self.rig.streams()
        for file, generation in self.generations_of_files().items():
            start, raw = streams[file]
            covered.setdefault(generation.number, []).append((start, start + len(raw)))
        for ranges in covered.values():
            ranges.sort()
            assert all(a[1] <= b[0] for a, b in itertools.pairwise(ranges)), "bytes were read twice"

    def teardown(self) -> None:
        try:
            for _ in range(12):
                self.look(6.0, None, True)
            self.no_byte_twice()
            self.check_nothing_is_missing()
        finally:
            self.rig.source.close()
            if not self.in_memory:
                shutil.rmtree(self.directory)

    def check_nothing_is_missing(self) -> None:
        files, streams = self.generations_of_files(), self.rig.streams()
        for generation in self.world.every:
            read = [
                (start, start + len(raw))
                for file, (start, raw) in streams.items()
                if files.get(file) is generation
            ]
            told = [
                (event.start, event.end if event.end is not None else 1 << 60)
                for event in self.rig.skipped
                if self.may_speak_of(event, generation, files)
            ]
            must = len(generation.content) if self.is_readable(generation) else generation.known
            at = 0
            for start, end in sorted([*read, *told]):
                if start > at:
                    break
                at = max(at, end)
            assert at >= must, f"generation {generation.number}: read {read}, told {told}, known {must}"

    def is_readable(self, generation: Generation) -> bool:
        return not generation.gone and generation.lost_tail is None

    def may_speak_of(self, event: Skipped, generation: Generation, files: dict[str, Generation]) -> bool:
        if event.file in files:
            return files[event.file] is generation
        return event.path.startswith(generation.path)


class NarrowFileLives(FileLives):
    """Rotated files have names that no pattern shows."""

    pattern = "*.log"


class CrowdedFileLives(FileLives):
    """More files than may be open (every rotated one stays)."""

    open_files_max = 8


class ReusedInodes(FileLives):
    """A disk that gives the inode of a deleted file to the next one, always."""

    in_memory = True


class NarrowReusedInodes(ReusedInodes):
    pattern = "*.log"


LIVES = [FileLives, NarrowFileLives, CrowdedFileLives, ReusedInodes, NarrowReusedInodes]


@pytest.mark.parametrize("lives", LIVES)
def test_every_byte_is_read_once_or_told(lives: type[FileLives]) -> None:
    run_state_machine_as_test(
        lives,
        settings=settings(
            max_examples=int(os.environ.get("GAPLESS_EXAMPLES", "50")),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
