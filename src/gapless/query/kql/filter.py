"""The transform of a data collection rule that keeps some records and leaves each of them as it is."""

from __future__ import annotations

from gapless.model.tables import Column, TableSchema
from gapless.query.kql.binding.binder import Binder
from gapless.query.kql.binding.context import Context
from gapless.query.kql.emission.emit import Emitter
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.prune import Pruned
from gapless.query.kql.relational.relation import Extend, Filter, Scan
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.syntax.lexer import tokens
from gapless.query.kql.syntax.parse import parse
from gapless.query.kql.values.values import EPOCH_TICKS, TICKS_PER_US

_INSTEAD = "a transform is `source | where ...` here"


def filter_sql(text: str, source: TableSchema, row: str, *, now_us: int) -> str:
    """SQL for DuckDB that gives the column ``row`` (a number) of those rows of ``source`` that ``text``
    keeps, where ``text`` is ``source.name`` and nothing but ``where`` behind it.

    Raises KqlError, with line and column, for a text that is no KQL, or does anything else.
    """
    numbered = TableSchema(source.name, (*source.columns, Column(row, "long")))
    context = Context({source.name: numbered}, EPOCH_TICKS + now_us * TICKS_PER_US, None)
    try:
        query = parse(text)
        _check(query.result, source.name)
        if sum(token.value == source.name for token in tokens(text)) > 1:
            raise KqlError(f"it asks for {source.name} again: {_INSTEAD}", query.result.at)
        rows = Binder(context).query(query)
        relation = rows.relation
        while isinstance(relation, (Filter, Extend)):
            relation = relation.input
        if not isinstance(relation, Scan):
            raise KqlError(f"it looks at more than the record itself: {_INSTEAD}", 0)
        rows = rows.changed(columns=[column for column in rows.columns if column.name == row])
        pruned = Pruned()
        pruned.rows(rows)
        outputs = [(context.new_id(), column.ref()) for column in rows.columns]
        return Emitter(pruned).query(rows, outputs).sql("duckdb")
    except KqlError as error:
        raise error.located(text) from None
    except RecursionError:
        raise KqlError("the transform is nested too deeply: make it simpler", 0).located(text) from None


def _check(result: tree.Expression, source: str) -> None:
    begin = result.source if isinstance(result, tree.Pipeline) else result
    if not (isinstance(begin, tree.Name) and begin.name == source):
        raise KqlError(f"it does not begin with {source}: {_INSTEAD}", begin.at)
    for operator in result.operators if isinstance(result, tree.Pipeline) else ():
        if not isinstance(operator, operators.Where):
            name = (
                operator.kind if isinstance(operator, operators.Project) else type(operator).__name__.lower()
            )
            raise unsupported(f"operator {name}", operator.at, _INSTEAD)
