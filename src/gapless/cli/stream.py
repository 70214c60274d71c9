"""``gapless stream``: what operators decide about streams."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gapless.cli.client import connect
from gapless.cli.declaring import StreamId, checked_reason
from gapless.cli.options import DATA_DEFAULT, Ca, Data, Token, Url, group
from gapless.cli.output import say

app = group("Streams: which are expected to claim.")


@app.callback()
def streams() -> None:
    """Streams: which are expected to claim."""


@app.command("decommission")
def decommission(
    stream: StreamId,
    reason: Annotated[str, typer.Option(help="Why; it stays in the journal for ever.")],
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
    ca: Ca = None,
) -> None:
    """End a stream for good: its silence is no alarm any more, and its books stay.

    What its agent still held, when it was last heard of, is missing from then on. Stop the agent first: a
    stream that it claims after that is expected again.
    """
    checked_reason(reason)
    with connect(data, url, token, ca) as client:
        client.post("/v1/decommissions", {"stream": stream, "reason": reason}, dict[str, Any])
    say([f"stream {stream} is decommissioned"])
