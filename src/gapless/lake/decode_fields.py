"""The top-level fields of a payload's records: which record, which name, and where the value stands."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gapless.lake.decode_lines import Lines, slices
from gapless.lake.decode_scan import Bytes, Flags, Positions, skip_blanks

_NULL, _QUOTE = b'n"'


@dataclass(frozen=True)
class Fields:
    """Fields in the order of the payload, one entry a field; without those whose value is null."""

    row: NDArray[np.int32]  #: position of the record among the decoded ones
    key_start: Positions  #: opening quote of the name
    key_end: Positions  #: past its closing quote
    start: Positions  #: of the value as it stands in the record, without blanks around it
    end: Positions
    quoted: Flags  #: the value is a JSON string
    escaped_key: Flags  #: the name has escape sequences
    escaped: Flags  #: the value has

    def __len__(self) -> int:
        return len(self.row)

    def where(self, wanted: Flags) -> Self:
        return type(self)(**{field.name: getattr(self, field.name)[wanted] for field in fields(self)})


def locate(lines: Lines, decoded: Flags) -> Fields:
    """The fields of the ``decoded`` lines, each of which must be a JSON object."""
    data, structure = lines.data, lines.structure
    per_line = structure.tokens_per_line
    tokens = structure.tokens
    if not decoded.all():
        tokens = tokens[np.repeat(decoded, per_line)]
    # { k : v , k : v } has 2n + 1 tokens for n fields, { } has 2.
    counts = (per_line[decoded] - 1) // 2
    colons = np.flatnonzero(data.take(tokens) == ord(":"))
    row = np.repeat(np.arange(len(counts), dtype=np.int32), counts)

    key_start = tokens[colons - 1] + 1
    key_end = tokens[colons]
    start = key_end + 1
    end = tokens[colons + 1]
    if structure.spaced:
        key_start, start = skip_blanks(data, key_start, 1), skip_blanks(data, start, 1)
        key_end, end = skip_blanks(data, key_end - 1, -1) + 1, skip_blanks(data, end - 1, -1) + 1
    first = data.take(start)
    escaped_key, escaped = _escaped(key_start, start, structure.escapes)
    found = Fields(row, key_start, key_end, start, end, first == _QUOTE, escaped_key, escaped)
    present = first != _NULL
    return found if present.all() else found.where(present)


def keys(connection: duckdb.DuckDBPyConnection, data: Bytes, found: Fields) -> pa.StringArray:
    """The name of each field, escape sequences resolved."""
    names = slices(data, found.key_start + 1, found.key_end - 1, pa.string())
    if found.escaped_key.any():
        quoted = found.where(found.escaped_key)
        resolved = unescape(connection, slices(data, quoted.key_start, quoted.key_end, pa.string()))
        names = pc.replace_with_mask(names, pa.array(found.escaped_key), resolved)
    return names


def unescape(connection: duckdb.DuckDBPyConnection, strings: pa.StringArray) -> pa.StringArray:
    """What JSON strings, given with their quotes, stand for. They must be valid."""
    table = pa.table({"string": strings})
    resolved = connection.from_arrow(table).project("string ->> '$' AS text").to_arrow_table()
    return resolved["text"].combine_chunks()


def _escaped(key_start: Positions, start: Positions, escapes: Positions) -> tuple[Flags, Flags]:
    """Which names and which values hold escape sequences (lines that are not decoded may add to them)."""
    marked = np.zeros(2 * len(start), np.bool_)
    if len(start) and len(escapes):
        begins = np.empty(2 * len(start), np.int32)
        begins[0::2] = key_start
        begins[1::2] = start
        marked[np.maximum(np.searchsorted(begins, escapes, side="right") - 1, 0)] = True
    return marked[0::2], marked[1::2]
