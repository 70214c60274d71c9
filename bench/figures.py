"""From rounds to figures: what is measured how often, and what it is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench import peers
from bench.freshness import freshness
from bench.inputs import INPUTS, JSON, SYSLOG, Input
from bench.kql_speed import speed_rows
from bench.ledger import keep
from bench.report import Row
from bench.rounds import (
    Measured,
    agent_round,
    floor_round,
    gateway_round,
    memory_rounds,
    path_round,
    quiet_round,
)

Round = Callable[[str, Input, int], Measured]

AGENT_FLOOR_RATIO_MAX = 1.5
AGENT_MEMORY_MB_MAX = 80.0
AGENT_GROWTH_MB_MAX = 5.0
QUIET_PERCENT_MAX = 1.0
GATEWAY_CPU_S_MAX = 0.8
PATH_CPU_S_MAX = 20.0
PATH_MB_PER_S_MIN = 100.0
FRESHNESS_S_MAX = 5.0
LEDGER_S_MAX = 10.0


class Extent(NamedTuple):
    """How much is measured. Bytes are of raw log, and of each round."""

    rounds: int
    agent_bytes: int
    memory_bytes: int
    path_bytes: int
    peer_bytes: int
    quiet_s: float
    freshness_s: float
    peer_s: float
    kql_records: int


EXTENTS = {
    "quick": Extent(2, 512_000_000, 2_000_000_000, 1_000_000_000, 100_000_000, 15.0, 20.0, 12.0, 1_000_000),
    "full": Extent(
        5, 2_000_000_000, 20_000_000_000, 4_000_000_000, 1_000_000_000, 60.0, 120.0, 300.0, 10_000_000
    ),
}
_MEMORY_FILE_BYTES = 250_000_000


def agent_rows(extent: Extent, work: str) -> Iterator[Row]:
    """The floor and the agent take turns, so that both see the same machine."""
    for kind in INPUTS:
        turns = [
            (floor_round(work, kind, extent.agent_bytes), agent_round(work, kind, extent.agent_bytes))
            for _ in range(extent.rounds)
        ]
        floors, agents = [floor for floor, _ in turns], [agent for _, agent in turns]
        ratio = median(agent.per_gb() / floor.per_gb() for floor, agent in turns)
        yield _cpu("floor", kind, floors)
        yield _cpu(
            "agent",
            kind,
            agents,
            floor_ratio=ratio,
            goal=f"<= {AGENT_FLOOR_RATIO_MAX} x floor",
            holds=ratio <= AGENT_FLOOR_RATIO_MAX,
        )
        yield _rate("agent", kind, agents)


def memory_rows(extent: Extent, work: str) -> Iterator[Row]:
    """Peak, and how much higher the last third of the way stands than the first."""
    rounds = memory_rounds(work, JSON, extent.memory_bytes, _MEMORY_FILE_BYTES)
    peaks = [each.total_peak_bytes / 1e6 for each in rounds]
    third = max(1, len(peaks) // 3)
    growth = median(peaks[-third:]) - median(peaks[:third])
    shipped = f"{sum(each.raw_bytes for each in rounds) / 1e9:.3g} GB {JSON.name}"
    yield Row(
        part="agent", input=shipped, figure="peak memory, all processes", value=max(peaks), unit="MB",
        goal=f"<= {AGENT_MEMORY_MB_MAX:.0f} MB", holds=max(peaks) <= AGENT_MEMORY_MB_MAX,
        spread=(min(peaks), max(peaks)),
    )  # fmt: skip
    yield Row(
        part="agent", input=shipped, figure="growth of the peak, last third against first", value=growth,
        unit="MB", goal=f"flat (<= {AGENT_GROWTH_MB_MAX:.0f} MB)", holds=growth <= AGENT_GROWTH_MB_MAX,
    )  # fmt: skip


def quiet_rows(extent: Extent, work: str) -> Iterator[Row]:
    """What watching costs where nothing happens; claims are sent all the time."""
    for files, most in ((100, QUIET_PERCENT_MAX), (1000, None)):
        percent = quiet_round(work, JSON, files, extent.quiet_s)
        yield Row(
            part="agent", input=f"{files} quiet files", figure="CPU", value=percent, unit="% of a core",
            goal="" if most is None else f"<= {most:g} %", holds=None if most is None else percent <= most,
        )  # fmt: skip


def gateway_rows(extent: Extent, work: str) -> Iterator[Row]:
    """The gateway alone, fed by an agent."""
    for kind in INPUTS:
        rounds = [gateway_round(work, kind, extent.agent_bytes) for _ in range(extent.rounds)]
        cpu = median(each.per_gb("gateway") for each in rounds)
        yield _cpu(
            "gateway", kind, rounds, goal=f"<= {GATEWAY_CPU_S_MAX:g} CPU-s/GB", holds=cpu <= GATEWAY_CPU_S_MAX
        )
        yield _memory("gateway", kind, rounds)


def path_rows(extent: Extent, work: str) -> Iterator[Row]:
    """From files that appear to the answer of a query that counts all their records."""
    for kind in INPUTS:
        rounds = [path_round(work, kind, extent.path_bytes)]
        cpu, speed = rounds[0].per_gb(), rounds[0].mb_per_s
        yield _cpu(
            "file to row", kind, rounds, goal=f"<= {PATH_CPU_S_MAX:.0f} CPU-s/GB", holds=cpu <= PATH_CPU_S_MAX
        )
        fast = None if kind is SYSLOG else speed >= PATH_MB_PER_S_MIN
        goal = "" if fast is None else f">= {PATH_MB_PER_S_MIN:.0f} MB/s"
        yield _rate("file to row", kind, rounds, goal=goal, holds=fast)
        yield _memory("file to row", kind, rounds)


def freshness_rows(extent: Extent, work: str) -> Iterator[Row]:
    """At half the rate that the path must reach."""
    found = freshness(work, PATH_MB_PER_S_MIN / 2, extent.freshness_s)
    described = f"{found.mb_per_s:.0f} MB/s {JSON.name}"
    yield Row(part="file to row", input=described, figure="freshness, median", value=found.p50_s, unit="s")
    yield Row(
        part="file to row", input=described, figure="freshness, 99th percentile", value=found.p99_s, unit="s",
        goal=f"<= {FRESHNESS_S_MAX:.0f} s", holds=found.p99_s <= FRESHNESS_S_MAX,
    )  # fmt: skip
    yield Row(
        part="file to row", input=described, figure="CPU, with four queries a second",
        value=sum(found.cpu_per_gb.values()), unit="CPU-s/GB", by_process=dict(found.cpu_per_gb),
        note=_noise([found.others_cores]),
    )  # fmt: skip


def ledger_rows(extent: Extent, work: str) -> Iterator[Row]:
    """A million batches and postings over ten thousand streams, in a process of its own."""
    batches, streams = 1_000_000, 10_000
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        kept = pool.submit(keep, batches, streams).result()
    described = f"{batches:,} batches, {streams:,} streams"
    yield Row(
        part="ledger", input=described, figure="postings", value=kept.post_s, unit="CPU-s",
        goal=f"<= {LEDGER_S_MAX:.0f} s", holds=kept.post_s <= LEDGER_S_MAX,
    )  # fmt: skip
    yield Row(part="ledger", input=described, figure="fold of the batches", value=kept.fold_s, unit="CPU-s")
    yield Row(
        part="ledger",
        input=described,
        figure="memory",
        value=kept.grown_bytes / streams,
        unit="bytes a stream",
    )


def kql_rows(extent: Extent, work: str) -> Iterator[Row]:
    """KQL and hand-written SQL take turns over the same files."""
    yield from speed_rows(Path(work), extent.kql_records, extent.rounds)


def peer_rows(extent: Extent, work: str) -> Iterator[Row]:
    """Other shippers on the same files, and the floor in turn with them."""
    here = peers.installed()
    for name in peers.NAMES:
        if name not in here:
            yield Row(part=name, figure="not installed", value=0, unit="")
            continue
        version, measure = here[name]
        for kind in INPUTS:
            # Small lines take them many times longer: less of them says as much.
            raw_bytes = extent.peer_bytes // (4 if kind is SYSLOG else 1)
            rounds = [measure(work, kind, raw_bytes, extent.peer_s)]
            floor = floor_round(work, kind, extent.agent_bytes)
            row = _cpu(name, kind, rounds, floor_ratio=rounds[0].per_gb() / floor.per_gb())
            row.note = f"{version}; {row.note}"
            yield row
            yield _rate(name, kind, rounds)
            yield _memory(name, kind, rounds)


def _cpu(
    part: str,
    kind: Input,
    rounds: list[Measured],
    *,
    goal: str = "",
    holds: bool | None = None,
    floor_ratio: float | None = None,
) -> Row:
    totals = [each.per_gb() for each in rounds]
    names = list(dict.fromkeys(name for each in rounds for name in each.cpu_s))
    shares = {name: median(each.per_gb(name) for each in rounds if name in each.cpu_s) for name in names}
    return Row(
        part=part, input=kind.name, figure="CPU", value=median(totals), unit="CPU-s/GB", goal=goal,
        holds=holds, floor_ratio=floor_ratio, spread=_spread(totals),
        by_process=shares if len(shares) > 1 else {}, note=_noise([each.others_cores for each in rounds]),
    )  # fmt: skip


def _rate(part: str, kind: Input, rounds: list[Measured], goal: str = "", holds: bool | None = None) -> Row:
    speeds = [each.mb_per_s for each in rounds]
    return Row(
        part=part, input=kind.name, figure="rate", value=median(speeds), unit="MB/s", goal=goal, holds=holds,
        spread=_spread(speeds),
    )  # fmt: skip


def _memory(part: str, kind: Input, rounds: list[Measured]) -> Row:
    peaks = [each.total_peak_bytes / 1e6 for each in rounds]
    return Row(
        part=part, input=kind.name, figure="peak memory, all processes", value=max(peaks), unit="MB",
        spread=_spread(peaks),
    )  # fmt: skip


def _spread(values: list[float]) -> tuple[float, float] | None:
    return (min(values), max(values)) if len(values) > 1 else None


def _noise(others_cores: list[float]) -> str:
    """Other work slows a round down, and makes its CPU dearer through caches and the clock."""
    return f"meanwhile all else kept {median(others_cores):.1f} cores busy"
