"""``gapless token``: make tokens."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from gapless.cli.client import connect
from gapless.cli.options import DATA_DEFAULT, Data, Tenant, Token, Url

app = typer.Typer(no_args_is_help=True)


class _NewToken(msgspec.Struct):
    token: str


@app.callback()
def tokens() -> None:
    """Tokens: who may do what."""


@app.command("create")
def create(
    tenant: Tenant,
    scope: Annotated[str, typer.Option(help="ingest, read or admin.")],
    table: Annotated[
        list[str] | None, typer.Option(help="Only for this table; may be given several times.")
    ] = None,
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
) -> None:
    """Make a token and print it alone; it is never shown again."""
    with connect(data, url, token) as client:
        wanted = {"tenant": tenant, "scope": scope, "tables": table or []}
        print(client.post("/v1/tokens", wanted, _NewToken).token)
