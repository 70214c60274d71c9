"""``gapless loss``: an operator gives up on records, with a reason; the declaration stays for ever."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from gapless.cli.client import connect
from gapless.cli.declaring import EpochId, StreamId, checked_reason, loss_of, row_of
from gapless.cli.options import DATA_DEFAULT, Ca, Data, Tenant, Token, Url, group
from gapless.cli.output import say, write
from gapless.model.errors import Refused

app = group("Losses: what is declared gone.")

_RANGE = re.compile(r"([0-9]{1,18}):([0-9]{1,18})\Z")


@app.callback()
def losses() -> None:
    """Losses that an operator declares."""


@app.command("declare")
def declare(
    tenant: Tenant,
    stream: StreamId,
    epoch: EpochId,
    range_: Annotated[
        str,
        typer.Option("--range", metavar="FIRST:NEXT", help="The seqs that are lost, NEXT not among them."),
    ],
    reason: Annotated[str, typer.Option(help="Why they cannot be had any more.")],
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """Declare a gap lost. Records that arrive after all reverse it; the declaration stays visible."""
    first, next_ = _range(range_)
    reason = checked_reason(reason)
    with connect(data, url, token, ca) as client:
        row = row_of(client, tenant, stream, epoch)
        missing = _missing(row, first, next_)
        loss = loss_of(row, _gaps(row, first, next_), reason, ranges=((first, next_),))
        client.post("/v1/losses", loss, Any)
    write(f"{loss.id}\n".encode())
    say([f"declared [{first}, {next_}) lost, {missing} of them missing: `gapless audit` shows it for ever"])


def _missing(row: dict[str, Any], first: int, next_: int) -> int:
    """How many of ``[first, next)`` are missing. Raises Refused where there is nothing to declare."""
    known: int = row["claimed"]
    if next_ > known:
        raise Refused(f"--range {first}:{next_} goes beyond what is known: the seqs here are below {known}")
    missing: int = sum(min(next_, gap["next"]) - max(first, gap["first"]) for gap in _gaps(row, first, next_))
    if not missing and not row["pending"]:
        raise Refused(f"nothing of {first}:{next_} is missing: take a gap that `gapless audit` shows")
    return missing


def _gaps(row: dict[str, Any], first: int, next_: int) -> list[dict[str, Any]]:
    return [gap for gap in row["gaps"] if gap["first"] < next_ and gap["next"] > first]


def _range(text: str) -> tuple[int, int]:
    found = _RANGE.match(text)
    if found is None or int(found[1]) >= int(found[2]):
        raise Refused(f"--range {text} is not FIRST:NEXT with FIRST below NEXT: write for example 100:120")
    return int(found[1]), int(found[2])
