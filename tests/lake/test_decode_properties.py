"""Whatever a payload holds: every line once, and every value of a record where the oracle has it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.lake import decode_scan
from gapless.lake.decode import DecodeLimits, Decoder
from gapless.model.tables import Column, TableSchema

from .decode_oracle import assert_faithful

LIMITS = DecodeLimits(nesting_max=4)
RECEIVED_US = 1_725_000_000_000_000
SCHEMA = TableSchema(
    "Sample",
    (
        Column("TimeGenerated", "datetime"),
        Column("Text", "string"),
        Column("Small", "int"),
        Column("Large", "long"),
        Column("Ratio", "real"),
        Column("Flag", "bool"),
        Column("When", "datetime"),
        Column("Bag", "dynamic"),
        Column("text", "guid"),
    ),
)
DECODER = Decoder(LIMITS)

blanks = st.sampled_from(["", "", "", " ", "\t", "\r", "     ", " \t \r"])
characters = st.one_of(
    st.characters(exclude_categories=["Cs"], exclude_characters='"\\\n', min_codepoint=0x20),
    st.sampled_from(
        ['\\"', "\\\\", "\\/", "\\n", "\\u0000", "\\u00e9", "\\ud83d\\ude00", "{", "}", "[", "]", ":", ","]
    ),
    st.sampled_from(["\\ud800", "\\udc00", "\\x"]).filter(lambda _: False) | st.just("a"),
)
strings = st.lists(characters, max_size=6).map(lambda parts: f'"{"".join(parts)}"')
times = st.sampled_from(
    [
        '"2024-09-02T01:02:03.1234567Z"',
        '"2024-09-02 01:02:03+02:00"',
        '"2024-02-30"',
        '"0001-01-01T00:00:00Z"',
        '"0001-01-01T00:00:00+01"',
        '"9999-12-31T23:59:59.999999999-0030"',
        '"1999-12-31T23:59:59.999999Z"',
        '"2024\\u002d09-02"',
    ]
)
numbers = st.one_of(
    st.integers(-(2**64), 2**64).map(str),
    st.sampled_from([2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1]).map(
        str
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.from_regex(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
)
scalars = st.one_of(
    st.sampled_from(
        ["true", "false", "null", '"true"', '"FALSE"', '"5"', '"1.5"', '" 5"', "1.5", "-0", "1e999"]
    ),
    strings,
    numbers,
    numbers.map(lambda number: f'"{number}"'),
    times,
)


@st.composite
def _listed(draw: st.DrawFn, items: st.SearchStrategy[str], brackets: str) -> str:
    drawn = draw(st.lists(items, max_size=3))
    parts = [draw(blanks) + item + draw(blanks) for item in drawn]
    return brackets[0] + (",".join(parts) or draw(blanks)) + brackets[1]


@st.composite
def _member(draw: st.DrawFn, names: st.SearchStrategy[str], values: st.SearchStrategy[str]) -> str:
    return draw(names) + draw(blanks) + ":" + draw(blanks) + draw(values)


values = st.recursive(
    scalars,
    lambda inner: st.one_of(_listed(inner, "[]"), _listed(_member(strings, inner), "{}")),
    max_leaves=6,
)
names = st.one_of(
    st.sampled_from([f'"{column.name}"' for column in SCHEMA.columns]),
    st.sampled_from(['"\\u0054ext"', '"unknown"', '"_Extra"', '"_row"', '"TEXT"', '""']),
    strings,
)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    members = draw(st.lists(_member(names, values), max_size=8))
    parts = [draw(blanks) + member + draw(blanks) for member in members]
    return (draw(blanks) + "{" + ",".join(parts) + "}" + draw(blanks)).encode()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A record with a few bytes replaced, taken out or put in."""
    line = bytearray(draw(records()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(line)))
        put = draw(
            st.sampled_from(
                [
                    *(bytes([b]) for b in b'"\\{}[]:,0-.eEnaNiI \x00\x1f\x7f\x80\xc3\xed\xa0\xf4'),
                    b"",
                    b"NaN",
                    b"-inf",
                    b'\\"',
                    b"\\ud800",
                    b",]",
                    b", }",
                ]
            )
        )
        line[at : at + draw(st.integers(0, 2))] = put
    return bytes(line)


lines = st.one_of(
    records(),
    damaged(),
    st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")),
    values.map(str.encode),
)


@pytest.mark.parametrize("block_bytes", [1, 200, 512 * 1024])
@settings(max_examples=150, deadline=None)
@given(batch=st.lists(lines, min_size=1, max_size=8))
def test_every_value_is_found(block_bytes: int, batch: list[bytes]) -> None:
    payload = b"".join(line + b"\n" for line in batch)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode_scan, "BLOCK_BYTES", block_bytes)
        decoded = DECODER.decode(SCHEMA, payload, received_us=RECEIVED_US)
    assert_faithful(SCHEMA, LIMITS, RECEIVED_US, batch, decoded)
