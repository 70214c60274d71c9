"""Expressions that DuckDB computes in Spark's Python workers, a batch of Arrow columns at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from gapless.query.computed.registry import register
from gapless.query.request import QueryLimits
from gapless.query.sandbox import limit_memory, lock, open_connection

#: What DuckDB may allocate in one worker.
_LIMITS = QueryLimits(threads_max=1, memory_bytes_max=1 << 30, time_s_max=3600.0)


@dataclass(frozen=True, slots=True)
class Batches:
    """From columns of a batch to the column that ``sql`` has over ``batch``, in which they have ``names``. It
    can be sent to other processes that have this package."""

    names: tuple[str, ...]
    sql: str

    def __call__(self, *arrays: pa.Array) -> pa.Array:
        connection = engine(self.sql)
        connection.register("batch", pa.table(list(arrays), names=list(self.names)))
        try:
            found: Any = connection.execute(self.sql).to_arrow_table()
        finally:
            connection.unregister("batch")
        return found.column(0).combine_chunks()


def engine(sql: str) -> duckdb.DuckDBPyConnection:
    """This process's DuckDB, which can read nothing but what it is given, and knows what ``sql`` calls."""
    connection, known = _locked()
    register(connection, sql, known)
    return connection


@cache
def _locked() -> tuple[duckdb.DuckDBPyConnection, set[str]]:
    connection = open_connection()
    limit_memory(connection, _LIMITS.memory_bytes_max)
    lock(connection, (), _LIMITS)
    return connection, set()
