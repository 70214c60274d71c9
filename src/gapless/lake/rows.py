"""Decoded records to stored rows: whose record each row is, and the rows of quarantine.

Everything here is in terms of ordinals: the records of some batches of one table, one after the other,
counted from 0. Work is per batch or per run of records, in native loops, never per record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gapless.lake.decode import Fault
from gapless.lake.intake import Batch
from gapless.model.ranges import Range, RangeSet
from gapless.model.tables import QUARANTINE, SYSTEM_COLUMNS

_NOT_UTF8 = Fault.NOT_UTF8.reason
_TIMESTAMP = pa.timestamp("us", "UTC")

Ordinals = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Piece:
    """Records ``[first, next)`` of a batch: all of it, unless it has very many."""

    batch: Batch
    first: int
    next: int

    @property
    def new(self) -> list[Range]:
        """Those of its seqs that the lake does not account for yet."""
        return RangeSet(self.batch.new).overlap(self.first, self.next)


class Origins:
    """Which piece and seq each ordinal is; and which ordinals are to be stored at all."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = pieces
        counts = np.array([piece.next - piece.first for piece in pieces], np.int64)
        self.starts: Ordinals = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
        self._first_seqs = np.array([piece.first for piece in pieces], np.int64)
        self._journaled_us = np.array([piece.batch.journaled_us for piece in pieces], np.int64)
        self.journaled_us: Ordinals = np.repeat(self._journaled_us, counts)
        self._wanted: NDArray[np.bool_] | None = None
        for index, piece in enumerate(pieces):
            new = piece.new
            if new != [(piece.first, piece.next)]:
                self.drop(index)
                for first, next_ in new:
                    self._mark(index, first, next_, True)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def drop(self, index: int) -> None:
        """Want no record of a piece any more."""
        piece = self.pieces[index]
        self._mark(index, piece.first, piece.next, False)

    def wanted(self, table: pa.Table) -> pa.Table:
        """The rows of ``table`` (by their ``_row``) that are to be stored."""
        if self._wanted is None:
            return table
        return table.filter(pa.array(self._wanted[_row(table)]))

    def _piece_of(self, ordinals: Ordinals) -> Ordinals:
        """The index of the piece that holds each ordinal."""
        return np.searchsorted(self.starts, ordinals, side="right") - 1

    def runs(self, table: pa.Table) -> dict[int, list[Range]]:
        """The seqs of the rows of ``table``, as ranges by the index of their piece. Ascending in ``_row``."""
        ordinals = _row(table)
        if not len(ordinals):
            return {}
        piece = self._piece_of(ordinals)
        begins = np.flatnonzero((np.diff(ordinals, prepend=-2) != 1) | (np.diff(piece, prepend=-1) != 0))
        ends = np.append(begins[1:], len(ordinals)) - 1
        which = piece[begins]
        shift = self._first_seqs[which] - self.starts[which]
        firsts, nexts = ordinals[begins] + shift, ordinals[ends] + shift + 1
        edges = np.flatnonzero(np.diff(which, prepend=-1))
        runs: dict[int, list[Range]] = {}
        for at, end in zip(edges, np.append(edges[1:], len(which)), strict=True):
            runs[int(which[at])] = list(zip(firsts[at:end].tolist(), nexts[at:end].tolist(), strict=True))
        return runs

    def with_identity(self, table: pa.Table) -> pa.Table:
        """``table`` with the system columns that say whose record each row is, in the place of ``_row``."""
        ordinals = _row(table)
        piece = self._piece_of(ordinals)
        batches = [each.batch for each in self.pieces]
        identity = {
            "_IngestionTime": _times(self._journaled_us[piece]),
            "_Stream": _pick([batch.stream for batch in batches], piece),
            "_Epoch": _pick([batch.header.epoch for batch in batches], piece),
            "_Seq": pa.array(ordinals - self.starts[piece] + self._first_seqs[piece]),
        }
        table = table.drop_columns(["_row"])
        for name, values in identity.items():
            table = table.append_column(name, values)
        return table

    def _mark(self, index: int, first: int, next_: int, wanted: bool) -> None:
        if self._wanted is None:
            self._wanted = np.ones(len(self), np.bool_)
        shift = int(self.starts[index] - self._first_seqs[index])
        self._wanted[first + shift : next_ + shift] = wanted


