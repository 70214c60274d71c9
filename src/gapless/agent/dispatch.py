"""What to send next, and what an answer means. Pure: no clock, no thread, no connection.

Oldest first, several in flight, and no budget of retries: whatever is neither received nor refused is
sent again, for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Literal

import msgspec

from gapless.agent.acks import Acks, Outcome
from gapless.agent.follow import Spooled
from gapless.model.errors import Refused
from gapless.model.receipt import Receipt
from gapless.model.signing import Signed, verify


class DispatchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``in_flight_max``: batches being sent at once. A batch that got no receipt waits ``retry_min_s``,
    twice as long each time, up to ``retry_max_s``; a third of it by chance."""

    in_flight_max: int = 8
    retry_min_s: float = 0.5
    retry_max_s: float = 30.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's answer for one batch; see ``POST /v1/batches``."""

    status: Literal["receipt", "refused", "fork", "busy"]
    stream: str = ""
    epoch: str = ""
    first: int = 0
    next: int = 0
    receipt: Signed | None = None
    code: str = ""
    text: str = ""


def outcome_of(batch: Spooled, answer: Answer | None, receipt_key: str, now_us: int) -> Outcome | None:
    """What an answer settles: only a receipt that ``receipt_key`` signed for this very batch, or a refusal
    of this very batch. None: hold the batch and send it again."""
    if answer is None:
        return None
    wanted = (batch.stream.id, batch.epoch, batch.first, batch.next)
    if answer.status == "receipt" and answer.receipt is not None:
        try:
            receipt = verify(answer.receipt, receipt_key, Receipt)
        except Refused:
            return None
        said = (receipt.stream.id, receipt.epoch, receipt.first, receipt.next)
        if said != wanted or receipt.digest != batch.digest:
            return None
        return Outcome.of(batch, "receipt", now_us, receipt=answer.receipt)
    named = (answer.stream, answer.epoch, answer.first, answer.next) == wanted
    if answer.status in ("refused", "fork") and named:
        return Outcome.of(batch, "refused", now_us, text=answer.text)
    return None


class Dispatch:
    """The batches of a spool that have no outcome yet."""

    def __init__(self, settings: DispatchSettings, random: Random) -> None:
        self._settings = settings
        self._random = random
        self._waiting: dict[int, Spooled] = {}  # oldest first: positions grow
        self._in_flight: dict[int, Spooled] = {}
        self._failures: dict[int, int] = {}
        self._due_us: dict[int, int] = {}

    @property
    def backlog(self) -> int:
        """Batches without an outcome."""
        return len(self._waiting) + len(self._in_flight)

    def offer(self, batches: Iterable[Spooled], acks: Acks) -> None:
        """Batches new in the spool, oldest first; those that have an outcome are left out."""
        for batch in batches:
            if acks.of(batch) is None and batch.position not in self._in_flight:
                self._waiting[batch.position] = batch

    def take(self, now_us: int) -> Spooled | None:
        """The oldest batch that is due; in flight from now on. None: nothing is due, or enough is."""
        if len(self._in_flight) >= self._settings.in_flight_max:
            return None
        for position, batch in self._waiting.items():
            if self._due_us.get(position, 0) <= now_us:
                self._in_flight[position] = self._waiting.pop(position)
                return batch
        return None

    def settled(self, batch: Spooled) -> None:
        """Its outcome is durable."""
        for known in (self._in_flight, self._waiting, self._failures, self._due_us):
            known.pop(batch.position, None)

    def failed(self, batch: Spooled, now_us: int, retry_after_s: float = 0.0) -> None:
        """It got no outcome: it waits, in its old place. (A clock that steps back a long way must not hold
        it: call ``hurry`` then.)"""
        position = batch.position
        if self._in_flight.pop(position, None) is None:
            return
        failures = self._failures[position] = self._failures.get(position, 0) + 1
        longest = min(self._settings.retry_max_s, self._settings.retry_min_s * 2.0 ** min(failures - 1, 30))
        wait_s = max(retry_after_s, longest * (1 - self._random.random() / 3))
        self._due_us[position] = now_us + int(wait_s * 1e6)
        self._waiting[position] = batch
        self._waiting = dict(sorted(self._waiting.items()))

    def hurry(self) -> None:
        """Everything is due now: an endpoint or a token changed."""
        self._due_us.clear()

    def forget_before(self, position: int) -> None:
        """The spool dropped everything before ``position``."""
        for batch in [
            b for b in [*self._waiting.values(), *self._in_flight.values()] if b.position < position
        ]:
            self.settled(batch)
