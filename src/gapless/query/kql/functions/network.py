"""Functions of addresses: IPv4 and URLs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gapless.query.kql.calls import Call
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.scalars import (
    BOOL,
    DYNAMIC,
    LONG,
    STRING,
    Constant,
    Scalar,
)
from gapless.query.kql.sql import apply
from gapless.query.kql.to_text import to_string

FAMILY = Family("Addresses")
_OCTET = r"(?:25[0-5]|2[0-4]\d|[01]?\d?\d)"
#: An address, and the length of its prefix, if it has one.
_ADDRESS = rf"^\s*({_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET})(?:/(\d{{1,2}}))?\s*$"
#: The beginning of a private address: of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16.
_PRIVATE = r"^\s*(?:0?10|172\.0?(?:1[6-9]|2\d|3[01])|192\.168)\."


def number_of(place: str) -> str:
    """SQL: an address, with or without a prefix, as a number; NULL for what is none."""
    octets = f"string_split(nullif(regexp_extract({place}, '{_ADDRESS}', 1), ''), '.')"
    numbers = f"list_transform({octets}, lambda octet: CAST(octet AS BIGINT))"
    return f"list_reduce({numbers}, lambda whole, octet: whole * 256 + octet)"


def prefix_of(place: str) -> str:
    """SQL: the length of an address's prefix; 32 without one."""
    return f"coalesce(TRY_CAST(nullif(regexp_extract({place}, '{_ADDRESS}', 2), '') AS BIGINT), 32)"


def _same_network(one: str, other: str, length: str) -> str:
    width = f"(1 << (32 - least(32, greatest(0, {length}))))"
    return f"({number_of(one)}) // {width} = ({number_of(other)}) // {width}"


