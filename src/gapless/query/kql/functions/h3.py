"""Cells of the H3 grid, by the bits of an index: mode, resolution, base cell, a digit a resolution."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import DYNAMIC, INT, LONG, STRING, Constant, Scalar
from gapless.query.kql.values.json_sql import array_text, let

FAMILY = Family("Cells of H3")

#: The base cells that are pentagons: they have no digit 1 as their first.
_PENTAGONS = (4, 14, 24, 38, 49, 58, 63, 72, 83, 97, 107, 117)


def _resolution(cell: str) -> str:
    return f"(({cell} >> 52) & 15)"


def _digit(cell: str, at: str) -> str:
    """SQL: the digit of a resolution, from 1 to 15."""
    return f"(({cell} >> (3 * (15 - {at}))) & 7)"


def _cell(place: str, sql: str) -> str:
    """SQL over the index ``cell`` of a text; NULL where it is none."""
    form = f"regexp_full_match({place}, '[0-9a-fA-F]{{15}}')"
    index = f"CASE WHEN {form} THEN CAST(concat('0x', {place}) AS BIGINT) END"
    wrong = f"(d <= {_resolution('cell')}) = ({_digit('cell', 'd')} = 7)"
    valid = "cell >> 56 = 8 AND ((cell >> 45) & 127) < 122"
    valid += f" AND len(list_filter(range(1, 16), lambda d: {wrong})) = 0"
    return let("cell", index, f"CASE WHEN {valid} THEN {sql} END")


def _text(cell: str) -> str:
    return f"lower(to_hex(CAST({cell} AS BIGINT)))"


def _at_resolution(cell: str, resolution: str) -> str:
    """SQL: an index with another resolution, and the digits beyond it unused."""
    unused = f"((CAST(1 AS BIGINT) << CAST(3 * (15 - {resolution}) AS BIGINT)) - 1)"
    return f"(({cell} - {_resolution(cell)} * 4503599627370496 + {resolution} * 4503599627370496) | {unused})"


@FAMILY.function("geo_h3cell_level(cell: string): int", "The resolution of a cell, from 0 to 15.")
def _level(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return apply(f"CAST({_cell('$1', _resolution('cell'))} AS INTEGER)", arguments, INT)


@FAMILY.function(
    "geo_h3cell_parent(cell: string, resolution?: long): string",
    "The cell of a coarser resolution, the next by default, that a cell is in.",
)
def _parent(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    wanted = "$2" if len(arguments) > 1 else f"({_resolution('cell')} - 1)"
    fits = f"{wanted} BETWEEN 0 AND {_resolution('cell')} - 1"
    sql = f"CASE WHEN {fits} THEN {_text(_at_resolution('cell', wanted))} END"
    return apply(f"coalesce({_cell('$1', sql)}, '')", arguments, STRING)


@FAMILY.function(
    "geo_h3cell_children(cell: string, resolution?: long): dynamic",
    "The cells of a finer resolution, the next by default, that are in a cell.",
)
def _children(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    values = arguments if len(arguments) > 1 else (*arguments, Constant(None, LONG))
    wanted = f"coalesce($2, {_resolution('cell')} + 1)"
    # A pentagon is the middle of pentagons: all its digits are 0.
    zeros = f"len(list_filter(range(1, r), lambda d: {_digit('c', 'd')} <> 0)) = 0"
    pentagon = f"((c >> 45) & 127) IN ({', '.join(map(str, _PENTAGONS))}) AND {zeros}"
    digits = f"list_filter(range(0, 7), lambda n: n <> 1 OR NOT ({pentagon}))"
    child = f"({_at_resolution('c', 'r')} - (7 - n) * (CAST(1 AS BIGINT) << CAST(3 * (15 - r) AS BIGINT)))"
    step = f"flatten(list_transform(cells, lambda c: list_transform({digits}, lambda n: {child})))"
    found = f"list_reduce(range({_resolution('cell')} + 1, {wanted} + 1), lambda cells, r: {step}, [cell])"
    few = f"{wanted} - {_resolution('cell')} BETWEEN 1 AND 7 AND {wanted} <= 15"
    texts = array_text(f"list_transform({found}, lambda c: {_text('c')})")
    return apply(_cell("$1", f"CASE WHEN {few} THEN {texts} END"), values, DYNAMIC)
