"""``gapless tables``: what tables a tenant can ask, and their columns."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import msgspec
import typer
from rich.table import Table

from gapless.cli.client import connect
from gapless.cli.options import DATA_DEFAULT, Ca, Data, Format, Tenant, Token, Url
from gapless.cli.output import draw, write
from gapless.model.errors import Refused
from gapless.query.log_analytics.metadata import Metadata


def tables(
    tenant: Tenant,
    table: Annotated[str | None, typer.Argument(help="Its columns. Left out: all tables.")] = None,
    format_: Format = "table",
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """The tables that queries of a tenant can name, or the columns of one with their types."""
    with connect(data, url, token, ca) as client:
        found = client.get(f"/v1/workspaces/{quote(tenant, safe='')}/metadata", Metadata).tables
    if table is not None:
        found = tuple(each for each in found if each.name == table)
        if not found:
            raise Refused(f"tenant {tenant} has no table {table}: `gapless tables` without it shows them all")
    if format_ == "json":
        write(msgspec.json.encode(found) + b"\n")
        return
    drawn = Table(*(("table", "columns") if table is None else ("column", "type")), box=None)
    for each in found:
        if table is None:
            drawn.add_row(each.name, str(len(each.columns)))
        else:
            for column in each.columns:
                drawn.add_row(column.name, column.type)
    draw(drawn)
