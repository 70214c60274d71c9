"""``gapless epoch``: what operators decide about epochs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gapless.cli.client import connect
from gapless.cli.declaring import EpochId, StreamId, checked_reason, loss_of, row_of
from gapless.cli.options import DATA_DEFAULT, Ca, Data, Tenant, Token, Url, group
from gapless.cli.output import say, write
from gapless.model.errors import Refused

app = group("Epochs: where they ended.")


@app.callback()
def epochs() -> None:
    """Epochs: where they ended."""


@app.command("accept")
def accept(
    tenant: Tenant,
    stream: StreamId,
    epoch: EpochId,
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
        loss = loss_of(row, [row["open_end"]], reason, ended_at=row["claimed"])
        client.post("/v1/losses", loss, Any)
    write(f"{loss.id}\n".encode())
    say([f"the epoch is taken to have ended at {loss.ended_at}: `gapless audit` shows it for ever"])
