"""The decoder, case by case: what fits a column, what goes to ``_Extra``, what is quarantined and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gapless.lake.decode import Decoded, DecodeLimits, Decoder, Fault
from gapless.model.batch import RECEIVED
from gapless.model.errors import Refused
from gapless.model.tables import Column, ColumnType, TableSchema, known_tables, table_schema

from .decode_oracle import assert_faithful

RECEIVED_US = 1_725_238_923_000_000
KINDS: tuple[ColumnType, ...] = (
    "string",
    "guid",
    "timespan",
    "dynamic",
    "int",
    "long",
    "real",
    "bool",
    "datetime",
)
SCHEMA = TableSchema("Sample", (*(Column(kind, kind) for kind in KINDS), Column("TimeGenerated", "datetime")))
CUSTOM = table_schema("Sample_CL")


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder(DecodeLimits(record_bytes_max=1000, nesting_max=5))
    yield made
    made.close()


def lines(*records: bytes | str) -> bytes:
    return b"".join((record.encode() if isinstance(record, str) else record) + b"\n" for record in records)


def decode_row(decoder: Decoder, record: bytes | str, schema: TableSchema = SCHEMA) -> dict[str, Any]:
    """The row of the only record, times as microseconds, without its nulls."""
    decoded = decoder.decode(schema, lines(record), received_us=RECEIVED_US)
    assert decoded.quarantined.num_rows == 0
    fields = [
        pa.field(field.name, pa.int64()) if pa.types.is_timestamp(field.type) else field
        for field in decoded.rows.schema
    ]
    (row,) = decoded.rows.cast(pa.schema(fields)).to_pylist()
    return {name: value for name, value in row.items() if value is not None}


def in_column(decoder: Decoder, kind: str, value: str) -> Any:
    """What stands in the column of that type for a JSON value, which then is not in ``_Extra``."""
    row = decode_row(decoder, f'{{"{kind}":{value}}}')
    assert "_Extra" not in row
    return row.get(kind)


def reasons(decoded: Decoded) -> list[tuple[int, str, bytes]]:
    return [tuple(row.values()) for row in decoded.quarantined.to_pylist()]


def us(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("kind", "value", "stands"),
    [
        ("string", '"a\\u0000b\\u00e9\\ud83d\\ude00\\/\\n"', "a\0bé😀/\n"),
        ("string", '""', ""),
        ("string", "5", "5"),
        ("string", "1.10", "1.10"),
        ("string", "true", "true"),
        ("string", '{"a": [1, "\\n"]}', '{"a": [1, "\\n"]}'),
        ("guid", '"not a guid"', "not a guid"),
        ("timespan", '"1.02:03:04.5"', "1.02:03:04.5"),
        ("timespan", "5", "5"),
        ("dynamic", '{"a" : 1.10, "b":123456789012345678901234567890}', None),
        ("dynamic", '"\\u0041"', None),
        ("dynamic", "0.1234567890123456789", None),
        ("int", "2147483647", 2**31 - 1),
        ("int", '"-2147483648"', -(2**31)),
        ("long", "9223372036854775807", 2**63 - 1),
        ("long", "-9223372036854775808", -(2**63)),
        ("long", '"1\\u0032"', 12),
        ("real", "1", 1.0),
        ("real", "0.1", 0.1),
        ("real", "-0.0", -0.0),
        ("real", '"2.5e3"', 2500.0),
        ("real", "1234567890123456.0", 1234567890123456.0),
        ("real", "1.2345678901234568e-05", 1.2345678901234568e-05),
        ("real", "9007199254740992", 2.0**53),
        ("bool", "false", False),
        ("bool", '"True"', True),
    ],
)
def test_fits_its_column(decoder: Decoder, kind: str, value: str, stands: Any) -> None:
    assert in_column(decoder, kind, value) == (value if kind == "dynamic" else stands)


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("2024-09-02T01:02:03Z", us("2024-09-02T01:02:03")),
        ("2024-09-02 01:02", us("2024-09-02T01:02:00")),
        ("2024-02-29", us("2024-02-29T00:00:00")),
        ("2024-09-02T01:02:03.1234567Z", us("2024-09-02T01:02:03") + 123456),
        ("1969-12-31T23:59:59.9999999Z", -1),
        ("2024-09-02T01:02:03.5+02:00", us("2024-09-01T23:02:03") + 500_000),
        ("2024-09-02T01:02:03-0530", us("2024-09-02T06:32:03")),
        ("2024-09-02T01:02:03+01", us("2024-09-02T00:02:03")),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
    ],
)
def test_datetime_is_microseconds_in_utc(decoder: Decoder, text: str, time_us: int) -> None:
    assert in_column(decoder, "datetime", f'"{text}"') == time_us


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", "2147483648"),
        ("int", "1.5"),
        ("int", '"abc"'),
        ("int", '{"a":1}'),
        ("int", "true"),
        ("long", "9223372036854775808"),
        ("long", "-9999999999999999999"),
        ("long", "1e3"),
        ("long", "-0"),
        ("long", '" 5"'),
        ("long", '"5\\n"'),
        ("long", '""'),
        ("real", "1e999"),
        ("real", "1e-999"),
        ("real", "9007199254740993"),
        ("real", "0.1234567890123456789"),
        ("real", '"NaN"'),
        ("real", '"0x10"'),
        ("bool", "1"),
        ("bool", '"yes"'),
        ("datetime", "1725238923"),
        ("datetime", "20240902"),
        ("datetime", '"2024-02-30T00:00:00Z"'),
        ("datetime", '"2024-09-02T24:00:00Z"'),
        ("datetime", '"2024-09-02T01:02:60Z"'),
        ("datetime", '"2024-09-02T01:02:03+24:00"'),
        ("datetime", '"2024-13-02"'),
        ("datetime", '"2024-00-02"'),
        ("datetime", '"2024-09-00"'),
        ("datetime", '"9999-12-31T23:59:59-00:01"'),
        ("datetime", '"2024-09-02T01:02:03.1234567891Z"'),
        ("datetime", '"0000-12-31"'),
        ("datetime", '"0001-01-01T00:00:00+01:00"'),
        ("datetime", '"infinity"'),
        ("datetime", '"2024-09-02 01:02:03 Europe/Berlin"'),
        ("datetime", '["2024-09-02"]'),
    ],
)
def test_misfit_stands_in_extra_as_it_was(decoder: Decoder, kind: str, value: str) -> None:
    row = decode_row(decoder, f'{{"string":"x","{kind}":{value}}}')
    assert kind not in row
    assert row["_Extra"] == f'{{"{kind}":{value}}}'


def test_unknown_fields_stand_in_extra_in_order(decoder: Decoder) -> None:
    row = decode_row(
        decoder, '{ "z" : [1, 2] ,"int":7,"String":"case","a\\"b":"x\\ny","_row":1 , "_Extra":{} }'
    )
    assert row["int"] == 7
    assert row["_Extra"] == '{"z" : [1, 2],"String":"case","a\\"b":"x\\ny","_row":1,"_Extra":{}}'


def test_null_counts_as_absent(decoder: Decoder) -> None:
    assert decode_row(decoder, '{"int":null,"unknown":null,"int":5,"dynamic":null}') == {
        "int": 5, "TimeGenerated": RECEIVED_US, "_TimeSource": "received", "_row": 0,
    }  # fmt: skip


def test_first_of_two_values_stands_in_the_column(decoder: Decoder) -> None:
    row = decode_row(decoder, '{"string":"first","string":"second","int":"x"}')
    assert row["string"] == "first"
    assert json.loads(row["_Extra"]) == {"string": "second", "int": "x"}


def test_escaped_name_is_the_name(decoder: Decoder) -> None:
    row = decode_row(decoder, '{"\\u0069nt":5,"int":6}')
    assert (row["int"], row["_Extra"]) == (5, '{"int":6}')


@pytest.mark.parametrize(
    "members",
    ['"x":1,"x":1', '"string":"a","string":"b","string":"c"', '"int":"x","int":1', '"x":1,"\\u0078":2'],
)
def test_two_values_of_one_name_in_extra_are_quarantined(decoder: Decoder, members: str) -> None:
    payload = lines('{"int":1}', f"{{{members}}}", '{"int":2}')
    decoded = decoder.decode(SCHEMA, payload, received_us=RECEIVED_US)
    assert reasons(decoded) == [(1, "duplicate_field", f"{{{members}}}".encode())]
    assert decoded.rows["_row"].to_pylist() == [0, 2]
    assert decoded.rows["int"].to_pylist() == [1, 2]


BAD_LINES = [
    (b"", "empty"),
    (b" \t\r", "empty"),
    (b"\0\0\0", "empty"),
    (b"hello", "not_object"),
    (b"[1]", "not_object"),
    (b'"text"', "not_object"),
    (b'\xef\xbb\xbf{"int":1}', "not_object"),
    (b'\0{"int":1}', "invalid_json"),
    (b'{"int":1', "invalid_json"),
    (b'{"int":1,}', "invalid_json"),
    (b'{"dynamic":[1 , ] }', "invalid_json"),
    (b'{"dynamic":{"a":1,}}', "invalid_json"),
    (b'{"real":NaN}', "invalid_json"),
    (b'{"real":nan}', "invalid_json"),
    (b'{"dynamic":[-Infinity]}', "invalid_json"),
    (b'{"dynamic":-inf}', "invalid_json"),
    (b'{"int":1}{"int":2}', "invalid_json"),
    (b'{"int":01}', "invalid_json"),
    (b"{'int':1}", "invalid_json"),
    (b'{"string":"\x01"}', "invalid_json"),
    (b'{"string":"\0"}', "invalid_json"),
    (b'{"string":"\\ud800"}', "invalid_json"),
    (b'{"string":"\\udc00\\ud800"}', "invalid_json"),
    (b'{"string":"\\x"}', "invalid_json"),
    (b'{"string":"a"b"}', "invalid_json"),
    (b'{"string":"\\"}', "invalid_json"),
    (b'{"string":"\xff"}', "not_utf8"),
    (b'{"string":"\xc0\x80"}', "not_utf8"),
    (b'{"string":"\xe0\x9f\xbf"}', "not_utf8"),
    (b'{"string":"\xed\xa0\x80"}', "not_utf8"),
    (b'{"string":"\xf0\x8f\xbf\xbf"}', "not_utf8"),
    (b'{"string":"\xf4\x90\x80\x80"}', "not_utf8"),
    (b'{"string":"\xf5\x80\x80\x80"}', "not_utf8"),
    (b'{"string":"\x80"}', "not_utf8"),
    (b'{"string":"\xe2\x82', "not_utf8"),
    (b'{"dynamic":[[[[[]]]]]}', "too_deep"),
    (b'{"dynamic":' + b"[" * 900, "too_deep"),
    (b'{"string":"' + b"x" * 1000 + b'"}', "too_long"),
    (b"\xff" * 1001, "too_long"),
]


@pytest.mark.case("T19")
@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_bad_line_is_quarantined_alone(decoder: Decoder, line: bytes, reason: str) -> None:
    good = '{"string":"a\\\\","dynamic":{"b":[" ] } \\" , : "]},"int":5}'
    decoded = decoder.decode(SCHEMA, lines(good, line, good), received_us=RECEIVED_US)
    assert reasons(decoded) == [(1, reason, line)]
    assert decoded.rows["_row"].to_pylist() == [0, 2]
    assert decoded.rows["int"].to_pylist() == [5, 5]
    assert decoded.rows["string"].to_pylist() == ["a\\", "a\\"]
    assert decoded.rows["dynamic"].to_pylist() == ['{"b":[" ] } \\" , : "]}'] * 2


def test_every_fault_has_a_test() -> None:
    covered = {reason for _, reason in BAD_LINES} | {"duplicate_field", "cut_line"}
    assert covered == {fault.reason for fault in Fault} - {"none"}


@pytest.mark.case("graphghost")
def test_bounds_are_reached_before_they_are_broken(decoder: Decoder) -> None:
    longest = b'{"string":"' + b"x" * (1000 - 13) + b'"}'
    deepest = b'{"dynamic":[[[["' + b"[" * 100 + b'"]]]]}'
    decoded = decoder.decode(SCHEMA, lines(longest, deepest), received_us=RECEIVED_US)
    assert len(longest) == 1000
    assert decoded.rows.num_rows == 2


@pytest.mark.parametrize("blank", [" ", "\t", "\r", " " * 3, "\r\t " * 15])
def test_blanks_between_tokens_are_nothing(decoder: Decoder, blank: str) -> None:
    tokens = ["", "{", '"int"', ":", "5", ",", '"dynamic"', ":", "[1]", ",", '"x"', ":", "{}", "}", ""]
    row = decode_row(decoder, blank.join(tokens))
    assert (row["int"], row["dynamic"]) == (5, "[1]")
    assert json.loads(row["_Extra"]) == {"x": {}}


@pytest.mark.parametrize(
    "time", ["1999-12-31T23:59:59Z", "2100-01-01", "0001-01-01", "9999-12-31", "yesterday"]
)
def test_time_that_is_not_believed_is_replaced_and_kept(decoder: Decoder, time: str) -> None:
    row = decode_row(decoder, f'{{"TimeGenerated":"{time}"}}')
    assert (row["TimeGenerated"], row["_TimeSource"]) == (RECEIVED_US, "received")
    assert json.loads(row["_Extra"]) == {"TimeGenerated": time}


def test_received_time_is_the_lines_own(decoder: Decoder) -> None:
    payload = lines('{"TimeGenerated":"2024-09-02"}', "bad", "{}", '{"int":1}')
    decoded = decoder.decode(SCHEMA, payload, received_us=np.array([10, 20, 30, 40]))
    assert decoded.rows["TimeGenerated"].cast(pa.int64()).to_pylist() == [us("2024-09-02T00:00:00"), 30, 40]
    assert decoded.rows["_TimeSource"].to_pylist() == ["record", "received", "received"]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("", [("2024-09-02", "record"), None, None, None]),
        ("At", [("2024-09-01", "record"), ("2024-09-03", "record"), None, None]),
        (RECEIVED, [None, None, None, None]),
    ],
)
def test_the_time_of_a_custom_table_is_taken_from_the_field_that_is_named(
    decoder: Decoder, time: str, expected: list[tuple[str, str] | None]
) -> None:
    payload = lines(
        '{"TimeGenerated":"2024-09-02","At":"2024-09-01"}',
        '{"At":"2024-09-03","now()":"2024-09-04"}',
        '{"At":"1999-01-01"}',  # not believed
        "no JSON",
    )
    rows = decoder.decode(CUSTOM, payload, received_us=RECEIVED_US, time=time).rows
    found = zip(
        rows["TimeGenerated"].cast(pa.int64()).to_pylist(), rows["_TimeSource"].to_pylist(), strict=True
    )
    assert list(found) == [
        (us(f"{each[0]}T00:00:00"), each[1]) if each else (RECEIVED_US, "received") for each in expected
    ]


def test_columns_are_those_of_the_schema(decoder: Decoder) -> None:
    for schema in (*known_tables().values(), CUSTOM):
        for payload in (b"", b"{}\n", b"x\n"):
            decoded = decoder.decode(schema, payload, received_us=RECEIVED_US)
            names = [column.name for column in schema.columns]
            assert decoded.rows.column_names == [*names, "_Extra", "_TimeSource", "_row"]
            assert decoded.quarantined.column_names == ["_row", "Reason", "Raw"]
    types = dict(zip(KINDS, decoder.decode(SCHEMA, b"", received_us=0).rows.schema.types, strict=False))
    time = pa.timestamp("us", "UTC")
    assert [types[kind] for kind in KINDS[:4]] == [pa.string()] * 4
    assert [types[kind] for kind in KINDS[4:]] == [pa.int32(), pa.int64(), pa.float64(), pa.bool_(), time]


def test_cut_lines_are_quarantined_with_their_mark(decoder: Decoder) -> None:
    payload = lines('{"int":1', "}", '{"int":2}')
    decoded = decoder.decode(SCHEMA, payload, received_us=RECEIVED_US, marks={0: "part 1", 1: "part 2"})
    assert reasons(decoded) == [(0, "cut_line: part 1", b'{"int":1'), (1, "cut_line: part 2", b"}")]
    assert decoded.rows["int"].to_pylist() == [2]


def test_custom_table_keeps_every_text(decoder: Decoder) -> None:
    records = [
        '{"a":1, "TimeGenerated":"2024-09-02T01:02:03Z"}\r',
        " [1,2] ",
        "plain text",
        "",
        '{"broken":',
        '{"TimeGenerated":"not a time","TimeGenerated":"2024-09-02"}',
        "[[[[[[0]]]]]]",
        '{"a":NaN}',
    ]
    decoded = decoder.decode(CUSTOM, lines(*records, b"\xff\xfe", b"x" * 1001), received_us=RECEIVED_US)
    rows = decoded.rows
    assert rows["RawData"].to_pylist() == records
    assert rows["Data"].to_pylist() == [records[0][:-1], "[1,2]", None, None, None, records[5], None, None]
    times = [us("2024-09-02T01:02:03"), *[RECEIVED_US] * 7]
    assert rows["TimeGenerated"].cast(pa.int64()).to_pylist() == times
    assert rows["_TimeSource"].to_pylist() == ["record", *["received"] * 7]
    assert rows["_row"].to_pylist() == list(range(8))
    assert rows["_Extra"].null_count == 8
    assert reasons(decoded) == [(8, "not_utf8", b"\xff\xfe"), (9, "too_long", b"x" * 1001)]


def test_custom_table_keeps_the_parts_of_cut_lines(decoder: Decoder) -> None:
    payload = lines("whole", b"\xff", '{"a":1}', "{}")
    marks = {2: "part 2", 1: "part 1"}
    decoded = decoder.decode(CUSTOM, payload, received_us=RECEIVED_US, marks=marks)
    assert decoded.rows["RawData"].to_pylist() == ["whole", '{"a":1}', "{}"]
    assert decoded.rows["Data"].to_pylist() == [None, None, "{}"]
    assert decoded.rows["_Extra"].to_pylist() == [None, '{"CutLine":"part 2"}', None]
    assert reasons(decoded) == [(1, "cut_line: part 1", b"\xff")]


@pytest.mark.parametrize(
    ("payload", "more"),
    [
        (b'{"int":1}', {}),
        (b"{}\n", {"marks": {1: "part"}}),
        (b"{}\n", {"marks": {-1: "part"}}),
        (b"{}\n{}\n", {"received_us": np.array([1])}),
    ],
)
def test_arguments_that_do_not_match_are_refused(
    decoder: Decoder, payload: bytes, more: dict[str, Any]
) -> None:
    with pytest.raises(Refused):
        decoder.decode(SCHEMA, payload, **{"received_us": RECEIVED_US, **more})


def test_order_is_kept_by_several_threads() -> None:
    schema = table_schema("SigninLogs")
    bad = {number for number in range(20_000) if number % 997 == 3}
    payload = lines(
        *(
            "broken" if number in bad else f'{{"DurationMs":{number},"Id":"a\\u002f{number}","x":{number}}}'
            for number in range(20_000)
        )
    )
    decoder = Decoder(threads=4)
    decoded = decoder.decode(schema, memoryview(payload), received_us=RECEIVED_US)
    decoder.close()
    good = [number for number in range(20_000) if number not in bad]
    assert decoded.rows["_row"].to_pylist() == good
    assert decoded.rows["DurationMs"].to_pylist() == good
    assert decoded.rows["Id"].to_pylist() == [f"a/{number}" for number in good]
    assert decoded.rows["_Extra"].to_pylist() == [f'{{"x":{number}}}' for number in good]
    assert decoded.quarantined["_row"].to_pylist() == sorted(bad)


@pytest.mark.parametrize(
    "line",
    [
        b'"' * 2_000_000,
        b'{"string":"' + b"\\" * 2_000_000 + b'"}',
        b'{"string":"' + b'\\"' * 1_000_000 + b'"}',
        b"{" + b",".join(b'"k%d":%d' % (key, key) for key in range(20_000)) + b"}",
        b"{" + b'"string":"\\n",' * 20_000 + b'"int":5}',
        b"{" + b" " * 2_000_000 + b'"string"' + b" " * 2_000_000 + b":1}",
        b'{"dynamic":[' + b"0," * 200_000 + b"0]}",
        b'{"int":' + b"1" * 2_000_000 + b"}",
        b"{" + b"," * 2_000_000,
    ],
)
def test_hostile_line_is_a_line_like_any_other(line: bytes) -> None:
    decoder = Decoder()
    batch = [b'{"int":1}', line, b'{"int":2}']
    decoded = decoder.decode(SCHEMA, lines(*batch), received_us=RECEIVED_US)
    decoder.close()
    assert_faithful(SCHEMA, DecodeLimits(), RECEIVED_US, batch, decoded)


@pytest.mark.parametrize("line", [b'{"dynamic":' * 200_000 + b"1" + b"}" * 200_000, b"[{" * 200_000])
def test_depth_breaks_nothing(line: bytes) -> None:
    decoder = Decoder()
    decoded = decoder.decode(SCHEMA, lines('{"int":1}', line, '{"int":2}'), received_us=RECEIVED_US)
    decoder.close()
    assert reasons(decoded) == [(1, "too_deep", line)]
    assert decoded.rows["int"].to_pylist() == [1, 2]
