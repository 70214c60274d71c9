"""``GET /v1/records/{stream}/{epoch}/{seq}``: one record, wherever it is, and the proof that it came.

The bytes come from the journal, which holds them as their source wrote them; where they came to rest is the
lake's word; of what never came, the books' word.
"""

from __future__ import annotations

import asyncio
import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from gapless.gateway.access import forbidden
from gapless.gateway.admission import Row
from gapless.gateway.budget import Budget
from gapless.gateway.gateway import Gateway
from gapless.gateway.keys import receipt_signer
from gapless.gateway.problems import json_response
from gapless.gateway.tokens import Token
from gapless.lake.catalog import Catalog
from gapless.lake.engine import engine, rows_of
from gapless.lake.find import Found, find_row
from gapless.lake.intake import Batch, Undecodable, take, unpack
from gapless.ledger.ledger import Ledger, StreamBook
from gapless.log.disk import OsDisk
from gapless.log.port import EntryReader
from gapless.model.batch import payload_digest
from gapless.model.errors import Corrupt, Refused, Unavailable
from gapless.model.receipt import Receipt
from gapless.model.stream import StreamKey, check_epoch, check_name
from gapless.model.tables import QUARANTINE
from gapless.platform.auditor_reader import BooksReader
from gapless.platform.audits import iso
from gapless.platform.record_answer import BatchShown, Place, RecordAnswer, Rest, Wanted
from gapless.platform.record_books import not_found, unjournaled

#: Requests that may wait for their turn. One at a time is answered: each may unpack a whole batch.
_WAITING_MAX = 16
_MEMORY_BYTES_MAX = 256 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_STREAM = re.compile(r"[0-9a-f]{32}\Z")
_SEQ = re.compile(r"[0-9]{1,18}\Z")


class _Journaled(NamedTuple):
    """What the index knows of a batch, and the batch itself unless the journal is damaged there."""

    row: Row
    batch: Batch | None


class Records:
    """Looks records up, one at a time. ``reader`` is of its own; ``directory`` is the platform's."""

    def __init__(
        self, gateway: Gateway, catalog: Catalog, reader: EntryReader, books: BooksReader, directory: str
    ) -> None:
        self._gateway = gateway
        self._catalog = catalog
        self._reader = reader
        self._books = books
        self._directory = directory
        self._signer, _ = receipt_signer(OsDisk(), f"{directory}/receipt.key")
        self._budget = Budget("requests for a record", count_max=_WAITING_MAX, bytes_max=0)
        self._turn = asyncio.Lock()

    async def record(self, request: Request) -> Response:
        """The handler of ``GET /v1/records/{stream}/{epoch}/{seq}?tenant=&table=``."""
        asked = request.query_params
        token = self._gateway.access.require(request, "read", asked.get("tenant"))
        if "tenant" not in asked or "table" not in asked:
            raise Refused("name the record's tenant and table: ?tenant=T&table=X")
        wanted = _wanted(asked["tenant"], asked["table"], **request.path_params)
        if not token.allows_table(wanted.table):
            raise forbidden(f"this token is not for table {wanted.table}: use one that is")
        with self._budget.hold(1):
            async with self._turn:
                row = await self._gateway.find((wanted.stream, wanted.epoch), wanted.seq)
                answer = await asyncio.to_thread(self._answer, token, wanted, row)
        return json_response(answer)

    def _answer(self, token: Token, wanted: Wanted, row: Row | None) -> RecordAnswer:
        journaled = None if row is None else _Journaled(row, self._batch(row))
        try:
            ledger = self._books.books().ledger
        except Unavailable:
            if journaled is None or journaled.batch is None:
                raise
            ledger = Ledger()
        book = ledger.streams.get(wanted.stream)
        key = _owned(token, wanted, journaled, book)
        rest = self._resting(wanted) if journaled else unjournaled(ledger, wanted)
        shown = RecordAnswer(
            tenant=key.tenant,
            table=key.table,
            agent=key.agent,
            source=key.source,
            stream=wanted.stream,
            epoch=wanted.epoch,
            seq=wanted.seq,
            place=rest.place,
            why=rest.why,
            file=rest.file,
            gap=rest.gap,
            loss=rest.loss,
        )
        return shown if journaled is None else self._with_proof(shown, key, journaled)

    def _batch(self, row: Row) -> Batch | None:
        group = take(
            self._reader,
            row.position,
            group_bytes_max=1,
            entries_max=1,
            raw_bytes_max=self._gateway.settings.raw_bytes_max,
        )
        return group.batches[0] if group.batches else None

    def _with_proof(self, shown: RecordAnswer, key: StreamKey, journaled: _Journaled) -> RecordAnswer:
        """``shown`` with the record's bytes, its batch, and the receipt that its sender was given."""
        row, batch = journaled
        header = batch.header if batch else None
        raw, raw_missing = _raw(batch, shown.seq, self._gateway.settings.raw_bytes_max)
        text, encoding = _as_text(raw)
        receipt = Receipt(
            stream=key,
            epoch=shown.epoch,
            first=row.first,
            next=row.next,
            digest=row.digest,
            position=row.position,
            journaled_us=row.journaled_us,
        )
        marks = {mark.at: mark.kind for mark in header.marks} if header else {}
        return msgspec.structs.replace(
            shown,
            raw=text,
            encoding=encoding,
            raw_bytes=None if raw is None else len(raw),
            raw_missing=raw_missing,
            mark=marks.get(shown.seq - row.first),
            batch=BatchShown(
                first=row.first,
                next=row.next,
                digest=row.digest,
                raw_bytes=header.raw_bytes if header else None,
                read_from=iso(header.read_from_us) if header else None,
                read_to=iso(header.read_to_us) if header else None,
                journaled=iso(row.journaled_us),
            ),
            position=row.position,
            receipt=self._signer.sign(receipt),
        )

    def _resting(self, wanted: Wanted) -> Rest:
        """Where a record is that the journal has: the lake's posting, committed with its row, decides."""
        try:
            postings = self._catalog.postings_of(wanted.stream, wanted.epoch, wanted.seq)
        except Unavailable:
            return Rest("pending", "the journal has it, and the lake does not answer: ask again in a moment")
        match postings[-1].account if postings else None:
            case None:
                return Rest("pending", "the journal has it, and the lake has not taken it in yet")
            case "withdrawn":
                return Rest("pending", "the data file that had its row was damaged: it is made again")
            case "lost":
                return Rest("lost", "the data file that had its row was damaged, and the journal lost it too")
            case "filtered":
                return Rest("filtered", "a rule keeps it out of the tables; the journal has it")
            case "expired":
                return Rest("expired", "its retention is over")
            case account:
                return self._in_the_lake(wanted, account)

    def _in_the_lake(self, wanted: Wanted, account: Place) -> Rest:
        """A record that the lake says it has, with the file that has its row."""
        try:
            found = find_row(
                self._catalog, wanted.tenant, wanted.table, wanted.stream, wanted.epoch, wanted.seq
            )
            if found is None:
                return Rest(account, "no file of the lake has its row: have the lake's files audited")
            why = str(found.row["Reason"]) if found.table == QUARANTINE.name else ""
            return Rest(account, why, self._file(wanted.tenant, found))
        except (Corrupt, Unavailable) as error:
            return Rest(account, f"its row cannot be read: {error}")

    def _file(self, tenant: str, found: Found) -> str | None:
        """The file that has this very row, as a path in the data directory."""
        generated_us = (found.row["TimeGenerated"] - _EPOCH) // timedelta(microseconds=1)
        files = self._catalog.files(tenant, found.table, generated_us, generated_us + 1)
        paths = [file.path for file in files]
        if not paths:
            return None
        known = [found.row[name] for name in ("_Stream", "_Epoch", "_Seq")]
        # `filename` is DuckDB's own column of where a row was read.
        text = f"SELECT filename FROM {rows_of(paths)} WHERE _Stream = ? AND _Epoch = ? AND _Seq = ? LIMIT 1"
        with engine(memory_bytes_max=_MEMORY_BYTES_MAX) as connection:
            held = connection.execute(text, known).fetchone()
        return None if held is None else str(held[0]).removeprefix(f"{self._directory}/")


