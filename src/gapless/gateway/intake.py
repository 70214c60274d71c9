"""Batches from a request body to their receipts.

The way of a batch, top to bottom: *plan* (digest, bounds, binding, admission), *append* (the journal's
sync: the one commit point), *settle* (admission learns the position, receipts are signed). Planning and
settling run in one thread of their own, which owns the admission; so the event loop, and with it the
claims, never waits for a digest or for the index.

A crash before the append returned leaves nothing that anybody was told of; if the entries are there all
the same, the index finds them at the next start and the batch, sent again, is a duplicate. A crash after
it is the same: the agent has no receipt and sends again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from gapless.failpoint import reached
from gapless.gateway.access import forbidden
from gapless.gateway.admission import Admission, Duplicate, EpochKey, Fork, InFlight, New, Offer, Row
from gapless.gateway.answers import (
    Forked,
    Result,
    fork_finding,
    identified,
    raise_if_said_to_all,
    without_receipt,
)
from gapless.gateway.chains import Fences
from gapless.gateway.fold import Changes
from gapless.gateway.frames import Arrival, Refusal, examine
from gapless.gateway.index import BatchIndex
from gapless.gateway.metrics import GatewayMetrics
from gapless.gateway.ports import Journal
from gapless.gateway.settings import GatewaySettings
from gapless.gateway.tokens import Token
from gapless.gateway.worker import Worker
from gapless.log.disk import Buffer
from gapless.log.segments import Message
from gapless.model.batch import BatchHeader
from gapless.model.entry import BatchEntry, Kind
from gapless.model.errors import GaplessError, Unavailable
from gapless.model.finding import Finding
from gapless.model.receipt import Receipt
from gapless.model.signing import Signer

_log = structlog.get_logger("gapless.gateway")


class _Plan:
    """One request on its way. Its thread fills it in; whoever waits for one of its batches (see
    ``InFlight``) finds the row in ``rows`` once it is ``settled``, or none if it failed."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us
        self.results: list[Result] = []
        self.errors: list[GaplessError | None] = []
        self.new: list[tuple[int, Offer, Arrival]] = []
        self.waiting: list[tuple[int, Offer, Arrival, _Plan]] = []
        self.findings: dict[EpochKey, Finding] = {}
        self.rows: dict[Offer, Row] = {}
        self.settled = asyncio.Event()

    def messages(self) -> list[Message]:
        """What must be durable before anything of this request is answered: new batches first."""
        batches = [
            Message(Kind.BATCH, msgspec.json.encode(BatchEntry(arrival.header, self.now_us)), arrival.payload)
            for _, _, arrival in self.new
        ]
        return batches + [Message(Kind.FINDING, msgspec.json.encode(f)) for f in self.findings.values()]


