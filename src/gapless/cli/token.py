"""``gapless token``: make tokens."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import typer

from gapless.cli.client import connect
from gapless.cli.options import DATA_DEFAULT, Ca, Data, Token, Url, group
from gapless.cli.output import write

app = group("Tokens: who may do what.")


class _NewToken(msgspec.Struct):
    token: str


@app.callback()
def tokens() -> None:
    """Tokens: who may do what."""


@app.command("create")
def create(
    tenant: Annotated[str, typer.Option(help="Whose records it is for; '*' for an operator's, scope admin.")],
    scope: Annotated[Literal["ingest", "read", "admin"], typer.Option(help="What it may do.")],
    table: Annotated[
        list[str] | None, typer.Option(help="Only for this table; may be given several times.")
    ] = None,
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """Make a token and print it alone; it is never shown again."""
    with connect(data, url, token, ca) as client:
        wanted = {"tenant": tenant, "scope": scope, "tables": table or []}
        made = client.post("/v1/tokens", wanted, _NewToken)
    write(f"{made.token}\n".encode())
