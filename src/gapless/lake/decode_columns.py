"""Fields to columns: each value to its column, or to ``_Extra`` when it has none or does not fit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from gapless.lake.decode_fields import Fields, keys, unescape
from gapless.lake.decode_lines import overlay, slices
from gapless.lake.decode_scalars import is_text, parse
from gapless.lake.decode_scan import Bytes, Flags
from gapless.model.tables import Column


@dataclass(frozen=True)
class Columns:
    """Columns of the decoded records, one entry a record."""

    arrays: dict[str, pa.Array]  #: by name; those that no record has a value for are left out
    extra: pa.StringArray  #: a JSON object, or null
    ambiguous: Flags  #: ``extra`` names a field twice


def build(
    connection: duckdb.DuckDBPyConnection,
    data: Bytes,
    found: Fields,
    count: int,
    columns: Sequence[Column],
    time: str,
    time_range_us: tuple[int, int],
) -> Columns:
    """The columns of ``count`` records with the fields ``found``.

    A value of the column ``time`` outside ``time_range_us`` (the second bound exclusive) does not fit it.
    """
    names = keys(connection, data, found)
    known = pa.array([column.name for column in columns], pa.string())
    place = pc.index_in(names, value_set=known).fill_null(-1).to_numpy().astype(np.int16)
    surplus = place < 0

    keeps_quotes = np.array([*(column.type == "dynamic" for column in columns), True])  # last: no column
    source = _source(connection, data, found, count, found.quoted & ~keeps_quotes[place])
    arrays: dict[str, pa.Array] = {}
    for column, picked in zip(columns, _by_place(place, len(columns)), strict=True):
        if not len(picked):
            continue
        rows = found.row[picked]
        again = np.append(False, rows[1:] == rows[:-1])
        surplus[picked[again]] = True
        picked, rows = picked[~again], rows[~again]
        values = text = source.column(picked)
        if not is_text(column.type):
            values = parse(column.type, text)
            if column.name == time:
                values = _within(values, time_range_us)
            misfits = np.asarray(values.is_null()) & np.asarray(text.is_valid())
            surplus[picked[misfits[rows]]] = True
        arrays[column.name] = values
    return Columns(arrays, *_extra(data, found, count, names, surplus))


@dataclass(frozen=True)
class _Source:
    """Where the texts of columns are taken from."""

    row: NDArray[np.int32]  #: of each field
    count: int  #: of records
    texts: pa.StringArray
    place: NDArray[np.int64]  #: of each field's text in ``texts``

    def column(self, picked: NDArray[np.int64]) -> pa.StringArray:
        """One text a record, from the picked fields (at most one a record, in order), else null."""
        return _spread(self.texts, self.place[picked], self.row[picked], self.count)


def _source(
    connection: duckdb.DuckDBPyConnection, data: Bytes, found: Fields, count: int, stripped: Flags
) -> _Source:
    plain = overlay(data, found.start + stripped, found.end - stripped, pa.string())
    place = np.arange(0, 2 * len(found), 2)
    escaped = np.flatnonzero(found.escaped & stripped)
    if not len(escaped):
        return _Source(found.row, count, plain, place)
    quoted = slices(data, found.start[escaped], found.end[escaped], pa.string())
    place[escaped] = len(plain) + np.arange(len(escaped))
    return _Source(found.row, count, pa.concat_arrays([plain, unescape(connection, quoted)]), place)


def _by_place(place: NDArray[np.int16], places: int) -> list[NDArray[np.int64]]:
    """For each place, the fields that have it, in order."""
    order = np.argsort(place, kind="stable")
    bounds = np.searchsorted(place[order], np.arange(places + 1))
    return np.split(order, bounds)[1:-1]


def _spread(
    values: pa.StringArray, indices: NDArray[np.int64], rows: NDArray[np.int32], count: int
) -> pa.StringArray:
    """``values[indices[i]]`` at ``rows[i]``, null elsewhere."""
    if len(indices) == count:
        return pc.take(values, pa.array(indices), boundscheck=False)
    spread = np.zeros(count, np.int64)
    absent = np.ones(count, np.bool_)
    spread[rows] = indices
    absent[rows] = False
    return pc.take(values, pa.array(spread, mask=absent), boundscheck=False)


def _within(times: pa.TimestampArray, range_us: tuple[int, int]) -> pa.TimestampArray:
    values = times.cast(pa.int64())
    believed = pc.and_(pc.greater_equal(values, range_us[0]), pc.less(values, range_us[1]))
    return pc.if_else(believed, times, pa.scalar(None, times.type))


def _extra(
    data: Bytes, found: Fields, count: int, names: pa.StringArray, surplus: Flags
) -> tuple[pa.StringArray, Flags]:
    """Objects of the surplus fields as their records have them, and which name a field twice."""
    chosen = np.flatnonzero(surplus)
    ambiguous = np.zeros(count, np.bool_)
    if not len(chosen):
        return pa.nulls(count, pa.string()), ambiguous
    rows = found.row[chosen]

    identities = names.take(pa.array(chosen)).dictionary_encode()
    pairs = rows.astype(np.int64) * len(identities.dictionary) + identities.indices.to_numpy()
    pairs.sort()
    twice = pairs[1:][pairs[1:] == pairs[:-1]]
    ambiguous[twice // len(identities.dictionary)] = True

    members = slices(data, found.key_start[chosen], found.end[chosen], pa.string())
    begins = np.flatnonzero(np.diff(rows, prepend=-1))
    grouped = pa.ListArray.from_arrays(pa.array(np.append(begins, len(rows)), pa.int32()), members)
    objects = pc.binary_join_element_wise("{", pc.binary_join(grouped, ","), "}", "")
    return _spread(objects, np.arange(len(begins)), rows[begins], count), ambiguous
