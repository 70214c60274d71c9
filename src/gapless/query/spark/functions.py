"""The batch functions of a query: its expressions that Spark lacks, over the columns that they need."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from gapless.query.kql.errors import unsupported
from gapless.query.spark.batches import Batches, engine
from gapless.query.spark.kinds import carried, normal


def argument(place: int) -> str:
    """The name of the ``place``-th input of a batch function, from 1."""
    return f"a{place}"


class BatchFunctions:
    """The batch functions of one query."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, tuple[str, ...]], tuple[str, str]] = {}

    def name_of(self, expression: str, kinds: tuple[str, ...]) -> tuple[str, str]:
        """Spark's name of DuckDB's ``expression`` over ``argument(1)``, ..., and the type of its value.

        Raises KqlError for what is no function of a row.
        """
        key = (expression, kinds)
        if key not in self._found:
            self._found[key] = (f"duckdb_{len(self._found) + 1}", _kind_of(expression, kinds))
        return self._found[key]

    def all(self) -> list[tuple[str, Batches, str]]:
        """The name of each function, what it does, and the type of its value."""
        return [
            (name, _batches(expression, kinds, kind), kind)
            for (expression, kinds), (name, kind) in self._found.items()
        ]


def _kind_of(expression: str, kinds: Sequence[str]) -> str:
    columns = ", ".join(f"CAST(NULL AS {kind}) AS {argument(at)}" for at, kind in enumerate(kinds, start=1))
    try:
        # Beside a column, so that an aggregate fails: over a batch it would be one of those rows alone.
        sql = f"SELECT {expression}, 0 + row_ FROM (SELECT {columns}, 0 AS row_) LIMIT 0"
        described = engine(sql).execute(sql)
    except duckdb.Error as error:
        raise unsupported(f"an expression on Spark ({str(error).splitlines()[0]})", 0) from None
    return normal(str(described.description[0][1]))


def _batches(expression: str, kinds: Sequence[str], kind: str) -> Batches:
    names = tuple(argument(place) for place in range(1, len(kinds) + 1))
    # Arrow knows neither JSON nor 128 bits.
    columns = ", ".join(f"CAST({name} AS {own}) AS {name}" for name, own in zip(names, kinds, strict=True))
    # A subquery may change the order of rows: they are numbered.
    rows = f"SELECT {columns}, row_number() OVER () AS place FROM batch"
    return Batches(
        names, f"SELECT CAST({expression} AS {carried(kind)}) AS value FROM ({rows}) ORDER BY place"
    )
