"""basket: the frequent patterns of a table's columns.

A pattern is a set of columns with a value for each; it is frequent if at least a share of all rows has these
values. Of patterns that the same rows have, only the fullest is shown. (Apriori finds the same ones; here all
sets of up to some columns are grouped by, which is bounded by the number of columns.)
"""

from __future__ import annotations

from itertools import combinations

from gapless.query.kql.binding.bind_operators import compute, numbered_rows
from gapless.query.kql.binding.bind_scalar import bind_constant
from gapless.query.kql.binding.bind_summarize import group_keys, grouped
from gapless.query.kql.binding.context import Scope
from gapless.query.kql.binding.tabular import Tabular
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.relation import Aggregate, Expand, Extend, Filter, Rows, Window
from gapless.query.kql.relational.scalars import BOOL, LONG, REAL, Column, Order, Ref, Scalar, Type
from gapless.query.kql.syntax import operators, tree

#: How many columns a table may have in which patterns are looked for.
COLUMNS_MAX = 10
_SHARE_DEFAULT, _SHARE_MIN = 0.05, 0.015
_DIMENSIONS_DEFAULT = 5
_DEFAULT = "~"


def basket(node: operators.Evaluate, rows: Rows, scope: Scope, tabular: Tabular) -> Rows:
    """The frequent patterns, the most frequent first."""
    share, dimensions = _arguments(node, scope, tabular)
    if len(rows.columns) > COLUMNS_MAX:
        raise KqlError(
            f"basket looks at up to {COLUMNS_MAX} columns: project those that matter", node.call.at
        )
    named = [tree.Named(node.at, [], tree.Name(node.at, each.name)) for each in rows.columns]
    rows, keys = group_keys(named, rows, scope, tabular)
    pairs, keys = grouped(keys, tabular)
    new_id = tabular.context.new_id
    counted, mask, total, count = new_id(), new_id(), new_id(), new_id()
    different = Aggregate(rows.relation, pairs, [(counted, apply("count(*)", (), LONG))])
    masks = ", ".join(map(str, _masks(len(keys), dimensions)))
    patterns = Expand(different, [(mask, apply(f"[{masks}]", (), Type("list")))])
    bits = Ref(mask, LONG)
    chosen: list[tuple[int, Scalar]] = [
        (
            new_id(),
            apply(f"CASE WHEN $1 & {1 << place} <> 0 THEN $2 END", (Ref(mask, LONG), key.ref()), key.type),
        )
        for place, key in enumerate(keys)
    ]
    groups: list[tuple[int, Scalar]] = [(new_id(), bits)]
    groups += [(new_id(), Ref(id, value.type)) for id, value in chosen]
    columns, firsts = _constants(keys, tabular)
    size = Ref(count, LONG)
    summed = apply("CAST(sum($1) AS BIGINT)", (Ref(counted, LONG),), LONG)
    found = Aggregate(Extend(patterns, chosen), groups, [(count, summed), *firsts])
    # The pattern without any column has all rows.
    whole = Window(found, [(total, apply("max($1)", (size,), LONG))], [], [])
    chosen_bits = Ref(groups[0][0], LONG)
    frequent = apply(f"$1 <> 0 AND $2 >= {share!r} * $3", (chosen_bits, size, Ref(total, LONG)), BOOL)
    return _numbered(Filter(whole, frequent), found.aggregates, columns, total, tabular)


def _arguments(node: operators.Evaluate, scope: Scope, tabular: Tabular) -> tuple[float, int]:
    """The share of rows that makes a pattern frequent, and of how many columns it may be made."""
    values = [
        bind_constant(each.value, scope, tabular, "an argument of basket").value
        for each in node.call.arguments
    ]
    values = [None if value == _DEFAULT else value for value in values]
    if len(values) > 3 or (len(values) > 1 and values[1] is not None):
        raise unsupported("basket with weights or wildcards", node.call.at)
    share = values[0] if values and values[0] is not None else _SHARE_DEFAULT
    dimensions = values[2] if len(values) > 2 and values[2] is not None else _DIMENSIONS_DEFAULT
    if not isinstance(share, float) or not 0 < share <= 1:
        raise KqlError("basket needs a threshold of more than 0 and up to 1", node.call.at)
    if not isinstance(dimensions, int) or dimensions < 1:
        raise KqlError("basket needs a number of dimensions of 1 or more", node.call.at)
    return max(share, _SHARE_MIN), dimensions


def _masks(columns: int, dimensions: int) -> list[int]:
    """Each set of up to ``dimensions`` columns, as bits; the empty one first."""
    sizes = range(min(dimensions, columns) + 1)
    return [
        sum(1 << place for place in chosen) for size in sizes for chosen in combinations(range(columns), size)
    ]


_IS_CONSTANT = "(min($1) IS NOT DISTINCT FROM max($1) AND count($1) IN (0, count(*)))"


def _constants(keys: list[Column], tabular: Tabular) -> tuple[list[Column], list[tuple[int, Scalar]]]:
    """A column for each one of the table: its value, if all rows of a pattern have the same; and one that
    tells which are."""
    columns: list[Column] = []
    made: list[tuple[int, Scalar]] = []
    for key in keys:
        id = tabular.context.new_id()
        wildcard = "''" if key.type.name == "string" else "NULL"
        made.append(
            (id, apply(f"CASE WHEN {_IS_CONSTANT} THEN min($1) ELSE {wildcard} END", (key.ref(),), key.type))
        )
        columns.append(Column(key.name, id, key.type))
    bits = " + ".join(
        f"CASE WHEN {_IS_CONSTANT.replace('$1', f'${place + 1}')} THEN {1 << place} ELSE 0 END"
        for place in range(len(keys))
    )
    id = tabular.context.new_id()
    made.append((id, apply(bits, [key.ref() for key in keys], LONG)))
    return columns, made


def _numbered(
    frequent: Filter,
    aggregates: list[tuple[int, Scalar]],
    columns: list[Column],
    total: int,
    tabular: Tabular,
) -> Rows:
    """The different patterns with their numbers and shares. Of ``aggregates`` the first is how many rows a
    pattern has; those of ``columns`` follow."""
    new_id = tabular.context.new_id
    pairs: list[tuple[int, Scalar]] = [(new_id(), Ref(id, value.type)) for id, value in aggregates]
    totals = new_id()
    different = Aggregate(frequent, [*pairs, (totals, Ref(total, LONG))], [])
    size, *values = (Ref(id, value.type) for id, value in pairs)
    order = [Order(size, True, False), *(Order(each, False, False) for each in values)]
    relation, segment = numbered_rows(different, order, tabular)
    rows = Rows(relation, [], order)
    rows, number = compute(rows, apply("$1 - 1", (segment,), LONG), tabular)
    share = apply("CAST($1 AS DOUBLE) * 100 / $2", (size, Ref(totals, LONG)), REAL)
    rows, percent = compute(rows, share, tabular)
    shown = [
        Column("SegmentId", number, LONG),
        Column("Count", size.id, LONG),
        Column("Percent", percent, REAL),
        *(Column(old.name, new.id, old.type) for old, new in zip(columns, values, strict=False)),
    ]
    return rows.changed(columns=shown)
