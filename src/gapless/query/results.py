"""From the engine's rows to an answer: JSON-ready values, cut at the limits.

The engine itself turns what JSON has no form for into text, so that no value passes through a Python type
that is narrower than the engine's (years beyond 9999, infinite times, 128-bit integers).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
import msgspec

from gapless.query.request import QueryRequest, ResultColumn, ResultType

#: A dynamic value that is nested more deeply comes out as text.
DYNAMIC_DEPTH_MAX = 100

_CHUNK_ROWS = 256
_STRINGS_AND_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|(?P<open>[\[{])|(?P<close>[\]}])')

_TIMES = ("date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone")
_NESTED = ("list", "array", "struct", "tuple", "map", "union", "variant", "null")

_RESULT_TYPES: dict[str, ResultType] = {
    "boolean": "bool",
    "tinyint": "int",
    "smallint": "int",
    "integer": "int",
    "utinyint": "int",
    "usmallint": "int",
    "bigint": "long",
    "uinteger": "long",
    "ubigint": "long",
    "hugeint": "long",
    "uhugeint": "long",
    "float": "real",
    "double": "real",
    "decimal": "decimal",
    "bignum": "decimal",
    "uuid": "guid",
    "interval": "timespan",
    "time": "timespan",
    "time with time zone": "timespan",
    "time_ns": "timespan",
    **dict.fromkeys(_TIMES, "datetime"),
    **dict.fromkeys(_NESTED, "dynamic"),
}

#: Types that come out of the engine as the JSON value they are.
_AS_THEY_ARE = frozenset(
    name for name, kind in _RESULT_TYPES.items() if kind in ("bool", "int", "long", "real")
)


class Rows(msgspec.Struct, frozen=True):
    """Rows within the limits as a JSON array, and whether there were more."""

    rows_json: bytes
    truncated: bool


def column_of(name: str, kind: Any) -> ResultColumn:
    """The answer's column for one of the engine's."""
    return ResultColumn(name, "dynamic" if _is_json(kind) else _RESULT_TYPES.get(kind.id, "string"))


def value_of(index: int, kind: Any) -> str:
    """SQL that turns the ``index``-th column (from 1) into a boolean, an integer, a double or text."""
    column = f"#{index}"
    if kind.id in _AS_THEY_ARE:
        return column
    if kind.id in _TIMES:
        return f"strftime(CAST({column} AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%fZ')"
    if kind.id in _NESTED:
        return f"CAST(to_json({column}) AS VARCHAR)"
    if kind.id == "blob":
        return f"base64({column})"
    return f"CAST({column} AS VARCHAR)"


def answer_of(
    connection: duckdb.DuckDBPyConnection,
    rows: str,
    columns: Sequence[ResultColumn] | None,
    request: QueryRequest,
) -> tuple[list[ResultColumn], Rows]:
    """The columns of ``rows`` (SQL: what FROM may read), which are ``columns`` where the language knows them,
    and the rows themselves within the limits of ``request``."""
    limits = request.limits
    described = connection.execute(f"SELECT * FROM {rows} LIMIT 0").description
    shown = list(columns or (column_of(name, kind) for name, kind, *_ in described))
    values = ", ".join(value_of(at, kind) for at, (_, kind, *_) in enumerate(described, start=1))
    connection.execute(f"SELECT {values} FROM {rows} LIMIT {limits.rows_max + 1}")
    fetched = fetch(
        connection,
        shown,
        rows_max=limits.rows_max,
        result_bytes_max=limits.result_bytes_max,
        dynamic_as_text=request.dynamic_as_text,
    )
    return shown, fetched


def fetch(
    connection: duckdb.DuckDBPyConnection,
    columns: list[ResultColumn],
    *,
    rows_max: int,
    result_bytes_max: int,
    dynamic_as_text: bool = False,
) -> Rows:
    """Take the rows of the statement that ``connection`` executes: at most ``rows_max`` of them, and at most
    ``result_bytes_max`` as JSON. Rows are held as JSON alone: Python's values take several times as much."""
    encoded: list[bytes] = []
    left_rows, left_bytes = rows_max, result_bytes_max - len(b"[]")
    truncated = False
    converters = _CONVERTERS | ({"dynamic": _dynamic_text} if dynamic_as_text else {})
    for chunk in _chunks(connection, columns, converters):
        count, fitting = _fitting(chunk[:left_rows], left_bytes)
        truncated = count < len(chunk)
        if count:
            encoded.append(fitting)
            left_rows -= count
            left_bytes -= len(fitting) + len(b",")
        if truncated:
            break
    return Rows(b"[" + b",".join(encoded) + b"]", truncated)


def _chunks(
    connection: duckdb.DuckDBPyConnection,
    columns: list[ResultColumn],
    converters: Mapping[ResultType, Callable[[Any], Any]],
) -> Iterator[list[tuple[Any, ...]]]:
    to_convert = [(at, converters[c.type]) for at, c in enumerate(columns) if c.type in converters]
    while chunk := connection.fetchmany(_CHUNK_ROWS):
        if to_convert:
            by_column = list(zip(*chunk, strict=True))
            for at, convert in to_convert:
                by_column[at] = tuple(map(convert, by_column[at]))
            chunk = list(zip(*by_column, strict=True))
        yield chunk


def _fitting(rows: list[tuple[Any, ...]], bytes_max: int) -> tuple[int, bytes]:
    """How many of the first of ``rows`` fit into ``bytes_max`` as JSON with commas between them, and that."""
    together = msgspec.json.encode(rows)[1:-1]
    if len(together) <= bytes_max:
        return len(rows), together
    encoded: list[bytes] = []
    used_bytes = -len(b",")
    for row in map(msgspec.json.encode, rows):
        used_bytes += len(row) + len(b",")
        if used_bytes > bytes_max:
            break
        encoded.append(row)
    return len(encoded), b",".join(encoded)


def _real(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _dynamic(text: str | None) -> Any:
    """The value of a JSON text; the text itself where it holds what JSON cannot (NaN), or is nested so deeply
    that a reader's JSON parser may give up."""
    if text is None:
        return None
    if _too_deep(text):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _dynamic_text(text: str | None) -> str | None:
    """What a JSON text holds if that is a string, else the JSON text."""
    if text is None or text == "null":
        return None
    value = _dynamic(text) if text.startswith('"') else text
    return value if isinstance(value, str) else text


def _too_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= DYNAMIC_DEPTH_MAX:
        return False
    depth = 0
    for part in _STRINGS_AND_BRACKETS.finditer(text):
        if part.lastgroup == "open":
            depth += 1
        elif part.lastgroup == "close":
            depth -= 1
        if depth > DYNAMIC_DEPTH_MAX:
            return True
    return False


_CONVERTERS: dict[ResultType, Callable[[Any], Any]] = {"real": _real, "dynamic": _dynamic}


def _is_json(kind: Any) -> bool:
    return str(kind) == "JSON"
