"""ISO 8601 texts to microseconds.

A time has one of a few layouts. With every digit turned to 0 a text *is* its layout, so one look-up tells
which texts are times, and each layout present is then computed at fixed places, all its texts at once.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

_FRACTION_DIGITS_MAX = 9
_SECOND_US, _MINUTE_US = 1_000_000, 60_000_000
#: 0001-01-01 and 10000-01-01 (exclusive): the years of Kusto's datetime.
_MIN_US, _MAX_US = -62_135_596_800_000_000, 253_402_300_800_000_000

_DIGITS_AS_0 = np.arange(256, dtype=np.uint8)
_DIGITS_AS_0[ord("0") : ord("9") + 1] = ord("0")


class _Layout(NamedTuple):
    """What follows the date ``0000-00-00``."""

    clock: str = ""  #: or T00:00, T00:00:00, T00:00:00.0 … ; a blank may stand for the T
    offset: str = ""  #: or Z, +00, +0000, +00:00, and the same with a minus

    def __str__(self) -> str:
        return f"0000-00-00{self.clock}{self.offset}"


def _layouts() -> list[_Layout]:
    fractions = ["", *("." + "0" * digits for digits in range(1, _FRACTION_DIGITS_MAX + 1))]
    clocks = ["00:00", *(f"00:00:00{fraction}" for fraction in fractions)]
    offsets = ["", "Z", *(sign + offset for sign in "+-" for offset in ("00", "0000", "00:00"))]
    timed = [_Layout(before + clock, offset) for before, clock, offset in product("T ", clocks, offsets)]
    return [_Layout(), *timed]


_LAYOUTS = _layouts()
_LAYOUT_TEXTS = pa.array([str(layout) for layout in _LAYOUTS])


def parse_datetimes(texts: pa.StringArray) -> pa.TimestampArray:
    """Times in UTC of the texts, null where a text is no ISO 8601 time of the years 1 to 9999.

    An offset is applied; without one the time is UTC. Of a fraction longer than six digits the rest is cut
    off, which rounds towards the past. A leap second (``:60``) and the hour 24 are no times here.
    """
    data, offsets = _buffers(texts)
    shapes = pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(_DIGITS_AS_0[data]))
    found = pc.index_in(shapes, value_set=_LAYOUT_TEXTS).fill_null(-1).to_numpy()
    real = (found >= 0) & np.asarray(texts.is_valid())

    times = np.zeros(len(texts), np.int64)
    for place in np.unique(found[real]):
        rows = np.flatnonzero(real & (found == place))
        characters = data[offsets[rows][:, None] + np.arange(len(str(_LAYOUTS[place])))]
        times[rows], real[rows] = _compute(_LAYOUTS[place], characters)
    return pa.array(times, mask=~real).cast(pa.timestamp("us", "UTC"))


def _buffers(texts: pa.StringArray) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The array's bytes, and the offsets of its texts and of their end, from 0."""
    _, offset_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    data = np.frombuffer(data_buffer or b"", np.uint8)[offsets[0] : offsets[-1]]
    return data, offsets - offsets[0]


def _compute(layout: _Layout, characters: NDArray[np.uint8]) -> tuple[Numbers, NDArray[np.bool_]]:
    """Microseconds of texts of one layout (a row of characters each), and which of them are real times."""
    zone = 10 + len(layout.clock)
    clock = characters[:, 10:zone]
    fraction = clock[:, 10:16]

    days, real = _days(characters)
    hour, minute, second = _number(clock[:, 1:3]), _number(clock[:, 4:6]), _number(clock[:, 7:9])
    micros = _number(fraction) * 10 ** (6 - fraction.shape[1])
    real &= (hour < 24) & (minute < 60) & (second < 60)
    times = ((days * 24 + hour) * 60 + minute) * _MINUTE_US + second * _SECOND_US + micros

    if layout.offset not in ("", "Z"):
        hours = _number(characters[:, zone + 1 : zone + 3])
        minutes = _number(characters[:, zone + 3 + layout.offset.count(":") :])
        real &= (hours < 24) & (minutes < 60)
        ahead = (hours * 60 + minutes) * _MINUTE_US
        times += ahead if layout.offset.startswith("-") else -ahead
    return times, real & (times >= _MIN_US) & (times < _MAX_US)


def _days(characters: NDArray[np.uint8]) -> tuple[Numbers, NDArray[np.bool_]]:
    """Days since the epoch, and which dates are in the calendar."""
    year, month, day = _number(characters[:, 0:4]), _number(characters[:, 5:7]), _number(characters[:, 8:10])
    months = (year - 1970) * 12 + month - 1
    first, following = ((months + later).astype("M8[M]").astype("M8[D]").astype(np.int64) for later in (0, 1))
    real = (month >= 1) & (month <= 12) & (day >= 1) & (day <= following - first)
    return first + day - 1, real


def _number(digits: NDArray[np.uint8]) -> Numbers:
    """The number each row of digits spells; 0 for no digits."""
    value = np.zeros(len(digits), np.int64)
    for column in digits.T:
        value = value * 10 + (column - ord("0"))
    return value
