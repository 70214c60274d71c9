"""summarize, count, distinct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gapless.query.kql.aggregates.call import AggregateCall
from gapless.query.kql.aggregates.registry import AGGREGATES
from gapless.query.kql.binding.bind_operators import compute, numbered
from gapless.query.kql.binding.bind_scalar import bind, bind_constant
from gapless.query.kql.binding.context import Aggregates, Scope
from gapless.query.kql.binding.names import free_name, implied_name, named_column
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.relation import (
    Aggregate,
    Rows,
)
from gapless.query.kql.relational.scalars import (
    LONG,
    Column,
    Field,
    Order,
    Ref,
    Scalar,
    Struct,
    refs,
)
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.values.forms import certain_text

_WHOLE_ROW = frozenset({"arg_max", "arg_min", "argmax", "argmin", "take_any", "any"})


def count(node: operators.Count, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """One row with the number of rows."""
    id = tabular.context.new_id()
    aggregate = Aggregate(rows.relation, [], [(id, apply("count(*)", (), LONG))])
    return Rows(aggregate, [Column("Count", id, LONG)])


def group_keys(
    items: Sequence[tree.Named], rows: Rows, scope: Scope, tabular: Tabular
) -> tuple[Rows, list[Column]]:
    """``rows`` with the columns to group by, and these."""
    rows = rows.changed()
    keys: list[Column] = []
    for item in items:
        value = bind(item.value, scope.over(rows, windows=True), tabular)
        if value.type.name == "dynamic":
            raise KqlError(
                "a dynamic value cannot be grouped by: convert it, with tostring() for example", item.at
            )
        if len(item.names) > 1:
            raise unsupported("(a, b) = value", item.at)
        names = [key.name for key in keys]
        name = item.names[0] if item.names else implied_name(item.value)
        name = free_name(name, names) if name else numbered(names)
        rows, id = compute(rows, certain_text(value), tabular)
        keys.append(Column(name, id, certain_text(value).type))
    return rows, keys


def grouped(keys: Sequence[Column], tabular: Tabular) -> tuple[list[tuple[int, Scalar]], list[Column]]:
    """What to group by, and the columns of the result."""
    shown: list[Column] = []
    pairs: list[tuple[int, Scalar]] = []
    for key in keys:
        id = tabular.context.new_id()
        pairs.append((id, key.ref()))
        shown.append(replace(key, id=id))
    return pairs, shown


def summarize(node: operators.Summarize, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """A row for each group, with aggregates of its rows."""
    rows, keys = group_keys(node.keys, rows, scope, tabular)
    if not node.aggregates and not keys:
        raise KqlError("summarize needs aggregates, or keys after by", node.at)
    pairs, shown = grouped(keys, tabular)
    found = Aggregates()
    made: list[tuple[str, Scalar]] = []
    names = [column.name for column in shown]
    grouped_names = _grouped_columns(node, rows, keys)
    for item in node.aggregates:
        for name, value in _aggregates_of(item, rows, scope, found, names, grouped_names, tabular):
            made.append((name, value))
            names.append(name)
    order = _first_appearance(rows, found, tabular)
    result = Rows(Aggregate(rows.relation, pairs, found.found), shown, order if pairs else [])
    columns = list(shown)
    for name, value in made:
        result, id = compute(result, value, tabular)
        columns.append(Column(name, id, value.type))
    return result.changed(columns=columns)


def _grouped_columns(node: operators.Summarize, rows: Rows, keys: list[Column]) -> set[str]:
    """The columns that are keys as they are, which * does not mean."""
    kinds = {each.name: each.type.name for each in rows.columns}
    named = ((named_column(item.value), key.type.name) for item, key in zip(node.keys, keys, strict=True))
    return {name for name, kind in named if name is not None and kinds.get(name) == kind}


def _first_appearance(rows: Rows, found: Aggregates, tabular: Tabular) -> list[Order]:
    """The order of the groups' first rows, where rows are numbered."""
    if len(rows.order) != 1 or rows.order[0].descending or rows.order[0].value.type != LONG:
        return []
    id = tabular.context.new_id()
    found.found.append((id, apply("min($1)", (rows.order[0].value,), LONG)))
    return [Order(Ref(id, LONG), False, False)]


def _aggregates_of(
    item: tree.Named,
    rows: Rows,
    scope: Scope,
    found: Aggregates,
    taken: list[str],
    grouped_names: set[str],
    tabular: Tabular,
) -> list[tuple[str, Scalar]]:
    node = item.value
    if isinstance(node, tree.Call) and node.name in _WHOLE_ROW and _is_whole_row(node):
        return _row_values(node, item, rows, scope, found, taken, grouped_names, tabular)
    if isinstance(node, tree.Call) and node.name in ("percentiles", "percentilesw"):
        return _percentiles(node, item, rows, scope, found, taken, tabular)
    inner = replace(scope.over(rows), aggregates=found)
    value = _bind_over_groups(node, inner, tabular)
    if len(item.names) > 1:
        raise unsupported("(a, b) = aggregate", item.at)
    if item.names:
        return [(item.names[0] if item.names[0] not in taken else free_name(item.names[0], taken), value)]
    name = implied_name(node)
    return [(free_name(name, taken) if name else numbered(taken), value)]


