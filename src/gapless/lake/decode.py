"""NDJSON records to the columns of a table, losing nothing.

Every line of a payload becomes either a row or a quarantined line, and every value of a record stands in the
row: in its column if it fits there exactly, else in ``_Extra`` as the record has it. No Python code runs per
record: NumPy finds where fields begin and end, PyArrow copies them out, DuckDB judges whether a line is JSON
and casts what is not text.

What fits a column:

- string, guid, timespan: any value. A JSON string loses its quotes; any other value keeps its JSON text.
  (A timespan stays text because the sources disagree on its form.)
- dynamic: any value, as JSON text, byte for byte as the record has it.
- int, long: an integer in range, as a number or a string.
- real: a number whose digits a double gives back, as a number or a string.
- bool: true or false, or a string that says so in any case.
- datetime: a string in ISO 8601 form, date alone or with time; without an offset it is UTC. Years 1-9999.
  Digits beyond the microsecond (up to nine; Azure writes seven) are cut off: the raw record has them.

A field whose value is null counts as absent. When a record names a field twice, the first value that is not
null stands in the column and the others in ``_Extra``; where ``_Extra`` would have to hold two values under
one name, the line is quarantined. Names that differ in case are different. Why else a line is quarantined:
``gapless.lake.decode_lines.Fault``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gapless.lake.decode_columns import Columns, build
from gapless.lake.decode_fields import locate
from gapless.lake.decode_lines import DecodeLimits, Fault, Lines, slices, split, valid_json
from gapless.lake.decode_scalars import ARROW_TYPES
from gapless.lake.decode_scan import Flags
from gapless.model.batch import RECEIVED
from gapless.model.errors import Refused
from gapless.model.tables import Column, TableSchema

__all__ = ["DecodeLimits", "Decoded", "Decoder", "Fault"]

_PAYLOAD_BYTES_MAX = 2**30  # with what escape sequences stand for, 32-bit offsets reach
_TIME = Column("TimeGenerated", "datetime")
_OPENERS = np.frombuffer(b"{[", np.uint8)
_MARK_FIELD = "CutLine"


@dataclass(frozen=True)
class Decoded:
    """A payload's lines, each in one of the two tables; ``_row`` is its ordinal in the payload, from 0."""

    #: The columns of the schema, then ``_Extra`` (a JSON object, or null), ``_TimeSource`` ("record" or
    #: "received") and ``_row``; ascending in ``_row``.
    rows: pa.Table
    #: ``_row``, ``Reason`` (of a ``Fault``; for a cut line also the agent's mark) and ``Raw``; ascending.
    quarantined: pa.Table


