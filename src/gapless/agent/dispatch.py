"""What to send next, and what an answer means. Pure: no clock, no thread, no connection.

Oldest first, several in flight, and no budget of retries: whatever is neither received nor refused is
sent again, for as long as it takes. Batches that got no receipt share the line with those never sent,
turn by turn, so that neither holds up the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from random import Random
from typing import Literal

import msgspec

from gapless.agent.acks import Acks, Outcome
from gapless.agent.follow import Spooled
from gapless.agent.refused import RefusedBatches
from gapless.model.errors import Refused
from gapless.model.receipt import Receipt
from gapless.model.signing import Signed, verify

_MOST = {"in_flight_max": 256, "request_bytes_max": 1 << 30, "request_batches_max": 1 << 20}


class UploadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How batches are sent. The defaults are within the gateway's bounds.

    ``in_flight_max``: requests under way at once.
    ``request_bytes_max``: batches share a request up to so many bytes; a larger batch has one of its own.
    ``request_batches_max``: batches in one request.
    ``connect_timeout_s``: how long to wait for one address of a name; for all, ``io_timeout_s``.
    ``io_timeout_s``: how long to wait until some bytes move, either way.
    ``attempt_s_max``: how long one request may take. A large batch must fit through the line in it.
    ``reresolve_s``: how long a connection is used before its host's name is looked up again.
    ``retry_min_s``: how long a batch without receipt waits, or a URL without answer; twice as long each
    time; a third of it by chance.
    ``retry_max_s``: the longest that they wait, also where the gateway asks for more.
    ``refused_retry_s``: how often a batch of each stream that the gateway refused is sent again; once it is
    taken, all of them are.
    ``failback_s``: how often the preferred URL is tried while another is in use.
    """

    in_flight_max: int = 4
    request_bytes_max: int = 1 << 20
    request_batches_max: int = 64
    connect_timeout_s: float = 5.0
    io_timeout_s: float = 8.0
    attempt_s_max: float = 60.0
    reresolve_s: float = 60.0
    retry_min_s: float = 0.5
    retry_max_s: float = 30.0
    refused_retry_s: float = 60.0
    failback_s: float = 60.0

    def faults(self) -> list[str]:
        """Everything that is wrong, each named by its field."""
        faults = [
            f"{name} is {value}: it must be more than 0, and at most {_most(name)}"
            for name, value in msgspec.structs.asdict(self).items()
            if not 0 < value <= _most(name)
        ]
        if self.retry_max_s < self.retry_min_s:
            faults.append("retry_max_s must be at least retry_min_s")
        return faults


def _most(name: str) -> int:
    """The most that a setting may be: longer waits and larger requests than these are mistakes."""
    return 86_400 if name.endswith(("_s", "_s_max")) else _MOST[name]


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


def backoff_s(settings: UploadSettings, failures: int, random: Random) -> float:
    """How long to wait after so many failures in a row (at least 1)."""
    longest_s = min(settings.retry_max_s, settings.retry_min_s * 2.0 ** min(failures - 1, 30))
    return longest_s * (1 - random.random() / 3)


