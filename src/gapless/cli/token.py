"""``gapless token``: make, list and revoke tokens, and clients that get tokens for themselves."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote

import msgspec
import typer
from rich.table import Table

from gapless.cli.client import connect
from gapless.cli.options import DATA_DEFAULT, Ca, Data, Format, Token, Url, group
from gapless.cli.output import draw, say, utc, write
from gapless.gateway.admin_routes import Tokens, TokenShown
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


@app.command("list")
def list_(
    format_: Format = "table",
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """All tokens and clients ever made, without their texts; the oldest first."""
    with connect(data, url, token, ca) as client:
        made = client.get("/v1/tokens", Tokens).tokens
    if format_ == "json":
        write(msgspec.json.encode(made) + b"\n")
        return
    shown = Table("id", "kind", "tenant", "scope", "tables", "created", "by", "revoked", box=None)
    for each in made:
        shown.add_row(
            each.id,
            "client" if each.client else "token",
            each.tenant,
            each.scope,
            ", ".join(each.tables) or "all",
            utc(each.created_us),
            each.by,
            "" if each.revoked_us is None else utc(each.revoked_us),
        )
    draw(shown)


@app.command("revoke")
def revoke(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `gapless token list` shows it.")],
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """Accept a token, or what a client is known by, no more: from the next request on.

    An agent that sends with it keeps what it has in its spool until its token file holds another.
    """
    with connect(data, url, token, ca) as client:
        client.delete(f"/v1/tokens/{quote(id_, safe='')}", TokenShown)
    say([f"token {id_} is revoked"])