def _wanted(tenant: str, table: str, stream: str, epoch: str, seq: str) -> Wanted:
    """Raises Refused for what identifies no record."""
    check_name("tenant", tenant)
    check_epoch(epoch)
    if not _STREAM.match(stream):
        raise Refused(f"stream {stream[:40]!r} is not 32 lower-case hex digits: copy it from `gapless audit`")
    if not _SEQ.match(seq):
        raise Refused(f"seq {seq[:40]!r} is not a number: give the record's _Seq")
    return Wanted(tenant, table, stream, epoch, int(seq))


def _owned(token: Token, wanted: Wanted, journaled: _Journaled | None, book: StreamBook | None) -> StreamKey:
    """The stream's names. Raises Problem 404 if it is another; of those that the token is not for, not even
    that they exist is said."""
    key = book.key if book else None
    if journaled is not None and journaled.batch is not None:
        key = journaled.batch.header.stream
    if key is None or key.tenant != wanted.tenant or not token.allows_table(key.table):
        raise not_found(
            f"tenant {wanted.tenant} has no record {wanted.id}: take the id from a query, as "
            "_Stream || '/' || _Epoch || '/' || _Seq"
        )
    if key.table != wanted.table:
        raise not_found(f"the records of stream {wanted.stream} are in table {key.table}: ask for it there")
    return key


def _raw(batch: Batch | None, seq: int, raw_bytes_max: int) -> tuple[bytes | None, str | None]:
    """The record's bytes, if they can be told, else why not."""
    if batch is None:
        return None, "the journal is damaged where its batch stood: have it audited"
    if batch.dropped:
        return None, "its retention is over, and the journal dropped it"
    if payload_digest(batch.body) != batch.header.digest:
        return None, "the batch's payload is not what its digest says: have the journal audited"
    try:
        payload = unpack(batch, raw_bytes_max=raw_bytes_max)
    except Undecodable as error:
        return None, f"no record can be told from the next in its batch: {error}"
    ends = np.flatnonzero(np.frombuffer(payload, np.uint8) == ord("\n"))
    at = seq - batch.header.first
    start = int(ends[at - 1]) + 1 if at else 0
    return payload[start : int(ends[at])], None


def _as_text(raw: bytes | None) -> tuple[str | None, Literal["utf-8", "base64"] | None]:
    if raw is None:
        return None, None
    try:
        return raw.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode(), "base64"
