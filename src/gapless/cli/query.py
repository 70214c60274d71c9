"""``gapless query``: ask a tenant's tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from gapless.cli.client import connect
from gapless.cli.options import DATA_DEFAULT, Ca, Data, From, Tenant, To, Token, Url, window_us
from gapless.cli.output import draw, fields, say, terminal_columns, write
from gapless.platform.completeness import Completeness
from gapless.platform.queries import QueryAnswer, QueryBody
from gapless.query.render import csv_text, json_fields, ndjson, table
from gapless.query.request import QueryResult


def query(
    text: Annotated[str, typer.Argument(help="The query.")],
    tenant: Tenant,
    language: Annotated[Literal["kql", "sql"], typer.Option(help="What the text is written in.")] = "kql",
    explain: Annotated[
        bool, typer.Option("--explain", help="Show how it would be computed, instead of its rows.")
    ] = False,
    from_: From = None,
    to: To = None,
    format_: Annotated[
        Literal["table", "json", "csv", "ndjson"], typer.Option("--format", help="How to print the rows.")
    ] = "table",
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """Ask a tenant's tables; the answer says whether the window it looked at is complete."""
    from_us, to_us = window_us(from_, to)
    asked = QueryBody(
        tenant=tenant, text=text, language=language, explain=explain, from_us=from_us, to_us=to_us
    )
    with connect(data, url, token, ca) as client:
        answer = client.post("/v1/query", asked, QueryAnswer)
    if explain and format_ == "table":
        write(_forms(answer).encode())
        return
    _print(answer, format_)
    say(_words(answer.completeness, answer.truncated))


def _print(answer: QueryAnswer, format_: str) -> None:
    result = QueryResult(
        columns=answer.columns,
        rows_json=answer.rows,
        truncated=answer.truncated,
        elapsed_us=answer.elapsed_us,
        scanned_files=answer.scanned_files,
    )
    match format_:
        case "table":
            draw(*_fitting(table(result)))
        case "csv":
            write(csv_text(result).encode())
        case "ndjson":
            write(ndjson(result))
        case _:
            more = {"truncated": answer.truncated, "completeness": answer.completeness}
            write(msgspec.json.encode({**json_fields(result), **more}) + b"\n")


def _forms(answer: QueryAnswer) -> str:
    """The forms of an explained query, each below its name."""
    rows: list[tuple[str, str]] = msgspec.json.decode(answer.rows)
    return "\n".join(f"-- {form}\n{text}\n" for form, text in rows)


def _fitting(drawn: Table) -> Iterator[RenderableType]:
    """``drawn``; where it is wider than the terminal, a list of each row's columns instead."""
    width = terminal_columns()
    if Console(width=width + 1).measure(drawn).maximum <= width:
        yield drawn
        return
    names = [str(column.header) for column in drawn.columns]
    for number, cells in enumerate(zip(*(column.cells for column in drawn.columns), strict=True), 1):
        yield f"-- row {number}"
        yield from fields(zip(names, (cell for cell in cells if isinstance(cell, Text)), strict=True))


def _words(complete: Completeness, truncated: bool) -> list[str]:
    """What a person must know about the rows that were printed."""
    words = ["the rows are cut: ask for fewer"] if truncated else []
    words.append(
        f"completeness: {complete.verdict}; through {complete.through or 'nobody knows'}; "
        f"missing {complete.missing}, lost {complete.lost}, quarantined {complete.quarantined}"
    )
    return [*words, *(f"  held back: {reason}" for reason in complete.holding_back)]
