"""summarize, count, distinct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gapless.query.kql.aggregates.call import AggregateCall
from gapless.query.kql.aggregates.registry import AGGREGATES
from gapless.query.kql.binding.bind_operators import compute, numbered
from gapless.query.kql.binding.bind_scalar import bind, bind_constant
from gapless.query.kql.binding.context import Aggregates, Scope
from gapless.query.kql.binding.names import (
    declare_once,
    free_name,
    implied_name,
    name_in_row,
    named_column,
)
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
    declare_once([*node.keys, *(item for item in node.aggregates if item.names)])
    rows, keys = group_keys(node.keys, rows, scope, tabular)
    pairs, shown = grouped(keys, tabular)
    groups = _Groups(rows, _grouped_columns(node, rows, keys), [each.name for each in shown], scope, tabular)
    made = [each for item in node.aggregates for each in groups.aggregates_of(item)]
    if not keys and not groups.aggregates.found:
        raise KqlError("summarize needs aggregates, or keys after by", node.at)
    order = groups.first_appearance()
    result = Rows(Aggregate(rows.relation, pairs, groups.aggregates.found), shown, order if pairs else [])
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


class _Groups:
    """Groups of ``rows``, and their aggregates as these are found. ``keys`` are the columns that * does not
    mean, ``taken`` the names that columns of the result have already."""

    def __init__(self, rows: Rows, keys: set[str], taken: list[str], scope: Scope, tabular: Tabular) -> None:
        self.rows, self.keys, self.taken = rows, keys, taken
        self.scope, self.tabular = scope.over(rows), tabular
        self.aggregates = Aggregates()

    def aggregates_of(self, item: tree.Named) -> list[tuple[str, Scalar]]:
        """The names and values of the columns that an item of summarize makes."""
        node = item.value
        if isinstance(node, tree.Call) and node.name in _WHOLE_ROW and _is_whole_row(node):
            made = self._row_values(node, item)
        elif isinstance(node, tree.Call) and node.name in ("percentiles", "percentilesw"):
            made = self._percentiles(node, item)
        else:
            made = [self._value(node, item)]
        self.taken += [name for name, _ in made]
        return made

    def first_appearance(self) -> list[Order]:
        """The order of the groups' first rows, where rows are numbered."""
        order = self.rows.order
        if len(order) != 1 or order[0].descending or order[0].value.type != LONG:
            return []
        return [Order(self._added(apply("min($1)", (order[0].value,), LONG)), False, False)]

    def _added(self, aggregate: Scalar) -> Ref:
        id = self.tabular.context.new_id()
        self.aggregates.found.append((id, aggregate))
        return Ref(id, aggregate.type)

    def _value(self, node: tree.Expression, item: tree.Named) -> tuple[str, Scalar]:
        """An expression over aggregates. Raises KqlError if it names a column outside of them."""
        value = bind(node, replace(self.scope, aggregates=self.aggregates), self.tabular)
        if refs(value) - {id for id, _ in self.aggregates.found}:
            raise KqlError("this stands in no aggregate: use take_any(), or put it after by", node.at)
        if len(item.names) > 1:
            raise unsupported("(a, b) = aggregate", item.at)
        name = item.names[0] if item.names else implied_name(node)
        return (free_name(name, self.taken) if name else numbered(self.taken)), value

    def _row_values(self, node: tree.Call, item: tree.Named) -> list[tuple[str, Scalar]]:
        """arg_max, arg_min and take_any of several values: all from the same row."""
        wanted = self._wanted(node)
        new_id = self.tabular.context.new_id
        fields = [(new_id(), value) for _, value in wanted]
        whole = self._added(_chosen_row(node, fields, self.rows.order))
        result: list[tuple[str, Scalar]] = []
        names = list(self.taken)
        for position, ((name, _), (id, value)) in enumerate(zip(wanted, fields, strict=True)):
            given = item.names[position] if position < len(item.names) else None
            shown = given or free_name(name, names)
            names.append(shown)
            result.append((shown, Field(whole, id, value.type)))
        return result

    def _wanted(self, node: tree.Call) -> list[tuple[str, Scalar]]:
        """The names and values that are asked of a row."""
        wanted: list[tuple[str, Scalar]] = []
        for index, argument in enumerate(node.arguments):
            if isinstance(argument.value, tree.Wildcard):
                seen = {value.id for _, value in wanted if isinstance(value, Ref)}
                wanted += [
                    (f"any_{each.name}" if node.name == "any" else each.name, each.ref())
                    for each in self.rows.columns
                    if each.id not in seen and each.name not in self.keys
                ]
                continue
            value = bind(argument.value, self.scope, self.tabular)
            wanted.append((name_in_row(node, index), value))
        if not wanted and _is_extreme(node):
            raise KqlError(f"{node.name}() needs what to look at", node.at)
        return wanted

    def _percentiles(self, node: tree.Call, item: tree.Named) -> list[tuple[str, Scalar]]:
        fixed = 1 if node.name == "percentiles" else 2
        if len(node.arguments) <= fixed:
            raise KqlError(f"{node.name}() needs percentages", node.at)
        values = [bind(argument.value, self.scope, self.tabular) for argument in node.arguments[:fixed]]
        base = implied_name(node.arguments[0].value) or ""
        function = AGGREGATES["percentile" if fixed == 1 else "percentilew"]
        result: list[tuple[str, Scalar]] = []
        for position, argument in enumerate(node.arguments[fixed:]):
            share = bind_constant(argument.value, self.scope, self.tabular, "a percentage")
            made = function.build(AggregateCall("percentile", node.at, [*values, share], None, []))
            given = item.names[position] if position < len(item.names) else None
            text = str(share.value).replace(".", "_")
            name = given or free_name(f"percentile_{base}_{text}", self.taken)
            result.append((name, self._added(made)))
        return result


def _is_extreme(node: tree.Call) -> bool:
    return node.name.startswith("arg")


def _is_whole_row(node: tree.Call) -> bool:
    values = [each.value for each in node.arguments]
    return _is_extreme(node) or len(values) > 1 or any(isinstance(each, tree.Wildcard) for each in values)


def _chosen_row(node: tree.Call, fields: list[tuple[int, Scalar]], order: list[Order]) -> Scalar:
    """The fields of one row of the group."""
    whole = Struct(fields)
    call = AggregateCall(node.name, node.at, [], None, order)
    if not _is_extreme(node):
        return call.apply("first($1{order})", (whole,), whole.type, ordered=True)
    key = certain_text(fields[0][1])
    if key.type.name in ("dynamic", "bool"):
        raise unsupported(f"{call.name}() by {key.type.name}", call.at, "convert it first")
    function = "arg_max" if "max" in call.name else "arg_min"
    if key.type.name == "real" and function == "arg_min":
        # NaN wins over all numbers; the engine holds it for the greatest.
        key = apply("CASE WHEN isnan($1) THEN CAST('-inf' AS DOUBLE) ELSE $1 END", (key,), key.type)
    # Where no row has a value to compare, any row is as good.
    return call.apply(f"coalesce({function}($1, $2), first($1))", (whole, key), whole.type)


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
    declare_once(items)
    rows, keys = group_keys(items, rows, scope, tabular)
    pairs, shown = grouped(keys, tabular)
    return Rows(Aggregate(rows.relation, pairs, []), shown)
