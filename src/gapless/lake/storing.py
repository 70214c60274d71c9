"""Batches of one tenant to files and postings: the middle of a step, between the journal and the commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gapless.lake.catalog import Account, Notice
from gapless.lake.changes import EpochKey, NewPosting, StepCommit
from gapless.lake.decode import Decoded
from gapless.lake.files import TableFiles
from gapless.lake.intake import Batch, Undecodable, unpack
from gapless.lake.limits import StepLimits
from gapless.lake.partition import DayFiles
from gapless.lake.rows import Origins, Piece, quarantine_rows, whole_piece_rows
from gapless.model.errors import Refused, Unavailable
from gapless.model.ranges import Range, RangeSet
from gapless.model.tables import QUARANTINE, TableSchema, table_schema

#: The marks that say a record is not whole; the others only say how its line ended at the source.
_CUT = ("part", "last_part")


class BatchDecoder(Protocol):
    """What turns records into columns: ``gapless.lake.decode.Decoder``."""

    def decode(
        self,
        schema: TableSchema,
        payload: bytes | memoryview | pa.Buffer,
        *,
        received_us: int | NDArray[np.int64],
        marks: Mapping[int, str] | None = None,
    ) -> Decoded: ...


Part = tuple[Piece, memoryview]  # a piece and its records


class TenantStore:
    """One tenant's part of a step. What it writes and posts goes to ``commit``."""

    def __init__(
        self, tenant: str, files: TableFiles, decoder: BatchDecoder, limits: StepLimits, commit: StepCommit
    ) -> None:
        self._tenant = tenant
        self._files = files
        self._decoder = decoder
        self._limits = limits
        self._commit = commit
        self._quarantine = self._day_files(QUARANTINE.name)

    def store(self, table: str, batches: Sequence[Batch]) -> None:
        """Write the new records of batches of one table. Raises Unavailable if the disk refuses."""
        try:
            schema = table_schema(table)
        except Refused:
            for batch in batches:
                self._quarantine_piece(_whole(batch), "unknown_table", f"there is no table {table}")
            return
        day_files = self._day_files(table)
        for chunk in self._chunks(batches):
            self._store_chunk(schema, chunk, day_files)
        day_files.finish(self._commit.files)

    def finish(self) -> None:
        """Write what was quarantined."""
        self._quarantine.finish(self._commit.files)

    def _chunks(self, batches: Iterable[Batch]) -> Iterator[list[Part]]:
        """The batches' records in chunks of bounded size. Batches that cannot be unpacked are quarantined."""
        chunk: list[Part] = []
        records = size = 0
        for batch in batches:
            try:
                payload = unpack(batch, raw_bytes_max=self._limits.raw_bytes_max)
            except Undecodable as error:
                self._quarantine_piece(_whole(batch), error.reason, str(error))
                continue
            for piece, lines in _pieces(batch, payload, self._limits.chunk_records_max):
                count = piece.next - piece.first
                full = size >= self._limits.chunk_bytes_max
                if chunk and (full or records + count > self._limits.chunk_records_max):
                    yield chunk
                    chunk, records, size = [], 0, 0
                chunk.append((piece, lines))
                records += count
                size += len(lines)
        if chunk:
            yield chunk

    def _store_chunk(self, schema: TableSchema, chunk: Sequence[Part], day_files: DayFiles) -> None:
        origins = Origins([piece for piece, _ in chunk])
        try:
            decoded = self._decode(schema, origins, [lines for _, lines in chunk])
        except Undecodable as error:
            if len(chunk) == 1:
                self._quarantine_piece(chunk[0][0], error.reason, str(error))
                return
            for part in chunk:  # only those that are to blame
                self._store_chunk(schema, [part], day_files)
            return
        bad = origins.runs(origins.wanted(decoded.quarantined))
        scattered = {index for index, runs in bad.items() if len(runs) > self._limits.quarantine_runs_max}
        for index in scattered:
            origins.drop(index)
            text = f"its records were good and bad in {len(bad[index])} turns"
            self._quarantine_piece(origins.pieces[index], "scattered", text)
        quarantined = origins.wanted(decoded.quarantined)
        if len(quarantined):
            self._quarantine.write(quarantine_rows(origins, schema.name, quarantined))
        day_files.write(origins.with_identity(origins.wanted(decoded.rows)))
        for index, piece in enumerate(origins.pieces):
            if index not in scattered:
                self._post(piece, bad.get(index, []))

    def _decode(self, schema: TableSchema, origins: Origins, lines: Sequence[memoryview]) -> Decoded:
        """Decode the pieces' records in one go. Raises Undecodable if the decoder fails or miscounts.

        Whatever the decoder stumbles over, the lake must go on: a batch is quarantined rather than tried
        again for ever. Only want of memory is not the batch's fault.
        """
        marks = {
            int(start) + mark.at - (piece.first - piece.batch.header.first): mark.kind
            for start, piece in zip(origins.starts[:-1], origins.pieces, strict=True)
            for mark in piece.batch.header.marks
            if mark.kind in _CUT and piece.first <= piece.batch.header.first + mark.at < piece.next
        }
        payload = lines[0] if len(lines) == 1 else b"".join(lines)
        try:
            decoded = self._decoder.decode(schema, payload, received_us=origins.journaled_us, marks=marks)
        except MemoryError as error:
            raise Unavailable("there is not enough memory to decode a batch: give the lake more") from error
        except Exception as error:
            raise Undecodable("undecodable", f"the decoder failed: {error}") from error
        ordinals = np.concatenate([decoded.rows["_row"].to_numpy(), decoded.quarantined["_row"].to_numpy()])
        if len(ordinals) != len(origins) or not np.array_equal(np.sort(ordinals), np.arange(len(origins))):
            raise Undecodable("undecodable", f"the decoder made {len(ordinals)} of {len(origins)} records")
        return decoded

    def _quarantine_piece(self, piece: Piece, reason: str, text: str) -> None:
        """Quarantine the new records of a piece as one, told from each other by nobody."""
        batch, stream = piece.batch, piece.batch.header.stream
        rows, records = whole_piece_rows(piece, reason)
        self._quarantine.write(rows, records)
        for first, next_ in piece.new:
            self._post_range(batch, "quarantined", (first, next_))
        where = f"records [{piece.first}, {piece.next}) of stream {batch.stream}, epoch {batch.header.epoch}"
        self._commit.notices.append(
            Notice(
                "batch_quarantined", f"{where} were quarantined as a whole: {text}",
                batch.position, batch.until, stream.tenant, stream.table,
            )
        )  # fmt: skip

    def _post(self, piece: Piece, bad: Sequence[Range]) -> None:
        """Post the new records of a piece in their order."""
        if not bad:
            for each in piece.new:
                self._post_range(piece.batch, "stored", each)
            return
        quarantined = RangeSet(bad)
        turns: list[tuple[Range, Account]] = [(each, "quarantined") for each in bad]
        for first, next_ in piece.new:
            turns += [(each, "stored") for each in quarantined.holes(first, next_)]
        for each, account in sorted(turns):
            self._post_range(piece.batch, account, each)

    def _post_range(self, batch: Batch, account: Account, range_: Range) -> None:
        stream = batch.header.stream
        key = EpochKey(stream.tenant, stream.table, batch.stream, batch.header.epoch)
        self._commit.post(NewPosting(key, account, *range_, batch.position, batch.until))

    def _day_files(self, table: str) -> DayFiles:
        return DayFiles(self._files, self._tenant, table, days_max=self._limits.days_max)


def _whole(batch: Batch) -> Piece:
    return Piece(batch, batch.header.first, batch.header.next)


def _pieces(batch: Batch, payload: bytes, records_max: int) -> Iterator[Part]:
    """A batch's records in pieces of at most ``records_max``."""
    header, view = batch.header, memoryview(payload)
    if header.count <= records_max:
        yield _whole(batch), view
        return
    newlines = np.flatnonzero(np.frombuffer(payload, np.uint8) == ord("\n"))
    start = 0
    for at in range(0, header.count, records_max):
        stop = min(at + records_max, header.count)
        end = int(newlines[stop - 1]) + 1
        yield Piece(batch, header.first + at, header.first + stop), view[start:end]
        start = end