def quarantine_rows(origins: Origins, table: str, quarantined: pa.Table) -> pa.Table:
    """Rows of the QUARANTINE table for lines that could not be decoded (``_row``, ``Reason``, ``Raw``)."""
    raw = quarantined["Raw"].combine_chunks()
    text, encoding = _as_text(raw, pc.equal(quarantined["Reason"], _NOT_UTF8).to_numpy())
    count = len(raw)
    rows = pa.table(
        {
            "TimeGenerated": _times(origins.journaled_us[_row(quarantined)]),
            "Table": _all(table, count),
            "Reason": quarantined["Reason"],
            "RawData": text,
            "RawEncoding": encoding,
            "RawBytes": pc.binary_length(raw).cast(pa.int64()),
            "_Extra": pa.nulls(count, pa.string()),
            "_TimeSource": _all("received", count),
            "_row": quarantined["_row"],
        }
    )
    return _in_order(origins.with_identity(rows))


def whole_piece_rows(piece: Piece, reason: str) -> tuple[pa.Table, Ordinals]:
    """Rows of the QUARANTINE table for a piece of which no record is told from the next, and how many records
    each row stands for.

    One row for each range that is new: the first seq in ``_Seq``, and in ``_Extra`` where the range ends and
    where in the journal the payload is, byte for byte; it is not stored a second time.
    """
    batch = piece.batch
    new = piece.new
    header = batch.header
    firsts = np.array([first for first, _ in new], np.int64)
    nexts = np.array([next_ for _, next_ in new], np.int64)
    extra = [
        msgspec.json.encode(
            {"next": next_, "digest": header.digest, "position": batch.position, "until": batch.until}
        ).decode()
        for _, next_ in new
    ]
    count = len(firsts)
    rows = pa.table(
        {
            "TimeGenerated": _times(np.full(count, batch.journaled_us)),
            "Table": _all(header.stream.table, count),
            "Reason": _all(reason, count),
            "RawData": pa.nulls(count, pa.string()),
            "RawEncoding": _all("journal", count),
            "RawBytes": pa.array(np.full(count, len(batch.body))),
            "_Extra": pa.array(extra, pa.string()),
            "_TimeSource": _all("received", count),
            "_IngestionTime": _times(np.full(count, batch.journaled_us)),
            "_Stream": _all(batch.stream, count),
            "_Epoch": _all(header.epoch, count),
            "_Seq": pa.array(firsts),
        }
    )
    return _in_order(rows), nexts - firsts


def _in_order(rows: pa.Table) -> pa.Table:
    return rows.select([column.name for column in (*QUARANTINE.columns, *SYSTEM_COLUMNS)])


def _row(table: pa.Table) -> Ordinals:
    ordinals: Ordinals = table["_row"].to_numpy()
    return ordinals


def _times(values_us: Ordinals) -> pa.Array:
    return pa.array(values_us, pa.int64()).cast(_TIMESTAMP)


def _pick(names: Sequence[str], indices: Ordinals) -> pa.Array:
    return pa.array(names, pa.string()).take(pa.array(indices))


def _all(value: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), count)


def _as_text(raw: pa.Array, known_broken: NDArray[np.bool_]) -> tuple[pa.Array, pa.Array]:
    """Bytes as text, each as itself where it is UTF-8 and in base64 where it is not, and which of the two."""
    utf8 = ~known_broken
    utf8[utf8] = _are_utf8(raw.filter(pa.array(utf8)))
    encoding = _pick(["base64", "utf-8"], utf8.astype(np.int64))
    if utf8.all():
        return raw.cast(pa.string()), encoding
    broken = pa.table({"raw": raw.filter(pa.array(~utf8))})
    with _engine().cursor() as connection:
        encoded = connection.from_arrow(broken).project("to_base64(raw) AS text").to_arrow_table()
    plain = pc.if_else(pa.array(utf8), raw, b"").cast(pa.string())
    return pc.replace_with_mask(plain, pa.array(~utf8), encoded["text"].combine_chunks()), encoding


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    """What turns bytes into base64 without a loop of ours. Starting it takes longer than most of its work."""
    return duckdb.connect(":memory:", config={"threads": 1, "enable_external_access": "false"})


def _are_utf8(raw: pa.Array) -> NDArray[np.bool_]:
    """Whether each entry is UTF-8. Halves that are need no further look: few are not, or few there are."""
    try:
        raw.cast(pa.string())
    except pa.ArrowInvalid:
        if len(raw) == 1:
            return np.zeros(1, np.bool_)
        half = len(raw) // 2
        return np.concatenate((_are_utf8(raw[:half]), _are_utf8(raw[half:])))
    return np.ones(len(raw), np.bool_)
