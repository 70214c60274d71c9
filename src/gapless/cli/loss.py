"""``gapless loss``: an operator gives up on records, with a reason; the declaration stays for ever."""

from __future__ import annotations

import sys
import time
import uuid
from typing import Annotated, Any

import typer

from gapless.cli.client import connect
from gapless.cli.options import DATA_DEFAULT, Data, Tenant, Token, Url, time_us
from gapless.model.claim import Loss
from gapless.model.errors import Refused
from gapless.model.stream import StreamKey, check_epoch

app = typer.Typer(no_args_is_help=True)


@app.callback()
def losses() -> None:
    """Losses that an operator declares."""


@app.command("declare")
def declare(
    tenant: Tenant,
    stream: Annotated[str, typer.Option(help="The stream's identity, as `gapless audit` shows it.")],
    epoch: Annotated[str, typer.Option(help="The epoch, as `gapless audit` shows it.")],
    range_: Annotated[str, typer.Option("--range", metavar="FIRST:NEXT", help="The seqs that are lost.")],
    reason: Annotated[str, typer.Option(help="Why they cannot be had any more.")],
    data: Data = DATA_DEFAULT,
    url: Url = None,
    token: Token = None,
) -> None:
    """Declare a gap lost. Records that arrive after all reverse it; the declaration stays visible."""
    first, next_ = _range(range_)
    check_epoch(epoch)
    with connect(data, url, token) as client:
        report = client.get(f"/v1/audit?tenant={tenant}", dict[str, Any])
        row = next((r for r in report["streams"] if (r["stream"], r["epoch"]) == (stream, epoch)), None)
        if row is None:
            raise Refused(f"tenant {tenant} has no such stream and epoch: see `gapless audit --format json`")
        now_us = time.time_ns() // 1000
        gaps = [gap for gap in row["gaps"] if gap["first"] < next_ and gap["next"] > first]
        before = [time_us("not_before", gap["not_before"]) or 0 for gap in gaps]
        after = [time_us("not_after", gap["not_after"]) or now_us for gap in gaps]
        loss = Loss(
            id=uuid.uuid4().hex,
            stream=StreamKey(row["tenant"], row["table"], row["agent"], row["source"]),
            epoch=epoch,
            cause="operator",
            declared_us=now_us,
            not_before_us=min(before, default=0),
            not_after_us=max(after, default=now_us),
            ranges=((first, next_),),
            evidence=reason,
        )
        client.post("/v1/losses", loss, Any)
    print(loss.id)
    print(f"declared {next_ - first} records lost: `gapless audit` shows it for ever", file=sys.stderr)


def _range(text: str) -> tuple[int, int]:
    first, colon, next_ = text.partition(":")
    if not (colon and first.isdecimal() and next_.isdecimal() and int(first) < int(next_)):
        raise Refused(f"--range {text} is not FIRST:NEXT with FIRST below NEXT: write for example 100:120")
    return int(first), int(next_)
