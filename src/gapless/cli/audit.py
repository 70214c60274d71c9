"""``gapless audit``: what the books say of each stream, and whether a window is complete."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
import typer

from gapless.cli.audit_report import report_parts
from gapless.cli.client import connect
from gapless.cli.options import DATA_DEFAULT, Ca, Data, Format, From, TenantOrAll, To, Token, Url, window_us
from gapless.cli.output import draw, terminal_columns, write
from gapless.model.errors import Refused
from gapless.model.tables import table_schema

EXIT_CODES = {"complete": 0, "incomplete": 1, "unknown": 2}


def audit(
    tenant: TenantOrAll = None,
    table: Annotated[str | None, typer.Option(help="Left out: every table.")] = None,
    from_: From = None,
    to: To = None,
    format_: Format = "table",
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """Say for every stream what was claimed, journaled, stored, quarantined, declared lost, pending and
    missing. Exits 0 when the window is complete, 1 when it is incomplete, 2 when that is unknown."""
    from_us, to_us = window_us(from_, to)
    if table is not None:
        table_schema(table)
    asked = {"tenant": tenant, "table": table, "from_us": from_us, "to_us": to_us}
    given = urlencode({name: value for name, value in asked.items() if value is not None})
    with connect(data, url, token, ca) as client:
        report = client.get(f"/v1/audit?{given}", dict[str, Any])
    if report.get("verdict") not in EXIT_CODES:
        raise Refused("the answer is no audit: name the --url of a platform of this version")
    if format_ == "json":
        write(msgspec.json.encode(report) + b"\n")
    else:
        draw(*report_parts(report, terminal_columns()))
    raise typer.Exit(EXIT_CODES[report["verdict"]])
