"""Functions of text."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import (
    DYNAMIC,
    STRING,
    Constant,
    Scalar,
)
from gapless.query.kql.values.forms import certain_text
from gapless.query.kql.values.to_text import to_string

FAMILY = Family("Text")
#: No text is longer: the engine takes no greater length of a part.
_LENGTH_MAX = 2**31 - 1

FAMILY.sql("strlen(text: string): long", "length($1)", "The number of characters.")

FAMILY.sql("string_size(text: string): long", "strlen($1)", "The number of bytes in UTF-8.")

FAMILY.sql("tolower(text: string): string", "lower($1)", "In lower case.")

FAMILY.sql("toupper(text: string): string", "upper($1)", "In upper case.")


FAMILY.sql(
    "replace_string(text: string, lookup: string, rewrite: string): string",
    "replace($1, $2, $3)",
    "With each occurrence of one text replaced by another.",
)

FAMILY.sql(
    "strcmp(a: string, b: string): long",
    "CASE WHEN $1 < $2 THEN -1 WHEN $1 > $2 THEN 1 ELSE 0 END",
    "-1, 0 or 1: how two texts stand in order.",
)

FAMILY.sql(
    "strrep(text: string, times: long): string",
    "repeat($1, greatest(0, least($2, 1024)))",
    "The text so many times over, at most 1024.",
)

FAMILY.sql(
    "isascii(text: string): bool",
    "regexp_full_match($1, '[\\x00-\\x7F]*')",
    "Whether all characters are ASCII.",
)

FAMILY.sql(
    "isutf8(text: string): bool", "$1 IS NOT NULL", "Whether the text is valid UTF-8, as all text here is."
)


@FAMILY.function("reverse(value: any): string", "The characters of a value's text from last to first.")
def _reverse(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return apply("reverse($1)", (certain_text(to_string(arguments[0])),), STRING)


@FAMILY.function("strcat(...values: any): string", "The texts of all values, one after the other.")
def _strcat(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if not arguments:
        raise call.error("needs values")
    texts = [to_string(argument) for argument in arguments]
    if all(isinstance(text, Constant) for text in texts):
        return Constant("".join(text.value for text in texts if isinstance(text, Constant)), STRING)
    places = ", ".join(f"${index}" for index in range(1, len(texts) + 1))
    return apply(f"concat({places})", texts, STRING)


@FAMILY.function(
    "strcat_delim(delimiter: string, ...values: any): string", "The texts of all values, delimited."
)
def _strcat_delim(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    texts = [certain_text(to_string(argument)) for argument in arguments]
    places = ", ".join(f"${index}" for index in range(1, len(texts) + 1))
    return apply(f"concat_ws({places})", texts, STRING)


@FAMILY.function(
    "substring(text: string, start: long, length?: long): string", "A part, from a position counted from 0."
)
def _substring(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    # A negative start counts from the end; the engine's substring counts from 1.
    start = "CASE WHEN $2 < 0 THEN length($1) + $2 ELSE least($2, length($1)) END"
    if len(arguments) == 2:
        return apply(f"coalesce(substring($1, greatest({start}, 0) + 1), '')", arguments, STRING)
    # What lies before the text's beginning counts, and is not there.
    length = f"greatest(least({start}, 0) + greatest(least($3, {_LENGTH_MAX}), 0), 0)"
    return apply(f"coalesce(substring($1, greatest({start}, 0) + 1, {length}), '')", arguments, STRING)


@FAMILY.function(
    "split(text: string, delimiter: string, index?: long): dynamic",
    "An array of the parts; with an index, an array of that part alone.",
)
def _split(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    delimiter = arguments[1]
    if isinstance(delimiter, Constant) and not delimiter.value:
        raise call.unsupported("an empty delimiter")
    if len(arguments) == 2:
        known = "" if isinstance(delimiter, Constant) else "CASE WHEN $2 <> '' THEN {} END"
        parts = "CAST(to_json(string_split($1, $2)) AS VARCHAR)"
        return apply(known.format(parts) if known else parts, arguments, DYNAMIC)
    index = arguments[2]
    if isinstance(index, Constant) and (index.value is None or index.value < 0):
        raise call.unsupported("a negative index")
    place = f"least($3, {_LENGTH_MAX}) + 1"
    part = f"list_slice(string_split($1, $2), {place}, {place})"
    return apply(
        f"CASE WHEN $2 <> '' AND $3 >= 0 THEN CAST(to_json({part}) AS VARCHAR) END", arguments, DYNAMIC
    )


@FAMILY.function(
    "strcat_array(array: dynamic, delimiter: string): string", "The texts of an array's items, delimited."
)
def _strcat_array(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    items = "from_json(CASE WHEN json_type($1) = 'ARRAY' THEN $1 END, '[\"VARCHAR\"]')"
    texts = f"list_transform({items}, lambda each: coalesce(each, ''))"
    if isinstance(arguments[1], Constant):
        return apply(f"coalesce(array_to_string({texts}, $2), '')", arguments, STRING)
    # The engine joins by a constant alone.
    joined = f"list_transform({texts}, lambda text, i: CASE WHEN i = 1 THEN text ELSE $2 || text END)"
    return apply(f"coalesce(array_to_string({joined}, ''), '')", arguments, STRING)


@FAMILY.function(
    "translate(const search: string, const rewrite: string, text: string): string",
    "With characters replaced.",
)
def _translate(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    search, rewrite = (str(call.constant(each, "a list").value) for each in arguments[:2])
    if not rewrite and search:
        return apply("translate($1, $2, '')", (arguments[2], Constant(search, STRING)), STRING)
    full = rewrite.ljust(len(search), rewrite[-1:]) if rewrite else ""
    return apply(
        "translate($1, $2, $3)", (arguments[2], Constant(search, STRING), Constant(full, STRING)), STRING
    )
