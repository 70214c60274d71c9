"""Plugins that look at rows one by one, or at those around them: rows_near, narrow, dcount_intersect,
rolling_percentile."""

from __future__ import annotations

from gapless.query.kql.binding.bind_operators import (
    compute,
    numbered_rows,
    row_count,
    serialize,
    whole_number,
)
from gapless.query.kql.binding.bind_scalar import bind, bind_constant, bind_predicate
from gapless.query.kql.binding.bind_summarize import group_keys, grouped
from gapless.query.kql.binding.calls import Call, invoke
from gapless.query.kql.binding.context import Scope
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.functions.registry import FUNCTIONS
from gapless.query.kql.relational.relation import Aggregate, Concat, Filter, Join, Rows, Window
from gapless.query.kql.relational.scalars import (
    BOOL,
    LONG,
    NUMBERS,
    STRING,
    Column,
    Constant,
    Order,
    Ref,
    Scalar,
)
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.values.forms import certain_text, ticks
from gapless.query.kql.values.numbers import arithmetic
from gapless.query.kql.values.to_text import to_string

#: How many bins a window of rolling_percentile may have.
_BINS_MAX = 1_000


def _arguments(node: operators.Evaluate, least: int, most: int | None, form: str) -> list[tree.Expression]:
    given = [each.value for each in node.call.arguments]
    if len(given) < least or (most is not None and len(given) > most):
        raise KqlError(f"write {form}", node.call.at)
    return given


