"""Which lines of a payload are JSON records, and why each of the others is not.

The bounds come first, on bytes alone; only lines that keep them are shown to a parser. The parser judges
each line by itself, in one native pass over the payload, so one bad line costs what one line costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gapless.lake.decode_scan import Bytes, Flags, Structure, scan, skip_blanks


class Fault(IntEnum):
    """Why a line has no row. ``reason`` is what quarantine stores: stable, and short."""

    NONE = 0
    EMPTY = 1  #: nothing, or only blanks and control bytes
    TOO_LONG = 2  #: more than ``record_bytes_max``
    NOT_UTF8 = 3  #: holds bytes that are not UTF-8
    TOO_DEEP = 4  #: nested deeper than ``nesting_max``
    NOT_OBJECT = 5  #: does not begin with {
    INVALID_JSON = 6  #: begins with {, but RFC 8259 refuses it (a lone surrogate escape counts as that)
    DUPLICATE_FIELD = 7  #: names a field so often that `_Extra` would have to hold two values of one name
    CUT_LINE = 8  #: part of an over-long line that the agent cut

    @property
    def reason(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class DecodeLimits:
    """Bounds of what is decoded; a record over one of them is quarantined, never an error."""

    record_bytes_max: int = 8 * 1024 * 1024 + 4096  #: an agent's longest line, and what it may add to one
    nesting_max: int = 64  #: objects and arrays inside one another, the record itself counted
    time_generated_min_us: int = 946_684_800_000_000  #: 2000-01-01; an older TimeGenerated is not believed
    time_generated_max_us: int = 4_102_444_800_000_000  #: 2100-01-01, exclusive


@dataclass(frozen=True)
class Lines:
    """The lines of a payload (one entry a line) and what is known of them."""

    data: Bytes
    starts: NDArray[np.int32]
    ends: NDArray[np.int32]  #: offsets of the newlines
    begins: NDArray[np.int32]  #: offsets of the first bytes that are no blanks
    first: Bytes  #: those bytes; 0 for a line that has none
    faults: NDArray[np.uint8]  #: ``Fault`` of each line, as far as bounds and encoding tell
    structure: Structure

    def __len__(self) -> int:
        return len(self.faults)

    def texts(self, wanted: Flags) -> pa.StringArray:
        """The lines with their newlines, null where not wanted; shares the payload's memory."""
        offsets = np.append(self.starts, np.int32(len(self.data)))
        valid = pa.py_buffer(np.packbits(wanted, bitorder="little"))
        return pa.StringArray.from_buffers(
            len(wanted), pa.py_buffer(offsets), pa.py_buffer(self.data), valid, int((~wanted).sum())
        )

    def documents(self, wanted: Flags) -> pa.StringArray:
        """A copy of the wanted lines, none of them blank, without the blanks around them."""
        ends = skip_blanks(self.data, self.ends[wanted] - 1, -1) + 1
        return slices(self.data, self.begins[wanted], ends, pa.string())


def split(data: Bytes, limits: DecodeLimits) -> Lines:
    """Find the lines of a payload that ends with a newline, and judge their size, encoding and depth."""
    ends = _newlines(data)
    starts = np.append(0, ends + 1)[:-1]
    long = ends - starts > limits.record_bytes_max
    structure = scan(data, ends, long)
    starts, ends32 = starts.astype(np.int32), ends.astype(np.int32)

    begins = skip_blanks(data, starts, 1)
    blank = begins >= ends32
    first = np.where(blank, 0, data[begins]).astype(np.uint8)
    faults = np.zeros(len(ends), np.uint8)
    faults[structure.depth > limits.nesting_max] = Fault.TOO_DEEP
    faults[~_utf8(data, starts, ends32)] = Fault.NOT_UTF8
    faults[long] = Fault.TOO_LONG
    faults[blank] = Fault.EMPTY
    return Lines(data, starts, ends32, begins, first, faults, structure)


def valid_json(connection: duckdb.DuckDBPyConnection, lines: Lines, wanted: Flags) -> Flags:
    """Which of the wanted lines are JSON as RFC 8259 has it."""
    if not wanted.any():
        return wanted
    texts = pa.table({"line": lines.texts(wanted)})
    judged = connection.from_arrow(texts).project("json_valid(line) AS valid").to_arrow_table()
    valid: Flags = judged["valid"].combine_chunks().fill_null(False).to_numpy(zero_copy_only=False)
    return valid & ~lines.structure.loose


def slices(data: Bytes, starts: NDArray[np.int32], ends: NDArray[np.int32], kind: pa.DataType) -> pa.Array:
    """A copy of ``data[start:end]`` for each pair; the pairs ascend and do not overlap."""
    return overlay(data, starts, ends, kind).take(pa.array(np.arange(0, 2 * len(starts), 2, dtype=np.int32)))


def overlay(data: Bytes, starts: NDArray[np.int32], ends: NDArray[np.int32], kind: pa.DataType) -> pa.Array:
    """An array over the payload's own memory: element 2i is ``data[start_i:end_i]``, the odd ones what lies
    between. The pairs ascend and do not overlap."""
    offsets = np.empty(2 * len(starts) + 1, np.int32)
    offsets[0:-1:2] = starts
    offsets[1::2] = ends
    offsets[-1] = ends[-1] if len(ends) else 0
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, 2 * len(starts), buffers)


def _newlines(data: Bytes) -> NDArray[np.int64]:
    step = 1 << 20  # of one go, so that the flags stay in the cache
    found = [np.flatnonzero(data[at : at + step] == 10) + at for at in range(0, len(data), step)]
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _utf8(data: Bytes, starts: NDArray[np.int32], ends: NDArray[np.int32]) -> Flags:
    """Which lines are UTF-8. Only when some line is not, the ones that are not are looked for."""
    whole = pa.StringArray.from_buffers(
        len(starts), pa.py_buffer(np.append(starts, np.int32(len(data)))), pa.py_buffer(data)
    )
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        broken = _misplaced_bytes(data)
        valid = np.ones(len(starts), np.bool_)
        valid[np.searchsorted(ends, broken)] = False
        return valid
    return np.ones(len(starts), np.bool_)


def _misplaced_bytes(data: Bytes) -> NDArray[np.int64]:
    """Positions of bytes that break UTF-8 (RFC 3629, section 4), each in the line that is broken.

    The payload ends with a newline, so what a lead byte announces never lies beyond it.
    """
    high = np.flatnonzero(data >= 0x80)
    value = data[high]
    claimed = np.zeros(len(data) + 3, np.bool_)
    expecting = high[value >= 0xC0]
    for following, least in ((1, 0xC0), (2, 0xE0), (3, 0xF0)):
        expecting = expecting[data[expecting] >= least]
        claimed[expecting + following] = True
        expecting = expecting[(data[expecting + following] & 0xC0) == 0x80]
    unclaimed = high[((value & 0xC0) == 0x80) & ~claimed[high]]
    places = np.flatnonzero(claimed[: len(data)])
    cut_short = places[(data[places] & 0xC0) != 0x80]

    second = data[np.minimum(high + 1, len(data) - 1)]
    never = (value == 0xC0) | (value == 0xC1) | (value > 0xF4)
    overlong = ((value == 0xE0) & (second < 0xA0)) | ((value == 0xF0) & (second < 0x90))
    beyond = ((value == 0xED) & (second > 0x9F)) | ((value == 0xF4) & (second > 0x8F))
    return np.concatenate([unclaimed, cut_short, high[never | overlong | beyond]])
