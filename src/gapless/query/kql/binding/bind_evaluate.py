"""evaluate: plugins, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gapless.query.kql.binding import plugins_lookup, plugins_patterns, plugins_reshape, plugins_rows
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
    "dcount_intersect": Plugin(
        "evaluate dcount_intersect(sketch, sketch, ...)",
        "How many values the first of the sketches of hll() has, the first two have in common, and so on.",
        plugins_rows.dcount_intersect,
    ),
    "ipv4_lookup": Plugin(
        "evaluate ipv4_lookup(Table, Address, Network[, Column, ...][, return_unmatched])",
        "The rows beside those of a table whose network holds their address, and whose columns are the same.",
        plugins_lookup.ipv4_lookup,
    ),
    "narrow": Plugin(
        "evaluate narrow()",
        "A row for each value: the number of its row, the name of its column, its text.",
        plugins_rows.narrow,
    ),
    "pivot": Plugin(
        "evaluate pivot(column[, aggregate[, column, ...]]) [: (name: type, ...)]",
        "A column for each value of a column, with an aggregate of the rows that have it.",
        plugins_reshape.pivot,
    ),
    "rolling_percentile": Plugin(
        "evaluate rolling_percentile(value, percentage, time, bin, bins[, column, ...])",
        "For each bin of time the percentile of the values in it and in those before it, so many in all.",
        plugins_rows.rolling_percentile,
    ),
    "rows_near": Plugin(
        "evaluate rows_near(condition, rows[, rows_after])",
        "The rows that are so near to one for which a condition is true.",
        plugins_rows.rows_near,
    ),
}


def evaluate(node: operators.Evaluate, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The rows that a plugin makes."""
    plugin = PLUGINS.get(node.call.name)
    if plugin is None:
        raise unsupported(f"plugin {node.call.name}", node.call.at, suggestion(node.call.name, PLUGINS)[2:])
    return plugin.build(node, rows.changed(), scope, tabular)
