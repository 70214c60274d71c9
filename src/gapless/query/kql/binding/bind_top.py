"""Rows of each value: top-nested, partition; and any rows: sample, sample-distinct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gapless.query.kql.aggregates.registry import AGGREGATES
from gapless.query.kql.binding.bind_operators import row_count
from gapless.query.kql.binding.bind_scalar import bind
from gapless.query.kql.binding.bind_summarize import distinct, group_keys, grouped
from gapless.query.kql.binding.context import Aggregates, Scope
from gapless.query.kql.binding.names import free_name
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.relation import Aggregate, Filter, Join, Lateral, Limit, Rows, Window
from gapless.query.kql.relational.scalars import BOOL, LONG, REAL, Column, Order, Ref, Scalar
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.values.forms import certain_text


def sample(node: operators.Sample, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """Some rows, chosen at random; each reader of them gets others, unless they are materialized."""
    count = row_count(node.rows, scope, tabular)
    chance = Order(apply("random()", (), REAL, volatile=True), False, False)
    return Rows(Limit(rows.relation, count, [chance]), rows.columns, name=rows.name, hidden=rows.hidden)


def sample_distinct(node: operators.SampleDistinct, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """Some of the different values of an expression: any."""
    values = distinct(operators.Distinct(node.at, [node.value]), rows, scope, tabular)
    count = row_count(node.rows, scope, tabular)
    return values.changed(Limit(values.relation, count, []))


def top_nested(node: operators.TopNested, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The values with the highest aggregates, within each of them those of the next level, and so on."""
    shared = tabular.context.share(rows)
    found: Rows | None = None
    for depth in range(1, len(node.levels) + 1):
        read = tabular.context.read(shared)
        level = _level(node.levels[:depth], read, scope, tabular)
        found = level if found is None else _within(found, level, depth - 1, tabular)
    assert found is not None
    order = []
    for each, value, aggregate in zip(node.levels, found.columns[::2], found.columns[1::2], strict=True):
        order.append(Order(aggregate.ref(), each.descending, not each.descending))
        order.append(Order(value.ref(), True, False))
    return replace(found, order=order)


def _level(levels: Sequence[operators.TopLevel], rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The best values of the last level within each of those before: their columns, and its aggregate."""
    level = levels[-1]
    names = [each.value for each in levels]
    rows, keys = group_keys(names, rows, scope, tabular)
    pairs, columns = grouped(keys, tabular)
    gathered = Aggregates()
    call = level.aggregate.value
    if not (isinstance(call, tree.Call) and call.name in AGGREGATES):
        raise KqlError("top-nested orders by an aggregate: write by sum(Column)", level.aggregate.at)
    value = bind(call, replace(scope.over(rows), aggregates=gathered), tabular)
    if not isinstance(value, Ref):
        raise unsupported(f"top-nested by {call.name}()", call.at)
    relation = Aggregate(rows.relation, pairs, gathered.found)
    name = level.aggregate.names[0] if level.aggregate.names else f"aggregated_{columns[-1].name}"
    column = Column(name, value.id, value.type)
    if level.rows is None:
        return Rows(relation, [*columns, column])
    place = tabular.context.new_id()
    key = certain_text(value)
    order = [Order(key, level.descending, not level.descending), Order(columns[-1].ref(), True, False)]
    within: list[Scalar] = [each.ref() for each in columns[:-1]]
    ranked = Window(relation, [(place, apply("row_number()", (), LONG))], within, order)
    count = row_count(level.rows, scope, tabular)
    best = Filter(ranked, apply(f"$1 <= {count}", (Ref(place, LONG),), BOOL))
    return Rows(best, [*columns, column])


def _within(outer: Rows, inner: Rows, keys: int, tabular: Tabular) -> Rows:
    """The rows of ``inner`` whose first ``keys`` columns are those of a row of ``outer``, beside that row."""
    shown = [each for index, each in enumerate(outer.columns) if index % 2 == 0]
    pairs: list[Scalar] = [
        apply("$1 IS NOT DISTINCT FROM $2", (one.ref(), other.ref()), BOOL)
        for one, other in zip(shown, inner.columns[:keys], strict=True)
    ]
    condition = pairs[0]
    for each in pairs[1:]:
        condition = apply("$1 AND $2", (condition, each), BOOL)
    columns = list(outer.columns)
    for column in inner.columns[keys:]:
        columns.append(replace(column, name=free_name(column.name, (each.name for each in columns))))
    return Rows(Join(outer.relation, inner.relation, "INNER", condition), columns)


def partition(node: operators.Partition, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """What operators make of the rows of each different value of a column."""
    context = tabular.context
    shared = context.share(rows)
    named = [tree.Named(node.key.at, [], node.key)]
    source, keys = group_keys(named, context.read(shared), scope, tabular)
    pairs, columns = grouped(keys, tabular)
    inner, own = group_keys(named, context.read(shared), scope, tabular)
    same = apply("$1 IS NOT DISTINCT FROM $2", (own[0].ref(), columns[0].ref()), BOOL)
    context.rows_deep += 1
    body = tabular.piped(inner.changed(Filter(inner.relation, same)), node.body, scope)
    context.rows_deep -= 1
    return Rows(Lateral(Aggregate(source.relation, pairs, []), body.relation), body.columns)