class Dispatch:
    """The batches of a spool without an outcome, or refused. ``now_s`` is a clock that never steps.

    A batch is in exactly one place: never sent, waiting for its time, due again, in flight, or refused. What
    is taken out of ``_known`` is left in its heap and passed over there: positions are never used twice.
    """

    def __init__(self, settings: UploadSettings, random: Random) -> None:
        self.settings = settings
        self._random = random
        self._known: dict[int, Spooled] = {}
        self._refused = RefusedBatches()
        self._offered: list[int] = []  # a heap, of all that the spool had when it was last looked at
        self._in_flight: set[int] = set()
        self._fresh: list[int] = []  # heaps, all three
        self._waiting: list[tuple[float, int]] = []
        self._due: list[int] = []
        self._failures: dict[int, int] = {}
        self._alone: set[int] = set()
        self._again = False  # whose turn it is: those that failed, or the fresh ones

    @property
    def backlog(self) -> int:
        """Batches without an outcome, or whose refusal is tried."""
        return len(self._known)

    @property
    def refused(self) -> int:
        """Batches that were refused, and are tried one at a time."""
        return len(self._refused)

    @property
    def in_flight(self) -> int:
        """Batches taken of which nothing was said since."""
        return len(self._in_flight)

    @property
    def retrying(self) -> int:
        """Batches without an outcome that were sent for nothing."""
        return len(self._failures)

    def offer(self, batches: Iterable[Spooled], acks: Acks) -> None:
        """Batches new in the spool; those that have an outcome are left out, or wait among the refused."""
        for batch in batches:
            outcome = acks.of(batch)
            if batch.position in self._known or (outcome is not None and outcome.what != "refused"):
                continue
            heappush(self._offered, batch.position)
            if outcome is not None:
                self._refused.add(batch, float("-inf"))
            else:
                self._known[batch.position] = batch
                heappush(self._fresh, batch.position)

    def due(self, now_s: float) -> bool:
        """Whether ``take`` would give anything."""
        self._send_again(self._refused.due(now_s))
        while self._waiting and self._waiting[0][0] <= now_s:
            heappush(self._due, heappop(self._waiting)[1])
        for heap in (self._fresh, self._due):
            while heap and heap[0] not in self._known:
                heappop(heap)
        return bool(self._fresh or self._due)

    def take(self, now_s: float) -> tuple[Spooled, ...]:
        """The batches of the next request, in flight from now on; none if nothing is due."""
        if not self.due(now_s):
            return ()
        self._again = bool(self._due) and (not self._again or not self._fresh)
        heap = self._due if self._again else self._fresh
        taken: list[Spooled] = []
        room_bytes = self.settings.request_bytes_max
        while heap and len(taken) < self.settings.request_batches_max:
            batch = self._known.get(heap[0])
            if batch is not None:
                room_bytes -= batch.next_position - batch.position
                if taken and (room_bytes < 0 or batch.position in self._alone):
                    break
                taken.append(batch)
            heappop(heap)
            if batch is not None and batch.position in self._alone:
                break
        self._in_flight.update(batch.position for batch in taken)
        return tuple(taken)

    def settled(self, batch: Spooled, what: Literal["receipt", "refused", "damaged"], now_s: float) -> None:
        """Its outcome is durable."""
        wanted = batch.position in self._known  # and was not withdrawn meanwhile
        self._drop(batch.position)
        if what == "refused" and wanted:
            self._refused.add(batch, now_s + self.settings.refused_retry_s)
        elif what == "receipt":
            self._send_again(self._refused.received(batch.position))
        elif what == "damaged":
            self._refused.drop(batch.position)

    def put_back(self, batch: Spooled) -> None:
        """It was not sent: it is due, in its old place."""
        position = batch.position
        if self._landed(position):
            heappush(self._due if position in self._failures else self._fresh, position)

    def failed(self, batch: Spooled, now_s: float, *, wait_s: float = 0.0, alone: bool = False) -> None:
        """It was sent and got no outcome: it waits, at least ``wait_s``. ``alone``: it may be the reason
        that others got none; it has requests of its own from now on."""
        position = batch.position
        if not self._landed(position):
            return
        failures = self._failures[position] = self._failures.get(position, 0) + 1
        wait_s = max(wait_s, backoff_s(self.settings, failures, self._random))
        heappush(self._waiting, (now_s + wait_s, position))
        if alone:
            self._alone.add(position)

    def hurry(self) -> None:
        """Everything is due now, of the refused the next: an endpoint or a token changed."""
        self._refused.hurry()
        self._due += [position for _, position in self._waiting]
        heapify(self._due)
        self._waiting.clear()

    def withdraw(self, positions: Iterable[int]) -> None:
        """These batches are not to be sent any more."""
        for position in positions:
            self._drop(position)
            self._refused.drop(position)

    def forget_before(self, position: int) -> None:
        """The spool dropped everything before ``position``."""
        while self._offered and self._offered[0] < position:
            self.withdraw((heappop(self._offered),))

    def _send_again(self, batches: Iterable[Spooled]) -> None:
        for batch in batches:
            self._known[batch.position] = batch
            heappush(self._due, batch.position)

    def _landed(self, position: int) -> bool:
        """It is not in flight any more. False: nor is anything else to be done with it."""
        if position not in self._in_flight:
            return False
        self._in_flight.remove(position)
        return position in self._known

    def _drop(self, position: int) -> None:
        self._known.pop(position, None)
        self._failures.pop(position, None)
        self._in_flight.discard(position)
        self._alone.discard(position)