@FAMILY.function("parse_ipv4(address: string): long", "An IPv4 address as a number; null for what is none.")
def _parse_ipv4(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    width = f"(CAST(1 AS BIGINT) << (32 - {prefix_of('$1')}))"
    sql = f"CASE WHEN {prefix_of('$1')} <= 32 THEN ({number_of('$1')}) // {width} * {width} END"
    return apply(sql, arguments, LONG)


@FAMILY.function("ipv4_is_private(address: string): bool", "Whether an IPv4 address is of a private network.")
def _is_private(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    valid = f"regexp_matches($1, '{_ADDRESS}') AND {prefix_of('$1')} <= 32"
    sql = f"CASE WHEN {valid} THEN regexp_matches($1, '{_PRIVATE}') END"
    return apply(sql, arguments, BOOL)


@FAMILY.function(
    "ipv4_is_in_range(address: string, range: string): bool",
    "Whether an IPv4 address is in a network such as 10.0.0.0/8.",
)
def _is_in_range(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    length = prefix_of("$2")
    sql = f"CASE WHEN {length} <= 32 AND {prefix_of('$1')} <= 32 THEN {_same_network('$1', '$2', length)} END"
    return apply(sql, arguments, BOOL)


@FAMILY.function(
    "ipv4_is_in_any_range(address: string, ...ranges: any): bool",
    "Whether an IPv4 address is in one of several networks.",
)
def _is_in_any_range(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    ranges: list[str] = []
    for argument in arguments[1:]:
        value = call.constant(argument, "a network").value
        ranges.extend(value if isinstance(value, list) else [value])
    if not ranges:
        raise call.error("needs networks")
    tests = []
    for index, text in enumerate(ranges):
        match = re.match(_ADDRESS, str(text))
        if match is None or int(match[2] or 32) > 32:
            raise call.error(f"{text!r} is no network")
        tests.append(_same_network("$1", f"${index + 2}", match[2] or "32"))
    sql = f"CASE WHEN ({number_of('$1')}) IS NOT NULL THEN {' OR '.join(tests)} END"
    return apply(sql, (arguments[0], *(Constant(str(text), STRING) for text in ranges)), BOOL)


@FAMILY.function(
    "ipv4_compare(a: string, b: string, const prefix?: long): long",
    "-1, 0 or 1: how two IPv4 addresses stand in order.",
)
def _compare(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    one, other, valid = _masked(call, arguments)
    order = f"CASE WHEN {one} < {other} THEN -1 WHEN {one} > {other} THEN 1 WHEN {one} = {other} THEN 0 END"
    sql = f"CASE WHEN {valid} THEN {order} END"
    return apply(sql, arguments[:2], LONG)


@FAMILY.function(
    "ipv4_is_match(a: string, b: string, const prefix?: long): bool", "Whether two IPv4 addresses are one."
)
def _is_match(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    one, other, valid = _masked(call, arguments)
    return apply(f"CASE WHEN {valid} THEN {one} = {other} END", arguments[:2], BOOL)


def _masked(call: Call, arguments: Sequence[Scalar]) -> tuple[str, str, str]:
    prefix = call.constant(arguments[2], "a prefix").value if len(arguments) > 2 else 32
    if prefix is None or not 0 <= prefix <= 32:
        raise call.error("needs a prefix from 0 to 32")
    length = f"least({prefix}, {prefix_of('$1')}, {prefix_of('$2')})"
    width = f"(CAST(1 AS BIGINT) << (32 - {length}))"
    valid = f"{prefix_of('$1')} <= 32 AND {prefix_of('$2')} <= 32"
    return f"({number_of('$1')}) // {width}", f"({number_of('$2')}) // {width}", valid


@FAMILY.function("format_ipv4(address: any, const prefix?: long): string", "An address, masked, as text.")
def _format_ipv4(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if arguments[0].type.name not in ("int", "long"):
        raise call.unsupported("an address that is no number")
    prefix = call.constant(arguments[1], "a prefix").value if len(arguments) > 1 else 32
    if prefix is None or not 0 <= prefix <= 32:
        return Constant("", STRING)
    width = 1 << (32 - prefix)
    masked = f"($1 // {width} * {width})"
    parts = f"{masked} // 16777216, {masked} // 65536 % 256, {masked} // 256 % 256, {masked} % 256"
    text = f"format('{{:d}}.{{:d}}.{{:d}}.{{:d}}', {parts})"
    return apply(f"CASE WHEN $1 BETWEEN 0 AND 4294967295 THEN {text} ELSE '' END", arguments[:1], STRING)


@FAMILY.function(
    "has_ipv4(text: string, address: string): bool", "Whether a text has an IPv4 address in it, by itself."
)
def _has_ipv4(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _has_any(call, arguments[0], [arguments[1]])


@FAMILY.function(
    "has_any_ipv4(text: string, ...addresses: any): bool",
    "Whether a text has one of several IPv4 addresses in it.",
)
def _has_any_ipv4(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _has_any(call, arguments[0], arguments[1:])


def _has_any(call: Call, text: Scalar, given: Sequence[Scalar]) -> Scalar:
    addresses: list[str] = []
    for argument in given:
        value = call.constant(argument, "an address").value
        addresses.extend(value if isinstance(value, list) else [value])
    for address in addresses:
        match = re.match(_ADDRESS, str(address))
        if match is None or match[2]:
            return Constant(False, BOOL) if len(addresses) == 1 else _refused(call, address)
    alternatives = "|".join(address.strip().replace(".", "\\.") for address in addresses)
    pattern = Constant(f"(?:^|[^0-9A-Za-z.])(?:{alternatives})(?:$|[^0-9A-Za-z.])", STRING)
    return apply("regexp_matches($1, $2)", (text, pattern), BOOL)


def _refused(call: Call, address: str) -> Scalar:
    raise call.error(f"{address!r} is no IPv4 address")


_URL = r"^(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(?:([^:@/?#]*)(?::([^@/?#]*))?@)?([^:/?#]*)(?::(\d+))?(/[^?#]*)?(?:\?([^#]*))?(?:#(.*))?$"


@FAMILY.function("parse_url(url: any): dynamic", "The parts of a URL as a bag.")
def _parse_url(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    text = to_string(arguments[0])

    def part(group: int) -> str:
        return f"regexp_extract($1, '{_URL}', {group})"

    names = ("Scheme", "Username", "Password", "Host", "Port", "Path", "Fragment")
    groups = {"Scheme": 1, "Username": 2, "Password": 3, "Host": 4, "Port": 5, "Path": 6, "Fragment": 8}
    members = {name: f"CAST(to_json({part(groups[name])}) AS VARCHAR)" for name in names}
    parsed = _bag(
        {
            **{k: members[k] for k in ("Scheme", "Host", "Port", "Path", "Username", "Password")},
            "Query Parameters": _query_bag(part(7)),
            "Fragment": members["Fragment"],
        }
    )
    valid = f"regexp_matches($1, '^[A-Za-z][A-Za-z0-9+.-]*://') AND regexp_matches($1, '{_URL}')"
    return apply(f"CASE WHEN {valid} THEN {parsed} END", (text,), DYNAMIC)


@FAMILY.function("parse_urlquery(query: any): dynamic", "The parameters of a URL's query as a bag.")
def _parse_urlquery(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    parsed = _bag({"Query Parameters": _query_bag("$1")})
    return apply(f"CASE WHEN $1 <> '' THEN {parsed} END", (to_string(arguments[0]),), DYNAMIC)


def _bag(members: dict[str, str]) -> str:
    parts = ", ".join(
        f"'{',' if index else ''}\"{name}\":', {value}" for index, (name, value) in enumerate(members.items())
    )
    return f"concat('{{', {parts}, '}}')"


def _query_bag(place: str) -> str:
    pairs = f"list_filter(string_split({place}, '&'), lambda p: contains(p, '='))"
    key = "CAST(to_json(split_part(p, '=', 1)) AS VARCHAR)"
    value = "CAST(to_json(substring(p, strpos(p, '=') + 1)) AS VARCHAR)"
    members = f"list_transform({pairs}, lambda p: concat({key}, ':', {value}))"
    return f"concat('{{', array_to_string({members}, ','), '}}')"
