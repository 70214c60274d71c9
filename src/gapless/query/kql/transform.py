"""The transform of a data collection rule: what it keeps, which time it gives, which columns it makes.

A record is stored as it was sent, whatever a transform says. So the operators that are taken are those whose
effect on a record needs no other: ``where`` keeps or filters when the record arrives (``transform``); columns
that are computed are so whenever they are asked for, and must give the same each time (``shaped_sql``).
TimeGenerated alone is settled when the record is stored, so it can only be a field of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from gapless.model.rule import Effect
from gapless.model.tables import Column, TableSchema
from gapless.query.kql.binding.binder import Binder
from gapless.query.kql.binding.context import Context, Scope
from gapless.query.kql.emission.emit import Emitter
from gapless.query.kql.emission.sql import Engine
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.fields import in_table_form
from gapless.query.kql.relational.prune import Pruned
from gapless.query.kql.relational.relation import Extend, Filter, Relation, Rows, Scan
from gapless.query.kql.relational.scalars import (
    LONG,
    STRING,
    Apply,
    Ref,
    Scalar,
    SubqueryContains,
    SubqueryValue,
    walk,
)
from gapless.query.kql.relational.scalars import Column as Bound
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.syntax.lexer import tokens
from gapless.query.kql.syntax.parse import parse
from gapless.query.kql.transform_time import TIME, time_of
from gapless.query.kql.values.values import EPOCH_TICKS, TICKS_PER_US

_INSTEAD = "a transform is `source` here, with where, extend, project..., parse and parse-kv"
_OPERATORS = (
    operators.Where,
    operators.Extend,
    operators.Project,
    operators.Parse,
    operators.ParseKv,
)
#: Another time, to see what depends on it; and what asks for it.
_LATER_US = 1_000_000_000_001
_CLOCK = frozenset({"now", "ago"})
_NO_CLOCK = "a column depends on the time at which it is computed: use TimeGenerated"


class Transform(NamedTuple):
    """``sql`` is for DuckDB, and gives the numbers of those rows that are kept."""

    sql: str
    effect: Effect


class _Bound(NamedTuple):
    """A transform over its source: the rows that it begins with, those that it ends with, and what it is."""

    start: Rows
    end: Rows
    scan: Scan
    context: Context
    steps: Sequence[tree.Operator]

    @property
    def computed(self) -> list[Bound]:
        """The columns that are not as they were, but for TimeGenerated."""
        return [each for each in self.end.columns if each not in self.start.columns and each.name != TIME]


class _Binder(Binder):
    """Remembers the rows of the one table that a transform reads."""

    def table(self, name: str, at: int, scope: Scope) -> Rows:
        self.start = super().table(name, at, scope)
        return self.start


def transform(text: str, source: TableSchema, row: str, *, now_us: int) -> Transform:
    """The transform ``text`` of rows of ``source``, which are numbered in the column ``row``.

    Raises KqlError, with line and column, for a text that is no KQL, or does what is not supported.
    """
    with _located(text):
        bound = _bind(text, TableSchema(source.name, (*source.columns, Column(row, "long"))), now_us)
        shown = {TIME, *(column.name for column in bound.end.columns)}
        effect = Effect(
            filters=any(_filters(step) for step in bound.steps),
            time=time_of(bound.steps, source),
            drops=tuple(column.name for column in source.columns if column.name not in shown),
            computes=tuple(_column(each) for each in bound.computed),
        )
        if effect.computes:
            _check_lasting(text, source, now_us)
        number = next(id for id, name in bound.scan.columns if name == row)
        return Transform(_sql(bound, bound.end, [Ref(number, LONG)]), effect)


def shaped_sql(text: str, source: TableSchema, carried: Sequence[str] = ()) -> tuple[str, tuple[Column, ...]]:
    """SQL for DuckDB: all rows of ``source``, whatever ``text`` filters, with its columns ``carried`` as they
    are and then those that ``text`` computes, as tables hold them; and which these are.

    Raises KqlError as ``transform`` does.
    """
    with _located(text):
        return _shaped(text, source, carried, 0)


def _shaped(
    text: str, source: TableSchema, carried: Sequence[str], now_us: int
) -> tuple[str, tuple[Column, ...]]:
    bound = _bind(text, source, now_us)
    ids = {name: id for id, name in bound.scan.columns}
    raw: list[Scalar] = [Ref(ids[name], STRING) for name in carried]
    made = [in_table_form(each.ref()) for each in bound.computed]
    rows = bound.end.changed(_unfiltered(bound.end.relation))
    return _sql(bound, rows, [*raw, *made]), tuple(map(_column, bound.computed))


@contextmanager
def _located(text: str) -> Iterator[None]:
    try:
        yield
    except KqlError as error:
        raise error.located(text) from None
    except RecursionError:
        raise KqlError("the transform is nested too deeply: make it simpler", 0).located(text) from None


def _check_lasting(text: str, source: TableSchema, now_us: int) -> None:
    """What is computed later must be what it is now: a constant that was made of the time is not."""
    query = parse(text)
    steps = query.result.operators if isinstance(query.result, tree.Pipeline) else []
    lasting: list[object] = [query.lets]
    for step in steps:
        if isinstance(step, operators.Extend | operators.Project):
            lasting += [each.value for each in step.columns if each.names != [TIME]]
        elif not isinstance(step, operators.Where):
            lasting.append(step)
    both = [_shaped(text, source, (), at_us) for at_us in (now_us, now_us + _LATER_US)]
    called = {each.name for each in tree.walk(lasting) if isinstance(each, tree.Call)}
    if called & _CLOCK or both[0] != both[1]:
        raise KqlError(_NO_CLOCK, 0)


def _bind(text: str, source: TableSchema, now_us: int) -> _Bound:
    context = Context({source.name: source}, EPOCH_TICKS + now_us * TICKS_PER_US, None)
    query = parse(text)
    steps = _steps(query.result, source.name)
    if sum(token.value == source.name for token in tokens(text)) > 1:
        raise KqlError(f"it asks for {source.name} again: {_INSTEAD}", query.result.at)
    binder = _Binder(context)
    end = binder.query(query)
    relation = end.relation
    while isinstance(relation, (Filter, Extend)):
        if isinstance(relation, Extend):
            for _, value in relation.columns:
                _check_own(value)
        relation = relation.input
    if not isinstance(relation, Scan):
        raise KqlError(f"it looks at more than the record itself: {_INSTEAD}", 0)
    return _Bound(binder.start, end, relation, context, steps)


def _steps(result: tree.Expression, source: str) -> list[tree.Operator]:
    begin = result.source if isinstance(result, tree.Pipeline) else result
    if not (isinstance(begin, tree.Name) and begin.name == source):
        raise KqlError(f"it does not begin with {source}: {_INSTEAD}", begin.at)
    steps = list(result.operators) if isinstance(result, tree.Pipeline) else []
    for step in steps:
        if not isinstance(step, _OPERATORS):
            raise unsupported(f"operator {type(step).__name__.lower()}", step.at, _INSTEAD)
    return steps


def _filters(step: tree.Operator) -> bool:
    return isinstance(step, operators.Where) or (isinstance(step, operators.Parse) and step.only_matching)


def _check_own(value: Scalar) -> None:
    """Raises KqlError unless a column is made of the record alone."""
    for each in walk(value):
        if isinstance(each, Apply) and each.volatile:
            raise KqlError("a column is another one each time it is computed", 0)
        if isinstance(each, SubqueryValue | SubqueryContains):
            raise KqlError(f"a column looks at more than the record itself: {_INSTEAD}", 0)


def _unfiltered(relation: Relation) -> Relation:
    match relation:
        case Filter(input=inner):
            return _unfiltered(inner)
        case Extend(input=inner, columns=columns):
            return Extend(_unfiltered(inner), columns)
    return relation


def _column(bound: Bound) -> Column:
    if bound.type.name == "decimal":
        raise unsupported("a column of type decimal", 0, "use real or long")
    return Column(bound.name, bound.type.name)  # type: ignore[arg-type]


def _sql(bound: _Bound, rows: Rows, values: Sequence[Scalar]) -> str:
    """The SQL of ``values`` of ``rows``. Raises KqlError where they need what the source has not."""
    known = {column.name for column in bound.context.tables[bound.scan.table].columns}
    outputs = [(bound.context.new_id(), value) for value in values]
    columns = [Bound("", id, value.type) for id, value in outputs]
    rows = rows.changed(Extend(rows.relation, list(outputs)), columns)
    pruned = Pruned()
    pruned.rows(rows)
    if hidden := {name for _, name in bound.scan.columns} - known:
        raise KqlError(f"the stream has no column {min(hidden)}: declare it", 0)
    selected = [(bound.context.new_id(), column.ref()) for column in columns]
    return Emitter(pruned).query(rows, selected).sql(Engine)
