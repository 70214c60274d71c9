"""Uploads to the journal: the gateway as the agent of the streams of data collection rules.

The way of an upload: *prepared* in a thread (unpacked, cut into records, compressed), *planned* by the book
(which seqs, or seen before), *appended* (the journal's sync: the one commit point), *settled* (the book
counts, the client is answered). One task plans and appends, everything that waits at a time: so a write that
fails has given no seq away, and what is claimed is never ahead of what is durable.

A crash before the append returned leaves nothing that anybody was told of; if the entries are there all the
same, the next start counts on behind them, and knows the request when it comes again.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, compress
from uuid import uuid4

import msgspec
import structlog

from gapless.failpoint import reached
from gapless.gateway.budget import Budget
from gapless.gateway.index import BatchIndex
from gapless.gateway.metrics import GatewayMetrics
from gapless.gateway.ports import Journal, Sieve
from gapless.gateway.settings import GatewaySettings
from gapless.gateway.uploads.book import Arrival, Part, UploadBook
from gapless.gateway.uploads.payloads import expand, lines_of, pack, records_of
from gapless.gateway.uploads.rounds import Rounds
from gapless.gateway.uploads.rules import RuleRequest, new_rule
from gapless.gateway.uploads.witness import Witness
from gapless.gateway.worker import Worker
from gapless.log.disk import Buffer
from gapless.log.segments import Message
from gapless.model.batch import BatchHeader, Upload
from gapless.model.declared import Declared, check_columns
from gapless.model.entry import BatchEntry, ClaimsEntry, Kind, RuleEntry
from gapless.model.errors import Busy, GaplessError, Refused, Unavailable
from gapless.model.rule import Effect, Rule, RuleStream
from gapless.model.signing import Signer
from gapless.model.stream import GATEWAY_AGENT

_log = structlog.get_logger("gapless.gateway")

_RETRY_S = 1.0

#: So long after an upload claims are still made as often: from the gateway's last sign of life a later start
#: tells whether the upload's client was told (``memory``).
_QUIET_AFTER_S = 15.0

#: Of the id that a client gives its request (Azure's clients send a UUID).
REQUEST_CHARACTERS_MAX = 64

_Change = RuleEntry | Arrival


class _Waiter:
    """Something that is to be journaled, and who waits for it."""

    def __init__(self, change: _Change) -> None:
        self.change = change
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()


class Uploads:
    """Takes uploads and rules, and claims what it has. Used from one event loop."""

    def __init__(
        self,
        journal: Journal,
        index: BatchIndex,
        signer: Signer,
        sieve: Sieve,
        *,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
        now_us: Callable[[], int],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._index = index
        self._signer = signer
        self._sieve = sieve
        self._settings = settings
        self._metrics = metrics
        self._now_us = now_us
        self._monotonic_s = monotonic_s
        self._worker = Worker("uploads")
        # A transform may take seconds: uploads that nothing filters do not wait behind it.
        self._sieving = Worker("transforms")
        self._filtered = Budget(
            "uploads for rules that filter",
            count_max=settings.uploads_filtered_in_flight_max,
            bytes_max=settings.uploads_filtered_in_flight_max * settings.upload_bytes_max,
        )
        self._book: UploadBook | None = None
        self._witness: Witness | None = None
        self._rounds = Rounds(
            interval_s=settings.own_claims_interval_s,
            quiet_interval_s=settings.own_quiet_claims_interval_s,
            quiet_after_s=_QUIET_AFTER_S,
        )
        self._waiting: list[_Waiter] = []
        self._wake = asyncio.Event()
        self._stopping = False
        self._claims_due_s = 0.0
        self._task: asyncio.Task[None] | None = None
        #: Set when uploads are taken.
        self.ready = asyncio.Event()

    def start(self, complete: asyncio.Event) -> None:
        """Begin to work once the index is ``complete``; until then everything is answered Busy."""
        self._task = asyncio.create_task(self._run(complete))

    async def stop(self) -> None:
        """Finish what is under way."""
        await self._worker.close()
        await self._sieving.close()
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            if self._book is None:
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def stalled_s(self) -> float:
        """For how many seconds uploads have been under way without one ending."""
        return self._worker.stalled_s()

    def rules(self) -> list[Rule]:
        """The rules in force, oldest first. Raises Busy while the index is catching up."""
        return list(self._ready().rules.values())

    def rule(self, id_: str) -> Rule | None:
        """The rule of that id. Raises Busy while the index is catching up."""
        return self._ready().rules.get(id_)

    def declared(self, tenant: str) -> dict[str, Declared]:
        """What rules declare of the tenant's custom tables, by table. Raises Busy while the index is catching
        up."""
        tables = self._ready().declared.items()
        return {table: declared for (of, table), declared in tables if of == tenant}

    async def accept(
        self, rule: Rule, stream: RuleStream, body: Buffer, *, encoding: str, request: str
    ) -> Upload:
        """Take the records of a body; durable on return, also if the caller is cancelled. ``request`` is the
        id that the client gave the request.

        Raises Problem for a body that cannot be, Refused when the rule was deleted meanwhile, and Busy or
        Unavailable when the journal did not take it.
        """
        return await self._worker.finish(self._accept(rule, stream, body, encoding, request))

    def untold(self, upload: Upload) -> None:
        """The client was gone when ``accept`` returned: it may send the same once more."""
        self._ready().untold(upload)

    async def create(self, wanted: RuleRequest, *, by: str) -> Rule:
        """Put a rule in force; durable on return. Raises Refused for one that cannot be, has a transform that
        is not supported, or contradicts another, or when there are too many, and what the journal raises."""
        if len(self._ready().rules) >= self._settings.rules_max:
            raise Refused(f"there are {self._settings.rules_max} rules already: delete one first")
        rule = new_rule(wanted, by=by, now_us=self._now_us())
        streams = [await self._with_effect(stream) for stream in rule.streams]
        rule = msgspec.structs.replace(rule, streams=tuple(streams))
        await self._journaled(RuleEntry(rule.created_us, by, rule))
        return rule

    async def _with_effect(self, stream: RuleStream) -> RuleStream:
        effect = await self._sieving.run(self._sieve.check, stream) if stream.transforms else Effect()
        return msgspec.structs.replace(stream, effect=effect)

    async def delete(self, rule: Rule, *, by: str) -> None:
        """End a rule and its streams for good; durable on return. Raises what the journal raises."""
        await self._journaled(RuleEntry(self._now_us(), by, rule, deleted=True))

    async def _accept(
        self, rule: Rule, stream: RuleStream, body: Buffer, encoding: str, request: str
    ) -> Upload:
        received_us = self._now_us()
        data, content = await self._worker.run(self._unpacked, rule, stream, body, encoding)
        upload = Upload(rule.id, content, request[:REQUEST_CHARACTERS_MAX], time=stream.effect.time)
        if self._ready().seen(upload, received_us):
            self._ready().told(upload)
            self._metrics.upload("repeated")
            return upload
        if stream.filters:
            with self._filtered.hold(1, len(data), by=(f"tenant {rule.tenant}",)):
                parts = await self._sieving.run(self._parts, rule, stream, data, received_us)
        else:
            parts = await self._worker.run(self._parts, rule, stream, data, received_us)
        if parts:
            new = await self._journaled(Arrival(upload, parts, received_us))
            # A crash here leaves an upload whose client was not told: it is known when it comes again.
            reached("uploads", "journaled", Unavailable)
            self._metrics.upload("stored" if new else "repeated")
        return upload

    def _unpacked(self, rule: Rule, stream: RuleStream, body: Buffer, encoding: str) -> tuple[bytes, str]:
        """What was sent, and its digest: the same bytes for another stream are other content."""
        data = expand(body, encoding, bytes_max=self._settings.upload_bytes_max)
        digest = hashlib.sha256(f"{rule.id}\x00{stream.name}\x00".encode())
        digest.update(data)
        return data, digest.hexdigest()

    def _parts(self, rule: Rule, stream: RuleStream, data: bytes, received_us: int) -> tuple[Part, ...]:
        records = records_of(data)
        kept, filtered = records, list[msgspec.Raw]()
        if stream.filters and records:
            mask = self._sieve.kept(rule.key(stream), stream, lines_of(records), received_us)
            kept, filtered = list(compress(records, mask)), list(compress(records, ~mask))
        parts = []
        if filtered:
            parts.append(Part(rule.filtered_key(stream), pack(filtered), filtered=True))
        if kept:
            parts.append(Part(rule.key(stream), pack(kept)))
        return tuple(parts)

    async def _journaled(self, change: _Change) -> bool:
        """Whether the change was new; it is durable either way."""
        self._ready()
        waiter = _Waiter(change)
        self._waiting.append(waiter)
        self._wake.set()
        return await waiter.done

    def _ready(self) -> UploadBook:
        if self._book is None:
            raise Busy("the gateway is reading its journal: send it again in a moment")
        return self._book

    # The one task that changes the book.

    async def _run(self, complete: asyncio.Event) -> None:
        await complete.wait()
        book, witness = await self._remember()
        while not self._stopping or self._waiting:
            await self._wait()
            group, self._waiting = self._waiting, []
            await self._commit(book, witness, group)

    async def _remember(self) -> tuple[UploadBook, Witness]:
        while True:
            try:
                known = await asyncio.to_thread(
                    self._index.uploads, uploads_max=self._settings.uploads_remembered_max
                )
                last = await asyncio.to_thread(
                    self._index.chain, (GATEWAY_AGENT, self._signer.public_key.lower())
                )
                break
            except GaplessError as error:
                _log.warning("uploads_wait", error=str(error))
                await asyncio.sleep(_RETRY_S)
        settings = self._settings
        self._book = UploadBook(
            known,
            window_us=int(settings.retry_window_s * 1e6),
            uploads_max=settings.uploads_remembered_max,
            mint=lambda: uuid4().hex,
        )
        self.ready.set()
        return self._book, Witness(self._signer, last)

    async def _wait(self) -> None:
        """Until something is to be done, or claims are due."""
        try:
            left_s = max(0.0, self._claims_due_s - self._monotonic_s())
            await asyncio.wait_for(self._wake.wait(), left_s)
        except TimeoutError:
            pass
        self._wake.clear()

    async def _commit(self, book: UploadBook, witness: Witness, group: Sequence[_Waiter]) -> None:
        now_us = self._now_us()
        arrivals = list(self._admitted(book, group))
        headers = book.plan((arrival for _, arrival in arrivals), now_us)
        changes = list(self._possible(book, group))
        messages = [
            Message(
                Kind.BATCH,
                msgspec.json.encode(BatchEntry(header, now_us)),
                arrival.payload(header.stream).data,
            )
            for batches, (_, arrival) in zip(headers, arrivals, strict=True)
            for header in batches
        ]
        messages += [Message(Kind.RULE, msgspec.json.encode(waiter.change)) for waiter in changes]
        if await self._append(messages, group):
            book.journaled(chain.from_iterable(headers), now_us)
            for batches, (waiter, arrival) in zip(headers, arrivals, strict=True):
                if not batches:
                    book.told(arrival.upload)
                self._answer(waiter, batches, arrival)
            for waiter in changes:
                self._change(book, waiter)
        if self._claims_due_s <= self._monotonic_s():
            await self._claim(book, witness)

    def _admitted(self, book: UploadBook, group: Iterable[_Waiter]) -> Iterable[tuple[_Waiter, Arrival]]:
        for waiter in group:
            if isinstance(waiter.change, Arrival):
                if book.counts(waiter.change):
                    yield waiter, waiter.change
                else:
                    _settle(waiter, Refused("the rule was deleted meanwhile: use another"))

    def _possible(self, book: UploadBook, group: Iterable[_Waiter]) -> Iterable[_Waiter]:
        """The changes of rules, but for rules that contradict one in force, or one before them."""
        rules = dict(book.rules)
        for waiter in group:
            if isinstance(waiter.change, RuleEntry):
                rule = waiter.change.rule
                try:
                    if not waiter.change.deleted:
                        check_columns(rule, rules.values(), book.declared)
                        rules[rule.id] = rule
                except Refused as error:
                    _settle(waiter, error)
                else:
                    yield waiter

    async def _append(self, messages: Sequence[Message], group: Iterable[_Waiter]) -> bool:
        """Whether the messages are durable. If not, those who wait are told why."""
        try:
            await self._journal.append(messages)
            return True
        except GaplessError as error:
            failure: GaplessError = error
        except Exception:
            _log.exception("uploads_failed")
            failure = Unavailable("the gateway failed to journal this: send it again")
        for waiter in group:
            _settle(waiter, failure)
        return False

    def _answer(self, waiter: _Waiter, batches: Sequence[BatchHeader], arrival: Arrival) -> None:
        for header in batches:
            size = len(arrival.payload(header.stream).data)
            self._metrics.unique(header, size)
            self._metrics.received(header, size)
        _settle(waiter, bool(batches))

    def _change(self, book: UploadBook, waiter: _Waiter) -> None:
        entry = waiter.change
        assert isinstance(entry, RuleEntry)
        if not entry.deleted:
            book.add(entry.rule)
        elif entry.rule.id in book.rules:  # asked twice at once: the second finds it done
            book.remove(entry.rule)
        self._claims_due_s = 0.0
        _settle(waiter, True)

    async def _claim(self, book: UploadBook, witness: Witness) -> None:
        """Say what is in the streams that are due. A crash before the append leaves claims that were never
        made; what cannot be said now is said when the next are due."""
        now_us = self._now_us()
        rounds = self._rounds.due(book.claims(now_us), self._monotonic_s())
        signed = witness.state(rounds, now_us)
        entries = [Message(Kind.CLAIMS, msgspec.json.encode(ClaimsEntry(each, now_us))) for each in signed]
        if await self._append(entries, ()):
            witness.journaled()
            self._rounds.made()
            book.claimed(claim for each in rounds.values() for claim in each.streams)
        self._claims_due_s = self._monotonic_s() + self._settings.own_claims_interval_s


def _settle(waiter: _Waiter, outcome: bool | GaplessError) -> None:
    if waiter.done.done():  # cancelled: nobody waits
        return
    if isinstance(outcome, GaplessError):
        waiter.done.set_exception(type(outcome)(str(outcome)))  # waiters must not share one traceback
    else:
        waiter.done.set_result(outcome)
