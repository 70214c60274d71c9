"""``gapless epoch``: what operators decide about epochs."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import typer

from gapless import clock
from gapless.cli.client import connect
from gapless.cli.loss import checked_reason, row_of
from gapless.cli.options import DATA_DEFAULT, Ca, Data, Tenant, Token, Url, group, time_us
from gapless.cli.output import say, write
from gapless.model.claim import Loss
from gapless.model.errors import Refused
from gapless.model.stream import StreamKey

app = group("Epochs: where they ended.")


@app.callback()
def epochs() -> None:
    """Epochs: where they ended."""


@app.command("accept")
def accept(
    tenant: Tenant,
    stream: Annotated[str, typer.Option(help="The stream's identity, as `gapless audit` shows it.")],
    epoch: Annotated[str, typer.Option(help="The epoch, as `gapless audit` shows it.")],
    reason: Annotated[str, typer.Option(help="Why nobody can say more; it stays for ever.")],
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """Take an epoch that nobody closed, or in which two counted, to have ended where the books know of it.

    What it had beyond is a loss of unknown size from then on, no longer an unknown end; what its agent still
    held is missing. Windows in which it may have ended are incomplete for ever, the others can be judged.
    """
    reason = checked_reason(reason)
    with connect(data, url, token, ca) as client:
        row = row_of(client, tenant, stream, epoch)
        if row["open_end"] is None:
            raise Refused(
                "this epoch is closed or goes on: take one that `gapless audit` says has no known end"
            )
        loss = _loss(row, reason)
        client.post("/v1/losses", loss, Any)
    write(f"{loss.id}\n".encode())
    say([f"the epoch is taken to have ended at {loss.ended_at}: `gapless audit` shows it for ever"])


def _loss(row: dict[str, Any], reason: str) -> Loss:
    now_us = clock.now_us()
    between = row["open_end"]
    return Loss(
        id=uuid.uuid4().hex,
        stream=StreamKey(row["tenant"], row["table"], row["agent"], row["source"]),
        epoch=row["epoch"],
        cause="operator",
        declared_us=now_us,
        not_before_us=time_us("not_before", between["not_before"]) or 0,
        not_after_us=time_us("not_after", between["not_after"]) or now_us,
        ended_at=row["claimed"],
        evidence=reason,
    )
