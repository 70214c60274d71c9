"""What operators' decisions have in common: which stream and epoch, why, and what is posted."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from gapless import clock
from gapless.cli.client import Client
from gapless.cli.options import time_us
from gapless.model.claim import Loss
from gapless.model.errors import Refused
from gapless.model.stream import StreamKey, check_epoch

_REASON_CHARACTERS_MAX = 1000

StreamId = Annotated[
    str,
    typer.Option("--stream", help="The stream's identity, as `gapless audit --format json` shows it."),
]
EpochId = Annotated[
    str, typer.Option("--epoch", help="The epoch, as `gapless audit --format json` shows it.")
]


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


def loss_of(row: dict[str, Any], brackets: Sequence[dict[str, Any]], reason: str, **what: Any) -> Loss:
    """An operator's loss in the epoch of ``row``, between the times of the ``brackets``. ``what`` is gone:
    ``ranges`` or ``ended_at``."""
    now_us = clock.now_us()
    before = [time_us("not_before", each["not_before"]) or 0 for each in brackets]
    after = [time_us("not_after", each["not_after"]) or now_us for each in brackets]
    return Loss(
        id=uuid.uuid4().hex,
        stream=StreamKey(row["tenant"], row["table"], row["agent"], row["source"]),
        epoch=row["epoch"],
        cause="operator",
        declared_us=now_us,
        not_before_us=min(before, default=0),
        not_after_us=max(after, default=now_us),
        evidence=reason,
        **what,
    )
