"""No text makes the parser do anything but answer or refuse, soon; values go through as they are."""

from __future__ import annotations

import itertools
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st
from kql_answers import rows

from gapless.model.tables import Column, ColumnType, TableSchema
from gapless.query.kql.errors import KqlError
from gapless.query.kql.syntax.lexer import tokens
from gapless.query.kql.syntax.parse import parse
from gapless.query.kql.translate import translate
from gapless.query.kql.values import values

_WORDS = """
| ( ) [ ] { } , ; : = == != =~ .. . - + * / % ! where extend project summarize by join on union print let
datatable range parse with has in between and or not count() x 'a' "b" 1 2.5 1d @'\' dynamic( datetime( ```
mv-expand make-series search top sort nulls $left in~ !has // typeof( toscalar( T
"""
_PIECES = st.sampled_from([*_WORDS.split(), "\n\n"])

TABLE = TableSchema("T", tuple(Column(f"{kind}s", kind) for kind in get_args(ColumnType)))
_VALUES = """
bools ints longs reals strings datetimes timespans guids dynamics * typeof(long) series_stats(dynamics)
bool(null) int(null) long(null) real(null) datetime(null) timespan(null) guid(null) dynamic(null)
true int(5) -1 9223372036854775807 1.5 real(nan) real(+inf) '' 'x' datetime(2020-01-01) 1h dynamic([1,'a'])
"""
_PLACES = """
T | extend x = {0} == {1}, y = -{2}, z = {0}[{1}]
T | extend x = {0} < {1}, y = {0} != {2}
T | extend x = {0} + {1}
T | extend x = {0} / {1}
T | extend x = iff({0}, {1}, {2})
T | extend x = coalesce({0}, {1}, {2})
T | extend x = bin({0}, {1})
T | extend x = set_union({0}, {1})
T | extend x = {0} has {1}
T | sort by {0} | extend x = prev({1}, 1, {2})
T | where {0} in ({1}, {2})
T | where {0} between ({1} .. {2})
T | top {0} by {1}
T | distinct {0}, {1}
T | search {0}
T | mv-expand {0} to typeof(real)
T | parse {0} with * 'x' y:long
T | union (T | project x = {0})
T | summarize arg_max({0}, {1}), take_any({2})
T | summarize percentile({0}, {1}) by {2}
T | make-series max({0}) default={1} on longs from {2} to {2} step 1
T | scan declare (x: long = {0}) with (step a: {1} => x = {2};)
T | top-nested {0} of {1} by max({2})
T | evaluate rows_near({0}, {1}, {2})
let f = (x: int) {{ x }}; T | extend y = f({0})
range x from {0} to {1} step {2}
datatable(x: real)[{0}]
"""


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except KqlError as error:
        assert 0 <= error.at <= len(text)


@given(st.lists(_PIECES, max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_words_are_translated_or_refused(pieces: list[str]) -> None:
    try:
        translate(" ".join(pieces), [])
    except KqlError as error:
        assert str(error).startswith("line ")


@given(st.sampled_from(_PLACES.strip().splitlines()), st.lists(st.sampled_from(_VALUES.split()), min_size=3))
@settings(max_examples=300, deadline=None)
def test_values_of_any_type_anywhere_are_translated_or_refused(place: str, values: list[str]) -> None:
    try:
        translate(place.format(*values), [TABLE])
    except KqlError as error:
        assert str(error).startswith("line ")


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50))
@settings(max_examples=100, deadline=None)
def test_tokens_cover_the_text(text: str) -> None:
    try:
        found = tokens(text)
    except KqlError:
        return
    assert found[-1].end == len(text)
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30))
@settings(max_examples=50, deadline=None)
def test_strings_come_out_as_they_went_in(text: str) -> None:
    verbatim = text.replace('"', '""')
    assert rows(f'print x = @"{verbatim}"') == [[text]]


@given(st.integers(0, values.LAST_TICKS))
def test_texts_of_datetimes_are_read_back(ticks: int) -> None:
    assert values.parse_datetime(values.datetime_text(ticks)) == ticks


@given(st.integers(-(10**18), 10**18))
def test_texts_of_timespans_are_read_back(ticks: int) -> None:
    assert values.parse_timespan(values.timespan_text(ticks)) == ticks


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31))
@settings(max_examples=40, deadline=None)
def test_division_is_the_same_folded_and_computed(left: int, right: int) -> None:
    folded = rows(f"print long({left}) / long({right}), long({left}) % long({right})")
    computed = rows(f"datatable(a: long, b: long)[long({left}), long({right})] | project a / b, a % b")
    assert folded == computed
