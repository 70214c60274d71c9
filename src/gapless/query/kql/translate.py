"""The whole way from a KQL text to SQL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import cast

from sqlglot import exp

from gapless import clock
from gapless.model.tables import TableSchema
from gapless.query.kql.binding.binder import Binder
from gapless.query.kql.binding.context import Context, Fact, Unanswered
from gapless.query.kql.emission.emit import Emitter
from gapless.query.kql.emission.sql import Engine
from gapless.query.kql.errors import KqlError
from gapless.query.kql.relational.prune import Pruned
from gapless.query.kql.relational.relation import Rows
from gapless.query.kql.relational.scalars import STRING, Scalar
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.syntax.lexer import tokens
from gapless.query.kql.syntax.parse import parse
from gapless.query.kql.values.conversions import as_type
from gapless.query.kql.values.forms import certain_text, ticks
from gapless.query.kql.values.values import EPOCH_TICKS, TICKS_PER_US
from gapless.query.request import ResultColumn, ResultType

#: How long the SQL of a query may be.
SQL_BYTES_MAX = 2_000_000


@dataclass(frozen=True, slots=True)
class Translation:
    """A query as SQL for DuckDB. The columns of its answer are those of the SELECT, one after the other;
    ``tables`` are the tables that the text names, ``columns_read`` the columns that the SQL reads of each,
    ``rows`` the relational form between text and SQL, ``select`` the SQL's tree. ``drawn_as`` is what the
    last operator asks for if that is render, else ""."""

    sql: str
    columns: tuple[ResultColumn, ...]
    tables: tuple[str, ...]
    columns_read: Mapping[str, Set[str]]
    rows: Rows
    select: exp.Expression
    drawn_as: str


@dataclass(frozen=True, slots=True)
class Question:
    """What has to be known of the data before a text can be translated, since its columns depend on it.
    ``sql`` asks it, ``select`` is its tree; ``tables`` are those that the text may name, of which all its SQL
    reads some."""

    sql: str
    tables: tuple[str, ...]
    select: exp.Select


def translate(text: str, tables: Iterable[TableSchema], *, now_us: int | None = None) -> Translation:
    """Translate ``text`` over ``tables``; ``now_us`` is what now() gives, the clock's time by default.

    Raises KqlError, with line and column, where the text is no KQL, names what is not there, or needs what
    this engine lacks; so it does where columns depend on the data: see ``translate_knowing``.
    """
    now = clock.now_us() if now_us is None else now_us
    found = _located(text, tables, now, None)
    assert isinstance(found, Translation)
    return found


def translate_knowing(
    facts: Sequence[Fact], text: str, tables: Iterable[TableSchema], now_us: int
) -> Translation | Question:
    """Translate ``text`` as ``translate`` does, where ``facts`` are the rows that answered its questions so
    far; the next question, if it has one."""
    return _located(text, tables, now_us, facts)


def _located(
    text: str, tables: Iterable[TableSchema], now_us: int, facts: Sequence[Fact] | None
) -> Translation | Question:
    by_name = {table.name: table for table in tables}
    context = Context(by_name, EPOCH_TICKS + now_us * TICKS_PER_US, facts)
    try:
        return _translated(text, context)
    except Unanswered as question:
        outputs = [(context.new_id(), column.ref()) for column in question.rows.columns]
        select = _emitter(question.rows).query(question.rows, outputs)
        return Question(_bounded(select.sql(Engine, copy=False)), _nameable(text, by_name), select)
    except KqlError as error:
        raise error.located(text) from None
    except RecursionError:
        raise KqlError("the query is nested too deeply: make it simpler", 0).located(text) from None


def _translated(text: str, context: Context) -> Translation:
    query = parse(text)
    rows = Binder(context).query(query)
    if not rows.columns:
        raise KqlError("the answer has no columns", 0)
    outputs = [(context.new_id(), _shown(column.ref())) for column in rows.columns]
    emitter = _emitter(rows)
    select = emitter.query(rows, outputs)
    sql = _bounded(select.sql(Engine, copy=False))
    columns = tuple(ResultColumn(column.name, cast(ResultType, column.type.name)) for column in rows.columns)
    return Translation(
        sql,
        columns,
        tuple(sorted(context.used_tables)),
        emitter.columns_read,
        rows,
        select,
        _drawn_as(query.result),
    )


def _drawn_as(result: tree.Expression) -> str:
    last = result.operators[-1] if isinstance(result, tree.Pipeline) and result.operators else None
    return last.kind if isinstance(last, operators.Render) else ""


def _emitter(rows: Rows) -> Emitter:
    pruned = Pruned()
    pruned.rows(rows)
    return Emitter(pruned)


def _bounded(sql: str) -> str:
    if len(sql) > SQL_BYTES_MAX:
        raise KqlError(f"the query becomes more than {SQL_BYTES_MAX} bytes of SQL: make it smaller", 0)
    return sql


def _nameable(text: str, tables: Mapping[str, TableSchema]) -> tuple[str, ...]:
    """The tables that ``text`` may read: those that it names; all, if it has patterns or a search."""
    words = tokens(text)
    present = {each.value for each in words}
    if present & {"search", "find"} or present >= {"union", "*"}:
        return tuple(tables)
    named = {each.value for each in words if each.kind in ("name", "string")}
    return tuple(name for name in tables if name in named)


def _shown(value: Scalar) -> Scalar:
    """A value as the answer has it: times as text, strings not null."""
    if value.type.name in ("datetime", "timespan"):
        # Null stays null, though its text would be empty.
        return as_type(value, STRING)
    return certain_text(ticks(value))
