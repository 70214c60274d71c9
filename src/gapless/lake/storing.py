"""Batches of one tenant to files and postings: the middle of a step, between the journal and the commit.

Records are decoded in a thread of their own, one chunk ahead of the rows that are written meanwhile. All that
changes the disk or the commit is done in the caller's thread, in the order of the chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import chain, groupby

from gapless.lake.ahead import OneAhead
from gapless.lake.changes import NewPosting, StepCommit
from gapless.lake.chunks import BatchDecoder, Chunk, DecodedChunk, RefusedPiece, chunks, decode, whole
from gapless.lake.facts import Account, EpochKey, Notice
from gapless.lake.files import TableFiles
from gapless.lake.intake import Batch, Undecodable
from gapless.lake.limits import StepLimits
from gapless.lake.partition import DayFiles
from gapless.lake.rows import Piece, quarantine_rows, whole_piece_rows
from gapless.model.errors import Refused
from gapless.model.ranges import Range, RangeSet
from gapless.model.tables import QUARANTINE, table_schema

_ONCE_STORED: tuple[Account, ...] = ("stored", "expired")


def post_expired(batch: Batch, commit: StepCommit) -> None:
    """Account for a batch that a lake had stored and expired: this one is made anew, and the journal has its
    records no more."""
    stream = batch.header.stream
    key = EpochKey(stream.tenant, stream.table, batch.stream, batch.header.epoch)
    for account in _ONCE_STORED:
        for each in batch.new:
            commit.post(NewPosting(key, account, *each, batch.position, batch.until))


class TenantStore:
    """One tenant's part of a step. What it writes and posts goes to ``commit``."""

    def __init__(
        self,
        tenant: str,
        files: TableFiles,
        decoder: BatchDecoder,
        ahead: OneAhead,
        limits: StepLimits,
        commit: StepCommit,
    ) -> None:
        self._tenant = tenant
        self._files = files
        self._decode = partial(decode, decoder)
        self._ahead = ahead
        self._limits = limits
        self._commit = commit
        self._quarantine = self._day_files(QUARANTINE.name)

    def store(self, tables: Mapping[str, Sequence[Batch]]) -> None:
        """Write the new records of batches, given by table. Raises Unavailable if the disk refuses."""
        with closing(self._ahead.map(self._decode, self._chunks(tables))) as decoded:
            outcomes = chain.from_iterable(decoded)
            for table, of_table in groupby(outcomes, lambda outcome: outcome.schema.name):
                day_files = self._day_files(table)
                for outcome in of_table:
                    self._store(outcome, day_files)
                day_files.finish(self._commit.files)
        self._quarantine.finish(self._commit.files)

    def _chunks(self, tables: Mapping[str, Sequence[Batch]]) -> Iterator[Chunk]:
        for table, of_table in tables.items():
            batches = [batch for batch in of_table if not self._filtered(batch)]
            try:
                schema = table_schema(table)
            except Refused:
                for batch in batches:
                    self._quarantine_piece(whole(batch), "unknown_table", f"there is no table {table}")
                continue
            yield from chunks(schema, batches, self._limits, self._refuse)

    def _filtered(self, batch: Batch) -> bool:
        """Whether a rule keeps the batch out of its table; its new records are posted so."""
        upload = batch.header.upload
        if upload is None or not upload.filtered:
            return False
        for each in batch.new:
            self._post_range(batch, "filtered", each)
        return True

    def _refuse(self, batch: Batch, error: Undecodable) -> None:
        self._quarantine_piece(whole(batch), error.reason, str(error))

    def _store(self, outcome: DecodedChunk | RefusedPiece, day_files: DayFiles) -> None:
        if isinstance(outcome, RefusedPiece):
            self._quarantine_piece(outcome.piece, outcome.error.reason, str(outcome.error))
            return
        origins, decoded = outcome.origins, outcome.decoded
        bad = origins.runs(origins.wanted(decoded.quarantined))
        scattered = {index for index, runs in bad.items() if len(runs) > self._limits.quarantine_runs_max}
        for index in scattered:
            origins.drop(index)
            text = f"its records were good and bad in {len(bad[index])} turns"
            self._quarantine_piece(origins.pieces[index], "scattered", text)
        quarantined = origins.wanted(decoded.quarantined)
        if len(quarantined):
            self._quarantine.write(quarantine_rows(origins, outcome.schema.name, quarantined))
        day_files.write(origins.with_identity(origins.wanted(decoded.rows)))
        for index, piece in enumerate(origins.pieces):
            if index not in scattered:
                self._post(piece, bad.get(index, []))

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
