"""What a line must become, told by Python's own JSON parser, one record at a time."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa

from gapless.lake.decode import Decoded, DecodeLimits, Fault
from gapless.model.tables import TableSchema

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:(Z)|([+-])(\d\d):?(\d\d)?)?)?",
    re.ASCII,
)
_INTEGER = re.compile(r"0|-?[1-9]\d{0,18}", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_RANGES = {"int": 2**31, "long": 2**63}


def assert_faithful(
    schema: TableSchema, limits: DecodeLimits, received_us: int, batch: list[bytes], decoded: Decoded
) -> None:
    """Every line of the batch stands once in what was decoded of it, and is what it must be."""
    quarantined = {row["_row"]: row for row in decoded.quarantined.to_pylist()}
    times = [column.name for column in schema.columns if column.type == "datetime"]
    fields = [field.with_type(pa.int64()) if field.name in times else field for field in decoded.rows.schema]
    rows = {row["_row"]: row for row in decoded.rows.cast(pa.schema(fields)).to_pylist()}
    assert sorted([*rows, *quarantined]) == list(range(len(batch)))
    for ordinal, line in enumerate(batch):
        judged = judge(line, limits)
        expected = expect(schema, judged, limits) if isinstance(judged, Pairs) else judged
        if isinstance(expected, Fault):
            assert quarantined[ordinal]["Raw"] == line
            assert quarantined[ordinal]["Reason"] in _reasons(line, expected, limits)
        else:
            _assert_row(rows[ordinal], expected, received_us)


def _assert_row(row: dict[str, Any], expected: Expected, received_us: int) -> None:
    recorded = expected.columns["TimeGenerated"] is not None
    assert row["_TimeSource"] == ("record" if recorded else "received")
    for name, value in expected.columns.items():
        if name == "TimeGenerated" and not recorded:
            assert row[name] == received_us
        elif isinstance(value, tuple):
            assert parse(row[name]) == value[0]
        else:
            assert row[name] == value
            assert type(row[name]) is type(value)
    assert (parse(row["_Extra"]) if row["_Extra"] is not None else []) == expected.extra


def _reasons(line: bytes, expected: Fault, limits: DecodeLimits) -> set[str]:
    """Depth is judged before any parser, and by brackets alone: a line that is broken may be called too deep
    when it is at the limit, whatever else it is."""
    may_be_deep = len(re.findall(rb"[\[{]", line)) >= limits.nesting_max
    unparsed = expected in (Fault.INVALID_JSON, Fault.NOT_OBJECT)
    return {expected.reason, Fault.TOO_DEEP.reason} if may_be_deep and unparsed else {expected.reason}


class Number(str):
    """A JSON number as it is written."""


class Pairs(list[tuple[str, Any]]):
    """A JSON object with all its members."""


class Expected(NamedTuple):
    """A row: the value of every column (None: null; JSON as ``fit`` has it), and what ``_Extra`` holds."""

    columns: dict[str, Any]
    extra: list[tuple[str, Any]]


def parse(text: str) -> Any:
    """JSON as RFC 8259 has it, with numbers as written. Raises ValueError for anything else."""

    def refuse(word: str) -> None:
        raise ValueError(word)

    value = json.loads(
        text, object_pairs_hook=Pairs, parse_int=Number, parse_float=Number, parse_constant=refuse
    )
    json.dumps(value, ensure_ascii=False).encode()  # lone surrogates are no text
    return value


def depth(value: Any) -> int:
    if isinstance(value, Pairs):
        return 1 + max((depth(member) for _, member in value), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


def judge(line: bytes, limits: DecodeLimits) -> Fault | Pairs:
    """The record's members, or why the line is none. For lines that keep the size limit."""
    if all(byte <= 0x20 for byte in line):
        return Fault.EMPTY
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return Fault.NOT_UTF8
    try:
        value = parse(text)
    except ValueError:
        return Fault.INVALID_JSON if line.lstrip(bytes(range(0x21))).startswith(b"{") else Fault.NOT_OBJECT
    if depth(value) > limits.nesting_max:
        return Fault.TOO_DEEP
    return value if isinstance(value, Pairs) else Fault.NOT_OBJECT


def expect(schema: TableSchema, members: Pairs, limits: DecodeLimits) -> Expected | Fault:
    """The row of a record in a known table."""
    kinds = {column.name: column.type for column in schema.columns}
    columns: dict[str, Any] = dict.fromkeys(kinds)
    extra: list[tuple[str, Any]] = []
    seen = set()
    for name, value in members:
        if value is None:
            continue
        fitted = None
        if name in kinds and name not in seen:
            seen.add(name)
            fitted = fit(kinds[name], value)
            if name == "TimeGenerated" and fitted is not None:
                believed = limits.time_generated_min_us <= fitted < limits.time_generated_max_us
                fitted = fitted if believed else None
        if fitted is None:
            extra.append((name, value))
        else:
            columns[name] = fitted
    if len({name for name, _ in extra}) < len(extra):
        return Fault.DUPLICATE_FIELD
    return Expected(columns, extra)


def fit(kind: str, value: Any) -> Any:
    """The value as its column has it, or None. Where that is JSON text, the parsed value in a tuple."""
    if kind == "dynamic":
        return (value,)
    text = value if isinstance(value, str) else None
    if kind in ("string", "guid", "timespan"):
        is_string = isinstance(value, str) and not isinstance(value, Number)
        return value if is_string else (value,)
    if kind == "bool":
        if isinstance(value, bool):
            return value
        return {"true": True, "false": False}.get(ascii_lower(text)) if text else None
    if text is None:
        return None
    if kind in _RANGES:
        fits = _INTEGER.fullmatch(text) and -_RANGES[kind] <= int(text) < _RANGES[kind]
        return int(text) if fits else None
    if kind == "real":
        return fit_real(text)
    return fit_time(text) if not isinstance(value, Number) else None


def ascii_lower(text: str) -> str:
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def fit_real(text: str) -> float | None:
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    if value == 0:
        return value if re.fullmatch(r"-?0(\.0+)?", text) else None
    in_range = 1e-300 <= abs(value) <= 1e300
    return value if in_range and Decimal(repr(value)) == Decimal(text) else None


def fit_time(text: str) -> int | None:
    match = _TIME.fullmatch(text)
    if not match:
        return None
    date, clock, second, fraction, _, sign, hours, minutes = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{clock or '00:00'}:{second or '00'}+00:00")
    except ValueError:
        return None
    if sign and (int(hours) > 23 or int(minutes or 0) > 59):
        return None
    ahead = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    try:
        moment -= ahead
    except OverflowError:
        return None
    micros = int((fraction or "0").ljust(6, "0")[:6])
    return (moment - EPOCH) // timedelta(microseconds=1) + micros
