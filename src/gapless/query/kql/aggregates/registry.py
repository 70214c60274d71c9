"""All aggregates by name, and calls of them."""

from __future__ import annotations

from collections.abc import Callable

from gapless.query.kql.aggregates import lists, percentiles, sketches, statistics
from gapless.query.kql.aggregates.call import AggregateCall, AggregateFunction
from gapless.query.kql.binding.context import Scope
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.errors import KqlError
from gapless.query.kql.relational.scalars import (
    Ref,
    Scalar,
)
from gapless.query.kql.syntax import tree

#: Binds an expression; ``bind_scalar.bind``.
Bind = Callable[[tree.Expression, Scope, Tabular], Scalar]
AGGREGATES: dict[str, AggregateFunction] = {
    name: function
    for family in (statistics.FAMILY, percentiles.FAMILY, lists.FAMILY, sketches.FAMILY)
    for name, function in family.functions.items()
}


def aggregate(node: tree.Call, scope: Scope, tabular: Tabular, bind: Bind) -> Scalar:
    """The value of an aggregate's call, which becomes a column of the summarize."""
    assert scope.aggregates is not None
    found, rows = scope.aggregates, scope.rows
    function = AGGREGATES[node.name]
    count = len(node.arguments)
    if node.name == "count" and count == 1:
        node, count = tree.Call(node.at, "count", []), 0
    if not function.arguments_min <= count <= function.arguments_max:
        raise KqlError(f"{count} arguments where {function.form} is its form", node.at)
    inner = scope.over(rows)
    arguments = [bind(argument.value, inner, tabular) for argument in node.arguments]
    condition = None
    if function.conditional:
        condition = arguments.pop(function.arguments_min - 1)
        if condition.type.name != "bool":
            raise KqlError(f"{node.name}() needs a condition, not {condition.type.name}", node.at)
    order = rows.order if rows is not None else []
    value = function.build(AggregateCall(node.name, node.at, arguments, condition, order))
    id = tabular.context.new_id()
    found.found.append((id, value))
    made = Ref(id, value.type)
    return made if function.finish is None else function.finish(made)
