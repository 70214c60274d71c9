"""All benchmarks.

    python -m bench [quick|full] [--only PART ...] [--format table|json] [--work DIR]

quick takes about five minutes, full about half an hour. Every figure that a goal is set for stands beside its
goal. CPU is compared with the floor of the same round, because absolute figures move with the machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from bench import figures
from bench.parts import Failed
from bench.report import Report, Row, command_line, draw, machine


class Part(NamedTuple):
    """A part that can be chosen, and what measures it."""

    name: str
    rows: Callable[[figures.Extent, str], Iterable[Row]]


PARTS = (
    Part("agent", figures.agent_rows),
    Part("memory", figures.memory_rows),
    Part("quiet", figures.quiet_rows),
    Part("gateway", figures.gateway_rows),
    Part("path", figures.path_rows),
    Part("freshness", figures.freshness_rows),
    Part("ledger", figures.ledger_rows),
    Part("kql", figures.kql_rows),
    Part("peers", figures.peer_rows),
)


def main() -> int:
    names = [part.name for part in PARTS]
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("extent", nargs="?", choices=list(figures.EXTENTS), default="quick")
    options.add_argument("--only", action="append", choices=names, help="may be given several times")
    options.add_argument("--format", choices=["table", "json"], default="table")
    options.add_argument("--work", default=".", help="where to work: on the disk that is to be measured")
    chosen = options.parse_args()

    report = Report(command_line(), machine(), [])
    work = tempfile.mkdtemp(prefix="gapless-bench-", dir=os.path.abspath(chosen.work))
    try:
        for part in PARTS:
            if not chosen.only or part.name in chosen.only:
                print(f"measuring {part.name} ...", file=sys.stderr, flush=True)
                report.rows += _rows(part, figures.EXTENTS[chosen.extent], f"{work}/{part.name}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if chosen.format == "json":
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report)).decode() + "\n")
    else:
        draw(report)
    return 0


def _rows(part: Part, extent: figures.Extent, work: str) -> list[Row]:
    """A part that fails is told as such, and the others are measured."""
    rows = []
    try:
        for row in part.rows(extent, work):
            rows.append(row)
    except Failed as error:
        rows.append(Row(part=part.name, figure="failed", value=0, unit="", holds=False, note=str(error)))
    return rows


if __name__ == "__main__":
    sys.exit(main())
