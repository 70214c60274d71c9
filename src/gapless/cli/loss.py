"""``gapless loss``: an operator gives up on records, with a reason; the declaration stays for ever."""

from __future__ import annotations

import re
import uuid
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from gapless import clock
from gapless.cli.client import Client, connect
from gapless.cli.options import DATA_DEFAULT, Ca, Data, Tenant, Token, Url, group, time_us
from gapless.cli.output import say, write
from gapless.model.claim import Loss
from gapless.model.errors import Refused
from gapless.model.stream import StreamKey, check_epoch

app = group("Losses: what is declared gone.")

_RANGE = re.compile(r"([0-9]{1,18}):([0-9]{1,18})\Z")
_REASON_CHARACTERS_MAX = 1000


@app.callback()
def losses() -> None:
    """Losses that an operator declares."""


@app.command("declare")
def declare(
    tenant: Tenant,
    stream: Annotated[str, typer.Option(help="The stream's identity, as `gapless audit` shows it.")],
    epoch: Annotated[str, typer.Option(help="The epoch, as `gapless audit` shows it.")],
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
        loss = _loss(row, first, next_, reason)
        client.post("/v1/losses", loss, Any)
    write(f"{loss.id}\n".encode())
    say([f"declared [{first}, {next_}) lost, {missing} of them missing: `gapless audit` shows it for ever"])


def checked_reason(reason: str) -> str:
    """The reason, if it is one. Raises Refused."""
    if not 0 < len(reason.strip()) <= _REASON_CHARACTERS_MAX:
        raise Refused(f"--reason is empty or too long: give 1 to {_REASON_CHARACTERS_MAX} characters")
    return reason


def row_of(client: Client, tenant: str, stream: str, epoch: str) -> dict[str, Any]:
    """What the audit says of an epoch. Raises Refused if there is none such."""
    check_epoch(epoch)
    report = client.get(f"/v1/audit?{urlencode({'tenant': tenant})}", dict[str, Any])
    row: dict[str, Any] | None = next(
        (each for each in report["streams"] if (each["stream"], each["epoch"]) == (stream, epoch)), None
    )
    if row is None:
        raise Refused(f"tenant {tenant} has no such stream and epoch: see `gapless audit --format json`")
    return row


def _missing(row: dict[str, Any], first: int, next_: int) -> int:
    """How many of ``[first, next)`` are missing. Raises Refused where there is nothing to declare."""
    known: int = row["claimed"]
    if next_ > known:
        raise Refused(f"--range {first}:{next_} goes beyond what is known: the seqs here are below {known}")
    missing: int = sum(min(next_, gap["next"]) - max(first, gap["first"]) for gap in _gaps(row, first, next_))
    if not missing and not row["pending"]:
        raise Refused(f"nothing of {first}:{next_} is missing: take a gap that `gapless audit` shows")
    return missing


def _loss(row: dict[str, Any], first: int, next_: int, reason: str) -> Loss:
    now_us = clock.now_us()
    gaps = _gaps(row, first, next_)
    before = [time_us("not_before", gap["not_before"]) or 0 for gap in gaps]
    after = [time_us("not_after", gap["not_after"]) or now_us for gap in gaps]
    return Loss(
        id=uuid.uuid4().hex,
        stream=StreamKey(row["tenant"], row["table"], row["agent"], row["source"]),
        epoch=row["epoch"],
        cause="operator",
        declared_us=now_us,
        not_before_us=min(before, default=0),
        not_after_us=max(after, default=now_us),
        ranges=((first, next_),),
        evidence=reason,
    )


def _gaps(row: dict[str, Any], first: int, next_: int) -> list[dict[str, Any]]:
    return [gap for gap in row["gaps"] if gap["first"] < next_ and gap["next"] > first]


def _range(text: str) -> tuple[int, int]:
    found = _RANGE.match(text)
    if found is None or int(found[1]) >= int(found[2]):
        raise Refused(f"--range {text} is not FIRST:NEXT with FIRST below NEXT: write for example 100:120")
    return int(found[1]), int(found[2])
