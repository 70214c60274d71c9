"""``gapless services``: the catalogue, and sample records."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer
from rich.table import Table

from gapless.cli.options import group, time_us
from gapless.cli.output import draw, write
from gapless.model.errors import Refused
from gapless.services.catalogue import services
from gapless.services.generate import generate as generated

app = group("The services whose logs Gapless knows.")

_LINES_AT_ONCE = 1000


@app.command("list")
def list_() -> None:
    """Show the services with their tables."""
    drawn = Table("SERVICE", "TITLE", "TABLES", show_edge=False, pad_edge=False)
    for service in services():
        drawn.add_row(service.name, service.title, "\n".join(service.tables))
    draw(drawn)


@app.command("generate")
def generate(
    service: Annotated[str, typer.Argument(help="A name that `gapless services list` shows.")],
    records: Annotated[int, typer.Option(help="How many.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same records.")] = 0,
    table: Annotated[
        list[str] | None, typer.Option(help="Only this table; may be given several times.")
    ] = None,
    start: Annotated[
        str, typer.Option(metavar="TIME", help="When the first record is due.")
    ] = "2024-09-02T00:00:00Z",
    rate_per_s: Annotated[float, typer.Option(help="Records per second, by their times.")] = 100.0,
) -> None:
    """Write sample records as newline-delimited JSON."""
    start_us = time_us("--start", start)
    if start_us is None:
        raise Refused("--start is empty: give a time")
    mixed = generated(
        service, records=records, seed=seed, start_us=start_us, rate_per_s=rate_per_s, tables=table or None
    )
    lines = (line + b"\n" for _, line in mixed)
    while piece := b"".join(islice(lines, _LINES_AT_ONCE)):
        if not write(piece):
            return
