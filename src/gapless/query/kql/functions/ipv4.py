"""Functions of IPv4 addresses."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import (
    BOOL,
    DYNAMIC,
    LONG,
    STRING,
    Constant,
    Scalar,
)
from gapless.query.kql.values.forms import certain_text, ticks
from gapless.query.kql.values.json_sql import array_text, let

FAMILY = Family("IPv4 addresses")
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
    "ipv4_compare(a: string, b: string, prefix?: long): long",
    "-1, 0 or 1: how two IPv4 addresses stand in order.",
)
def _compare(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    one, other, valid = _masked(call, arguments)
    order = f"CASE WHEN {one} < {other} THEN -1 WHEN {one} > {other} THEN 1 WHEN {one} = {other} THEN 0 END"
    sql = f"CASE WHEN {valid} THEN {order} END"
    return apply(sql, arguments, LONG)


@FAMILY.function(
    "ipv4_is_match(a: string, b: string, prefix?: long): bool", "Whether two IPv4 addresses are one."
)
def _is_match(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    one, other, valid = _masked(call, arguments)
    return apply(f"CASE WHEN {valid} THEN {one} = {other} END", arguments, BOOL)


def _masked(call: Call, arguments: Sequence[Scalar]) -> tuple[str, str, str]:
    """SQL of the networks of two addresses, and of whether both are valid."""
    given = arguments[2] if len(arguments) > 2 else Constant(32, LONG)
    if isinstance(given, Constant) and (given.value is None or not 0 <= given.value <= 32):
        raise call.error("needs a prefix from 0 to 32")
    prefix = "$3" if len(arguments) > 2 else "32"
    length = f"least({prefix}, {prefix_of('$1')}, {prefix_of('$2')})"
    width = f"(CAST(1 AS BIGINT) << (32 - {length}))"
    valid = f"{prefix} BETWEEN 0 AND 32 AND {prefix_of('$1')} <= 32 AND {prefix_of('$2')} <= 32"
    return f"({number_of('$1')}) // {width}", f"({number_of('$2')}) // {width}", valid


def _formatted(call: Call, arguments: Sequence[Scalar], suffix: str) -> Scalar:
    """An address, a number or a text, with what is beyond its prefix cleared."""
    address = arguments[0]
    is_text = address.type.name == "string"
    if not is_text and address.type.name not in ("int", "long"):
        raise call.error("needs an address as a text or a number")
    number = f"({number_of('$1')})" if is_text else "$1"
    own = prefix_of("$1") if is_text else "32"
    given = "$2" if len(arguments) > 1 else "32"
    width = "(CAST(1 AS BIGINT) << (32 - length))"
    masked = f"(number // {width} * {width})"
    parts = f"{masked} // 16777216, {masked} // 65536 % 256, {masked} // 256 % 256, {masked} % 256"
    text = f"concat(format('{{:d}}.{{:d}}.{{:d}}.{{:d}}', {parts}){suffix})"
    valid = f"number BETWEEN 0 AND 4294967295 AND {given} BETWEEN 0 AND 32 AND {own} <= 32"
    shown = let(
        "number", number, let("length", f"least({own}, {given})", f"CASE WHEN {valid} THEN {text} END")
    )
    return apply(f"coalesce({shown}, '')", [ticks(certain_text(each)) for each in arguments], STRING)


@FAMILY.function("format_ipv4(address: any, prefix?: long): string", "An address, masked, as text.")
def _format_ipv4(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _formatted(call, arguments, "")


@FAMILY.function(
    "format_ipv4_mask(address: any, prefix?: long): string", "An address, masked, as text with its prefix."
)
def _format_ipv4_mask(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _formatted(call, arguments, ", '/', length")


@FAMILY.function(
    "parse_ipv4_mask(address: string, prefix: long): long",
    "An IPv4 address as a number, with what is beyond the prefix cleared.",
)
def _parse_ipv4_mask(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    width = f"(CAST(1 AS BIGINT) << (32 - least($2, {prefix_of('$1')})))"
    valid = f"$2 BETWEEN 0 AND 32 AND {prefix_of('$1')} <= 32"
    return apply(f"CASE WHEN {valid} THEN ({number_of('$1')}) // {width} * {width} END", arguments, LONG)


@FAMILY.function(
    "ipv4_netmask_suffix(address: string): long", "The prefix of an IPv4 address; 32 without one."
)
def _netmask_suffix(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    valid = f"({number_of('$1')}) IS NOT NULL AND {prefix_of('$1')} <= 32"
    return apply(f"CASE WHEN {valid} THEN {prefix_of('$1')} END", arguments, LONG)


@FAMILY.function(
    "ipv4_range_to_cidr_list(first: string, last: string): dynamic",
    "The networks that together are all addresses from the first to the last.",
)
def _range_to_cidr_list(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    # At each step the largest network that begins there and ends in the range: 64 of them at most.
    width = "(CAST(1 AS BIGINT) << bits)"
    fits = f"done.at % {width} = 0 AND done.at + {width} - 1 <= ({number_of('$2')})"
    largest = f"list_max(list_filter(range(0, 33), lambda bits: {fits}))"
    address = "format('{:d}.{:d}.{:d}.{:d}/{:d}', done.at // 16777216, done.at // 65536 % 256, "
    address += "done.at // 256 % 256, done.at % 256, 32 - bits)"
    step = f"{{'at': done.at + {width}, 'networks': list_append(done.networks, {address})}}"
    step = f"CASE WHEN done.at <= ({number_of('$2')}) THEN {let('bits', largest, step)} ELSE done END"
    start = f"{{'at': ({number_of('$1')}), 'networks': CAST([] AS VARCHAR[])}}"
    found = f"list_reduce(range(0, 64), lambda done, i: {step}, {start}).networks"
    valid = f"({number_of('$1')}) <= ({number_of('$2')})"
    return apply(f"CASE WHEN {valid} THEN {array_text(found)} END", arguments, DYNAMIC)


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


@FAMILY.function(
    "has_ipv4_prefix(text: string, prefix: string): bool",
    "Whether a text has an IPv4 address in it that begins with a prefix such as 10.0.",
)
def _has_ipv4_prefix(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return _has_any_prefix(call, arguments)


@FAMILY.function(
    "has_any_ipv4_prefix(text: string, ...prefixes: any): bool",
    "Whether a text has an IPv4 address in it that begins with one of several prefixes.",
)
def _has_any_prefix(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    patterns = []
    for prefix in _constants(call, arguments[1:], "a prefix"):
        octets = prefix.removesuffix(".").split(".")
        is_whole = len(octets) == 4 and not prefix.endswith(".")
        if not is_whole and (len(octets) > 3 or not prefix.endswith(".")):
            continue
        if all(re.fullmatch(_OCTET, octet) for octet in octets):
            rest = "".join(rf"\.{_OCTET}" for _ in range(4 - len(octets)))
            patterns.append("\\.".join(octets) + rest)
    if not patterns:
        return apply("CASE WHEN $1 IS NOT NULL THEN FALSE END", arguments[:1], BOOL)
    pattern = Constant(f"(?:^|[^0-9A-Za-z.])(?:{'|'.join(patterns)})(?:$|[^0-9A-Za-z.])", STRING)
    return apply("regexp_matches($1, $2)", (arguments[0], pattern), BOOL)


def _constants(call: Call, given: Sequence[Scalar], what: str) -> list[str]:
    """The texts of constants, and of the items of those that are arrays."""
    found: list[str] = []
    for argument in given:
        value = call.constant(argument, what).value
        found.extend(map(str, value if isinstance(value, list) else [value]))
    return found


def _has_any(call: Call, text: Scalar, given: Sequence[Scalar]) -> Scalar:
    addresses = _constants(call, given, "an address")
    for address in addresses:
        match = re.match(_ADDRESS, address)
        if match is None or match[2]:
            return Constant(False, BOOL) if len(addresses) == 1 else _refused(call, address)
    alternatives = "|".join(address.strip().replace(".", "\\.") for address in addresses)
    pattern = Constant(f"(?:^|[^0-9A-Za-z.])(?:{alternatives})(?:$|[^0-9A-Za-z.])", STRING)
    return apply("regexp_matches($1, $2)", (text, pattern), BOOL)


def _refused(call: Call, address: str) -> Scalar:
    raise call.error(f"{address!r} is no IPv4 address")
