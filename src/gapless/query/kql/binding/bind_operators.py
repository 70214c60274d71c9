"""Operators that keep, order or cut the rows as they are: where, extend, project, sort, take, ..."""

from __future__ import annotations

from dataclasses import replace

from gapless.query.kql.binding.bind_scalar import bind, bind_constant, bind_predicate, bind_several
from gapless.query.kql.binding.context import Scope
from gapless.query.kql.binding.names import declare_once, free_name, implied_name, matching, sorted_names
from gapless.query.kql.binding.several import Several
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, suggestion, unsupported
from gapless.query.kql.relational.relation import (
    Extend,
    Filter,
    Limit,
    Relation,
    Rows,
    Values,
    Window,
)
from gapless.query.kql.relational.scalars import (
    BOOL,
    LONG,
    STRING,
    Column,
    Constant,
    Order,
    Ref,
    Scalar,
    refs,
)
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.values.forms import certain_text


def unchanged(node: tree.Operator, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """Operators that say nothing about the rows: render."""
    return rows


def named(node: operators.AsName, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """as: a name for the rows, which union and search show."""
    return replace(rows, name=node.name)


def where(node: operators.Where, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The rows for which a condition is true."""
    rows = rows.changed()
    predicate = bind_predicate(node.predicate, scope.over(rows, windows=True), tabular)
    if isinstance(predicate, Constant) and predicate.value is True:
        return rows
    return rows.changed(Filter(rows.relation, predicate))


def compute(rows: Rows, value: Scalar, tabular: Tabular) -> tuple[Rows, int]:
    """``rows`` with a value as a column, which has no name yet; its id."""
    if isinstance(value, Ref):
        return rows, value.id
    id = tabular.context.new_id()
    below = rows.relation
    if isinstance(below, Extend) and refs(value).isdisjoint(each for each, _ in below.columns):
        return rows.changed(Extend(below.input, [*below.columns, (id, value)])), id
    return rows.changed(Extend(below, [(id, value)])), id


def numbered_rows(relation: Relation, order: list[Order], tabular: Tabular) -> tuple[Relation, Ref]:
    """The rows beside their numbers in an order, from 1 on."""
    number = Ref(tabular.context.new_id(), LONG)
    return Window(relation, [(number.id, apply("row_number()", (), LONG))], [], order), number


def with_column(rows: Rows, column: Column) -> Rows:
    """The column of that name is replaced in its place; a new one comes last."""
    columns = [column if each.name == column.name else each for each in rows.columns]
    if column not in columns:
        columns.append(column)
    return rows.changed(columns=columns)


def extend(node: operators.Extend, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """More columns, or others under the same names. Each expression sees the columns as they were; one that
    is named for a column, such as tostring(Column), takes its place."""
    return _extended(node.columns, rows, scope, tabular, replaces=True)


def _extended(items: list[tree.Named], rows: Rows, scope: Scope, tabular: Tabular, replaces: bool) -> Rows:
    declare_once(items)
    before = rows.changed()
    found: list[tuple[str, int, Scalar]] = []
    taken = [each.name for each in rows.columns]
    for item in items:
        value = bind_several(item.value, scope.over(before, windows=True), tabular)
        implied = None if item.names or isinstance(value, Several) else implied_name(item.value)
        parts = [(implied, value)] if implied and replaces else parts_of(item, value, taken, tabular)
        for name, each in parts:
            before, id = compute(before, each, tabular)
            found.append((name, id, each))
            taken.append(name)
    for name, id, value in found:
        before = with_column(before, Column(name, id, value.type))
    return before


def parts_of(item: tree.Named, value: Scalar, taken: list[str], tabular: Tabular) -> list[tuple[str, Scalar]]:
    """The name and value of each column that an item makes: several for (a, b) = value."""
    if isinstance(value, Several):
        return _of_several(item, value, taken)
    if len(item.names) == 1:
        return [(item.names[0], value)]
    if item.names:
        raise unsupported("(a, b) = value", item.at, "write each column by itself")
    name = implied_name(item.value)
    return [(free_name(name, taken) if name else numbered(taken), value)]


def _of_several(item: tree.Named, value: Several, taken: list[str]) -> list[tuple[str, Scalar]]:
    """The columns of a function that gives several values: those that are named, or all."""
    if len(item.names) > len(value.values):
        raise KqlError(f"there are {len(item.names)} names for {len(value.values)} values", item.at)
    if item.names:
        return [(name, each) for name, (_, each) in zip(item.names, value.values, strict=False)]
    call = item.value
    assert isinstance(call, tree.Call)
    found: list[tuple[str, Scalar]] = []
    for name, each in zip(_names_of_several(call, value), value.parts(), strict=True):
        found.append((free_name(name, [*taken, *(known for known, _ in found)]), each))
    return found


def _names_of_several(call: tree.Call, value: Several) -> list[str]:
    if call.name.startswith("array_sort"):
        return sorted_names(call)[: len(value.values)]
    base = f"{call.name}_{implied_name(call.arguments[0].value) or ''}"
    return [f"{base}_{name}" for name, _ in value.values]


def numbered(taken: list[str]) -> str:
    """The name of a column that nothing gives one."""
    number = 1
    while f"Column{number}" in taken:
        number += 1
    return f"Column{number}"


def serialize(node: operators.Serialize, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The rows, in an order that window functions may rely on."""
    rows = rows.changed()
    if not rows.order:
        rows.relation, number = numbered_rows(rows.relation, [], tabular)
        rows.order = [Order(number, False, False)]
    rows.serialized = True
    return _extended(node.columns, rows, scope, tabular, replaces=False) if node.columns else rows


def project(node: operators.Project, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """project and its kin."""
    if node.kind != "project":
        rows = _with_named_hidden(node, rows)
    match node.kind:
        case "project":
            return _project(node, rows, scope, tabular)
        case "project-rename":
            return _rename(node, rows)
        case "project-away":
            gone = {name for item in node.columns for name in _matching(item.value, rows)}
            return rows.changed(columns=[each for each in rows.columns if each.name not in gone])
        case "project-keep":
            kept = {name for item in node.columns for name in _matching(item.value, rows)}
            return rows.changed(columns=[each for each in rows.columns if each.name in kept], hidden=[])
    return _reorder(node, rows)


def _with_named_hidden(node: operators.Project, rows: Rows) -> Rows:
    """Hidden columns that are named are hidden no more."""
    named = {item.value.name for item in node.columns if isinstance(item.value, tree.Name)}
    named -= {each.name for each in rows.columns}
    found = [each for each in rows.hidden if each.name in named]
    left = [each for each in rows.hidden if each.name not in named]
    return rows.changed(columns=[*rows.columns, *found], hidden=left) if found else rows


def _project(node: operators.Project, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    declare_once(node.columns)
    before = rows.changed()
    columns: list[Column] = []
    for item in node.columns:
        if isinstance(item.value, tree.Wildcard):
            columns.extend(each for each in rows.columns if each not in columns)
            continue
        value = bind_several(item.value, scope.over(before, windows=True), tabular)
        for name, each in parts_of(item, value, [c.name for c in columns], tabular):
            if any(c.name == name for c in columns):
                raise KqlError(f"the column {name} is there twice", item.at)
            before, id = compute(before, each, tabular)
            columns.append(Column(name, id, each.type))
    return before.changed(columns=columns, hidden=[])


def _rename(node: operators.Project, rows: Rows) -> Rows:
    names: dict[str, str] = {}
    for item in node.columns:
        if len(item.names) != 1 or not isinstance(item.value, tree.Name):
            raise KqlError("write project-rename New = Old", item.at)
        column = _known(item.value, rows)
        names[column.name] = item.names[0]
    columns = [replace(each, name=names.get(each.name, each.name)) for each in rows.columns]
    for each in columns:
        if [c.name for c in columns].count(each.name) > 1:
            raise KqlError(f"the column {each.name} is there twice", node.at)
    return rows.changed(columns=columns)


def _known(node: tree.Name, rows: Rows) -> Column:
    column = next((each for each in rows.columns if each.name == node.name), None)
    if column is None:
        names = [each.name for each in rows.columns]
        raise KqlError(f"there is no column {node.name}{suggestion(node.name, names)}", node.at)
    return column


def _matching(node: tree.Expression, rows: Rows) -> list[str]:
    """The names of columns that a name, or a pattern with *, means."""
    if isinstance(node, tree.Name):
        return [_known(node, rows).name]
    assert isinstance(node, tree.Wildcard)
    return matching(node.pattern, (each.name for each in rows.columns))


def _reorder(node: operators.Project, rows: Rows) -> Rows:
    first: list[str] = []
    for item, order in zip(node.columns, node.orders, strict=True):
        names = [name for name in _matching(item.value, rows) if name not in first]
        if order.startswith("granny"):
            raise unsupported(f"project-reorder {order}", item.at)
        first += sorted(names, reverse=order == "desc") if order else names
    by_name = {each.name: each for each in rows.columns}
    columns = [by_name[name] for name in first]
    return rows.changed(columns=[*columns, *(each for each in rows.columns if each.name not in first)])


def order_keys(
    keys: list[operators.OrderKey], rows: Rows, scope: Scope, tabular: Tabular
) -> tuple[Rows, list[Order]]:
    """``rows`` with the columns to order by, and the order."""
    rows = rows.changed()
    found = []
    for key in keys:
        value = bind(key.value, scope.over(rows, windows=True), tabular)
        if value.type.name == "dynamic":
            raise unsupported("sort by a dynamic value", key.at, "convert it, with tostring() for example")
        if isinstance(value, Constant):
            continue
        value = certain_text(value)
        if value.type.name == "real":
            # NaN stands beside null: before all numbers, where they ascend.
            is_nan = apply("isnan($1)", (value,), BOOL)
            rows, id = compute(rows, is_nan, tabular)
            found.append(Order(Ref(id, BOOL), not key.descending, key.nulls_first))
        rows, id = compute(rows, value, tabular)
        found.append(Order(Ref(id, value.type), key.descending, key.nulls_first))
    return rows, found


def sort(node: operators.Sort, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The rows in an order; those that it does not tell apart stay as they were."""
    sorted_rows, keys = order_keys(node.keys, rows, scope, tabular)
    return replace(sorted_rows, order=[*keys, *rows.order], serialized=True)


def top(node: operators.Top, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The first rows in an order."""
    sorted_rows = sort(operators.Sort(node.at, node.keys), rows, scope, tabular)
    return _limited(sorted_rows, row_count(node.rows, scope, tabular))


def take(node: operators.Take, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """Some rows: the first, if they have an order."""
    return _limited(rows, row_count(node.rows, scope, tabular))


def _limited(rows: Rows, count: int) -> Rows:
    return rows.changed(Limit(rows.relation, count, rows.order))


def row_count(node: tree.Expression, scope: Scope, tabular: Tabular) -> int:
    """A number of rows, which must be known."""
    return whole_number(node, scope, tabular, "a number of rows")


def whole_number(node: tree.Expression, scope: Scope, tabular: Tabular, what: str) -> int:
    """A number that must be known, whole and not negative."""
    value = bind_constant(node, scope, tabular, what)
    if value.type.name not in ("int", "long") or not isinstance(value.value, int) or value.value < 0:
        raise KqlError(f"{what} must be a whole number that is not negative", node.at)
    return value.value


_STORED_AS = {
    "string": "System.String",
    "int": "System.Int32",
    "long": "System.Int64",
    "real": "System.Double",
    "bool": "System.SByte",
    "datetime": "System.DateTime",
    "timespan": "System.TimeSpan",
    "guid": "System.Guid",
    "dynamic": "System.Object",
}


def getschema(node: operators.GetSchema, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The columns of the rows, as rows."""
    new_id = tabular.context.new_id
    kinds = {"ColumnName": STRING, "ColumnOrdinal": LONG, "DataType": STRING, "ColumnType": STRING}
    columns = [Column(name, new_id(), kind) for name, kind in kinds.items()]
    cells: list[list[Scalar]] = [
        [
            Constant(each.name, STRING),
            Constant(index, LONG),
            Constant(_STORED_AS[each.type.name], STRING),
            Constant(each.type.name, STRING),
        ]
        for index, each in enumerate(rows.columns)
    ]
    values = Values([(each.id, each.type) for each in columns], cells)
    return Rows(values, columns, [Order(columns[1].ref(), False, False)])
