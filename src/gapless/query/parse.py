"""From a text to its syntax tree, by DuckDB's own parser: so nothing can read the text differently."""

from __future__ import annotations

import re
from typing import Any, Literal

import duckdb
import msgspec

from gapless.model.errors import Refused
from gapless.query.syntax import Node, Statement

#: DuckDB's mark for "no position".
_NOWHERE = 2**64 - 1

_SERIALIZE = "SELECT json_serialize_sql($1, skip_null := false, skip_empty := false, skip_default := false)"

#: What to do instead, by the kind of node or the field that made a tree unknown.
_INSTEAD = {
    "PARAMETER": "parameters are not allowed in queries: write the value into the text",
    "PIVOT": "PIVOT and UNPIVOT are not allowed in queries: use aggregates with FILTER (WHERE ...)",
    "INSERT_QUERY_NODE": "INSERT is not allowed: queries only read",
    "UPDATE_QUERY_NODE": "UPDATE is not allowed: queries only read",
    "DELETE_QUERY_NODE": "DELETE is not allowed: queries only read",
    "DEFAULT": "DEFAULT is not allowed in queries: write the value",
    "at_clause": "AT (...) is not allowed: use a condition on TimeGenerated, or --from and --to",
}
_TOO_DEEP = "Max expression depth"
_UNKNOWN_KIND = re.compile(r"Invalid value '(\w+)'|\.(\w+)`\Z")


class Parse(msgspec.Struct, frozen=True):
    """A text's statements, decoded, and the JSON they came from."""

    statements: list[Statement]
    serialized: str


class _Serialized(Node):
    error: Literal[False]
    statements: list[Statement]


class _From(msgspec.Struct):
    subquery: msgspec.Raw


class _SelectFrom(msgspec.Struct):
    from_table: _From


class _Wrapped(msgspec.Struct):
    node: _SelectFrom


class _Wrappers(msgspec.Struct):
    statements: tuple[_Wrapped]


class _Single(msgspec.Struct):
    statements: tuple[msgspec.Raw]


_decoder = msgspec.json.Decoder(_Serialized)
_wrapped_decoder = msgspec.json.Decoder(_Wrappers)
_single_decoder = msgspec.json.Decoder(_Single)


def parse(connection: duckdb.DuckDBPyConnection, text: str) -> Parse:
    """Parse ``text`` without running anything of it.

    Raises Refused where the text is no SQL, is no SELECT, or is made of something that is not known here.
    """
    row = connection.execute(_SERIALIZE, [text]).fetchone()
    assert row is not None
    serialized: str = row[0]
    try:
        return Parse(_decoder.decode(serialized).statements, serialized)
    except RecursionError:
        raise Refused("the query is nested too deeply: make it simpler") from None
    except msgspec.ValidationError as error:
        raise _refusal(text, msgspec.json.decode(serialized), str(error)) from None


def _refusal(text: str, answer: dict[str, Any], complaint: str) -> Refused:
    if not answer["error"]:
        unknown = _UNKNOWN_KIND.search(complaint)
        instead = unknown and _INSTEAD.get(unknown[1] or unknown[2])
        return Refused(instead or f"the query uses something that is not allowed: {complaint}")
    if _TOO_DEEP in answer["error_message"]:
        return Refused("the query is nested too deeply: make it simpler")
    if answer["error_type"] == "not implemented":
        return Refused("only SELECT is allowed: queries read tables, and neither change nor set anything")
    where = f"{position(text, int(answer['position']))}: " if "position" in answer else ""
    return Refused(f"{where}{answer['error_message']}")


def position(text: str, location_bytes: int) -> str:
    """Where in ``text`` a byte offset is, for people: "line 2, column 7"."""
    if location_bytes == _NOWHERE:
        return "in the query"
    before = text.encode()[:location_bytes].decode(errors="ignore")
    line_start = before.rfind("\n") + 1
    return f"line {before.count(chr(10)) + 1}, column {len(before) - line_start + 1}"


def is_wrapped(connection: duckdb.DuckDBPyConnection, parsed: Parse, subquery: str) -> bool:
    """Whether ``subquery`` after ``SELECT * FROM`` means, to the parser, the one statement of ``parsed``."""
    row = connection.execute(_SERIALIZE, [f"SELECT * FROM {subquery}"]).fetchone()
    assert row is not None
    try:
        (inner,) = _wrapped_decoder.decode(row[0]).statements
    except (msgspec.ValidationError, RecursionError):
        return False
    (outer,) = _single_decoder.decode(parsed.serialized).statements
    return _without_positions(inner.node.from_table.subquery) == _without_positions(outer)


def _without_positions(tree: msgspec.Raw) -> bytes:
    """``tree`` without what depends on where in the text it stands. In a string of JSON each quotation mark
    has a backslash before it, so no text that a query holds looks like this."""
    return _POSITIONS.sub(b"", bytes(tree))


_POSITIONS = re.compile(rb',?"query_location(?:_length)?":\d+')
