"""``gapless drill``: incidents, replayed against the real parts."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from gapless.cli.options import Format, group
from gapless.cli.output import draw, say, write
from gapless.drills import run as drills
from gapless.drills.catalogue import DRILLS, drill
from gapless.drills.report import report
from gapless.model.errors import Unavailable

app = group("Incidents, replayed against the real parts.")


@app.command("list")
def list_() -> None:
    """Show the drills."""
    drawn = Table("DRILL", "WHAT HAPPENED", show_edge=False, pad_edge=False)
    for each in DRILLS:
        drawn.add_row(each.name, each.title)
    draw(drawn)


@app.command("run")
def run(
    name: Annotated[str, typer.Argument(help="A name that `gapless drill list` shows.")],
    format_: Format = "table",
    keep: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Keep all files (logs, spools, tables) in this new directory."),
    ] = None,
) -> None:
    """Play a drill with real processes on this machine; exit 0 when it showed what it claims, else 1."""
    chosen = drill(name)
    try:
        outcome = drills.run(chosen, Console(stderr=True, highlight=False), keep)
    except Unavailable as error:
        say([f"gapless: the drill was not played to its end: {error}"])
        raise typer.Exit(1) from error
    if format_ == "json":
        write(msgspec.json.encode(outcome) + b"\n")
    else:
        draw(*report(outcome))
    raise typer.Exit(1 if outcome.faults else 0)
