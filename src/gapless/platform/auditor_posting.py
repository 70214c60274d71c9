"""What of the outbox is posted to the gateway, and when. No socket, no thread.

At least once by itself, once in effect: whenever it is not known whether the gateway took a message, nothing
is posted until the ledger has folded all that the journal had after the failure. If the message was among
it, the fold has removed it from the outbox by then. (A gateway that hangs and takes it later still makes a
second entry; its id is the same, and it changes nothing.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import structlog

from gapless.failpoint import reached
from gapless.model.errors import Busy, GaplessError, Refused, Unavailable
from gapless.platform.auditor_store import Message

_log = structlog.get_logger("gapless.ledger")


class Outbox(Protocol):
    """What waits, oldest first: see ``auditor_outbox.LedgerOutbox``."""

    def first(self, limit: int) -> list[Message]: ...
    def remove(self, rows: Sequence[Message]) -> None: ...


class Request(NamedTuple):
    """To be posted to ``path`` of the gateway; ``rows`` are the messages in it."""

    path: str
    body: bytes
    rows: tuple[Message, ...]


class Posting:
    """``next``, post it, ``finished``, and again. ``rows_max`` messages a request."""

    def __init__(self, outbox: Outbox, monotonic_s: Callable[[], float], *, rows_max: int = 256) -> None:
        self._outbox = outbox
        self._monotonic_s = monotonic_s
        self._rows_max = rows_max
        self._at_once = rows_max  # fewer after a refusal, until what was refused is found
        self._caught_up_s = float("-inf")
        self._doubt_s = monotonic_s()

    def caught_up(self, begun_s: float) -> None:
        """A step of the ledger, begun at ``begun_s`` (monotonic), has folded all that was durable then."""
        self._caught_up_s = begun_s

    def next(self) -> Request | None:
        """What is first in the outbox; None if nothing is, or if there is a doubt about it."""
        if self._caught_up_s <= self._doubt_s:
            return None
        rows = self._outbox.first(self._at_once)
        if not rows:
            return None
        # A loss is a request of its own; findings go together as far as they stand together.
        run = next((at for at, row in enumerate(rows) if row.kind != "finding"), len(rows))
        if run == 0:
            return Request("/v1/losses", rows[0].message, (rows[0],))
        together = tuple(rows[:run])
        return Request("/v1/findings", b"[" + b",".join(row.message for row in together) + b"]", together)

    def finished(self, request: Request, error: GaplessError | None) -> None:
        """The gateway took a request (None), or this is what became of it. What it will not take for what it
        is would stand before all that follows: it is put in the log, and removed."""
        rows = request.rows
        if isinstance(error, Refused):
            if len(rows) > 1:
                self._at_once = len(rows) // 2
                return
            _log.error("message_refused", error=str(error), message=rows[0].message.decode()[:2000])
        elif error is not None:
            self._doubt_s = self._monotonic_s()
            return
        try:
            reached("outbox", "posted", Unavailable)
            # A crash before this leaves rows whose entries are in the journal: the fold removes them.
            self._outbox.remove(rows)
        except Unavailable:
            self._doubt_s = self._monotonic_s()
            raise
        self._at_once = min(self._rows_max, 2 * self._at_once)


def error_of(status: int, retry_after: str, text: str) -> GaplessError | None:
    """What an answer of the gateway means: Refused for what it will never take; None, it took it."""
    if status < 300:
        return None
    if status == 429:
        return Busy(text, float(retry_after) if retry_after.isdecimal() else 1.0)
    if status in (400, 413, 422):
        return Refused(text)
    return Unavailable(f"the gateway answers {status}: {text}")
