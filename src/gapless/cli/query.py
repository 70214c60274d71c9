"""``gapless query``: ask a tenant's tables."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console

from gapless.cli.client import connect
from gapless.cli.options import DATA_DEFAULT, Data, Tenant, Token, Url, time_us
from gapless.platform.completeness import Completeness
from gapless.platform.queries import QueryAnswer, QueryBody
from gapless.query.render import csv_text, json_fields, ndjson, table
from gapless.query.request import QueryResult


def query(
    text: Annotated[str, typer.Argument(help="The query.")],
    tenant: Tenant,
    language: Annotated[Literal["kql", "sql"], typer.Option(help="What the text is written in.")] = "sql",
    from_: Annotated[str | None, typer.Option("--from", metavar="TIME", help="ISO 8601; inclusive.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="ISO 8601; exclusive.")] = None,
    format_: Annotated[
        Literal["table", "json", "csv", "ndjson"], typer.Option("--format", help="How to print the rows.")
    ] = "table",
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
) -> None:
    """Ask a tenant's tables; the answer says whether the window it looked at is complete."""
    asked = QueryBody(
        tenant=tenant,
        text=text,
        language=language,
        from_us=time_us("--from", from_),
        to_us=time_us("--to", to),
    )
    with connect(data, url, token) as client:
        answer = client.post("/v1/query", asked, QueryAnswer)
    _print(answer, format_)


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
            Console(soft_wrap=not sys.stdout.isatty()).print(table(result))
        case "csv":
            sys.stdout.buffer.write(csv_text(result).encode())
        case "ndjson":
            sys.stdout.buffer.write(ndjson(result))
        case _:
            more = {"truncated": answer.truncated, "completeness": answer.completeness}
            sys.stdout.buffer.write(msgspec.json.encode({**json_fields(result), **more}) + b"\n")
    sys.stdout.flush()
    for words in _words(answer.completeness, answer.truncated):
        print(words, file=sys.stderr)


def _words(complete: Completeness, truncated: bool) -> list[str]:
    """What a person must know about the rows that were printed."""
    words = ["the rows are cut: ask for fewer"] if truncated else []
    words.append(
        f"completeness: {complete.verdict}; through {complete.through or 'nobody knows'}; "
        f"missing {complete.missing}, lost {complete.lost}, quarantined {complete.quarantined}"
    )
    return [*words, *(f"  held back: {reason}" for reason in complete.holding_back)]
