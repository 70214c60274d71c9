"""Plugins that turn values into columns: bag_unpack, pivot.

Where no columns are written down, the data is asked for them first.
"""

from __future__ import annotations

from gapless.query.kql.aggregates.call import AggregateCall
from gapless.query.kql.aggregates.registry import AGGREGATES
from gapless.query.kql.binding.bind_operators import compute
from gapless.query.kql.binding.bind_scalar import bind, bind_constant, member
from gapless.query.kql.binding.bind_summarize import group_keys, grouped
from gapless.query.kql.binding.context import Scope
from gapless.query.kql.binding.names import implied_name
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.relation import Aggregate, Expand, Extend, Limit, Rows
from gapless.query.kql.relational.scalars import BOOL, STRING, TYPES, Column, Constant, Ref, Scalar, Type
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.values.conversions import as_type
from gapless.query.kql.values.forms import certain_text
from gapless.query.kql.values.json_sql import entries
from gapless.query.kql.values.to_text import to_string

#: How many columns a plugin may make of the data.
COLUMNS_MAX = 500
_JSON_TYPES_MAX = 10
_TYPES = {
    "VARCHAR": "string",
    "BIGINT": "long",
    "UBIGINT": "long",
    "DOUBLE": "real",
    "BOOLEAN": "bool",
}