def rows_near(node: operators.Evaluate, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The rows that are so few before, or after, one for which a condition is true."""
    given = _arguments(node, 2, 3, "rows_near(condition, rows[, rows_after])")
    before = row_count(given[1], scope, tabular)
    after = row_count(given[2], scope, tabular) if len(given) > 2 else before
    if not rows.order:
        rows = serialize(operators.Serialize(node.at, []), rows, scope, tabular)
    condition = bind_predicate(given[0], scope.over(rows), tabular)
    rows, id = compute(rows, apply("coalesce($1, FALSE)", (condition,), BOOL), tabular)
    numbered, place = numbered_rows(rows.relation, rows.order, tabular)
    last, next_ = tabular.context.new_id(), tabular.context.new_id()
    values = (Ref(id, BOOL), place)
    up, down = Order(place, False, False), Order(place, True, False)
    latest = apply("max(CASE WHEN $1 THEN $2 END)", values, LONG)
    earliest = apply("min(CASE WHEN $1 THEN $2 END)", values, LONG)
    with_last = Window(numbered, [(last, latest)], [], [up], frame="so far")
    with_next = Window(with_last, [(next_, earliest)], [], [down], frame="so far")
    near = apply(
        f"coalesce($1 - $2 <= {after}, FALSE) OR coalesce($3 - $1 <= {before}, FALSE)",
        (place, Ref(last, LONG), Ref(next_, LONG)),
        BOOL,
    )
    return rows.changed(Filter(with_next, near))


def narrow(node: operators.Evaluate, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """A row for each value: the number of its row from 0 on, the name of its column, its text."""
    _arguments(node, 0, 0, "narrow()")
    for each in rows.columns:
        if each.type.name in ("bool", "real", "datetime", "timespan"):
            what = f"narrow of a column of type {each.type.name}"
            raise unsupported(what, node.call.at, f"convert {each.name}, with tostring()")
    context = tabular.context
    numbered, number = numbered_rows(rows.relation, rows.order, tabular)
    shared = context.share(rows.changed(numbered, [*rows.columns, Column("", number.id, LONG)]))
    shared.rows.order, shared.rows.hidden = [], []
    names = (("Row", LONG), ("Column", STRING), ("Value", STRING))
    columns = [Column(name, context.new_id(), kind) for name, kind in names]
    place = context.new_id()
    parts, sources = [], []
    for at, column in enumerate(rows.columns):
        read = context.read(shared)
        row = apply("$1 - 1", (read.columns[-1].ref(),), LONG)
        text = certain_text(to_string(read.columns[at].ref()))
        parts.append(read.relation)
        sources.append([row, Constant(column.name, STRING), text, Constant(at, LONG)])
    if not parts:
        raise KqlError("narrow needs a table with columns", node.at)
    ids = [*((each.id, each.type) for each in columns), (place, LONG)]
    order = [Order(columns[0].ref(), False, False), Order(Ref(place, LONG), False, False)]
    return Rows(Concat(list(parts), ids, [list(each) for each in sources]), columns, order)


def dcount_intersect(node: operators.Evaluate, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """How many values the first sketch has, the first two have in common, the first three, and so on."""
    given = _arguments(node, 2, 16, "dcount_intersect(sketch, sketch, ...)")
    sketches = [bind(each, scope.over(rows), tabular) for each in given]
    for each, sketch in zip(given, sketches, strict=True):
        if sketch.type.name != "dynamic":
            raise KqlError(f"dcount_intersect needs sketches of hll(), not {sketch.type.name}", each.at)
    columns = []
    common = sketches[0]
    for place, sketch in enumerate(sketches):
        if place:
            common = _called("set_intersect", (common, sketch), node, tabular)
        rows, id = compute(rows, _called("dcount_hll", (common,), node, tabular), tabular)
        columns.append(Column(f"s{place}", id, LONG))
    return rows.changed(columns=columns, hidden=[])


def _called(name: str, arguments: tuple[Scalar, ...], node: operators.Evaluate, tabular: Tabular) -> Scalar:
    return invoke(FUNCTIONS[name], Call(name, node.at, tabular.context.now_ticks), arguments)


def rolling_percentile(node: operators.Evaluate, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """For each bin the percentile of the values of it and of those before it, as many as a window has."""
    form = "rolling_percentile(value, percentage, time, bin, bins[, column, ...])"
    given = _arguments(node, 5, None, form)
    if not isinstance(given[0], tree.Name) or not isinstance(given[2], tree.Name):
        raise KqlError(f"write {form}, with columns", node.call.at)
    percentage = _percentage(given[1], scope, tabular)
    size = bind_constant(given[3], scope, tabular, "the size of a bin")
    if size.value is None:
        raise KqlError("the size of a bin is null", given[3].at)
    bins = whole_number(given[4], scope, tabular, "a number of bins")
    if not 1 <= bins <= _BINS_MAX:
        raise KqlError(f"a window has 1 to {_BINS_MAX} bins", given[4].at)
    value = bind(given[0], scope.over(rows), tabular)
    if value.type.name not in NUMBERS:
        raise KqlError(f"rolling_percentile needs numbers, not {value.type.name}", given[0].at)
    rows, value_id = compute(rows, value, tabular)
    moment = ticks(bind(given[2], scope.over(rows), tabular))
    start = _called("bin", (moment, size), node, tabular)
    rows, start_id = compute(rows, start, tabular)
    binned = rows.changed(columns=[*rows.columns, Column("\0bin", start_id, start.type)])
    named = [tree.Named(node.at, [], tree.Name(node.at, "\0bin"))]
    named += [tree.Named(each.at, [], each) for each in given[5:]]
    binned, keys = group_keys(named, binned, scope, tabular)
    kept = [*keys, Column("\0value", value_id, value.type)]
    shared = tabular.context.share(Rows(binned.relation, kept))
    own, around = tabular.context.read(shared), tabular.context.read(shared)
    pairs, columns = grouped(own.columns[:-1], tabular)
    ends = Aggregate(own.relation, pairs, [])
    span = Constant(size.value * (bins - 1), size.type)
    begin = arithmetic("-", columns[0].ref(), span, node.at)
    within = _within(columns, begin, around.columns[:-1])
    joined = Join(ends, around.relation, "INNER", within)
    again, shown = grouped(columns, tabular)
    found = tabular.context.new_id()
    quantile = apply(
        f"quantile_disc($1, {percentage / 100!r})", (around.columns[-1].ref(),), around.columns[-1].type
    )
    first = Column(given[2].name, shown[0].id, shown[0].type)
    name = f"rolling_{bins}_percentile_{given[0].name}_{str(percentage).replace('.', '_')}"
    answer = [first, *shown[1:], Column(name, found, quantile.type)]
    return Rows(Aggregate(joined, again, [(found, quantile)]), answer)


def _percentage(node: tree.Expression, scope: Scope, tabular: Tabular) -> float:
    known = bind_constant(node, scope, tabular, "a percentage").value
    if not isinstance(known, int | float) or isinstance(known, bool) or not 0 <= known <= 100:
        raise KqlError("the percentage must be from 0 to 100", node.at)
    return known


def _within(keys: list[Column], begin: Scalar, others: list[Column]) -> Scalar:
    """Whether another bin, the first of ``others``, is from ``begin`` up to that of ``keys``, and the rest of
    both is the same."""
    within = apply("$1 <= $2 AND $1 >= $3", (others[0].ref(), keys[0].ref(), begin), BOOL)
    for one, two in zip(keys[1:], others[1:], strict=True):
        within = apply("$1 AND $2 IS NOT DISTINCT FROM $3", (within, one.ref(), two.ref()), BOOL)
    return within
