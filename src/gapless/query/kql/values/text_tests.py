"""The operators on text: has, contains, startswith, endswith, =~, matches regex, and their forms."""

from __future__ import annotations

import re

from gapless.query.kql.emission.sql import apply
from gapless.query.kql.errors import KqlError, unsupported
from gapless.query.kql.relational.scalars import (
    BOOL,
    STRING,
    Constant,
    Scalar,
)
from gapless.query.kql.syntax.lexer import words
from gapless.query.kql.values.forms import certain_text
from gapless.query.kql.values.logic import logical
from gapless.query.kql.values.to_text import to_string

TEXT_OPERATORS = words(
    """
    =~ !~ has !has has_cs !has_cs hasprefix !hasprefix hasprefix_cs !hasprefix_cs hassuffix
    !hassuffix hassuffix_cs !hassuffix_cs contains !contains contains_cs !contains_cs startswith
    !startswith startswith_cs !startswith_cs endswith !endswith endswith_cs !endswith_cs
    """
)

_WORD_CHARACTER = r"[\pL\pN]"
_NO_WORD_CHARACTER = r"[^\pL\pN]"


def text_side(value: Scalar, operator: str, at: int) -> Scalar:
    """A side of an operator on text. Raises KqlError for what is no text."""
    if value.type.name in ("string", "dynamic", "guid"):
        return to_string(value)
    raise KqlError(f"{operator} needs a string, not {value.type.name}: use tostring()", at)


def text_test(operator: str, left: Scalar, right: Scalar, wanted: bool, at: int) -> Scalar:
    """has, contains, startswith, endswith, =~ and their forms."""
    if operator in ("=~", "!~"):
        base, folded, negative = "equals", True, operator == "!~"
    else:
        negative = operator.startswith("!")
        base = operator.lstrip("!")
        folded = not base.endswith("_cs")
        base = base.removesuffix("_cs")
    text, needle = text_side(left, operator, at), text_side(right, operator, at)
    if negative or not wanted:
        text = certain_text(text)
    needle = certain_text(needle)
    if base.startswith("has"):
        found = _has_term(base, text, needle, folded)
    else:
        found = _by_position(base, text, needle, folded)
    return apply("NOT $1", (found,), BOOL) if negative else found


def lowered(value: Scalar) -> Scalar:
    """A text in lower case."""
    if isinstance(value, Constant) and value.value.isascii():
        return Constant(value.value.lower(), STRING)
    return apply("lower($1)", (value,), value.type)


def _by_position(base: str, text: Scalar, needle: Scalar, folded: bool) -> Scalar:
    sql = {
        "equals": "$1 = $2",
        "contains": "contains($1, $2)",
        "startswith": "starts_with($1, $2)",
        "endswith": "ends_with($1, $2)",
    }[base]
    if isinstance(needle, Constant) and needle.value == "":
        text = certain_text(text)
    if folded:
        text, needle = lowered(text), lowered(needle)
    return apply(sql, (text, needle), BOOL)


def _has_term(base: str, text: Scalar, needle: Scalar, folded: bool) -> Scalar:
    """A term begins and ends where letters and digits do; at an end of the needle that is neither, it may
    stand beside anything."""
    flags = "(?i)" if folded else ""
    if isinstance(needle, Constant):
        term = needle.value
        if term == "":
            return Constant(True, BOOL)
        start = f"(?:^|{_NO_WORD_CHARACTER})" if base != "hassuffix" and _is_word(term[0]) else ""
        end = f"(?:$|{_NO_WORD_CHARACTER})" if base != "hasprefix" and _is_word(term[-1]) else ""
        pattern = Constant(f"{flags}{start}{re2_literal(term)}{end}", STRING)
        side = (lowered(text), lowered(needle)) if folded else (text, needle)
        near = apply("contains($1, $2)", side, BOOL)
        return logical("and", [near, apply("regexp_matches($1, $2)", (text, pattern), BOOL)], 0)
    start = "''" if base == "hassuffix" else _before_term("$2")
    end = "''" if base == "hasprefix" else _after_term("$2")
    pattern_sql = f"concat('{flags}(?s)', {start}, regexp_escape($2), {end})"
    return apply(f"regexp_matches($1, {pattern_sql})", (text, needle), BOOL)


def _is_word(character: str) -> bool:
    return character.isalnum()


def re2_literal(text: str) -> str:
    """A regular expression that finds ``text`` alone."""
    return re.sub(r"([\\.+*?()|\[\]{}^$\-])", r"\\\1", text)


def matches_regex(left: Scalar, right: Scalar, at: int) -> Scalar:
    """``left matches regex right``"""
    text = certain_text(text_side(left, "matches regex", at))
    pattern = certain_text(text_side(right, "matches regex", at))
    return apply("regexp_matches($1, $2)", (text, checked_regex(pattern, at)), BOOL)


def checked_regex(pattern: Scalar, at: int) -> Scalar:
    """A regular expression, which must be known, and one that both engines read alike."""
    if not isinstance(pattern, Constant):
        raise unsupported("a regular expression that is no constant", at)
    if found := re.search(r"\(\?(?:=|!|<=|<!)|\\[1-9]", pattern.value):
        raise unsupported(f"{found.group()} in a regular expression", at)
    return pattern


def term_pattern(place: str) -> str:
    """SQL: a regular expression that finds a term, which is no constant, whatever its case."""
    term = f"regexp_escape(coalesce({place}, ''))"
    return f"concat('(?i)', {_before_term(place)}, {term}, {_after_term(place)})"


def _before_term(place: str) -> str:
    first = f"regexp_matches({place}, '^{_WORD_CHARACTER}')"
    return f"CASE WHEN {first} THEN '(?:^|{_NO_WORD_CHARACTER})' ELSE '' END"


def _after_term(place: str) -> str:
    last = f"regexp_matches({place}, '{_WORD_CHARACTER}$')"
    return f"CASE WHEN {last} THEN '(?:$|{_NO_WORD_CHARACTER})' ELSE '' END"


def has_of_array(text: Scalar, array: Scalar, is_all: bool) -> Scalar:
    """Whether a text has any, or all, of an array's terms."""
    terms = (
        "coalesce(from_json(CASE WHEN json_type($2) = 'ARRAY' THEN $2 ELSE '[]' END, '[\"VARCHAR\"]'), [])"
    )
    kept = f"list_filter({terms}, lambda t: regexp_matches($1, {term_pattern('t')}))"
    wanted = f"= len({terms})" if is_all else "> 0"
    return apply(f"len({kept}) {wanted}", (text, array), BOOL)
