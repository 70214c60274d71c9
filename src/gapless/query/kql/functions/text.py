"""Functions of text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gapless.query.kql.calls import Call
from gapless.query.kql.comparisons import checked_regex, re2_literal
from gapless.query.kql.conversions import as_type, certain_text, to_string
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relation import BOOL, DYNAMIC, LONG, NULLABLE_STRING, STRING, TYPES, Constant, Scalar
from gapless.query.kql.sql import apply

FAMILY = Family("Text")

FAMILY.sql("strlen(text: string): long", "length($1)", "The number of characters.")
FAMILY.sql("string_size(text: string): long", "strlen($1)", "The number of bytes in UTF-8.")
FAMILY.sql("tolower(text: string): string", "lower($1)", "In lower case.")
FAMILY.sql("toupper(text: string): string", "upper($1)", "In upper case.")
FAMILY.sql("reverse(text: string): string", "reverse($1)", "The characters from last to first.")
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
    "base64_encode_tostring(text: string): string",
    "base64(encode($1))",
    "The text's UTF-8 as base64.",
    ["base64_encodestring"],
)
FAMILY.sql("url_encode(text: string): string", "url_encode($1)", "With % escapes for an address.")
FAMILY.sql("hash_md5(text: string): string", "md5($1)", "MD5 as hexadecimal digits.")
FAMILY.sql("hash_sha1(text: string): string", "sha1($1)", "SHA-1 as hexadecimal digits.")
FAMILY.sql("hash_sha256(text: string): string", "sha256($1)", "SHA-256 as hexadecimal digits.")
FAMILY.sql(
    "isascii(text: string): bool",
    "regexp_full_match($1, '[\\x00-\\x7F]*')",
    "Whether all characters are ASCII.",
)
FAMILY.sql(
    "isutf8(text: string): bool", "$1 IS NOT NULL", "Whether the text is valid UTF-8, as all text here is."
)


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
    start = "CASE WHEN $2 < 0 THEN length($1) + $2 ELSE $2 END"
    if len(arguments) == 2:
        return apply(f"coalesce(substring($1, greatest({start}, 0) + 1), '')", arguments, STRING)
    # What lies before the text's beginning counts, and is not there.
    length = f"greatest(least({start}, 0) + greatest($3, 0), 0)"
    return apply(f"coalesce(substring($1, greatest({start}, 0) + 1, {length}), '')", arguments, STRING)


@FAMILY.function(
    "indexof(text: any, lookup: any, start?: long, length?: long, occurrence?: long): long",
    "The position, from 0, of a text in another; -1 if it is not there.",
)
def _indexof(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    texts = [certain_text(to_string(argument)) for argument in arguments[:2]]
    if len(arguments) > 3:
        raise call.unsupported("a length or an occurrence")
    if len(arguments) == 2:
        return apply("strpos($1, $2) - 1", texts, LONG)
    start = call.constant(arguments[2], "a start")
    if start.value is None or start.value < 0:
        raise call.unsupported("a negative start")
    tail = f"strpos(substring($1, {start.value + 1}), $2)"
    return apply(f"CASE WHEN {tail} > 0 THEN {tail} + {start.value - 1} ELSE -1 END", texts, LONG)


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
    found = f"list_filter({places}, lambda at: substring($1, at, {len(search.value)}) = $2)"
    return apply(f"len({found})", arguments[:2], LONG)


@FAMILY.function(
    "extract(const regex: string, group: long, source: string, const type?: any): string",
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
    kind = call.constant(arguments[3], "a type")
    if kind.type.name != "type" or kind.value not in TYPES:
        raise call.error("needs typeof(...) as its last argument")
    return as_type(found, TYPES[kind.value])


@FAMILY.function(
    "extract_all(const regex: string, ...sources: any): dynamic",
    "An array of all that a regular expression's group matches.",
    ["extractall"],
)
def _extract_all(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    pattern = checked_regex(arguments[0], call.at)
    assert isinstance(pattern, Constant)
    try:
        groups = re.compile(pattern.value).groups
    except re.error:
        raise call.unsupported(f"the regular expression {pattern.value}") from None
    if groups == 0:
        raise call.error("needs a regular expression with a group in parentheses")
    wanted = list(range(1, groups + 1))
    if len(arguments) == 3:
        wanted = call.constant(arguments[1], "a list of groups").value
        if (
            not isinstance(wanted, list)
            or not wanted
            or not all(isinstance(g, int) and 0 < g <= groups for g in wanted)
        ):
            raise call.unsupported("a group by name")
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


@FAMILY.function(
    "split(text: string, delimiter: string, index?: long): dynamic",
    "An array of the parts; with an index, an array of that part alone.",
)
def _split(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    delimiter = call.constant(arguments[1], "a delimiter")
    if not delimiter.value:
        raise call.unsupported("an empty delimiter")
    if len(arguments) == 2:
        return apply("CAST(to_json(string_split($1, $2)) AS VARCHAR)", arguments, DYNAMIC)
    index = call.constant(arguments[2], "an index").value
    if index is None or index < 0:
        raise call.unsupported("a negative index")
    part = f"string_split($1, $2)[{index + 1}]"
    sql = (
        f"CASE WHEN len(string_split($1, $2)) > {index} THEN CAST(to_json([{part}]) AS VARCHAR) ELSE '[]' END"
    )
    return apply(sql, arguments[:2], DYNAMIC)


@FAMILY.function(
    "strcat_array(array: dynamic, delimiter: string): string", "The texts of an array's items, delimited."
)
def _strcat_array(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    items = "from_json(CASE WHEN json_type($1) = 'ARRAY' THEN $1 END, '[\"VARCHAR\"]')"
    texts = f"list_transform({items}, lambda each: coalesce(each, ''))"
    return apply(f"coalesce(array_to_string({texts}, $2), '')", arguments, STRING)


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


@FAMILY.function(
    "base64_decode_tostring(text: string): string",
    "The text of base64; empty text where it is none, or no UTF-8.",
    ["base64_decodestring"],
)
def _base64_decode(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    valid = "regexp_full_match($1, '(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?')"
    return apply(f"CASE WHEN {valid} THEN TRY(decode(from_base64($1))) END", arguments, NULLABLE_STRING)


@FAMILY.function("url_decode(text: string): string", "Without % escapes.")
def _url_decode(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return apply("TRY(url_decode($1))", arguments, NULLABLE_STRING)


@FAMILY.function("isempty(value: any): bool", "Whether a value is null or empty text.")
def _isempty(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    value = arguments[0]
    if value.type.name in ("string", "dynamic"):
        return apply("$1 = ''", (certain_text(to_string(value)),), BOOL)
    return apply("$1 IS NULL", (value,), BOOL)


@FAMILY.function(
    "isnotempty(value: any): bool", "Whether a value is neither null nor empty text.", ["notempty"]
)
def _isnotempty(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    value = arguments[0]
    if value.type.name in ("string", "dynamic"):
        return apply("$1 <> ''", (certain_text(to_string(value)),), BOOL)
    return apply("$1 IS NOT NULL", (value,), BOOL)


@FAMILY.function("isnull(value: any): bool", "Whether a value is null; no string is.")
def _isnull(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if arguments[0].type.name == "string":
        return Constant(False, BOOL)
    return apply("$1 IS NULL", arguments, BOOL)


@FAMILY.function("isnotnull(value: any): bool", "Whether a value is not null.", ["notnull"])
def _isnotnull(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if arguments[0].type.name == "string":
        return Constant(True, BOOL)
    return apply("$1 IS NOT NULL", arguments, BOOL)


@FAMILY.function("regex_quote(text: string): string", "A regular expression that matches the text.")
def _regex_quote(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return Constant(re2_literal(str(call.constant(arguments[0], "a text").value)), STRING)
