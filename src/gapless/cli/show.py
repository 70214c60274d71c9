"""``gapless show``: one record, where it is, and the receipt that says it came."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

import msgspec
import typer
from rich.text import Text

from gapless.cli.client import connect
from gapless.cli.options import DATA_DEFAULT, Ca, Data, Tenant, Token, Url
from gapless.cli.output import draw, fields, printable, write
from gapless.gateway.routes import Keys
from gapless.model.errors import Corrupt, Refused, Unavailable
from gapless.model.receipt import Receipt
from gapless.model.signing import verify
from gapless.platform.record_answer import RecordAnswer

#: How much of a record is shown to people; ``--format raw`` gives all of it.
_SHOWN_CHARACTERS_MAX = 4000

_EXAMPLE = "SELECT _Stream || '/' || _Epoch || '/' || _Seq AS id, * FROM SigninLogs LIMIT 10"


def show(
    tenant: Tenant,
    table: Annotated[str, typer.Option(help="The table that the record was sent to.")],
    id_: Annotated[
        str, typer.Option("--id", metavar="STREAM/EPOCH/SEQ", help=f'As a query gives it: "{_EXAMPLE}".')
    ],
    format_: Annotated[
        Literal["table", "json", "raw"],
        typer.Option("--format", help="raw: the record's bytes alone. json: as base64 if not UTF-8."),
    ] = "table",
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """Show one record: its bytes, where it is, how it came, and the receipt, which is verified."""
    path = "/v1/records/" + "/".join(quote(part, safe="") for part in _identity(id_))
    with connect(data, url, token, ca) as client:
        record = client.get(f"{path}?{urlencode({'tenant': tenant, 'table': table})}", RecordAnswer)
        key = client.get("/v1/keys", Keys).receipt.public_key
    _check(record, key)
    match format_:
        case "raw":
            write(_bytes(record))
        case "json":
            write(msgspec.json.encode(record) + b"\n")
        case _:
            shown = ((name, value) for name, value in _lines(record) if value is not None and value != "")
            draw(*fields((name, Text(printable(str(value)))) for name, value in shown))


def _identity(text: str) -> tuple[str, str, str]:
    """Raises Refused for what is not STREAM/EPOCH/SEQ; what the parts may be, the platform says."""
    parts = text.strip().split("/")
    if len(parts) != 3 or not all(parts):
        raise Refused(f'--id {text!r} is not STREAM/EPOCH/SEQ: copy it from a query, such as "{_EXAMPLE}"')
    return parts[0], parts[1], parts[2]


def _check(record: RecordAnswer, key: str) -> None:
    """Raises Corrupt unless the receipt is the platform's, and is for the batch that is shown."""
    if record.receipt is None or record.batch is None:
        return
    try:
        receipt = verify(record.receipt, key, Receipt)
    except Refused as error:
        raise Corrupt(f"the receipt does not hold ({error}): do not trust this platform") from error
    batch = record.batch
    shown = (record.stream, record.epoch, batch.first, batch.next, batch.digest)
    if (receipt.stream.id, receipt.epoch, receipt.first, receipt.next, receipt.digest) != shown:
        raise Corrupt("the receipt is for another batch than is shown: do not trust this platform")


def _bytes(record: RecordAnswer) -> bytes:
    """Raises Unavailable if they cannot be had."""
    if record.raw is None:
        why = record.raw_missing or record.why
        raise Unavailable(f"the record's bytes are not here ({record.place}; {why}): use --format table")
    return base64.b64decode(record.raw) if record.encoding == "base64" else record.raw.encode()


def _lines(record: RecordAnswer) -> list[tuple[str, Any]]:
    batch, gap, loss, receipt = record.batch, record.gap, record.loss, record.receipt
    lines: list[tuple[str, Any]] = [
        ("record", _raw_shown(record)),
        ("place", f"{record.place}: {record.why}" if record.why else record.place),
        ("file", record.file),
        ("mark", record.mark),
        ("table", f"{record.tenant}/{record.table}"),
        ("source", f"{record.agent}/{record.source}"),
        ("stream", record.stream),
        ("epoch", record.epoch),
        ("seq", record.seq),
    ]
    if gap:
        lines.append(("gap", f"[{gap.first}, {gap.next}) {_between(gap.not_before, gap.not_after)}"))
    if loss:
        lines += [("loss", f"{loss.cause}, declared {loss.declared}: {loss.evidence}"), ("loss id", loss.id)]
    if batch:
        lines += [
            ("batch", f"[{batch.first}, {batch.next}) {_between(batch.read_from, batch.read_to)}"),
            ("digest", f"sha256 {batch.digest}"),
            ("journaled", f"{batch.journaled} at position {record.position}"),
        ]
    if receipt:
        lines += [
            ("receipt", receipt.statement),
            ("key", f"Ed25519 {receipt.key}"),
            ("signature", f"{receipt.signature} (verified)"),
        ]
    return lines


def _between(from_: str | None, to: str | None) -> str:
    return f"read between {from_ or '?'} and {to or '?'}"


def _raw_shown(record: RecordAnswer) -> str | None:
    if record.raw is None:
        return record.raw_missing and f"({record.raw_missing})"
    shown = record.raw[:_SHOWN_CHARACTERS_MAX]
    more = " …: --format raw gives all of it" if len(shown) < len(record.raw) else ""
    note = "(base64) " if record.encoding == "base64" else "" if record.raw else "(empty)"
    return f"{note}{shown}{more}"
