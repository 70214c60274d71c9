"""What writes the log files of a simulated machine: bursts, silence, rotation, and worse."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from gapless.model.stream import StreamKey
from gapless.testing.agent_host import AgentHost
from gapless.testing.oracle import BAD_MARK, FILTERED_MARK
from gapless.testing.world import World

#: The end of a line comes soon: sooner than a reader takes the beginning for all of it.
_HALF_US_MAX = 3_000_000


@dataclass(frozen=True)
class Habits:
    """How a source behaves: it rotates by copying if it ``copies``, and the last line of a burst may come in
    ``halves``. ``pause_s`` between bursts of up to ``burst_max`` records, of up to
    ``record_bytes_max``; the rates are chances at each burst."""

    pause_s: float
    burst_max: int
    record_bytes_max: int
    rotate: float = 0.0
    copies: bool = False
    halves: float = 0.0
    generations: int = 3
    truncate: float = 0.0
    delete: float = 0.0
    bad: float = 0.0
    filtered: float = 0.0

    @classmethod
    def drawn(cls, random: Random, destructive: bool) -> Habits:
        """Some habits; destructive ones destroy what may not have been read."""
        return cls(
            pause_s=random.choice((0.5, 2.0, 10.0, 60.0)),
            burst_max=random.choice((1, 5, 40)),
            record_bytes_max=random.choice((20, 120, 400)),
            rotate=random.choice((0.0, 0.02, 0.1)),
            copies=destructive and random.random() < 0.3,
            halves=random.choice((0.0, 0.3)),
            generations=random.choice((1, 3)),
            truncate=random.choice((0.0, 0.03)) if destructive else 0.0,
            delete=random.choice((0.0, 0.03)) if destructive else 0.0,
            bad=random.choice((0.0, 0.1)),
            filtered=random.choice((0.0, 0.1)),
        )


class Writer:
    """Writes one file of one stream until it is ``stopped``. ``whole_lines``: it never leaves half of one."""

    def __init__(self, world: World, host: AgentHost, stream: StreamKey, path: str, habits: Habits) -> None:
        self._world = world
        self.host = host
        self._stream_id = stream.id
        self._name = f"{host.machine}.{stream.source}"
        self._path = path
        self._habits = habits
        self._random = world.draw(f"writer {host.machine} {path}")
        self._count = 0
        self.stopped = False
        self.whole_lines = False
        self._next()

    def _next(self) -> None:
        pause_us = int(self._random.expovariate(1 / self._habits.pause_s) * 1e6)
        self._world.loop.after(pause_us, self._burst)

    def _burst(self) -> None:
        if self.stopped:
            return
        habits, random, disk = self._habits, self._random, self.host.sources
        records = self._records()
        if random.random() < habits.halves and disk.size(self._path) and not self.whole_lines:
            disk.append(self._path, records[:-1])
            disk.begin_line(self._path, records[-1][: random.randint(1, len(records[-1]))])
            pause_us = random.randint(1_000, _HALF_US_MAX)
            self._world.loop.after(pause_us, lambda: self._end_burst(records[-1:]))
        else:
            self._end_burst(records)

    def _end_burst(self, records: list[bytes]) -> None:
        habits, random, disk = self._habits, self._random, self.host.sources
        disk.append(self._path, records)
        if random.random() < habits.rotate:
            self._rotate()
        elif random.random() < habits.truncate:
            self._world.fault("source truncated", self._path)
            disk.truncate(self._path)
        elif random.random() < habits.delete:
            self._world.fault("source deleted", self._path)
            disk.delete(self._path)
        self._next()

    def write(self) -> None:
        """A burst of records, of a writer of ``whole_lines``."""
        self.host.sources.append(self._path, self._records())

    def _records(self) -> list[bytes]:
        records = [self._record() for _ in range(self._random.randint(1, self._habits.burst_max))]
        self._world.oracle.emit(self._stream_id, self.host.name, records)
        return records

    def _rotate(self) -> None:
        disk, last = self.host.sources, self._habits.generations
        self._world.faults["source rotated"] += 1
        present = set(disk.paths())
        if f"{self._path}.{last}" in present:
            disk.delete(f"{self._path}.{last}")
        for generation in range(last - 1, 0, -1):
            if f"{self._path}.{generation}" in present:
                disk.rename(f"{self._path}.{generation}", f"{self._path}.{generation + 1}")
        if self._habits.copies:
            disk.copy_truncate(self._path, f"{self._path}.1")
        else:
            disk.rename(self._path, f"{self._path}.1")

    def _record(self) -> bytes:
        self._count += 1
        chance, mark = self._random.random(), b""
        if chance < self._habits.bad:
            mark = BAD_MARK
        elif chance > 1 - self._habits.filtered:
            mark = FILTERED_MARK
        length = self._random.randint(0, self._habits.record_bytes_max)
        padding = self._random.randbytes(length).hex()[length:]
        return mark + f"{self._name}/{self._path}#{self._count} {padding}".encode()


def put_to_work(world: World, host: AgentHost, random: Random, *, destructive: bool) -> list[Writer]:
    """A writer for each stream of a machine."""
    return [
        Writer(world, host, stream, f"/logs/{stream.source}/app.log", Habits.drawn(random, destructive))
        for stream in host.config.streams()
    ]
