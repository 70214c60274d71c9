"""Functions of regular expressions, in RE2's syntax."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import (
    DYNAMIC,
    LONG,
    STRING,
    TYPES,
    Constant,
    Scalar,
)
from gapless.query.kql.values.conversions import as_type
from gapless.query.kql.values.forms import certain_text
from gapless.query.kql.values.text_tests import checked_regex, re2_literal
from gapless.query.kql.values.to_text import to_string

FAMILY = Family("Regular expressions")


@FAMILY.function(
    "countof(text: string, search: string, const kind?: string): long",
    'How often a text, or (kind "regex") a regular expression, occurs.',
)
def _countof(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    kind = call.constant(arguments[2], "a kind").value if len(arguments) > 2 else "normal"
    if kind == "regex":
        pattern = checked_regex(arguments[1], call.at)
        return apply("len(regexp_extract_all($1, $2))", (arguments[0], pattern), LONG)
    search = call.constant(arguments[1], "a text to search for")
    if not search.value:
        raise call.unsupported("an empty text to search for")
    # Occurrences may overlap: all positions are looked at.
    if len(search.value) == 1:
        return apply("length($1) - length(replace($1, $2, ''))", arguments[:2], LONG)
    places = f"range(1, length($1) + 2 - {len(search.value)})"
    found = f"list_filter({places}, lambda place: substring($1, place, {len(search.value)}) = $2)"
    return apply(f"len({found})", arguments[:2], LONG)


@FAMILY.function(
    "extract(const regex: string, group: long, source: string, const type?: type): string",
    "What a regular expression's group matches first; empty text if nothing does.",
)
def _extract(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    pattern = checked_regex(arguments[0], call.at)
    group = call.constant(arguments[1], "a group").value
    if group is None or not 0 <= group <= 16:
        raise call.error("needs a group from 0 to 16")
    found = apply(f"regexp_extract($1, $2, {group})", (certain_text(arguments[2]), pattern), STRING)
    if len(arguments) < 4:
        return found
    return as_type(found, TYPES[call.constant(arguments[3], "a type").value])


@FAMILY.function(
    "extract_all(const regex: string, ...sources: any): dynamic",
    "An array of all that a regular expression's group matches.",
    ["extractall"],
)
def _extract_all(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    pattern = checked_regex(arguments[0], call.at)
    assert isinstance(pattern, Constant)
    try:
        compiled = re.compile(pattern.value)
        groups = compiled.groups
    except re.error:
        raise call.unsupported(f"the regular expression {pattern.value}") from None
    if groups == 0:
        raise call.error("needs a regular expression with a group in parentheses")
    wanted = list(range(1, groups + 1))
    if len(arguments) == 3:
        named = call.constant(arguments[1], "a list of groups").value
        wanted = [compiled.groupindex.get(each, each) for each in named] if isinstance(named, list) else []
        if not wanted or not all(isinstance(group, int) and 0 < group <= groups for group in wanted):
            raise call.error("needs an array of its groups, by number or by name")
    elif len(arguments) != 2:
        raise call.error("needs a regular expression and a text")
    text = certain_text(to_string(arguments[-1]))
    if len(wanted) == 1:
        found = f"regexp_extract_all($1, $2, {wanted[0]})"
    else:
        names = ", ".join(f"'g{index}'" for index in range(1, groups + 1))
        fields = ", ".join(f"each.g{index}" for index in wanted)
        found = f"list_transform(regexp_extract_all($1, $2), lambda m: regexp_extract(m, $2, [{names}]))"
        found = f"list_transform({found}, lambda each: [{fields}])"
    json = f"CAST(to_json({found}) AS VARCHAR)"
    return apply(f"CASE WHEN regexp_matches($1, $2) THEN {json} END", (text, pattern), DYNAMIC)


@FAMILY.function(
    "replace_regex(text: string, regex: string, rewrite: string): string",
    "With each match of a regular expression replaced; \\1 stands for a group.",
    ["replace"],
)
def _replace_regex(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    text, pattern, rewrite = arguments
    if call.name == "replace":
        pattern, rewrite, text = certain_text(arguments[0]), arguments[1], arguments[2]
    return apply("regexp_replace($1, $2, $3, 'g')", (text, checked_regex(pattern, call.at), rewrite), STRING)


def _trim_both(call: Call, arguments: Sequence[Scalar], ends: str) -> Scalar:
    pattern = checked_regex(arguments[0], call.at)
    assert isinstance(pattern, Constant)
    text = arguments[1]
    if "start" in ends:
        text = apply("regexp_replace($1, $2, '')", (text, Constant(f"^(?:{pattern.value})", STRING)), STRING)
    if "end" in ends:
        text = apply("regexp_replace($1, $2, '')", (text, Constant(f"(?:{pattern.value})$", STRING)), STRING)
    return text


@FAMILY.function(
    "trim(const regex: string, text: string): string", "Without a match at the start and at the end."
)
def _trim(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _trim_both(call, arguments, "start end")


@FAMILY.function("trim_start(const regex: string, text: string): string", "Without a match at the start.")
def _trim_start(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _trim_both(call, arguments, "start")


@FAMILY.function("trim_end(const regex: string, text: string): string", "Without a match at the end.")
def _trim_end(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _trim_both(call, arguments, "end")


@FAMILY.function("regex_quote(text: string): string", "A regular expression that matches the text.")
def _regex_quote(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return Constant(re2_literal(str(call.constant(arguments[0], "a text").value)), STRING)
