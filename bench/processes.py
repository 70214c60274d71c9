"""What processes use, as Linux accounts it: CPU-seconds from ``/proc/PID/stat``, memory as PSS."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

_TICKS = os.sysconf("SC_CLK_TCK")

#: Tells which part of the measured system a process belongs to.
Label = Callable[[int], str]


def tree(root: int) -> list[int]:
    """A process and all its descendants that live."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(int(entry))):
            children[int(stat[1])].append(int(entry))
    found = [root]
    for pid in found:
        found += children[pid]
    return found


def cpu_by_label(roots: list[int], label: Label) -> dict[str, float]:
    """CPU-seconds (user and system) so far, also of the children that ended, by label."""
    used: dict[str, float] = defaultdict(float)
    for root in roots:
        for pid in tree(root):
            if stat := _stat(pid):
                used[label(pid)] += sum(int(ticks) for ticks in stat[11:15]) / _TICKS
    return dict(used)


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """CPU-seconds between two looks, by label."""
    return {name: after[name] - before.get(name, 0.0) for name in after}


def machine_cpu_s() -> float:
    """CPU-seconds that all processes of the machine used so far."""
    user, nice, system, _, _, irq, softirq = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]
    return sum(int(ticks) for ticks in (user, nice, system, irq, softirq)) / _TICKS


def command(pid: int) -> str:
    """The command line of a process; empty once it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def memory_by_label(roots: list[int], label: Label) -> dict[str, int]:
    """Bytes of memory, what is shared divided among those that share it (PSS), by label."""
    used: dict[str, int] = defaultdict(int)
    for root in roots:
        for pid in tree(root):
            used[label(pid)] += _pss_bytes(pid)
    return dict(used)


class MemoryWatch:
    """Looks every ``interval_s`` at what processes hold; a context manager.

    ``peak`` is by label, ``total_peak`` of all at one time, ``totals`` every look's total.
    """

    def __init__(self, roots: list[int], label: Label, interval_s: float = 0.25) -> None:
        self.peak: dict[str, int] = {}
        self.totals: list[int] = []
        self._roots, self._label, self._interval_s = roots, label, interval_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @property
    def total_peak(self) -> int:
        return max(self.totals, default=0)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._interval_s):
            held = memory_by_label(self._roots, self._label)
            self.totals.append(sum(held.values()))
            for name, size in held.items():
                self.peak[name] = max(self.peak.get(name, 0), size)


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` from the state on: 1 is the parent, 11-14 the times."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return []


def _pss_bytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
