"""The answers to the frames of one request."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from gapless.gateway.admission import EpochKey
from gapless.gateway.problems import text_of
from gapless.model.batch import BatchHeader
from gapless.model.errors import Busy, GaplessError, Refused, Unavailable
from gapless.model.finding import Finding
from gapless.model.signing import Signed

Status = Literal["receipt", "refused", "fork", "busy"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The answer for one frame. ``refused``: it is wrong as it is, put it aside; ``fork``: its epoch must
    not go on; ``busy``: keep it and send it again later. Where the header could not be read, the identity
    is empty."""

    status: Status
    stream: str = ""
    epoch: str = ""
    first: int = 0
    next: int = 0
    receipt: Signed | msgspec.UnsetType = msgspec.UNSET
    code: str | msgspec.UnsetType = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET


class Forked(Refused):
    """Seqs of an epoch that already belong to other bytes."""

    code = "fork"


def fork_finding(key: EpochKey, header: BatchHeader, text: str, now_us: int) -> Finding:
    """What the journal is told of a fork; its id is the same for every fork of the epoch."""
    stream, epoch = key
    return Finding(
        id=f"fork/{stream}/{epoch}",
        kind="fork",
        at_us=now_us,
        state="opened",
        text=text,
        tenant=header.stream.tenant,
        table=header.stream.table,
        agent=header.stream.agent,
        stream=stream,
        epoch=epoch,
        count=header.count,
    )


def identified(status: Status, header: BatchHeader | None, **more: Any) -> Result:
    """A result with as much of a batch's identity as is known."""
    if header is None:
        return Result(status=status, **more)
    return Result(
        status=status,
        stream=header.stream.id,
        epoch=header.epoch,
        first=header.first,
        next=header.next,
        **more,
    )


def without_receipt(header: BatchHeader | None, error: GaplessError) -> Result:
    """Whoever has the wrong token, or comes at the wrong time, keeps the batch; only what is wrong in
    itself is refused."""
    hold = isinstance(error, (Busy, Unavailable)) or error.code == "forbidden"
    status: Status = "busy" if hold else "refused"
    if isinstance(error, Forked):
        status = "fork"
    return identified(status, header, code=error.code, text=text_of(error))


def raise_if_said_to_all(errors: list[GaplessError | None]) -> None:
    """One "come back" or "not with this token" for the whole request, where it is meant for all of it."""
    first = errors[0] if errors else None
    if first is None or not (isinstance(first, Busy) or first.code == "forbidden"):
        return
    if all(error is not None and error.code == first.code for error in errors):
        raise first
