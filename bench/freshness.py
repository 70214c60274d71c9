"""How long a record takes from ``write()`` at its source until a query shows it.

A writer in a process of its own appends at a steady rate, and with each write a record that bears a number.
The highest number that a query shows tells which writes are visible; the time of its answer is what counts.
So the pause between two queries, and the query itself, are part of the figure.

    python -m bench.freshness FILE MEGABYTES_PER_S SECONDS      the writer; prints its times as JSON
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from itertools import cycle
from typing import NamedTuple

import msgspec

from bench.inputs import JSON, pieces
from bench.parts import Failed, agent, line_of, platform, process
from bench.rounds import ROUND_S_MAX, Meter, label_of_both, workspace

_WRITES_PER_S = 20
_PAUSE_S = 0.25
_PROBE = '{"OperationName":"Freshness probe","DurationMs":%d,"TimeGenerated":"%s"}\n'
_QUERY = f"SELECT max(DurationMs) FROM {JSON.table} WHERE OperationName = 'Freshness probe'"


class Freshness(NamedTuple):
    """``mb_per_s`` is what was written; ``cpu_per_gb`` what each process used meanwhile."""

    mb_per_s: float
    p50_s: float
    p99_s: float
    cpu_per_gb: Mapping[str, float]
    others_cores: float


class Said(msgspec.Struct):
    """What the writer says at its end: bytes written, and when each write returned (monotonic clock)."""

    raw_bytes: int
    written_s: list[float]


def freshness(work: str, mb_per_s: float, seconds: float) -> Freshness:
    """Measure a platform and an agent that take in ``mb_per_s`` of 1 KB records."""
    with (
        workspace(work),
        platform(work) as there,
        agent(work, JSON, there.url, there.new_token("ingest")) as running,
    ):
        os.makedirs(f"{running.inbox}/0")
        meter = Meter([running.pid, there.pid], label_of_both(running, there))
        arguments = ("-m", "bench.freshness", f"{running.inbox}/0/a.log", f"{mb_per_s}", f"{seconds}")
        with process((sys.executable, *arguments), f"{work}/writer.err") as writer:
            seen = _watch(lambda: there.ask(_QUERY), int(seconds * _WRITES_PER_S))
            said = msgspec.json.decode(line_of(writer), type=Said)
        used = meter.stop(said.raw_bytes)
    delays = sorted(_delays(said.written_s, seen))
    return Freshness(
        mb_per_s=said.raw_bytes / 1e6 / seconds,
        p50_s=delays[len(delays) // 2],
        p99_s=delays[len(delays) * 99 // 100],
        cpu_per_gb={name: used.per_gb(name) for name in used.cpu_s},
        others_cores=used.others_cores,
    )


def _watch(ask: Callable[[], int], last: int) -> list[tuple[float, int]]:
    """When which number was visible first, until the last one is."""
    seen = [(time.monotonic(), 0)]
    while seen[-1][1] < last:
        number = ask()
        now_s = time.monotonic()
        if number > seen[-1][1]:
            seen.append((now_s, number))
        if now_s - seen[0][0] > ROUND_S_MAX:
            raise Failed(f"probe {last} was never visible: the last one is {seen[-1][1]}")
        time.sleep(_PAUSE_S)
    return seen


def _delays(written_s: list[float], seen: list[tuple[float, int]]) -> list[float]:
    """From each write until it was seen; the first look after it counts."""
    delays, at = [], 0
    for number, wrote_s in enumerate(written_s, 1):
        while seen[at][1] < number:
            at += 1
        delays.append(seen[at][0] - wrote_s)
    return delays


def write(path: str, mb_per_s: float, seconds: float) -> None:
    """Append to a file at a steady rate; a write that comes late is made up for."""
    times: list[float] = []
    size = 0
    chunks = cycle(list(pieces_of(int(mb_per_s * 1e6 / _WRITES_PER_S))))
    with open(path, "wb", buffering=0) as file:
        began_s = time.monotonic()
        for number in range(1, int(seconds * _WRITES_PER_S) + 1):
            time.sleep(max(0.0, began_s + number / _WRITES_PER_S - time.monotonic()))
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            size += file.write(b"".join((next(chunks), (_PROBE % (number, at)).encode())))
            times.append(time.monotonic())
    print(msgspec.json.encode(Said(size, times)).decode(), flush=True)


def pieces_of(chunk_bytes: int) -> list[memoryview]:
    """Chunks of whole records, enough that they repeat after a while only."""
    return [piece for start in range(64) for piece in pieces(JSON, start, chunk_bytes)]


if __name__ == "__main__":
    write(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