class Intake:
    """Takes request bodies of batches. Used from one event loop."""

    def __init__(
        self,
        journal: Journal,
        index: BatchIndex,
        signer: Signer,
        fences: Fences,
        *,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
        now_us: Callable[[], int],
        worker: Worker | None = None,
    ) -> None:
        self._journal = journal
        self._signer = signer
        self._fences = fences
        self._settings = settings
        self._metrics = metrics
        self._now_us = now_us
        self._admission: Admission[_Plan] = Admission(
            index,
            epochs_max=settings.epochs_max,
            under_way_max=settings.batches_in_flight_max,
            unindexed_max=settings.unindexed_batches_max,
        )
        self._worker = worker or Worker("intake")

    async def accept(self, token: Token, body: Buffer) -> list[Result]:
        """The answers for the frames of ``body``, in order; a receipt only for what is durable (I4).

        What is journaled is settled even if the caller is cancelled. Raises Corrupt for a body that is not
        frames, Problem 413 for too many of them, Problem 403 or Busy when that is the answer to all of
        them, and Unavailable when the journal did not take them.
        """
        return await self._worker.finish(self._accept(token, body))

    async def indexed(self, changes: Changes) -> None:
        """The index has taken in these changes, and all before them."""
        for key in changes.fences:
            self._fences.add(key)
        await self._worker.run(self._admission.indexed, changes.position)

    def stalled_s(self) -> float:
        """For how many seconds requests have been under way without one ending."""
        return self._worker.stalled_s()

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._worker.close()

    async def _accept(self, token: Token, body: Buffer) -> list[Result]:
        plan = _Plan(self._now_us())
        try:
            await self._worker.run(self._examine, plan, token, body)
            positions = await self._journal.append(plan.messages())
            reached("batches", "journaled", Unavailable)
            await self._worker.run(self._settle, plan, positions)
            reached("batches", "settled", Unavailable)
        except BaseException:
            # Before any later decision: the worker takes its work in order.
            self._worker.run_later(self._give_up, plan)
            raise
        finally:
            plan.settled.set()
        for at, offer, arrival, other in plan.waiting:
            await other.settled.wait()
            plan.results[at] = self._shared_outcome(offer, arrival, other)
        return plan.results

    # The rest, but for `_shared_outcome`, runs in the worker's thread, which owns the admission.

    def _examine(self, plan: _Plan, token: Token, body: Buffer) -> None:
        for at, frame in enumerate(examine(body, self._settings)):
            try:
                plan.results.append(self._decide(plan, token, at, frame))
                plan.errors.append(None)
            except GaplessError as error:
                plan.results.append(without_receipt(frame.header, error))
                plan.errors.append(error)
        raise_if_said_to_all(plan.errors)
        for refusal in filter(None, plan.errors):
            self._metrics.refused(refusal.code)

    def _decide(self, plan: _Plan, token: Token, at: int, frame: Arrival | Refusal) -> Result:
        """The answer to one frame, as far as it is known by now. Raises the reason for no receipt."""
        header = frame.header
        if header is not None and not token.allows_ingest(header.stream):
            raise forbidden(
                f"this token is not for table {header.stream.table!r} of tenant {header.stream.tenant!r}: "
                "use one that is"
            )
        if isinstance(frame, Refusal):
            raise frame.error
        assert header is not None
        offer = Offer((header.stream.id, header.epoch), header.first, header.next, header.digest)
        decision = self._admission.decide(offer, plan)
        match decision:
            case Duplicate(row):
                self._metrics.duplicate(header, len(frame.payload))
                return self._with_receipt(offer, frame, row)
            case Fork(text):
                self._fence(plan, offer.key, header, text)
                raise Forked(text)
            case InFlight(other):
                plan.waiting.append((at, offer, frame, other))
            case New():
                plan.new.append((at, offer, frame))
        return identified("busy", header)

    def _fence(self, plan: _Plan, key: EpochKey, header: BatchHeader, text: str) -> None:
        """Say once per epoch that it forked."""
        if key in self._fences or key in plan.findings:
            return
        _log.warning("fork", stream=key[0], epoch=key[1], tenant=header.stream.tenant, text=text)
        plan.findings[key] = fork_finding(key, header, text, plan.now_us)

    def _settle(self, plan: _Plan, positions: list[int]) -> None:
        """The commit is done: tell admission, put up fences, then sign receipts."""
        journaled, plan.new = plan.new, []  # from here on nothing of it can be given up
        for (_, offer, _), position in zip(journaled, positions, strict=False):  # findings stand behind
            plan.rows[offer] = self._admission.journaled(offer, position, plan.now_us)
        for key in plan.findings:
            self._fences.add(key)
        for at, offer, arrival in journaled:
            self._metrics.unique(arrival.header, len(arrival.payload))
            plan.results[at] = self._with_receipt(offer, arrival, plan.rows[offer])

    def _give_up(self, plan: _Plan) -> None:
        for _, offer, _ in plan.new:
            self._admission.failed(offer)

    def _with_receipt(self, offer: Offer, arrival: Arrival, row: Row) -> Result:
        """The receipt of a journaled batch: the same bytes whenever it is asked for, because it is made
        from the journal's own row and Ed25519 signs without randomness."""
        header = arrival.header
        receipt = Receipt(
            stream=header.stream,
            epoch=header.epoch,
            first=row.first,
            next=row.next,
            digest=row.digest,
            position=row.position,
            journaled_us=row.journaled_us,
        )
        self._metrics.received(header, len(arrival.payload))
        return Result(
            status="receipt",
            stream=offer.key[0],
            epoch=header.epoch,
            first=header.first,
            next=header.next,
            receipt=self._signer.sign(receipt),
        )

    def _shared_outcome(self, offer: Offer, arrival: Arrival, other: _Plan) -> Result:
        row = other.rows.get(offer)
        if row is None:
            self._metrics.refused("unavailable")
            return without_receipt(
                arrival.header, Unavailable("the journal did not take this batch: send it again")
            )
        self._metrics.duplicate(arrival.header, len(arrival.payload))
        return self._with_receipt(offer, arrival, row)
