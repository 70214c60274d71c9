"""make-series: aggregates along an axis, as arrays."""

from __future__ import annotations

from dataclasses import replace

from gapless.query.kql.binding.bind_operators import compute
from gapless.query.kql.binding.bind_scalar import bind
from gapless.query.kql.binding.bind_summarize import group_keys, grouped
from gapless.query.kql.binding.calls import Call, invoke
from gapless.query.kql.binding.context import Aggregates, Scope
from gapless.query.kql.binding.names import free_name, implied_name
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.functions.registry import FUNCTIONS
from gapless.query.kql.relational.relation import (
    Aggregate,
    Extend,
    Filter,
    Reading,
    Rows,
)
from gapless.query.kql.relational.scalars import (
    BOOL,
    DYNAMIC,
    LONG,
    NUMBERS,
    REAL,
    Column,
    Constant,
    Ref,
    Scalar,
    SubqueryValue,
    Type,
)
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.values.conversions import as_type, to_dynamic
from gapless.query.kql.values.forms import ticks
from gapless.query.kql.values.json_sql import array_text
from gapless.query.kql.values.logic import in_form
from gapless.query.kql.values.to_text import DATETIME_TEXT

#: How many points a series may have.
POINTS_MAX = 1_000_000
_MAP = Type("map")
#: The array of a map of points, of so many of them, with a value for those that it lacks.
_FILLED = (
    "concat('[', array_to_string(list_transform(range(0, $2), "
    "lambda i: coalesce(map_extract_value($1, i), coalesce($3, 'null'))), ','), ']')"
)


