"""Encodings of text, and hashes."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.calls import Call
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.scalars import (
    NULLABLE_STRING,
    Scalar,
)
from gapless.query.kql.sql import apply

FAMILY = Family("Encodings and hashes")

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
