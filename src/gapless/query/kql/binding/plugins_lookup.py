"""ipv4_lookup: rows beside those of a table of networks that hold their addresses."""

from __future__ import annotations

from dataclasses import replace

from gapless.query.kql.binding.bind_join import equal, perhaps_null
from gapless.query.kql.binding.bind_operators import compute
from gapless.query.kql.binding.bind_scalar import bind, bind_constant
from gapless.query.kql.binding.context import Scope
from gapless.query.kql.binding.names import free_name
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError
from gapless.query.kql.functions.ipv4 import number_of, prefix_of
from gapless.query.kql.relational.relation import Join, Rows
from gapless.query.kql.relational.scalars import BOOL, LONG, STRING, Ref, Scalar
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.values.conversions import as_type
from gapless.query.kql.values.forms import certain_text
from gapless.query.kql.values.logic import logical


def ipv4_lookup(node: operators.Evaluate, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The rows whose address is in a network of the table; with return_unmatched=true the others, too."""
    named = {each.name: each.value for each in node.call.arguments if each.name is not None}
    given = [each.value for each in node.call.arguments if each.name is None]
    if len(given) < 3 or named.keys() - {"return_unmatched"}:
        raise KqlError("write ipv4_lookup(Table, Address, Network[, Column, ...])", node.call.at)
    keys = given[3:]
    option = named.get("return_unmatched")
    if keys and isinstance(keys[-1], tree.Literal):
        option = keys.pop()
    unmatched = option is not None and bind_constant(option, scope, tabular, "an option").value is True
    left, right = rows, tabular.rows(given[0], scope.over(None)).changed()
    left, address = _number(left, given[1], scope, tabular, last=False)
    right, first = _number(right, given[2], scope, tabular, last=False)
    right, last = _number(right, given[2], scope, tabular, last=True)
    tests: list[Scalar] = [apply("$1 BETWEEN $2 AND $3", (address, first, last), BOOL)]
    for key in keys:
        if not isinstance(key, tree.Name):
            raise KqlError("the keys of ipv4_lookup are columns of both tables", key.at)
        one = certain_text(bind(key, scope.over(left), tabular))
        other = certain_text(bind(key, scope.over(right), tabular))
        if one.type != other.type or one.type.name == "dynamic":
            raise KqlError(f"{key.name} is not of one type in both tables", key.at)
        left, one_id = compute(left, one, tabular)
        right, other_id = compute(right, other, tabular)
        tests.append(equal(Ref(one_id, one.type), Ref(other_id, other.type)))
    joined = Join(
        left.relation, right.relation, "LEFT" if unmatched else "INNER", logical("and", tests, node.at)
    )
    columns = list(left.columns)
    shared = {key.name for key in keys if isinstance(key, tree.Name)}
    for column in right.columns:
        if column.name not in shared:
            shown = replace(column, name=free_name(column.name, (each.name for each in columns)))
            columns.append(perhaps_null(shown) if unmatched else shown)
    return Rows(joined, columns, hidden=left.hidden)


def _number(
    rows: Rows, node: tree.Expression, scope: Scope, tabular: Tabular, last: bool
) -> tuple[Rows, Ref]:
    """The first or the last address of what an expression names, as a number."""
    value = bind(node, scope.over(rows), tabular)
    if value.type.name == "dynamic":
        value = as_type(value, STRING)
    if value.type.name != "string":
        raise KqlError(f"an address must be a string, not {value.type.name}", node.at)
    width = f"(CAST(1 AS BIGINT) << (32 - {prefix_of('$1')}))"
    begin = f"({number_of('$1')}) // {width} * {width}"
    sql = f"CASE WHEN {prefix_of('$1')} <= 32 THEN {begin}{f' + {width} - 1' if last else ''} END"
    rows, id = compute(rows, apply(sql, (certain_text(value),), LONG), tabular)
    return rows, Ref(id, LONG)
