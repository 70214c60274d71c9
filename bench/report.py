"""What was measured, as a table for people and as JSON for programs."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

_LIBRARIES = ("zstandard", "duckdb", "pyarrow", "uvicorn", "cryptography")


class Row(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One figure. ``floor_ratio``: against the floor of the same rounds. ``spread``: lowest and highest of
    the rounds. ``by_process``: CPU-seconds per GB of raw log, where that is what was measured."""

    part: str
    input: str = ""
    figure: str
    value: float
    unit: str
    goal: str = ""
    holds: bool | None = None
    floor_ratio: float | None = None
    spread: tuple[float, float] | None = None
    by_process: dict[str, float] = {}
    note: str = ""


class Machine(msgspec.Struct):
    """Where it was measured. ``load_before``: the load average when it began; above 0.5 others worked too."""

    cores: int
    cpu: str
    memory_bytes: int
    kernel: str
    python: str
    gapless: str
    libraries: dict[str, str]
    load_before: float


class Report(msgspec.Struct):
    command: str
    machine: Machine
    rows: list[Row]


def machine() -> Machine:
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        cpu=_first("/proc/cpuinfo", "model name"),
        memory_bytes=int(_first("/proc/meminfo", "MemTotal").split()[0]) * 1024,
        kernel=platform.release(),
        python=platform.python_version(),
        gapless=version("gapless"),
        libraries={name: version(name) for name in _LIBRARIES},
        load_before=os.getloadavg()[0],
    )


def command_line() -> str:
    return shlex.join(["python", "-m", "bench", *sys.argv[1:]])


def draw(report: Report) -> None:
    """Print the table and the machine on standard output."""
    table = Table(show_edge=False, pad_edge=False)
    for name in ("part", "input", "figure"):
        table.add_column(name, overflow="fold")
    for name in ("value", "floor", "range of rounds", "goal"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in report.rows:
        table.add_row(
            row.part,
            row.input,
            row.figure,
            f"{_short(row.value)} {row.unit}",
            "" if row.floor_ratio is None else f"{row.floor_ratio:.2f}x",
            "" if row.spread is None else f"{_short(row.spread[0])} - {_short(row.spread[1])}",
            row.goal,
            {None: "", True: "[green]holds[/]", False: "[red]missed[/]"}[row.holds],
        )
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table)
    for row in report.rows:
        if row.by_process:
            shares = ", ".join(f"{name} {_short(value)}" for name, value in row.by_process.items())
            console.print(f"{row.part}, {row.input}: {row.figure} by process: {shares}")
        if row.note:
            console.print(f"{row.part}, {row.input or row.figure}: {row.note}")
    found = report.machine
    console.print(
        f"\n{report.command}: {found.cores} cores of {found.cpu}, Linux {found.kernel}, "
        f"Python {found.python}, gapless {found.gapless}, load before {found.load_before:.1f}"
    )


def version_of(program: str, argument: str) -> str:
    """The first line of what a program says of its version."""
    said = subprocess.run([program, argument], capture_output=True, text=True, check=False).stdout
    return said.splitlines()[0].strip() if said else ""


def _first(path: str, key: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(key):
            return line.partition(":")[2].strip()
    return "unknown"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