def bag_unpack(node: operators.Evaluate, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """A column for each member of a bag, instead of the bag."""
    given = _named_arguments(
        node, ("column", "OutputColumnPrefix", "columnsConflict", "ignoredProperties"), scope, tabular
    )
    first = given.pop("column", None)
    if not isinstance(first, tree.Name):
        raise KqlError("bag_unpack needs a column of bags: write bag_unpack(Column)", node.call.at)
    options = {name: bind_constant(each, scope, tabular, name).value for name, each in given.items()}
    prefix = str(options.get("OutputColumnPrefix", ""))
    ignored = options.get("ignoredProperties") or []
    bag = bind(first, scope.over(rows), tabular)
    if bag.type.name != "dynamic":
        raise KqlError(f"bag_unpack needs a dynamic column, not {bag.type.name}", node.call.at)
    kept = [each for each in rows.columns if each.name != first.name]
    if node.columns is None:
        found = _members(node, rows, bag, tabular)
        wanted = [(prefix + name, kind) for name, kind in found if name not in ignored]
        columns = _without_conflicts(node, kept, wanted, str(options.get("columnsConflict", "error")))
    else:
        wanted = node.columns
        names = [name for name, _ in wanted]
        columns = [each for each in kept if node.keeps_input or each.name in names]
    made: dict[str, Column] = {each.name: each for each in columns}
    for name, kind in wanted:
        if name not in made:
            value = as_type(member(bag, name.removeprefix(prefix), node.at), TYPES[kind])
            rows, id = compute(rows, value, tabular)
            made[name] = Column(name, id, value.type)
    order = [name for name, _ in wanted] if node.columns and not node.keeps_input else list(made)
    return rows.changed(columns=[made[name] for name in order])


def _without_conflicts(
    node: operators.Evaluate, kept: list[Column], wanted: list[tuple[str, str]], resolution: str
) -> list[Column]:
    """The columns of the input that stay, where members have the names of some."""
    names = {name for name, _ in wanted}
    conflicts = [each.name for each in kept if each.name in names]
    if not conflicts or resolution == "keep_source":
        return kept
    if resolution != "replace_source":
        raise KqlError(
            f"bag_unpack makes a column {conflicts[0]}, which is there already: give a prefix", node.call.at
        )
    return [each for each in kept if each.name not in names]


def _members(node: operators.Evaluate, rows: Rows, bag: Scalar, tabular: Tabular) -> list[tuple[str, str]]:
    """The names of all members of the bags, in order, each with the type of its values; dynamic, if they
    have several."""
    context = tabular.context
    item, name, kind = (context.new_id() for _ in range(3))
    expanded = Expand(rows.relation, [(item, apply(entries("$1"), (bag,), Type("list")))])
    entry = Ref(item, Type("struct"))
    parts: list[tuple[int, Scalar]] = [
        (name, apply("struct_extract($1, 'k')", (entry,), STRING)),
        (kind, apply("json_type(struct_extract($1, 'v'))", (entry,), STRING)),
    ]
    columns = [Column("name", context.new_id(), STRING), Column("type", context.new_id(), STRING)]
    pairs: list[tuple[int, Scalar]] = [
        (column.id, Ref(id, STRING)) for column, (id, _) in zip(columns, parts, strict=True)
    ]
    different = Aggregate(Extend(expanded, parts), pairs, [])
    asked = Rows(Limit(different, (COLUMNS_MAX + 1) * _JSON_TYPES_MAX, []), columns)
    instead = "write evaluate bag_unpack(d) : (name: type, ...)"
    found: dict[str, set[str]] = {}
    for member_name, json_type in context.ask(
        asked, "bag_unpack without columns here", node.call.at, instead
    ):
        kinds = found.setdefault(member_name, set())
        if json_type not in (None, "NULL"):
            kinds.add(_TYPES.get(json_type, "dynamic"))
    if len(found) > COLUMNS_MAX:
        raise KqlError(f"the bags have more than {COLUMNS_MAX} members: {instead}", node.call.at)
    return [(each, kinds.pop() if len(kinds) == 1 else "dynamic") for each, kinds in sorted(found.items())]


def pivot(node: operators.Evaluate, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """A column for each value of a column, with an aggregate of its rows, by other columns."""
    arguments = [argument.value for argument in node.call.arguments]
    if not arguments or not isinstance(arguments[0], tree.Name):
        raise KqlError("pivot needs a column: write pivot(Column[, aggregate][, Column, ...])", node.call.at)
    turned = arguments[0]
    call = tree.Call(node.call.at, "count", [])
    rest = arguments[1:]
    if rest and isinstance(rest[0], tree.Call):
        call, rest = rest[0], rest[1:]
    function = AGGREGATES.get(call.name)
    if function is None or function.conditional:
        raise unsupported(f"pivot with {call.name}()", call.at, "use count(), sum(), max() or their like")
    inner = scope.over(rows)
    values = [bind(argument.value, inner, tabular) for argument in call.arguments]
    if not function.arguments_min <= len(values) <= function.arguments_max:
        raise KqlError(f"{len(values)} arguments where {function.form} is its form", call.at)
    used = {turned.name, *(implied_name(argument.value) for argument in call.arguments)}
    by = [tree.Named(each.at, [], each) for each in rest] or [
        tree.Named(node.at, [], tree.Name(node.at, each.name))
        for each in rows.columns
        if each.name not in used
    ]
    turned_text = certain_text(to_string(bind(turned, inner, tabular)))
    names = _pivot_names(node, rows, turned_text, len(by), tabular)
    rows, keys = group_keys(by, rows, scope, tabular)
    pairs, columns = grouped(keys, tabular)
    aggregates: list[tuple[int, Scalar]] = []
    for name in names:
        condition = apply("$1 = $2", (turned_text, Constant(name, STRING)), BOOL)
        made = function.build(AggregateCall(call.name, call.at, values, condition, rows.order))
        id = tabular.context.new_id()
        aggregates.append((id, made))
        columns.append(Column(name, id, made.type))
    result = Rows(Aggregate(rows.relation, pairs, aggregates), columns)
    if function.finish is None:
        return result
    for index, column in enumerate(columns[len(keys) :], start=len(keys)):
        value = function.finish(column.ref())
        result, id = compute(result, value, tabular)
        columns[index] = Column(column.name, id, value.type)
    return result.changed(columns=columns)


def _pivot_names(
    node: operators.Evaluate, rows: Rows, turned: Scalar, key_count: int, tabular: Tabular
) -> list[str]:
    """The names of the columns that pivot makes: those that are written down, or the values in order."""
    if node.columns is not None:
        return [name for name, _ in node.columns[key_count:]]
    context = tabular.context
    column = Column("value", context.new_id(), STRING)
    asked = Limit(Aggregate(rows.relation, [(column.id, turned)], []), COLUMNS_MAX + 1, [])
    instead = "write evaluate pivot(...) : (name: type, ...)"
    found = sorted(
        name for (name,) in context.ask(Rows(asked, [column]), "pivot without columns here", node.at, instead)
    )
    if len(found) > COLUMNS_MAX:
        raise KqlError(f"the column has more than {COLUMNS_MAX} values: filter it before", node.call.at)
    if "" in found:
        raise unsupported("pivot of an empty value", node.call.at, "filter with isnotempty() before")
    return found


def _named_arguments(
    node: operators.Evaluate, names: tuple[str, ...], scope: Scope, tabular: Tabular
) -> dict[str, tree.Expression]:
    """The arguments of a plugin by the names of its parameters."""
    if len(node.call.arguments) > len(names):
        raise KqlError(f"{node.call.name} takes up to {len(names)} arguments", node.call.at)
    given: dict[str, tree.Expression] = {}
    for name, argument in zip(names, node.call.arguments, strict=False):
        if argument.name is not None and argument.name not in names:
            raise KqlError(f"{node.call.name} has no parameter {argument.name}", argument.at)
        given[argument.name or name] = argument.value
    return given
