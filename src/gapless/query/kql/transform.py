"""The transform of a data collection rule: what it keeps, which time it gives, which columns it leaves.

A record is stored as it was sent, whatever a transform says. So the operators that are taken are those whose
effect needs no other record: ``where`` keeps or filters; ``extend`` and ``project`` may say which field
TimeGenerated is taken from; ``project``, ``project-away`` and ``project-keep`` say which columns the table
gets.
"""

from __future__ import annotations

from typing import NamedTuple

from gapless.model.batch import RECEIVED
from gapless.model.rule import Effect
from gapless.model.tables import Column, TableSchema
from gapless.query.kql.binding.binder import Binder
from gapless.query.kql.binding.context import Context
from gapless.query.kql.emission.emit import Emitter
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.prune import Pruned
from gapless.query.kql.relational.relation import Extend, Filter, Scan
from gapless.query.kql.relational.scalars import LONG
from gapless.query.kql.relational.scalars import Column as Bound
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.syntax.lexer import tokens
from gapless.query.kql.syntax.parse import parse
from gapless.query.kql.values.values import EPOCH_TICKS, TICKS_PER_US

TIME = "TimeGenerated"
_INSTEAD = (
    "a transform here is `source` with where, project, project-away, project-keep, extend of TimeGenerated"
)
_TIME_INSTEAD = f"{TIME} is a column of the stream here, todatetime(column) or now()"
#: Which types of columns a time can be read from, as they are and by todatetime().
_TIME_TYPES: tuple[str, ...] = ("datetime",)
_TIME_TEXT_TYPES: tuple[str, ...] = ("datetime", "string", "dynamic")


class Transform(NamedTuple):
    """``sql`` is for DuckDB, and gives the numbers of those rows that are kept."""

    sql: str
    effect: Effect


def transform(text: str, source: TableSchema, row: str, *, now_us: int) -> Transform:
    """The transform ``text`` of rows of ``source``, which are numbered in the column ``row``.

    Raises KqlError, with line and column, for a text that is no KQL, or does anything else.
    """
    numbered = TableSchema(source.name, (*source.columns, Column(row, "long")))
    context = Context({source.name: numbered}, EPOCH_TICKS + now_us * TICKS_PER_US, None)
    try:
        query = parse(text)
        steps = _steps(query.result, source.name)
        if sum(token.value == source.name for token in tokens(text)) > 1:
            raise KqlError(f"it asks for {source.name} again: {_INSTEAD}", query.result.at)
        rows = Binder(context).query(query)
        relation = rows.relation
        while isinstance(relation, (Filter, Extend)):
            relation = relation.input
        if not isinstance(relation, Scan):
            raise KqlError(f"it looks at more than the record itself: {_INSTEAD}", 0)
        shown = {column.name for column in rows.columns}
        effect = Effect(
            filters=any(isinstance(step, operators.Where) for step in steps),
            time=_time(steps, source),
            drops=tuple(column.name for column in source.columns if column.name not in shown),
        )
        number = next(id for id, name in relation.columns if name == row)
        rows = rows.changed(columns=[Bound(row, number, LONG)])
        pruned = Pruned()
        pruned.rows(rows)
        outputs = [(context.new_id(), column.ref()) for column in rows.columns]
        return Transform(Emitter(pruned).query(rows, outputs).sql("duckdb"), effect)
    except KqlError as error:
        raise error.located(text) from None
    except RecursionError:
        raise KqlError("the transform is nested too deeply: make it simpler", 0).located(text) from None


def _steps(result: tree.Expression, source: str) -> list[tree.Operator]:
    begin = result.source if isinstance(result, tree.Pipeline) else result
    if not (isinstance(begin, tree.Name) and begin.name == source):
        raise KqlError(f"it does not begin with {source}: {_INSTEAD}", begin.at)
    steps = list(result.operators) if isinstance(result, tree.Pipeline) else []
    for step in steps:
        match step:
            case operators.Where() | operators.Project(kind="project-away" | "project-keep"):
                pass
            case operators.Extend(columns=columns) | operators.Project(kind="project", columns=columns):
                for column in columns:
                    _check_assigned(column, isinstance(step, operators.Project))
            case _:
                name = step.kind if isinstance(step, operators.Project) else type(step).__name__.lower()
                raise unsupported(f"operator {name}", step.at, _INSTEAD)
    return steps


def _check_assigned(column: tree.Named, may_be_plain: bool) -> None:
    if may_be_plain and not column.names and isinstance(column.value, tree.Name):
        return
    if column.names != [TIME]:
        raise unsupported("a column that is computed", column.at, _INSTEAD)


def _time(steps: list[tree.Operator], source: TableSchema) -> str:
    """Which field TimeGenerated is taken from at the end."""
    time = ""
    for step in steps:
        if isinstance(step, operators.Extend) or (
            isinstance(step, operators.Project) and step.kind == "project"
        ):
            for column in step.columns:
                if column.names == [TIME]:
                    time = _time_of(column.value, source, time)
    return time


def _time_of(value: tree.Expression, source: TableSchema, before: str) -> str:
    types = _TIME_TYPES
    if isinstance(value, tree.Call) and value.name in ("now", "ingestion_time") and not value.arguments:
        return RECEIVED
    if isinstance(value, tree.Call) and value.name == "todatetime" and len(value.arguments) == 1:
        value, types = value.arguments[0].value, _TIME_TEXT_TYPES
    if not isinstance(value, tree.Name):
        raise unsupported(f"this {TIME}", value.at, _TIME_INSTEAD)
    if value.name == TIME:
        return before
    if all(column.name != value.name or column.type not in types for column in source.columns):
        raise unsupported(f"this {TIME}", value.at, f"{_TIME_INSTEAD}, of type {' or '.join(types)}")
    return value.name
