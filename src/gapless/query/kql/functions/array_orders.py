"""Functions that put an array's items in another order, or into several arrays."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.binding.several import Several
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import DYNAMIC, Scalar
from gapless.query.kql.values.conversions import to_dynamic
from gapless.query.kql.values.json_sql import array_text, is_array, items, let

FAMILY = Family("Orders of arrays")

#: All items are numbers, or all are texts, but for nulls.
_NUMERIC = "len(list_filter(listed, lambda e: json_type(e) NOT IN ('UBIGINT', 'BIGINT', 'DOUBLE'))) = 0"
_TEXTUAL = "len(list_filter(listed, lambda e: json_type(e) <> 'VARCHAR')) = 0"


def _order(direction: str, nulls_last: bool) -> str:
    """SQL: the positions of the items ``listed``, as they stand in order; equal ones stay as they were."""
    is_last = "e IS NOT NULL" if nulls_last == (direction == "DESC") else "e IS NULL"
    place = "-i" if direction == "DESC" else "i"

    def by(keys: str) -> str:
        pairs = f"list_transform(listed, lambda e, i: {{'z': {is_last}, {keys}, 'i': {place}}})"
        return f"list_transform(list_sort({pairs}, '{direction}'), lambda each: abs(each.i))"

    # Whole numbers apart: a double does not tell all of them from each other.
    numbers = by("'k': CAST(e AS DOUBLE), 'l': TRY_CAST(e AS BIGINT)")
    # An array of both, or of others, has no order here: no array is a UUID, so that branch ends the query.
    fail = "[CAST(from_json_strict(CAST(to_json(listed) AS VARCHAR), '\"UUID\"') AS VARCHAR)]"
    return (
        f"CASE WHEN {_NUMERIC} THEN {numbers} WHEN {_TEXTUAL} THEN {by(_TEXT_KEY)}"
        f" ELSE list_transform({fail}, lambda each: 1) END"
    )


_TEXT_KEY = "'k': json_extract_string(e, '$')"


def _sorted(call: Call, arguments: Sequence[Scalar], direction: str) -> Scalar:
    given = list(arguments)
    nulls_last = True
    if given and given[-1].type.name == "bool":
        nulls_last = call.constant(given.pop(), "whether nulls are last").value is not False
    if not given or any(each.type.name != "dynamic" for each in given):
        raise call.error("needs arrays, and then whether nulls are last")
    made: list[tuple[str, Scalar]] = []
    for place, array in enumerate(given):
        chosen = f"list_transform({_order(direction, nulls_last)}, lambda place: others[place])"
        sorted_items = let("others", items("$2"), array_text(chosen))
        both = f"{is_array('$1')} AND {is_array('$2')}"
        sql = f"CASE WHEN {both} THEN {let('listed', items('$1'), sorted_items)} END"
        made.append((str(place), apply(sql, (given[0], array), DYNAMIC)))
    return made[0][1] if len(made) == 1 else Several(made)


@FAMILY.function(
    "array_sort_asc(...arrays: any): dynamic",
    "The items in ascending order; further arrays in the same new order; false last puts nulls first.",
)
def _array_sort_asc(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _sorted(call, arguments, "ASC")


@FAMILY.function(
    "array_sort_desc(...arrays: any): dynamic",
    "The items in descending order; further arrays in the same new order; false last puts nulls first.",
)
def _array_sort_desc(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _sorted(call, arguments, "DESC")


def _shifted(sign: str, arguments: Sequence[Scalar]) -> Scalar:
    # What moves in is null, or empty text in an array of texts, unless it is given.
    empty = f"CASE WHEN len(listed) > 0 AND {_TEXTUAL} AND len(list_filter(listed, lambda e: e IS NULL)) = 0"
    fill = "CAST(coalesce($3, 'null') AS JSON)" if len(arguments) > 2 else f"{empty} THEN to_json('') END"
    place = f"i {sign} greatest(least($2, len(listed)), -len(listed))"
    kept = f"CASE WHEN {place} BETWEEN 1 AND len(listed) THEN listed[{place}] ELSE {fill} END"
    moved = let("listed", items("$1"), array_text(f"list_transform(listed, lambda e, i: {kept})"))
    values = [*arguments[:2], *(to_dynamic(each) for each in arguments[2:])]
    return apply(f"CASE WHEN {is_array('$1')} THEN {moved} END", values, DYNAMIC)


@FAMILY.function(
    "array_shift_left(array: dynamic, count: long, fill?: any): dynamic",
    "The items so many places to the left; what moves in is fill, or null.",
)
def _array_shift_left(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _shifted("+", arguments)


@FAMILY.function(
    "array_shift_right(array: dynamic, count: long, fill?: any): dynamic",
    "The items so many places to the right; what moves in is fill, or null.",
)
def _array_shift_right(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _shifted("-", arguments)


def _rotated(sign: str, arguments: Sequence[Scalar]) -> Scalar:
    place = f"((i - 1 {sign} $2 % len(listed)) % len(listed) + len(listed)) % len(listed) + 1"
    moved = let("listed", items("$1"), array_text(f"list_transform(listed, lambda e, i: listed[{place}])"))
    return apply(f"CASE WHEN {is_array('$1')} THEN {moved} END", arguments, DYNAMIC)


@FAMILY.function("array_rotate_left(array: dynamic, count: long): dynamic", "The items, turned to the left.")
def _array_rotate_left(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _rotated("+", arguments)


@FAMILY.function(
    "array_rotate_right(array: dynamic, count: long): dynamic", "The items, turned to the right."
)
def _array_rotate_right(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _rotated("-", arguments)


@FAMILY.function(
    "array_split(array: dynamic, indices: any): dynamic",
    "An array of the parts before, between and after positions from 0; negative ones count from the end.",
)
def _array_split(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    known = call.constant(arguments[1], "an array of positions").value
    indices = known if isinstance(known, list) else [known]
    if not indices or not all(isinstance(each, int) and not isinstance(each, bool) for each in indices):
        raise call.error("needs a position, or an array of them")
    ends = [
        f"CASE WHEN {each} < 0 THEN greatest(len(listed) + {each}, 0) ELSE {each} END" for each in indices
    ]
    starts = ["0", *ends]
    parts = [
        f"list_slice(listed, {start} + 1, {end})"
        for start, end in zip(starts, [*ends, "len(listed)"], strict=True)
    ]
    split = let("listed", items("$1"), array_text(f"[{', '.join(parts)}]"))
    return apply(f"CASE WHEN {is_array('$1')} THEN {split} END", arguments[:1], DYNAMIC)