class Decoder:
    """Decodes payloads. It holds an engine: make one and use it again, in one thread at a time."""

    def __init__(
        self,
        limits: DecodeLimits | None = None,
        *,
        threads: int = 1,
        memory_bytes_max: int = 2 * 1024**3,
    ) -> None:
        self._limits = limits or DecodeLimits()
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "threads": threads,
                "memory_limit": f"{memory_bytes_max // 1024**2}MiB",
                "enable_external_access": "false",
                "autoload_known_extensions": "false",
                "autoinstall_known_extensions": "false",
            },
        )

    def close(self) -> None:
        """Release the engine; the tables that were decoded stay valid."""
        self._connection.close()

    def decode(
        self,
        schema: TableSchema,
        payload: bytes | memoryview | pa.Buffer,
        *,
        received_us: int | NDArray[np.int64],
        marks: Mapping[int, str] | None = None,
        time: str = "",
    ) -> Decoded:
        """Decode a payload: records of any bytes but newlines, each ended by a newline.

        ``received_us`` is when the records were received, one time for all or one for each line. ``marks``
        names the lines that are parts of an over-long one. ``time`` is the field that becomes TimeGenerated
        of a ``*_CL`` table, as in ``gapless.model.batch.Upload``. Raises Refused for a payload that does not
        end with a newline, is larger than 1 GiB, or has not the lines which the other arguments speak of.
        """
        data = np.frombuffer(payload, np.uint8) if len(payload) else np.empty(0, np.uint8)
        if len(data) > _PAYLOAD_BYTES_MAX:
            raise Refused(f"a payload of {len(data)} bytes is too large: pass fewer batches at once")
        if len(data) and data[-1] != ord("\n"):
            raise Refused("the payload's last record is cut off: pass whole records, each ended by a newline")
        lines = split(data, self._limits)
        marks = marks or {}
        times = np.asarray(received_us, np.int64)
        if times.shape not in ((), (len(lines),)) or any(not 0 <= line < len(lines) for line in marks):
            raise Refused(f"times or marks do not match the payload's {len(lines)} lines: pass one of each")
        received = np.broadcast_to(times, (len(lines),))
        if schema.is_custom:
            return self._custom(schema, lines, received, marks, time or _TIME.name)
        return self._known(schema, lines, received, marks)

    def _known(
        self, schema: TableSchema, lines: Lines, received: NDArray[np.int64], marks: Mapping[int, str]
    ) -> Decoded:
        faults = lines.faults
        faults[(faults == Fault.NONE) & (lines.first != ord("{"))] = Fault.NOT_OBJECT
        faults[list(marks)] = Fault.CUT_LINE
        candidates = faults == Fault.NONE
        valid = valid_json(self._connection, lines, candidates)
        faults[candidates & ~valid] = Fault.INVALID_JSON

        ordinals = np.flatnonzero(valid)
        columns = self._columns(lines, valid, schema.columns)
        table = _rows(schema, columns.arrays, columns.extra, ordinals, received)
        if columns.ambiguous.any():
            faults[ordinals[columns.ambiguous]] = Fault.DUPLICATE_FIELD
            table = table.filter(pa.array(~columns.ambiguous))
        return Decoded(table, _quarantined(lines, faults, marks))

    def _custom(
        self,
        schema: TableSchema,
        lines: Lines,
        received: NDArray[np.int64],
        marks: Mapping[int, str],
        time: str,
    ) -> Decoded:
        """``*_CL`` tables keep every line that is text, and what it means if it is a JSON object or array."""
        faults = lines.faults
        marked = np.zeros(len(lines), np.bool_)
        marked[list(marks)] = True
        candidates = (faults == Fault.NONE) & np.isin(lines.first, _OPENERS) & ~marked
        valid = valid_json(self._connection, lines, candidates)
        objects = valid & (lines.first == ord("{"))

        lost = np.isin(faults, (Fault.TOO_LONG, Fault.NOT_UTF8))
        faults[~lost] = Fault.NONE
        faults[lost & marked] = Fault.CUT_LINE
        ordinals = np.flatnonzero(~lost)
        arrays: dict[str, pa.Array] = {}
        found = (
            {}
            if time == RECEIVED
            else self._columns(lines, objects, (Column(time, _TIME.type),), time).arrays
        )
        if found:
            arrays[_TIME.name] = _placed(found[time], objects[ordinals])
        arrays["RawData"] = slices(lines.data, lines.starts[ordinals], lines.ends[ordinals], pa.string())
        arrays["Data"] = _placed(lines.documents(valid), valid[ordinals])
        kept_marks = [{_MARK_FIELD: mark} for line, mark in sorted(marks.items()) if not lost[line]]
        objects_of_marks = pa.array([msgspec.json.encode(mark).decode() for mark in kept_marks], pa.string())
        extra = _placed(objects_of_marks, marked[ordinals])
        return Decoded(_rows(schema, arrays, extra, ordinals, received), _quarantined(lines, faults, marks))

    def _columns(
        self, lines: Lines, decoded: Flags, columns: Sequence[Column], time: str = _TIME.name
    ) -> Columns:
        count = int(np.count_nonzero(decoded))
        time_range_us = (self._limits.time_generated_min_us, self._limits.time_generated_max_us)
        return build(
            self._connection, lines.data, locate(lines, decoded), count, columns, time, time_range_us
        )


def _placed(values: pa.Array, wanted: Flags) -> pa.Array:
    """As many entries as ``wanted``: the values, in order, where it is true, else null."""
    if len(values) == len(wanted):
        return values
    return values.take(pa.array(np.cumsum(wanted) - 1, mask=~wanted))


def _rows(
    schema: TableSchema,
    arrays: Mapping[str, pa.Array],
    extra: pa.StringArray,
    ordinals: NDArray[np.int64],
    received: NDArray[np.int64],
) -> pa.Table:
    count = len(ordinals)
    absent = {kind: pa.nulls(count, ARROW_TYPES[kind]) for kind in {column.type for column in schema.columns}}
    columns = {column.name: arrays.get(column.name, absent[column.type]) for column in schema.columns}
    recorded = columns[_TIME.name]
    columns[_TIME.name] = pc.coalesce(recorded, pa.array(received[ordinals]).cast(recorded.type))
    columns["_Extra"] = extra
    columns["_TimeSource"] = pc.if_else(recorded.is_valid(), "record", "received")
    columns["_row"] = pa.array(ordinals, pa.int64())
    return pa.table(columns)


def _quarantined(lines: Lines, faults: NDArray[np.uint8], marks: Mapping[int, str]) -> pa.Table:
    ordinals = np.flatnonzero(faults)
    reasons = pa.array([fault.reason for fault in Fault]).take(pa.array(faults[ordinals]))
    cut = faults[ordinals] == Fault.CUT_LINE
    if cut.any():
        marked = pa.array([f"{Fault.CUT_LINE.reason}: {marks[int(line)]}" for line in ordinals[cut]])
        reasons = pc.replace_with_mask(reasons, pa.array(cut), marked)
    raw = slices(lines.data, lines.starts[ordinals], lines.ends[ordinals], pa.binary())
    return pa.table({"_row": pa.array(ordinals, pa.int64()), "Reason": reasons, "Raw": raw})
