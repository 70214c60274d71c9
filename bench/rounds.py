"""One round of each part: start it, wait until it is quiet, let records appear, wait for the last receipt.

CPU is counted from the moment the records appear, what starting costs is not in it; the clock runs from the
first record that was read, since how long files wait to be found is a matter of freshness.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from bench.inputs import Input, Written, write_files
from bench.parts import Agent, Platform, agent, gateway, line_of, platform, process, receiver, wait_until
from bench.processes import Label, MemoryWatch, cpu_by_label, machine_cpu_s, spent

#: A round that has not ended by then is stuck.
ROUND_S_MAX = 600.0
_SETTLE_S = 1.0


class Measured(NamedTuple):
    """What a round used; ``cpu_s`` and ``peak_bytes`` by process. ``others_cores``: how many cores on average
    were busy with anything else, be it the other side of the round or other programs."""

    raw_bytes: int
    wall_s: float
    cpu_s: Mapping[str, float]
    peak_bytes: Mapping[str, int]
    total_peak_bytes: int
    others_cores: float

    def per_gb(self, *names: str) -> float:
        """CPU-seconds per GB of raw log of these processes, or of all."""
        return sum(self.cpu_s[name] for name in names or self.cpu_s) / (self.raw_bytes / 1e9)

    @property
    def mb_per_s(self) -> float:
        return self.raw_bytes / 1e6 / self.wall_s


class Meter:
    """Looks at processes before and after; ``start`` may move the beginning of the clock."""

    def __init__(self, roots: list[int], label: Label) -> None:
        self._roots, self._label = roots, label
        self._before = cpu_by_label(roots, label)
        self._begun_s = self._started_s = time.monotonic()
        self._busy_s = machine_cpu_s()
        self.memory = MemoryWatch(roots, label)

    def start(self) -> None:
        self._started_s = time.monotonic()

    def stop(self, raw_bytes: int) -> Measured:
        wall_s = time.monotonic() - self._started_s
        used = spent(self._before, cpu_by_label(self._roots, self._label))
        others_s = machine_cpu_s() - self._busy_s - sum(used.values())
        others_cores = others_s / (time.monotonic() - self._begun_s)
        return Measured(raw_bytes, wall_s, used, self.memory.peak, self.memory.total_peak, others_cores)


def floor_round(work: str, kind: Input, raw_bytes: int) -> Measured:
    """What the floor's sender uses."""
    with workspace(work):
        written = stage(work, kind, raw_bytes)
        command = (sys.executable, "-m", "bench.floor")
        with process((*command, "receive"), f"{work}/floor.err") as receiving:
            arguments = (*command, "send", line_of(receiving), work, f"{work}/stage")
            with process(arguments, f"{work}/floor.err", stdin=subprocess.PIPE) as sending:
                line_of(sending)
                meter = Meter([sending.pid], lambda pid: "sender")
                with meter.memory:
                    _tell(sending)
                    assert int(line_of(sending, ROUND_S_MAX)) == written.records
                    return meter.stop(written.raw_bytes)


def agent_round(work: str, kind: Input, raw_bytes: int) -> Measured:
    """What the agent uses before a gateway that only answers."""
    with workspace(work), receiver(work) as url, agent(work, kind, url) as running:
        return _ship(work, running, kind, raw_bytes, [running.pid], running.label)


def gateway_round(work: str, kind: Input, raw_bytes: int) -> Measured:
    """What the gateway uses that an agent feeds; nobody reads its journal."""
    with workspace(work), gateway(work) as there, agent(work, kind, there.url, _token(there)) as running:
        return _ship(work, running, kind, raw_bytes, [there.pid], Platform.label)


def path_round(work: str, kind: Input, raw_bytes: int) -> Measured:
    """What everything uses, and how long it takes, until a query counts every record."""
    with workspace(work), platform(work) as there, agent(work, kind, there.url, _token(there)) as running:
        written = stage(work, kind, raw_bytes)
        meter = Meter([running.pid, there.pid], label_of_both(running, there))
        with meter.memory:
            let_appear(work, running.inbox)
            wait_until(lambda: running.read() > 0, ROUND_S_MAX, "the first record")
            meter.start()
            wait_until(lambda: running.receipts() == written.records, ROUND_S_MAX, "every receipt", 0.2)
            text = f"SELECT count(*) FROM {kind.table}"
            wait_until(lambda: there.ask(text) == written.records, ROUND_S_MAX, "every record queryable", 0.2)
            return meter.stop(written.raw_bytes)


def quiet_round(work: str, kind: Input, files: int, seconds: float) -> float:
    """Percent of a core that the agent uses while ``files`` files do not change."""
    with workspace(work), receiver(work) as url, agent(work, kind, url) as running:
        written = write_files(kind, f"{work}/stage", files * 4096, files=files)
        let_appear(work, running.inbox)
        wait_until(lambda: running.receipts() == written.records, ROUND_S_MAX, "every receipt", 0.2)
        time.sleep(6.0)  # files that grew a moment ago are looked at more often
        before, started_s = cpu_by_label([running.pid], running.label), time.monotonic()
        time.sleep(seconds)
        used = spent(before, cpu_by_label([running.pid], running.label))
        return 100 * sum(used.values()) / (time.monotonic() - started_s)


def memory_rounds(work: str, kind: Input, raw_bytes: int, file_bytes: int) -> list[Measured]:
    """One agent that is fed file by file; what was shipped is deleted. One measurement a file."""
    rounds = []
    with workspace(work), receiver(work) as url, agent(work, kind, url) as running:
        records = 0
        for number in range(max(2, raw_bytes // file_bytes)):
            written = write_files(kind, f"{work}/stage", file_bytes, files=1, start=number)
            records += written.records
            meter = Meter([running.pid], running.label)
            with meter.memory:
                let_appear(work, running.inbox, str(number))
                wait_until(lambda: running.receipts() == records, ROUND_S_MAX, "every receipt", 0.2)  # noqa: B023
                rounds.append(meter.stop(written.raw_bytes))
            shutil.rmtree(f"{running.inbox}/{number}")
    return rounds


def _ship(work: str, running: Agent, kind: Input, raw_bytes: int, roots: list[int], label: Label) -> Measured:
    written = stage(work, kind, raw_bytes)
    meter = Meter(roots, label)
    with meter.memory:
        let_appear(work, running.inbox)
        wait_until(lambda: running.read() > 0, ROUND_S_MAX, "the first record")
        meter.start()
        wait_until(lambda: running.receipts() == written.records, ROUND_S_MAX, "every receipt")
        return meter.stop(written.raw_bytes)


def stage(work: str, kind: Input, raw_bytes: int) -> Written:
    """Files where nobody looks yet, on the disk already; and a quiet moment."""
    written = write_files(kind, f"{work}/stage", raw_bytes)
    os.sync()
    time.sleep(_SETTLE_S)
    return written


def let_appear(work: str, inbox: str, name: str = "0") -> None:
    """Put what was staged where it is looked for."""
    os.rename(f"{work}/stage", f"{inbox}/{name}")


def label_of_both(running: Agent, there: Platform) -> Label:
    """Names for the processes of both."""
    return lambda pid: running.label(pid) or there.label(pid)


def _token(there: Platform) -> str:
    return there.new_token("ingest")


def _tell(running: subprocess.Popen[bytes]) -> None:
    assert running.stdin is not None
    running.stdin.write(b"\n")
    running.stdin.flush()


@contextmanager
def workspace(work: str) -> Iterator[None]:
    """An empty directory, removed afterwards."""
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    yield
    shutil.rmtree(work, ignore_errors=True)
