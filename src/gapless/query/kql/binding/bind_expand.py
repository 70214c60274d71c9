"""mv-expand and mv-apply: a row for each item of an array."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from gapless.query.kql.binding.bind_operators import numbered, row_count, with_column
from gapless.query.kql.binding.bind_scalar import bind
from gapless.query.kql.binding.context import Scope
from gapless.query.kql.binding.names import free_name, implied_name
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError
from gapless.query.kql.relational.relation import (
    Aggregate,
    Expand,
    Extend,
    Lateral,
    OneRow,
    Rows,
)
from gapless.query.kql.relational.scalars import (
    DYNAMIC,
    LONG,
    TYPES,
    Column,
    Order,
    Ref,
    Scalar,
    Type,
)
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.values.conversions import as_type
from gapless.query.kql.values.json_sql import entries

_LIST = Type("list")


class _Item(NamedTuple):
    """A column that is expanded: the list that it is made of, and the column that it becomes."""

    name: str
    list: Scalar
    kind: str | None


class _Expansion(NamedTuple):
    """Lists to take apart, ``numbers`` beside them that give each item its ``position``; ``values`` are the
    items in the types that they are asked in, ``columns`` those of the rows then."""

    items: list[_Item]
    lists: list[tuple[int, Scalar]]
    position: Ref
    numbers: Scalar
    values: list[tuple[int, Scalar]]
    columns: list[Column]


def _listed(value: Scalar, as_array: bool) -> Scalar:
    """The items of a dynamic value, as a list of JSON: of an array its items, of a bag its members, each as a
    bag (or as an array of name and value); anything else is one item."""
    if as_array:
        member = "CAST(concat('[', CAST(to_json(m.k) AS VARCHAR), ',', CAST(m.v AS VARCHAR), ']') AS JSON)"
    else:
        member = "CAST(concat('{', CAST(to_json(m.k) AS VARCHAR), ':', CAST(m.v AS VARCHAR), '}') AS JSON)"
    bag = f"list_transform({entries('$1')}, lambda m: {member})"
    sql = (
        "CASE json_type($1) WHEN 'ARRAY' THEN from_json($1, '[\"JSON\"]')"
        f" WHEN 'OBJECT' THEN {bag} ELSE [CAST($1 AS JSON)] END"
    )
    return apply(sql, (value,), _LIST)


def _items(
    node: operators.MvExpand | operators.MvApply, rows: Rows, scope: Scope, tabular: Tabular
) -> list[_Item]:
    limit = row_count(node.limit, scope, tabular) if node.limit is not None else None
    as_array = isinstance(node, operators.MvExpand) and node.bag_as_array
    found: list[_Item] = []
    taken = [each.name for each in rows.columns]
    for each in node.columns:
        value = bind(each.value, scope.over(rows), tabular)
        if value.type.name != "dynamic":
            raise KqlError(f"mv-expand needs a dynamic value, not {value.type.name}", each.at)
        name = each.name or implied_name(each.value) or numbered(taken)
        if each.name is None and not isinstance(each.value, tree.Name | tree.Call):
            name = free_name(name, taken)
        listed = _listed(value, as_array)
        if limit is not None:
            listed = apply(f"list_slice($1, 1, {limit})", (listed,), _LIST)
        found.append(_Item(name, listed, each.type))
        taken.append(name)
    return found


def _typed(item: Ref, kind: str | None) -> Scalar:
    value = apply("nullif(CAST($1 AS VARCHAR), 'null')", (item,), DYNAMIC)
    return value if kind is None or kind == "dynamic" else as_type(value, TYPES[kind])


def _expansion(
    node: operators.MvExpand | operators.MvApply, rows: Rows, scope: Scope, tabular: Tabular
) -> _Expansion:
    items = _items(node, rows, scope, tabular)
    new_id = tabular.context.new_id
    lists = [(new_id(), item.list) for item in items]
    position = Ref(new_id(), LONG)
    longest = f"greatest({', '.join(f'len(${index})' for index in range(1, len(items) + 1))})"
    numbers = apply(f"range(0, {longest})", [item.list for item in items], _LIST)
    values = [
        (new_id(), _typed(Ref(id, _LIST), item.kind)) for (id, _), item in zip(lists, items, strict=True)
    ]
    fresh = [Column(item.name, id, value.type) for item, (id, value) in zip(items, values, strict=True)]
    if node.index_column is not None:
        fresh.append(Column(node.index_column, position.id, LONG))
    for column in fresh:
        rows = with_column(rows, column)
    return _Expansion(items, lists, position, numbers, values, rows.columns)


def _in_order(rows: Rows) -> bool:
    """Whether rows have an order, or are one row, so that what they expand to has one."""
    relation = rows.relation
    while isinstance(relation, Extend):
        relation = relation.input
    one = isinstance(relation, OneRow) or (isinstance(relation, Aggregate) and not relation.keys)
    return bool(rows.order) or one


def mv_expand(node: operators.MvExpand, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """Each row as many times as its arrays have items, with an item each."""
    rows = rows.changed()
    expansion = _expansion(node, rows, scope, tabular)
    lists = list(expansion.lists)
    in_order = _in_order(rows)
    if node.index_column is not None or in_order:
        lists.append((expansion.position.id, expansion.numbers))
    source = Extend(Expand(rows.relation, lists), expansion.values)
    order = [*rows.order, Order(expansion.position, False, False)] if in_order else []
    return replace(rows.changed(source, expansion.columns), order=order)


def mv_apply(node: operators.MvApply, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """For each row, what operators make of the items of its arrays."""
    rows = rows.changed()
    expansion = _expansion(node, rows, scope, tabular)
    lists = [*expansion.lists, (expansion.position.id, expansion.numbers)]
    source = Extend(Expand(OneRow(), lists), expansion.values)
    order = [Order(expansion.position, False, False)]
    start = Rows(source, expansion.columns, order, hidden=rows.hidden)
    tabular.context.rows_deep += 1
    body = tabular.piped(start, node.body, scope)
    tabular.context.rows_deep -= 1
    replaced = {item.name for item in expansion.items}
    result = rows.changed(columns=[each for each in rows.columns if each.name not in replaced])
    for column in body.columns:
        result = with_column(result, column)
    order = [*rows.order, *body.order] if _in_order(rows) else []
    return replace(result.changed(Lateral(rows.relation, body.relation)), order=order)
