"""What a transform keeps: KQL over the records of an upload. Runs in ``sieve_process`` alone, because what an
expression can take in memory and time is known only when it has taken it."""

from __future__ import annotations

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gapless.lake.decode import Decoder
from gapless.model.declared import fold
from gapless.model.errors import Refused
from gapless.model.rule import IDENTITY, Effect, RuleStream
from gapless.model.tables import SYSTEM_COLUMNS, Column, TableSchema, table_schema
from gapless.query.kql.transform import transform
from gapless.query.request import QueryLimits
from gapless.query.sandbox import limit_memory, lock, open_connection

_ROW = "_row"
_TIME = Column("TimeGenerated", "datetime")
_RESERVED = frozenset({_ROW, *(column.name for column in SYSTEM_COLUMNS)})


class SieveRequest(msgspec.Struct, frozen=True):
    """Which of the records ``lines`` does the transform of ``stream`` keep? ``now_us`` is what now()
    gives."""

    stream: RuleStream
    lines: bytes
    now_us: int


class SieveAnswer(msgspec.Struct, frozen=True):
    """A bit for each record, packed as NumPy does, and what the transform does; or why there are none."""

    kept: bytes = b""
    effect: Effect = Effect()
    refused: str = ""


class SieveEngine:
    """An engine that reads the records it is given, and nothing else."""

    def __init__(self, limits: QueryLimits) -> None:
        self._decoder = Decoder(memory_bytes_max=limits.memory_bytes_max)
        self._connection = open_connection()
        limit_memory(self._connection, limits.memory_bytes_max)
        lock(self._connection, (), limits)

    def answer(self, request: SieveRequest) -> SieveAnswer:
        """The answer. Records that are no rows are kept, to be quarantined."""
        stream = request.stream
        kept = np.ones(request.lines.count(b"\n"), np.bool_)
        try:
            source = _source(stream)
            rows = self._decoder.decode(source, request.lines, received_us=request.now_us).rows
            made = transform(stream.transform, source, _ROW, now_us=request.now_us)
            _check_effect(stream, made.effect)
            passed = self._passed(made.sql, rows)
        except (Refused, duckdb.Error) as error:
            return SieveAnswer(refused=f"the transform of stream {stream.name}: {_first_line(error)}")
        kept[rows[_ROW].to_numpy()] = False
        kept[passed] = True
        return SieveAnswer(np.packbits(kept).tobytes(), made.effect)

    def _passed(self, sql: str, rows: pa.Table) -> NDArray[np.int64]:
        self._connection.register(IDENTITY, rows)
        try:
            found = self._connection.sql(sql).to_arrow_table()
        finally:
            self._connection.unregister(IDENTITY)
        passed: NDArray[np.int64] = found.column(0).to_numpy()
        return passed


def _source(stream: RuleStream) -> TableSchema:
    """What a transform sees: the columns of the stream, and always TimeGenerated."""
    if not stream.columns and stream.name.startswith("Custom-"):
        raise Refused("the stream has no columns: declare those that the transform uses")
    columns = stream.columns or table_schema(stream.table).columns
    if reserved := _RESERVED.intersection(column.name for column in columns):
        raise Refused(f"column {min(reserved)} is Gapless' own: name another")
    if all(column.name != _TIME.name for column in columns):
        columns = (*columns, _TIME)
    return TableSchema(IDENTITY, columns)


def _check_effect(stream: RuleStream, effect: Effect) -> None:
    if not stream.is_custom and (effect.time or effect.drops or effect.computes):
        raise Refused("of a table with columns of its own it can only filter")
    if effect.computes and len({fold(column.name) for column in stream.columns}) < len(stream.columns):
        raise Refused("columns of the stream differ by case alone: name them differently")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
