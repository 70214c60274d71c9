"""``gapless token``: make tokens, and clients that get tokens for themselves."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import typer

from gapless.cli.client import connect
from gapless.cli.options import DATA_DEFAULT, Ca, Data, Token, Url, group
from gapless.cli.output import write
from gapless.gateway.tenants import azure_tenant_id

app = group("Tokens: who may do what.")


class _NewToken(msgspec.Struct):
    id: str
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
    client_: Annotated[
        bool,
        typer.Option(
            "--client",
            help="Make a client, for Azure's client libraries; print what they need to know of it.",
        ),
    ] = False,
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """Make a token and print it alone; it is never shown again.

    With --client, print variables as azure-identity reads them; the secret is never shown again.
    """
    with connect(data, url, token, ca) as client:
        wanted = {"tenant": tenant, "scope": scope, "tables": table or [], "client": client_}
        made = client.post("/v1/tokens", wanted, _NewToken)
    if not client_:
        write(f"{made.token}\n".encode())
        return
    known = {
        "AZURE_TENANT_ID": azure_tenant_id(tenant),
        "AZURE_CLIENT_ID": made.id,
        "AZURE_CLIENT_SECRET": made.token,
    }
    write("".join(f"{name}={value}\n" for name, value in known.items()).encode())
