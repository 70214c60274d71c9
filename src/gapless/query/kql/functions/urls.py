"""Functions of URLs."""

from __future__ import annotations

from collections.abc import Sequence

from gapless.query.kql.binding.calls import Call
from gapless.query.kql.emission.sql import apply
from gapless.query.kql.functions.signature import Family
from gapless.query.kql.relational.scalars import DYNAMIC, Scalar
from gapless.query.kql.values.to_text import to_string

FAMILY = Family("URLs")

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
