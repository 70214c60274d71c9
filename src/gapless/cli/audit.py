"""``gapless audit``: what the books say of each stream, and whether a window is complete."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gapless.cli.client import connect
from gapless.cli.options import DATA_DEFAULT, Data, Token, Url, time_us

EXIT_CODES = {"complete": 0, "incomplete": 1, "unknown": 2}

_WIDTH = 160  # where the output is no terminal
_COUNTS = ("claimed", "journaled", "stored", "quarantined", "lost", "pending", "missing")


def audit(
    tenant: Annotated[str | None, typer.Option(help="Left out: every tenant, for operators.")] = None,
    table: Annotated[str | None, typer.Option(help="Left out: every table.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="TIME", help="ISO 8601; inclusive.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="ISO 8601; exclusive.")] = None,
    format_: Annotated[Literal["table", "json"], typer.Option("--format")] = "table",
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
) -> None:
    """Say for every stream what was claimed, journaled, stored, quarantined, declared lost, pending and
    missing. Exits 0 when the window is complete, 1 when it is incomplete, 2 when that is unknown."""
    asked = {
        "tenant": tenant,
        "table": table,
        "from_us": time_us("--from", from_),
        "to_us": time_us("--to", to),
    }
    given = urlencode({name: value for name, value in asked.items() if value is not None})
    with connect(data, url, token) as client:
        report = client.get(f"/v1/audit?{given}", dict[str, Any])
    if format_ == "json":
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    else:
        _print(report)
    sys.stdout.flush()
    raise typer.Exit(EXIT_CODES[report["verdict"]])


def _print(report: dict[str, Any]) -> None:
    drawn = Table(show_edge=False, pad_edge=False)
    for name in ("tenant/table", "agent/source", "state"):
        drawn.add_column(name, overflow="fold")
    for name in _COUNTS:
        drawn.add_column(name, justify="right", no_wrap=True)
    for row in report["streams"]:
        cells = [f"{row['tenant']}/{row['table']}", f"{row['agent']}/{row['source']}", row["state"]]
        drawn.add_row(*(Text(cell) for cell in cells), *(str(row[name]) for name in _COUNTS))
    drawn.add_section()
    drawn.add_row("total", "", "", *(str(report["totals"][name]) for name in _COUNTS))
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(drawn)
    print(f"{report['verdict']} through {report['through'] or 'no time that can be said'}")
    for reason in report["reasons"]:
        print(f"  {reason}")
    for row in report["streams"]:
        for gap in row["gaps"]:
            bracket = f"between {gap['not_before'] or '?'} and {gap['not_after'] or '?'}"
            where = f"{row['stream']}/{row['epoch']}"
            print(f"  gap {where} [{gap['first']}, {gap['next']}) read {bracket}, lost {gap['edge']}")
