"""join and lookup."""

from __future__ import annotations

from dataclasses import replace

from gapless.query.kql.aggregates.call import AggregateCall
from gapless.query.kql.binding.bind_operators import compute
from gapless.query.kql.binding.bind_scalar import bind
from gapless.query.kql.binding.context import Scope
from gapless.query.kql.binding.names import free_name
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError
from gapless.query.kql.relational.relation import (
    Aggregate,
    Join,
    Rows,
)
from gapless.query.kql.relational.scalars import (
    BOOL,
    LONG,
    NULLABLE_STRING,
    NUMBERS,
    REAL,
    Column,
    Ref,
    Scalar,
)
from gapless.query.kql.syntax import operators, tree
from gapless.query.kql.values.conversions import as_type
from gapless.query.kql.values.forms import certain_text, ticks
from gapless.query.kql.values.logic import logical

_KINDS = {
    "inner": "INNER",
    "innerunique": "INNER",
    "leftouter": "LEFT",
    "rightouter": "RIGHT",
    "fullouter": "FULL",
    "leftsemi": "SEMI",
    "leftanti": "ANTI",
    "rightsemi": "SEMI",
    "rightanti": "ANTI",
}


def join(node: operators.Join, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The rows of two tables that belong together."""
    right = tabular.rows(node.right, scope.over(None)).changed()
    left = rows.changed()
    pairs = []
    for condition in _conditions(node):
        left, right, pair = _pair(condition, left, right, scope, tabular)
        pairs.append(pair)
    if node.kind == "innerunique":
        left, pairs = _deduplicated(left, pairs, tabular)
    matches = logical("and", [equal(one, other) for one, other in pairs], node.at)
    if node.kind in ("rightsemi", "rightanti"):
        joined = Join(right.relation, left.relation, _KINDS[node.kind], matches)
        return Rows(joined, right.columns, hidden=right.hidden)
    joined = Join(left.relation, right.relation, _KINDS[node.kind], matches)
    if node.kind in ("leftsemi", "leftanti"):
        return Rows(joined, left.columns, hidden=left.hidden)
    columns = _columns(node, left, right, pairs)
    return Rows(joined, columns, hidden=_hidden(node, left, right, columns))


def _conditions(node: operators.Join) -> list[tree.Expression]:
    found: list[tree.Expression] = []
    for condition in node.conditions:
        if isinstance(condition, tree.Logical) and condition.operator == "and":
            found.extend(condition.operands)
        else:
            found.append(condition)
    return found


def _pair(
    node: tree.Expression, left: Rows, right: Rows, scope: Scope, tabular: Tabular
) -> tuple[Rows, Rows, tuple[Ref, Ref]]:
    """The columns that a condition compares: of ``left`` and of ``right``."""
    if isinstance(node, tree.Name):
        one = bind(node, scope.over(left), tabular)
        other = bind(node, scope.over(right), tabular)
    elif isinstance(node, tree.Binary) and node.operator == "==":
        sides = {"$left": left, "$right": right}
        one, other = _sided(node.left, sides, scope, tabular), _sided(node.right, sides, scope, tabular)
        if _names_right(node.left):
            one, other = other, one
    else:
        raise KqlError("a join compares columns: write on Column, or on $left.A == $right.B", node.at)
    one, other = _same_type(one, other, node.at)
    left, left_id = compute(left, one, tabular)
    right, right_id = compute(right, other, tabular)
    return left, right, (Ref(left_id, one.type), Ref(right_id, other.type))


def _names_right(node: tree.Expression) -> bool:
    while isinstance(node, tree.Member):
        node = node.value
    return isinstance(node, tree.Name) and node.name == "$right"


def _sided(node: tree.Expression, sides: dict[str, Rows], scope: Scope, tabular: Tabular) -> Scalar:
    if not (isinstance(node, tree.Member) and isinstance(node.value, tree.Name) and node.value.name in sides):
        raise KqlError("a join compares columns: write on Column, or on $left.A == $right.B", node.at)
    return bind(node, replace(scope.over(None), sides=sides), tabular)


def _same_type(one: Scalar, other: Scalar, at: int) -> tuple[Scalar, Scalar]:
    kinds = (one.type.name, other.type.name)
    if "dynamic" in kinds:
        raise KqlError("a join cannot compare dynamic values: convert them, with tostring() for example", at)
    if one.type.form == "us" and other.type.form == "us":
        return one, other
    one, other = certain_text(ticks(one)), certain_text(ticks(other))
    if kinds[0] == kinds[1]:
        return one, other
    if set(kinds) <= {"int", "long"}:
        return as_type(one, LONG), as_type(other, LONG)
    if set(kinds) <= NUMBERS:
        return as_type(one, REAL), as_type(other, REAL)
    raise KqlError(f"a join cannot compare {kinds[0]} and {kinds[1]}: convert one of them", at)


def equal(one: Ref, other: Ref) -> Scalar:
    """Keys match as they are grouped: null matches null; strings are not null here."""
    sign = "=" if one.type.name == "string" else "IS NOT DISTINCT FROM"
    return apply(f"$1 {sign} $2", (one, other), BOOL)


def _deduplicated(
    left: Rows, pairs: list[tuple[Ref, Ref]], tabular: Tabular
) -> tuple[Rows, list[tuple[Ref, Ref]]]:
    """One row of ``left`` for each different key: the first, if they have an order."""
    new_id = tabular.context.new_id
    fresh = {one.id: new_id() for one, _ in pairs}
    keys: list[tuple[int, Scalar]] = [(fresh[id], next(o for o, _ in pairs if o.id == id)) for id in fresh]
    call = AggregateCall("take_any", 0, [], None, left.order)
    firsts: list[tuple[int, Scalar]] = []

    def of_first_row(column: Column) -> Column:
        if column.id not in fresh:
            fresh[column.id] = new_id()
            first = call.apply("first($1{order})", (column.ref(),), column.type, True)
            firsts.append((fresh[column.id], first))
        return replace(column, id=fresh[column.id])

    columns = [of_first_row(column) for column in left.columns]
    hidden = [of_first_row(column) for column in left.hidden]
    rows = Rows(Aggregate(left.relation, keys, firsts), columns, hidden=hidden)
    return rows, [(Ref(fresh[one.id], one.type), other) for one, other in pairs]


def _columns(node: operators.Join, left: Rows, right: Rows, pairs: list[tuple[Ref, Ref]]) -> list[Column]:
    """The columns of both sides; names of the right that are taken get a number."""
    key_ids = {other.id for _, other in pairs} if node.lookup else set()
    left_may_lack = node.kind in ("rightouter", "fullouter")
    right_may_lack = node.kind in ("leftouter", "fullouter")
    columns = [perhaps_null(column) if left_may_lack else column for column in left.columns]
    by_name = {condition.name for condition in _conditions(node) if isinstance(condition, tree.Name)}
    for column in right.columns:
        if column.id in key_ids or (node.lookup and column.name in by_name):
            continue
        name = free_name(column.name, (each.name for each in columns))
        shown = replace(column, name=name)
        columns.append(perhaps_null(shown) if right_may_lack else shown)
    return columns


def _hidden(node: operators.Join, left: Rows, right: Rows, columns: list[Column]) -> list[Column]:
    """The hidden columns of both sides, those of the right as they would be called if all could be seen."""
    left_may_lack = node.kind in ("rightouter", "fullouter")
    right_may_lack = node.kind in ("leftouter", "fullouter")
    hidden = [perhaps_null(column) if left_may_lack else column for column in left.hidden]
    for column in right.hidden:
        name = free_name(column.name, (each.name for each in (*columns, *hidden)))
        named = replace(column, name=name)
        hidden.append(perhaps_null(named) if right_may_lack else named)
    return hidden


def perhaps_null(column: Column) -> Column:
    """The column where its row may be missing."""
    return replace(column, type=NULLABLE_STRING) if column.type.name == "string" else column