def make_series(node: operators.MakeSeries, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """A row for each group, with arrays of aggregates along the axis."""
    step = bind(node.step, scope.over(None), tabular)
    if node.start is None or node.stop is None:
        # Both ends may be asked of the rows, which are then read more than once.
        rows = tabular.context.read(tabular.context.share(rows))
    start = _bound(node, node.start, "min", rows, step, scope, tabular)
    stop = _bound(node, node.stop, "max", rows, step, scope, tabular)
    rows, keys = group_keys(node.keys, rows, scope, tabular)
    axis = ticks(bind(node.axis, scope.over(rows), tabular))
    numeric = {axis.type.name, start.type.name, stop.type.name, step.type.name} <= {"int", "long"}
    if not numeric and (axis.type.name, start.type.name, stop.type.name, step.type.name) != (
        "datetime",
        "datetime",
        "datetime",
        "timespan",
    ):
        raise KqlError(
            "make-series needs an axis, from, to and step of datetimes or of whole numbers", node.at
        )
    inclusive = node.stop_included
    count = _count(start, stop, step, inclusive, node.at)
    index = apply("($1 - $2) // $3", (axis, start, step), LONG)
    inside = apply("$1 >= $2 AND ($1 - $2) // $3 < $4", (axis, start, step, count), BOOL)
    rows = rows.changed(Filter(rows.relation, inside))
    rows, index_id = compute(rows, index, tabular)
    return _collected(node, rows, keys, index_id, (axis, start, step, count), scope, tabular)


def _bound(
    node: operators.MakeSeries,
    given: tree.Expression | None,
    extreme: str,
    rows: Rows,
    step: Scalar,
    scope: Scope,
    tabular: Tabular,
) -> Scalar:
    """An end of the axis: as it is given, or the bin of the first row, or the one after that of the last."""
    if given is not None:
        return ticks(bind(given, scope.over(None), tabular))
    assert isinstance(rows.relation, Reading)
    again = tabular.context.read(rows.relation.shared)
    axis = ticks(bind(node.axis, scope.over(again), tabular))
    call = Call("bin", node.at, tabular.context.now_ticks)
    binned = invoke(FUNCTIONS["bin"], call, [axis, step])
    id = tabular.context.new_id()
    sql = f"{extreme}($1)" if extreme == "min" else "max($1) + $2"
    found = Aggregate(again.relation, [], [(id, apply(sql, (binned, step), binned.type))])
    column = Column("bound", id, binned.type)
    return SubqueryValue(Rows(found, [column]), column)


def _count(start: Scalar, stop: Scalar, step: Scalar, inclusive: bool, at: int) -> Scalar:
    """How many points the axis has."""
    if isinstance(start, Constant) and isinstance(stop, Constant) and isinstance(step, Constant):
        if None in (start.value, stop.value, step.value) or step.value <= 0:
            raise KqlError("make-series needs bounds that are not null and a positive step", at)
        length = stop.value - start.value
        count = max(0, length // step.value + 1 if inclusive else -(-length // step.value))
        if count > POINTS_MAX:
            raise KqlError(f"the series has {count} points, more than {POINTS_MAX}", at)
        return Constant(count, LONG)
    if not isinstance(step, Constant) or not step.value or step.value <= 0:
        raise unsupported("make-series with a step that is no constant", at)
    sql = "($2 - $1) // $3 + 1" if inclusive else "($2 - $1 + $3 - 1) // $3"
    return apply(f"least(greatest({sql}, 0), {POINTS_MAX})", (start, stop, step), LONG)


def _collected(
    node: operators.MakeSeries,
    rows: Rows,
    keys: list[Column],
    index_id: int,
    axis: tuple[Scalar, Scalar, Scalar, Scalar],
    scope: Scope,
    tabular: Tabular,
) -> Rows:
    """A row for each group, with an array for each aggregate and one of the axis' points."""
    new_id = tabular.context.new_id
    _, start, step, count = axis
    pairs, inner_keys = grouped(keys, tabular)
    point = Ref(new_id(), LONG)
    found = Aggregates()
    aggregates = _aggregates(node, replace(scope.over(rows), aggregates=found), tabular)
    by_point = Aggregate(rows.relation, [*pairs, (point.id, Ref(index_id, LONG))], found.found)
    points = Rows(by_point, list(inner_keys))
    pairs, shown = grouped(inner_keys, tabular)
    begin, size = Ref(new_id(), start.type), Ref(new_id(), LONG)
    maps: list[tuple[int, Scalar]] = []
    series: list[tuple[str, Scalar]] = []
    names = [each.name for each in shown]
    for name, value, fill in aggregates:
        points, id = compute(points, to_dynamic(value), tabular)
        map_ = Ref(new_id(), _MAP)
        entry = "map_from_entries(list({'k': $1, 'v': coalesce($2, 'null')}))"
        maps.append((map_.id, apply(entry, (point, Ref(id, DYNAMIC)), _MAP)))
        series.append((free_name(name, names), apply(_FILLED, (map_, size, to_dynamic(fill)), DYNAMIC)))
        names.append(series[-1][0])
    axis_name = implied_name(node.axis) or "Column1"
    series.append((free_name(axis_name, names), _axis(begin, step, size)))
    result = Rows(Aggregate(points.relation, pairs, maps), shown)
    if not pairs:
        total = Ref(new_id(), LONG)
        maps.append((total.id, apply("count(*)", (), LONG)))
        result.relation = Filter(result.relation, apply("$1 > 0", (total,), BOOL))
    result.relation = Extend(result.relation, [(begin.id, start), (size.id, count)])
    columns = list(shown)
    for name, each in series:
        result, id = compute(result, each, tabular)
        columns.append(Column(name, id, each.type))
    return result.changed(columns=columns)


def _aggregates(
    node: operators.MakeSeries, scope: Scope, tabular: Tabular
) -> list[tuple[str, Scalar, Scalar]]:
    """Of each aggregate its name, its value at a point, and what stands at a point without rows."""
    found = []
    for named, default in node.aggregates:
        value = bind(named.value, scope, tabular)
        fill: Scalar = Constant(0, LONG) if default is None else bind(default, scope.over(None), tabular)
        if value.type.name not in NUMBERS:
            raise unsupported(f"make-series of {value.type.name}", named.at)
        fill = as_type(fill, REAL) if value.type.name == "real" else in_form(fill, fill.type)
        name = named.names[0] if named.names else implied_name(named.value) or "Column1"
        found.append((name, value, fill))
    return found


def _axis(start: Scalar, step: Scalar, count: Scalar) -> Scalar:
    """The points of the axis as an array."""
    text = DATETIME_TEXT if start.type.name == "datetime" else "$1"
    points = f"list_transform(range(0, $3), lambda i: {text.replace('$1', '($1 + i * $2)')})"
    return apply(array_text(points), (start, step, count), DYNAMIC)
