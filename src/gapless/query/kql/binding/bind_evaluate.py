"""evaluate: plugins, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gapless.query.kql.binding import plugins_patterns, plugins_reshape
from gapless.query.kql.binding.context import Scope
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.errors import suggestion, unsupported
from gapless.query.kql.relational.relation import Rows
from gapless.query.kql.syntax import operators


class Plugin(NamedTuple):
    """A plugin: its form, a sentence about it, and what makes its rows."""

    form: str
    summary: str
    build: Callable[[operators.Evaluate, Rows, Scope, Tabular], Rows]


PLUGINS = {
    "basket": Plugin(
        "evaluate basket([threshold[, '~', dimensions]])",
        "The sets of columns and values that many rows have, each set as full as its rows allow.",
        plugins_patterns.basket,
    ),
    "bag_unpack": Plugin(
        "evaluate bag_unpack(bag[, prefix[, columnsConflict[, ignoredProperties]]]) [: (name: type, ...)]",
        "A column for each named member of a bag, instead of the bag.",
        plugins_reshape.bag_unpack,
    ),
    "pivot": Plugin(
        "evaluate pivot(column[, aggregate[, column, ...]]) [: (name: type, ...)]",
        "A column for each value of a column, with an aggregate of the rows that have it.",
        plugins_reshape.pivot,
    ),
}


def evaluate(node: operators.Evaluate, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The rows that a plugin makes."""
    plugin = PLUGINS.get(node.call.name)
    if plugin is None:
        raise unsupported(f"plugin {node.call.name}", node.call.at, suggestion(node.call.name, PLUGINS)[2:])
    return plugin.build(node, rows.changed(), scope, tabular)
