"""Functions of IPv6 addresses. IPv4 addresses stand for ::ffff:a.b.c.d, with prefixes of 96 bits more."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.ipv4 import number_of, prefix_of
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import BOOL, LONG, STRING, Scalar
from gapless.query.kql.values.json_sql import is_array, let

FAMILY = Family("IPv6 addresses")

#: An address as its groups are told apart: hexadecimal groups, one :: at most, an IPv4 address as its end.
_FORM = r"^\s*((?:[0-9a-fA-F:]+:)?(?:[0-9a-fA-F:]+|\d+\.\d+\.\d+\.\d+))(?:/(\d{1,3}))?\s*$"
_BITS = 128


def _groups(place: str) -> str:
    """SQL: the eight groups of an address as numbers; NULL for what is none."""
    tail = number_of("split_part(address, ':', -1)")
    hexadecimal = (
        "concat(regexp_extract(address, '^.*:'), format('{:x}:{:x}', dotted // 65536, dotted % 65536))"
    )
    plain = let("dotted", tail, f"CASE WHEN dotted IS NULL THEN address ELSE {hexadecimal} END")
    # What :: stands for: as many groups of 0 as are missing.
    count = "len(list_filter(string_split(written, ':'), lambda part: part <> ''))"
    zeros = f"concat(':', repeat('0:', CAST(greatest(8 - {count}, 0) AS BIGINT)))"
    full = f"trim(replace(written, '::', {zeros}), ':')"
    is_short = f"contains(written, '::') AND NOT contains(written, ':::') AND {count} < 8"
    full = f"CASE WHEN {is_short} THEN {full} ELSE written END"
    valid = "regexp_full_match(filled, '(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}')"
    values = "list_transform(string_split(filled, ':'), lambda part: CAST(concat('0x', part) AS BIGINT))"
    groups = let("filled", full, f"CASE WHEN {valid} THEN {values} END")
    address = f"nullif(regexp_extract({place}, '{_FORM}', 1), '')"
    groups = let("address", address, let("written", plain, groups))
    mapped = "[0, 0, 0, 0, 0, 65535, dotted // 65536, dotted % 65536]"
    return let("dotted", number_of(place), f"CASE WHEN dotted IS NULL THEN {groups} ELSE {mapped} END")


def _prefix(place: str) -> str:
    """SQL: the length of an address's prefix; 128 without one."""
    own = f"coalesce(TRY_CAST(nullif(regexp_extract({place}, '{_FORM}', 2), '') AS BIGINT), {_BITS})"
    return f"CASE WHEN ({number_of(place)}) IS NULL THEN {own} ELSE {prefix_of(place)} + 96 END"


def _parsed(place: str) -> str:
    """SQL: an address as (groups, bits); NULL if it is none."""
    found = f"{{'groups': {_groups(place)}, 'bits': {_prefix(place)}}}"
    return let("p", found, f"CASE WHEN p.bits <= {_BITS} AND p.groups IS NOT NULL THEN p END")


def _cleared(groups: str, bits: str) -> str:
    """SQL: groups of which only the first bits are kept."""
    width = f"(CAST(1 AS BIGINT) << CAST(least(greatest(16 * i - {bits}, 0), 16) AS BIGINT))"
    return f"list_transform({groups}, lambda part, i: part // {width} * {width})"


def _text(groups: str) -> str:
    """SQL: the eight groups, each of four digits."""
    return f"array_to_string(list_transform({groups}, lambda part: format('{{:04x}}', part)), ':')"


@FAMILY.function(
    "parse_ipv6(address: string): string",
    "An address with all its digits, and what is beyond its prefix cleared.",
)
def _parse_ipv6(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    sql = let("a", _parsed("$1"), _text(_cleared("a.groups", "a.bits")))
    return apply(f"coalesce({sql}, '')", arguments, STRING)


@FAMILY.function(
    "parse_ipv6_mask(address: string, prefix: long): string",
    "An address with all its digits, and what is beyond the shorter prefix cleared.",
)
def _parse_ipv6_mask(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    sql = let("a", _parsed("$1"), _text(_cleared("a.groups", "least(a.bits, $2)")))
    return apply(
        f"CASE WHEN $2 BETWEEN 0 AND {_BITS} THEN coalesce({sql}, '') ELSE '' END", arguments, STRING
    )


def _pair(arguments: Sequence[Scalar], sql: str) -> str:
    """SQL over two addresses x and y, cleared to the shortest prefix."""
    prefix = "$3" if len(arguments) > 2 else str(_BITS)
    bits = f"least({prefix}, a.bits, b.bits)"
    both = f"{{'x': {_cleared('a.groups', bits)}, 'y': {_cleared('b.groups', bits)}}}"
    found = let("a", _parsed("$1"), let("b", _parsed("$2"), let("n", both, sql)))
    return f"CASE WHEN {prefix} BETWEEN 0 AND {_BITS} THEN {found} END"


@FAMILY.function(
    "ipv6_compare(a: string, b: string, prefix?: long): long", "-1, 0 or 1: how two addresses stand in order."
)
def _ipv6_compare(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    order = "CASE WHEN n.x < n.y THEN -1 WHEN n.x > n.y THEN 1 WHEN n.x = n.y THEN 0 END"
    return apply(f"CAST({_pair(arguments, order)} AS BIGINT)", arguments, LONG)


@FAMILY.function("ipv6_is_match(a: string, b: string, prefix?: long): bool", "Whether two addresses are one.")
def _ipv6_is_match(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return apply(_pair(arguments, "n.x = n.y"), arguments, BOOL)


def _in_range(network: str) -> str:
    """SQL: whether the address a is in a network."""
    inside = f"{_cleared('a.groups', 'r.bits')} = {_cleared('r.groups', 'r.bits')}"
    return let("r", _parsed(network), inside)


@FAMILY.function(
    "ipv6_is_in_range(address: string, range: string): bool",
    "Whether an address is in a network such as fe80::/10.",
)
def _ipv6_is_in_range(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    return apply(let("a", _parsed("$1"), _in_range("$2")), arguments, BOOL)


@FAMILY.function(
    "ipv6_is_in_any_range(address: string, ...ranges: any): bool",
    "Whether an address is in one of several networks.",
)
def _ipv6_is_in_any_range(call: Call, arguments: Sequence[Scalar]) -> Scalar:
    if len(arguments) < 2:
        raise call.error("needs networks")
    networks = []
    for place, argument in enumerate(arguments[1:], start=2):
        if argument.type.name == "dynamic":
            listed = f"from_json(CASE WHEN {is_array(f'${place}')} THEN ${place} END, '[\"VARCHAR\"]')"
            networks.append(f"coalesce({listed}, [])")
        elif argument.type.name == "string":
            networks.append(f"[${place}]")
        else:
            raise call.error("needs networks as strings, or arrays of them")
    tests = f"list_transform(flatten([{', '.join(networks)}]), lambda network: {_in_range('network')})"
    return apply(
        let(
            "a",
            _parsed("$1"),
            f"CASE WHEN a.groups IS NOT NULL THEN coalesce(list_bool_or({tests}), FALSE) END",
        ),
        arguments,
        BOOL,
    )