def _bind_over_groups(node: tree.Expression, scope: Scope, tabular: Tabular) -> Scalar:
    """An expression over aggregates. Raises KqlError if it names a column outside of them."""
    value = bind(node, scope, tabular)
    assert scope.aggregates is not None
    if refs(value) - {id for id, _ in scope.aggregates.found}:
        raise KqlError("this stands in no aggregate: use take_any(), or put it after by", node.at)
    return value


def _is_whole_row(node: tree.Call) -> bool:
    if node.name.startswith("arg"):
        return True
    return (
        len(node.arguments) > 1 or isinstance(node.arguments[0].value, tree.Wildcard)
        if node.arguments
        else False
    )


def _row_values(
    node: tree.Call,
    item: tree.Named,
    rows: Rows,
    scope: Scope,
    found: Aggregates,
    taken: list[str],
    grouped_names: set[str],
    tabular: Tabular,
) -> list[tuple[str, Scalar]]:
    """arg_max, arg_min and take_any of several values: all from the same row."""
    is_extreme = node.name.startswith("arg")
    if not node.arguments:
        raise KqlError(f"{node.name}() needs what to look at", node.at)
    inner = scope.over(rows)
    wanted: list[tuple[str | None, Scalar]] = []
    for index, argument in enumerate(node.arguments):
        if isinstance(argument.value, tree.Wildcard):
            seen = {value.id for _, value in wanted if isinstance(value, Ref)}
            wanted += [
                (each.name, each.ref())
                for each in rows.columns
                if each.id not in seen and each.name not in grouped_names
            ]
            continue
        value = bind(argument.value, inner, tabular)
        name = implied_name(argument.value)
        if index == 0 and is_extreme and name is None:
            name = node.name.replace("arg_", "").replace("arg", "")
        wanted.append((name, value))
    new_id = tabular.context.new_id
    fields = [(new_id(), value) for _, value in wanted]
    whole = Struct(fields)
    call = AggregateCall(node.name, node.at, [], None, rows.order)
    struct_id = new_id()
    found.found.append((struct_id, _chosen_row(call, whole, fields, wanted, is_extreme)))
    result: list[tuple[str, Scalar]] = []
    names = list(taken)
    for position, ((name, _), (id, value)) in enumerate(zip(wanted, fields, strict=True)):
        given = item.names[position] if position < len(item.names) else None
        shown = given or (free_name(name, names) if name else numbered(names))
        names.append(shown)
        result.append((shown, Field(Ref(struct_id, whole.type), id, value.type)))
    return result


def _chosen_row(
    call: AggregateCall,
    whole: Scalar,
    fields: list[tuple[int, Scalar]],
    wanted: list[tuple[str | None, Scalar]],
    is_extreme: bool,
) -> Scalar:
    if not is_extreme:
        return call.apply("first($1{order})", (whole,), whole.type, ordered=True)
    key = certain_text(wanted[0][1])
    if key.type.name in ("dynamic", "bool"):
        raise unsupported(f"{call.name}() by {key.type.name}", call.at, "convert it first")
    function = "arg_max" if "max" in call.name else "arg_min"
    if key.type.name == "real" and function == "arg_min":
        # NaN wins over all numbers; the engine holds it for the greatest.
        key = apply("CASE WHEN isnan($1) THEN CAST('-inf' AS DOUBLE) ELSE $1 END", (key,), key.type)
    # Where no row has a value to compare, any row is as good.
    return call.apply(f"coalesce({function}($1, $2), first($1))", (whole, key), whole.type)


def _percentiles(
    node: tree.Call,
    item: tree.Named,
    rows: Rows,
    scope: Scope,
    found: Aggregates,
    taken: list[str],
    tabular: Tabular,
) -> list[tuple[str, Scalar]]:
    fixed = 1 if node.name == "percentiles" else 2
    if len(node.arguments) <= fixed:
        raise KqlError(f"{node.name}() needs percentages", node.at)
    values = [bind(argument.value, scope.over(rows), tabular) for argument in node.arguments[:fixed]]
    base = implied_name(node.arguments[0].value) or ""
    result: list[tuple[str, Scalar]] = []
    for position, argument in enumerate(node.arguments[fixed:]):
        share = bind_constant(argument.value, scope, tabular, "a percentage")
        call = AggregateCall("percentile", node.at, [*values, share], None, [])
        id = tabular.context.new_id()
        made = AGGREGATES["percentile" if fixed == 1 else "percentilew"].build(call)
        found.found.append((id, made))
        given = item.names[position] if position < len(item.names) else None
        text = str(share.value).replace(".", "_")
        result.append((given or free_name(f"percentile_{base}_{text}", taken), Ref(id, made.type)))
    return result


def distinct(node: operators.Distinct, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The different rows."""
    items: list[tree.Named] = []
    for item in node.columns:
        if isinstance(item.value, tree.Wildcard):
            items += [tree.Named(item.at, [], tree.Name(item.at, each.name)) for each in rows.columns]
        else:
            items.append(item)
    dynamic = [each.name for each in rows.columns if each.type.name == "dynamic"]
    for item in items:
        if isinstance(item.value, tree.Name) and item.value.name in dynamic:
            raise unsupported(
                "distinct of a dynamic value", item.at, "convert it, with tostring() for example"
            )
    rows, keys = group_keys(items, rows, scope, tabular)
    pairs, shown = grouped(keys, tabular)
    return Rows(Aggregate(rows.relation, pairs, []), shown)
