"""Arithmetic of 64 bits wraps around; no number ends a query."""

from __future__ import annotations

from kql_answers import check, rows, value

_EDGES = "datatable(x: long)[9223372036854775807, -9223372036854775808, -1, 0]"


def test_arithmetic_wraps() -> None:
    found = rows(f"{_EDGES} | project x + 1, x - 1, x * 2, -x, x / -1, abs(x)")
    least, most = -(1 << 63), (1 << 63) - 1
    assert found == [
        [least, most - 1, -2, -most, -most, most],
        [least + 1, most, 0, least, least, least],
        [0, -2, -2, 1, 1, 1],
        [1, -1, 0, 0, 0, 0],
    ]


def test_division_by_a_column() -> None:
    found = rows(f"{_EDGES} | extend y = x - x | project x / y, x % y, x / x, x % x, 7 % x")
    assert [row[:2] for row in found] == [[None, None]] * 4
    assert [row[2:4] for row in found] == [[1, 0], [1, 0], [1, 0], [None, None]]
    assert [row[4] for row in found] == [7, 7, 0, None]


def test_sums_wrap() -> None:
    assert rows("datatable(x: long)[9223372036854775807, 1] | summarize sum(x)") == [[-(1 << 63)]]
    assert rows("datatable(x: long)[9223372036854775806, 1, 9223372036854775807] | summarize avg(x)") == [
        [-2 / 3]
    ]


def test_bins_at_the_ends() -> None:
    assert rows(f"{_EDGES} | project bin(x, 10)") == [
        [9223372036854775800],
        [9223372036854775806],
        [-10],
        [0],
    ]


def test_the_last_tick_has_no_day_of_the_week() -> None:
    assert value("dayofweek(datetime(9999-12-31 23:59:59.9999999))") is None
    assert value("dayofweek(datetime(9999-12-31 23:59:59.9999998))") == "5.00:00:00"


def test_numbers_at_the_ends_fail_in_no_function() -> None:
    most, least = "9223372036854775807", "long(-9223372036854775808)"
    check(
        {
            f"unixtime_seconds_todatetime({most})": None,
            f"unixtime_milliseconds_todatetime({least})": None,
            f"unixtime_microseconds_todatetime({most})": None,
            "unixtime_seconds_todatetime(253402300799)": "9999-12-31T23:59:59.0000000Z",
            f"array_slice(dynamic([1, 2, 3]), 1, {most})": [2, 3],
            f"array_slice(dynamic([1, 2, 3]), {least}, -2)": [1, 2],
            f"array_slice(dynamic([1, 2, 3]), {most}, {most})": [],
        }
    )
    assert rows("datatable(t: datetime)[datetime(9999-12-31)] | project toint(t)") == [[None]]


def test_columns_at_the_ends_fail_in_no_function() -> None:
    most = rows(
        "datatable(n: long)[9223372036854775807] | project substring('abc', n), substring('abc', 0, n),"
        " indexof('abc', 'c', n), array_rotate_left(dynamic([1, 2, 3]), n),"
        " array_shift_left(dynamic([1]), n), make_timespan(n, 1, 1, 1), startofday(now(), n),"
        " substring('abc', -5, 4), split('a,b', ',', n)"
    )
    assert most == [["", "abc", -1, [2, 3, 1], [None], None, None, "ab", []]]
    least = rows(
        "datatable(n: long)[-9223372036854775808] | extend s = totimespan(n) | project s, abs(s), bin(s, 1d),"
        " format_timespan(s, 'd.hh:mm:ss.fffffff'), ago(s), binary_not(n), bin_at(n, 7, 3), format_bytes(n),"
        " datetime_add('month', n, now()), array_rotate_right(dynamic([1, 2, 3]), n)"
    )
    text = "-10675199.02:48:05.4775808"
    moved = [text, text, "10675198.05:36:10.9551616", text, None, 9223372036854775807]
    assert least == [[*moved, 9223372036854775805, "-8 EB", None, [3, 1, 2]]]
