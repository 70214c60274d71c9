"""Encodings of text, and hashes."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import (
    DYNAMIC,
    GUID,
    LONG,
    NULLABLE_STRING,
    STRING,
    Scalar,
)
from gapless.query.kql.values.conversions import to_dynamic
from gapless.query.kql.values.forms import certain_text, ticks
from gapless.query.kql.values.json_sql import array_text, is_array, let, numbers
from gapless.query.kql.values.to_text import to_string

FAMILY = Family("Encodings and hashes")

_BASE64 = "regexp_full_match($1, '(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?')"

FAMILY.sql(
    "base64_encode_tostring(text: string): string",
    "base64(encode($1))",
    "The text's UTF-8 as base64.",
    ["base64_encodestring"],
)
#: Escapes in lower case, as Kusto writes them.
_ESCAPED = (
    "array_to_string(list_transform(string_split(url_encode($1), '%'), lambda part, i: "
    "CASE WHEN i = 1 THEN part ELSE concat('%', lower(left(part, 2)), substring(part, 3)) END), '')"
)
FAMILY.sql(
    "url_encode(text: string): string",
    f"replace({_ESCAPED}, '%20', '+')",
    "With % escapes for an address, and + for a blank.",
)
FAMILY.sql("url_encode_component(text: string): string", _ESCAPED, "With % escapes for an address.")


@FAMILY.function(
    "base64_decode_tostring(text: string): string",
    "The text of base64; empty text where it is none, or no UTF-8.",
    ["base64_decodestring"],
)
def _base64_decode(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return apply(f"CASE WHEN {_BASE64} THEN TRY(decode(from_base64($1))) END", arguments, NULLABLE_STRING)


@FAMILY.function("url_decode(text: string): string", "Without % escapes, and with a blank for each +.")
def _url_decode(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return apply("TRY(url_decode(replace($1, '+', ' ')))", arguments, NULLABLE_STRING)


def _register_hash(name: str, function: str, title: str) -> None:
    def build(call: Call, arguments: Sequence[Scalar]) -> Scalar:
        return apply(f"{function}($1)", (certain_text(to_string(arguments[0])),), STRING)

    FAMILY.function(f"{name}(value: any): string", f"{title} of a value's text, as hexadecimal digits.")(
        build
    )


_register_hash("hash_md5", "md5", "MD5")
_register_hash("hash_sha1", "sha1", "SHA-1")
_register_hash("hash_sha256", "sha256", "SHA-256")


@FAMILY.function(
    "hash(value: any): long", "The XXH64 of a text or of a datetime's ticks, as a number.", ["hash_xxhash64"]
)
def _hash(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    value = certain_text(ticks(arguments[0]))
    if value.type.name not in ("string", "datetime"):
        raise call.unsupported(f"a value of type {value.type.name}")
    function = "hash_xxhash64" if value.type.name == "string" else "hash_xxhash64_of_ticks"
    return apply(f"{function}($1)", (value,), LONG)


#: The bytes of a GUID in their order in base64: those of its first three parts are backwards.
_GUID_BYTES = (3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15)


def _in_guid_order(digits: str) -> str:
    """SQL: 32 hexadecimal digits with the bytes of a GUID in the other order: doing it twice undoes it."""
    return "concat(" + ", ".join(f"substring({digits}, {2 * at + 1}, 2)" for at in _GUID_BYTES) + ")"


_DIGITS = "replace($1, '-', '')"
FAMILY.sql(
    "base64_encode_fromguid(guid: guid): string",
    f"coalesce(base64(unhex({_in_guid_order(_DIGITS)})), '')",
    "The bytes of a GUID in base64.",
)
_OF_GUID = "CASE WHEN length($1) = 24 THEN hex(from_base64($1)) END"
FAMILY.sql(
    "base64_decode_toguid(text: string): guid",
    f"CASE WHEN {_BASE64} THEN CAST(TRY_CAST({_in_guid_order(f'({_OF_GUID})')} AS UUID) AS VARCHAR) END",
    "The GUID whose bytes base64 has.",
)


@FAMILY.function("new_guid(): guid", "Another GUID each time, by chance.")
def _new_guid(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return apply("CAST(gen_random_uuid() AS VARCHAR)", (), GUID, volatile=True)


@FAMILY.function("base64_decode_toarray(text: string): dynamic", "The bytes of base64 as numbers.")
def _base64_decode_toarray(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    byte = "CAST(concat('0x', substring(digits, 2 * i + 1, 2)) AS BIGINT)"
    bytes = f"list_transform(range(0, length(digits) // 2), lambda i: {byte})"
    sql = let("digits", "hex(from_base64($1))", array_text(bytes))
    return apply(f"CASE WHEN {_BASE64} THEN {sql} END", arguments, DYNAMIC)


@FAMILY.function(
    "base64_encode_fromarray(bytes: dynamic): string", "An array of bytes, as numbers, in base64."
)
def _base64_encode_fromarray(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    byte = "CASE WHEN byte BETWEEN 0 AND 255 THEN CAST(byte AS BIGINT) END"
    listed = f"list_transform({numbers('$1')}, lambda byte: {byte})"
    digits = "array_to_string(list_transform(bytes, lambda byte: format('{:02x}', byte)), '')"
    known = "len(list_filter(bytes, lambda byte: byte IS NULL)) = 0"
    sql = let("bytes", listed, f"CASE WHEN {known} THEN base64(unhex({digits})) END")
    return apply(f"coalesce(CASE WHEN {is_array('$1')} THEN {sql} END, '')", arguments, STRING)


@FAMILY.function(
    "unicode_codepoints_from_string(text: string): dynamic",
    "The code points of a text's characters.",
    ["to_utf8"],
)
def _codepoints_from_string(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    points = "list_transform(string_split($1, ''), lambda each: unicode(each))"
    return apply(f"CASE WHEN $1 = '' THEN '[]' ELSE {array_text(points)} END", arguments, DYNAMIC)


@FAMILY.function(
    "unicode_codepoints_to_string(...points: any): string",
    "The text of code points: numbers, and arrays of them.",
    ["make_string"],
)
def _codepoints_to_string(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if not arguments:
        raise call.error("needs code points")
    values = [to_dynamic(argument) for argument in arguments]
    lists = ", ".join(
        f"CASE WHEN {is_array(place)} THEN {numbers(place)} ELSE [TRY_CAST({place} AS DOUBLE)] END"
        for place in (f"${index}" for index in range(1, len(values) + 1))
    )
    valid = "point BETWEEN 1 AND 55295 OR point BETWEEN 57344 AND 1114111"
    character = f"CASE WHEN {valid} THEN chr(CAST(point AS INTEGER)) END"
    return apply(
        f"array_to_string(list_transform(flatten([{lists}]), lambda point: {character}), '')", values, STRING
    )
