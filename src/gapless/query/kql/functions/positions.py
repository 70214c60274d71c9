"""Where a text is in another: positions count from 0."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import LONG, Constant, Scalar
from gapless.query.kql.values.forms import certain_text
from gapless.query.kql.values.json_sql import items, let
from gapless.query.kql.values.text_tests import checked_regex, term_pattern
from gapless.query.kql.values.to_text import to_string

FAMILY = Family("Positions in text")

#: The beginning of the window, in which a text is looked for; and the window.
_START = "CASE WHEN $3 < 0 THEN greatest(length($1) + $3, 0) ELSE $3 END"
_FIRST = f"least({_START}, length($1)) + 1"
_WINDOW = (
    f"CASE WHEN $4 < 0 THEN substring($1, {_FIRST}) ELSE substring($1, {_FIRST}, least($4, length($1))) END"
)


def _placed(call: Call, arguments: Sequence[Scalar]) -> tuple[Sequence[Scalar], int]:
    """The two texts, start and length; and the occurrence, which must be known."""
    texts = [certain_text(to_string(argument)) for argument in arguments[:2]]
    defaults = (Constant(0, LONG), Constant(-1, LONG))
    places = (*arguments[2:4], *defaults[len(arguments[2:4]) :])
    occurrence = call.constant(arguments[4], "an occurrence").value if len(arguments) > 4 else 1
    if occurrence is None or occurrence < 1:
        raise call.error("needs an occurrence of 1 or more")
    return (*texts, *places), occurrence


def _position(parts: str, matches: str, occurrence: int) -> str:
    """SQL: where a match begins, from the texts between the matches and the lengths of the matches."""
    before = f"list_sum(list_transform(list_slice({parts}, 1, {occurrence}), lambda part: length(part)))"
    matched = f"coalesce(list_sum(list_slice({matches}, 1, {occurrence - 1})), 0)"
    found = f"CAST({before} + {matched} AS BIGINT) + {_START}"
    return f"CASE WHEN len({parts}) > {occurrence} THEN {found} ELSE -1 END"


@FAMILY.function(
    "indexof(text: any, lookup: any, start?: long, length?: long, occurrence?: long): long",
    "The position of a text in another; -1 if it is not there. A negative start counts from the end; length "
    "-1 means all.",
)
def _indexof(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    values, occurrence = _placed(call, arguments)
    if len(arguments) == 2:
        return apply("strpos($1, $2) - 1", values[:2], LONG)
    if occurrence == 1:
        at = let(
            "place", f"strpos({_WINDOW}, $2)", f"CASE WHEN place > 0 THEN place - 1 + {_START} ELSE -1 END"
        )
        return apply(f"CASE WHEN $4 >= -1 THEN {at} END", values, LONG)
    length = values[3]
    if not isinstance(length, Constant) or length.value != -1:
        raise call.unsupported("a length with an occurrence")
    matches = "list_transform(parts, lambda part: length($2))"
    sql = let("parts", f"string_split({_WINDOW}, $2)", _position("parts", matches, occurrence))
    return apply(f"CASE WHEN $2 <> '' THEN {sql} END", values, LONG)


@FAMILY.function(
    "indexof_regex(text: any, regex: string, start?: long, length?: long, occurrence?: long): long",
    "The position of what a regular expression matches; -1 if nothing does. Length -1 means all.",
)
def _indexof_regex(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    values, occurrence = _placed(call, arguments)
    pattern = checked_regex(values[1], call.at)
    matches = "list_transform(regexp_extract_all(seen, $2), lambda match: length(match))"
    sql = let("parts", "string_split_regex(seen, $2)", _position("parts", matches, occurrence))
    sql = let("seen", _WINDOW, sql)
    return apply(f"CASE WHEN $3 >= 0 AND $4 >= -1 THEN {sql} END", (values[0], pattern, *values[2:]), LONG)


@FAMILY.function(
    "has_any_index(text: string, terms: dynamic): long",
    "The position, from 0, of the first of an array's terms that a text has; -1 if it has none.",
)
def _has_any_index(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    terms = f"list_transform({items('$2')}, lambda each: coalesce(json_extract_string(each, '$'), ''))"
    found = f"list_transform({terms}, lambda t: regexp_matches($1, {term_pattern('t')}))"
    return apply(f"CAST(coalesce(list_position({found}, TRUE), 0) - 1 AS BIGINT)", arguments, LONG)
