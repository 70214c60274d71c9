"""Text to typed values, or null where the text is no exact value of the type.

Casts alone lose data without a word: an engine makes 2 of 1.5, 0 of 1e-999, and drops the digits of
0.1234567890123456789. So a text must have a form that the type keeps all of before it is cast.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from gapless.lake.decode_times import parse_datetimes
from gapless.model.tables import ColumnType

ARROW_TYPES: Mapping[ColumnType, pa.DataType] = {
    "string": pa.string(),
    "guid": pa.string(),
    "timespan": pa.string(),
    "dynamic": pa.string(),
    "int": pa.int32(),
    "long": pa.int64(),
    "real": pa.float64(),
    "bool": pa.bool_(),
    "datetime": pa.timestamp("us", "UTC"),
}

_INTEGER = "^(0|-?[1-9][0-9]{0,18})$"
_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_ZERO = r"^-?0(\.0+)?$"
_REAL_DIGITS = 15  # as many decimal digits always survive the way to a double and back
_REAL_MIN, _REAL_MAX = 1e-300, 1e300  # beyond, a double has fewer digits, or none


def is_text(kind: ColumnType) -> bool:
    """True for the types whose column holds the text as it is: string, guid, timespan, dynamic."""
    return kind in ("string", "guid", "timespan", "dynamic")


def parse(kind: ColumnType, texts: pa.StringArray) -> pa.Array:
    """The texts as values of a type that is no text type; null where the text is none."""
    if kind == "datetime":
        return parse_datetimes(texts)
    if kind == "bool":
        return _booleans(texts)
    if kind == "real":
        return _reals(texts)
    return _integers(texts, ARROW_TYPES[kind])


def _only(texts: pa.Array, wanted: pa.BooleanArray) -> pa.Array:
    return pc.if_else(wanted, texts, pa.scalar(None, texts.type))


def _booleans(texts: pa.StringArray) -> pa.BooleanArray:
    folded = pc.ascii_lower(texts)
    true = pc.equal(folded, "true")
    return _only(true, pc.or_(true, pc.equal(folded, "false")))


def _integers(texts: pa.StringArray, kind: pa.DataType) -> pa.Array:
    exact = pa.decimal128(19, 0)
    numbers = _only(texts, pc.match_substring_regex(texts, _INTEGER)).cast(exact)
    bits = kind.bit_width - 1
    low, high = pa.scalar(-(2**bits), exact), pa.scalar(2**bits - 1, exact)
    return _only(numbers, pc.and_(pc.less_equal(low, numbers), pc.less_equal(numbers, high))).cast(kind)


def _reals(texts: pa.StringArray) -> pa.DoubleArray:
    numbers = _only(texts, pc.match_substring_regex(texts, _NUMBER)).cast(pa.float64())
    size = pc.abs(numbers)
    in_range = pc.and_(pc.less_equal(_REAL_MIN, size), pc.less_equal(size, _REAL_MAX))
    kept = pc.or_(in_range, pc.match_substring_regex(texts, _ZERO))
    long = pc.greater(pc.binary_length(texts), _REAL_DIGITS)
    if pc.any(long).as_py():
        # Equal digits are enough: a text and the shortest text of its double are of one magnitude.
        same = pc.equal(_significant(texts), _significant(numbers.cast(pa.string())))
        kept = pc.and_(kept, pc.or_(same, pc.invert(long)))
    return _only(numbers, kept)


def _significant(numbers: pa.StringArray) -> pa.StringArray:
    """The digits of numbers, without those zeros that only say how large they are."""
    return pc.ascii_trim(pc.replace_substring_regex(numbers, "[eE].*|[-.]", ""), "0")
