"""``gapless dcr``: data collection rules, which Azure's clients upload records for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import msgspec
import typer
from rich.table import Table

from gapless.cli.client import connect
from gapless.cli.options import DATA_DEFAULT, Ca, Data, Format, Tenant, Token, Url, group
from gapless.cli.output import draw, say, write
from gapless.gateway.uploads.azure_rules import streams_of
from gapless.gateway.uploads.rules import RuleRequest, Rules
from gapless.model.errors import Refused
from gapless.model.rule import IDENTITY, Rule, RuleStream
from gapless.model.tables import Column

app = group("Data collection rules: what Azure's clients may upload, and where to.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The rule's immutable id.")]


@app.callback()
def rules() -> None:
    """Data collection rules: what Azure's clients may upload, and where to."""


@app.command("create")
def create(
    tenant: Tenant,
    stream: Annotated[
        str | None, typer.Option(metavar="NAME", help="Custom-Name, or Microsoft-Table for a known table.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:TYPE", help="A column of the records; may be given several times."),
    ] = None,
    table: Annotated[
        str | None, typer.Option(help="Where the records go. Default: Name_CL, or the known table.")
    ] = None,
    transform_kql: Annotated[
        str, typer.Option(metavar="KQL", help="What is done to the records on their way.")
    ] = IDENTITY,
    file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Instead: a rule as Azure writes it, JSON.")
    ] = None,
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """Make a rule and print its immutable id alone. A rule never changes: make another, delete this one."""
    if (stream is None) == (file is None):
        raise Refused("name what may be uploaded: give --stream, or --file with a rule as Azure writes it")
    if file is not None:
        streams = streams_of(file.read_bytes())
    else:
        assert stream is not None
        columns = tuple(_column(each) for each in column or ())
        target = table or _table_of(stream)
        streams = (RuleStream(name=stream, table=target, columns=columns, transform=transform_kql),)
    with connect(data, url, token, ca) as client:
        rule = client.post("/v1/rules", RuleRequest(tenant, streams), Rule)
    write(f"{rule.id}\n".encode())


@app.command("list")
def list_(
    format_: Format = "table", data: Data = DATA_DEFAULT, url: Url = None, token: Token = None, ca: Ca = None
) -> None:
    """All rules, one line for each of their streams."""
    with connect(data, url, token, ca) as client:
        found = client.get("/v1/rules", Rules)
    if format_ == "json":
        write(msgspec.json.encode(found.rules) + b"\n")
        return
    shown = Table("rule", "tenant", "stream", "table", "transform", box=None)
    for rule in found.rules:
        for stream in rule.streams:
            shown.add_row(rule.id, rule.tenant, stream.name, stream.table, stream.transform)
    draw(shown)


@app.command("show")
def show(id_: Id, data: Data = DATA_DEFAULT, url: Url = None, token: Token = None, ca: Ca = None) -> None:
    """One rule, as JSON."""
    with connect(data, url, token, ca) as client:
        rule = client.get(_path(id_), Rule)
    write(msgspec.json.format(msgspec.json.encode(rule)) + b"\n")


@app.command("delete")
def delete(id_: Id, data: Data = DATA_DEFAULT, url: Url = None, token: Token = None, ca: Ca = None) -> None:
    """End a rule and its streams for good; what was stored stays, and so do the books."""
    with connect(data, url, token, ca) as client:
        client.delete(_path(id_), Rule)
    say([f"rule {id_} is deleted"])


def _path(id_: str) -> str:
    return f"/v1/rules/{quote(id_, safe='')}"


def _column(text: str) -> Column:
    """Raises Refused for what is not NAME:TYPE with a Kusto type."""
    name, _, kind = text.partition(":")
    try:
        return msgspec.convert({"name": name, "type": kind}, Column)
    except msgspec.ValidationError as error:
        raise Refused(
            f"--column {text!r} is not NAME:TYPE: write for example Level:string; types are those of Kusto"
        ) from error


def _table_of(stream: str) -> str:
    kind, _, name = stream.partition("-")
    return name if kind == "Microsoft" or name.endswith("_CL") else f"{name}_CL"
