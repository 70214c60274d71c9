"""The whole way from a KQL text to SQL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from sqlglot import exp

from gapless import clock
from gapless.model.tables import TableSchema
from gapless.query.kql.binder import Binder
from gapless.query.kql.context import Context
from gapless.query.kql.conversions import as_type
from gapless.query.kql.emit import Emitter
from gapless.query.kql.errors import KqlError
from gapless.query.kql.forms import certain_text, ticks
from gapless.query.kql.parse import parse
from gapless.query.kql.prune import Pruned
from gapless.query.kql.relation import Rows
from gapless.query.kql.scalars import STRING, Scalar
from gapless.query.kql.values import EPOCH_TICKS, TICKS_PER_US
from gapless.query.request import ResultColumn, ResultType

#: How long the SQL of a query may be.
SQL_BYTES_MAX = 2_000_000


@dataclass(frozen=True, slots=True)
class Translation:
    """A query as SQL for DuckDB. The columns of its answer are those of the SELECT, one after the other;
    ``tables`` are the tables that the text names, ``rows`` the relational form between text and SQL,
    ``select`` the SQL's tree."""

    sql: str
    columns: tuple[ResultColumn, ...]
    tables: tuple[str, ...]
    rows: Rows
    select: exp.Expression


def translate(text: str, tables: Iterable[TableSchema], *, now_us: int | None = None) -> Translation:
    """Translate ``text`` over ``tables``; ``now_us`` is what now() gives, the clock's time by default.

    Raises KqlError, with line and column, where the text is no KQL, names what is not there, or needs what
    this engine lacks.
    """
    now = clock.now_us() if now_us is None else now_us
    context = Context({table.name: table for table in tables}, EPOCH_TICKS + now * TICKS_PER_US)
    try:
        return _translated(text, context)
    except KqlError as error:
        raise error.located(text) from None
    except RecursionError:
        raise KqlError("the query is nested too deeply: make it simpler", 0).located(text) from None


def _translated(text: str, context: Context) -> Translation:
    rows = Binder(context).query(parse(text))
    if not rows.columns:
        raise KqlError("the answer has no columns", 0)
    outputs = [(context.new_id(), _shown(column.ref())) for column in rows.columns]
    pruned = Pruned()
    pruned.rows(rows)
    select = Emitter(pruned).query(rows, outputs)
    sql = select.sql("duckdb")
    if len(sql) > SQL_BYTES_MAX:
        raise KqlError(f"the query becomes more than {SQL_BYTES_MAX} bytes of SQL: make it smaller", 0)
    columns = tuple(ResultColumn(column.name, cast(ResultType, column.type.name)) for column in rows.columns)
    return Translation(sql, columns, tuple(sorted(context.used_tables)), rows, select)


def _shown(value: Scalar) -> Scalar:
    """A value as the answer has it: times as text, strings not null."""
    if value.type.name in ("datetime", "timespan"):
        # Null stays null, though its text would be empty.
        return as_type(value, STRING)
    return certain_text(ticks(value))
