"""evaluate: plugins. Those whose columns depend on the data need their columns written down."""

from __future__ import annotations

from gapless.query.kql import operators, tree
from gapless.query.kql.bind_operators import compute
from gapless.query.kql.bind_scalar import bind, bind_constant
from gapless.query.kql.context import Scope
from gapless.query.kql.conversions import as_type
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relation import (
    Rows,
)
from gapless.query.kql.scalars import (
    TYPES,
    Column,
)
from gapless.query.kql.tabular import Tabular
from gapless.query.kql.to_text import Path

#: The plugins, with their forms and a sentence about each.
PLUGINS = {
    "bag_unpack": (
        "evaluate bag_unpack(bag[, prefix]) : (name: type, ...)",
        "A column for each named member of a bag, instead of the bag.",
    )
}


def evaluate(node: operators.Evaluate, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The rows that a plugin makes."""
    if node.call.name != "bag_unpack":
        raise unsupported(f"plugin {node.call.name}", node.call.at)
    return _bag_unpack(node, rows, scope, tabular)


def _bag_unpack(node: operators.Evaluate, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    arguments = node.call.arguments
    if not 1 <= len(arguments) <= 2 or not isinstance(arguments[0].value, tree.Name):
        raise unsupported("this form of bag_unpack", node.call.at)
    if node.columns is None:
        raise unsupported(
            "bag_unpack without columns", node.call.at, "write evaluate bag_unpack(d) : (name: type, ...)"
        )
    bag = bind(arguments[0].value, scope.over(rows), tabular)
    if bag.type.name != "dynamic":
        raise KqlError(f"bag_unpack needs a dynamic column, not {bag.type.name}", node.call.at)
    prefix = ""
    if len(arguments) > 1:
        prefix = str(bind_constant(arguments[1].value, scope, tabular, "a prefix").value)
    kept = {each.name: each for each in rows.columns if each.name != arguments[0].value.name}
    columns = []
    for name, kind in node.columns:
        if name in kept:
            columns.append(kept[name])
            continue
        value = as_type(Path(bag, (name.removeprefix(prefix),)), TYPES[kind])
        rows, id = compute(rows, value, tabular)
        columns.append(Column(name, id, value.type))
    return rows.changed(columns=columns, hidden=[])
