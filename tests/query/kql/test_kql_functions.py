"""Functions of numbers, units, calendars, zones, and texts of a form."""

from __future__ import annotations

import pytest
from kql_answers import check, rows, values

from gapless.query.kql.errors import KqlError


def test_units() -> None:
    check(
        {
            "convert_angle(1.2, 'Degree', 'Arcminute')": 72,
            "convert_energy(1.2, 'Joule', 'BritishThermalUnit')": 0.00113738054437598,
            "convert_force(1.2, 'Newton', 'Decanewton')": 0.12,
            "convert_length(1.2, 'Meter', 'Foot')": 3.93700787401575,
            "convert_mass(1.2, 'Kilogram', 'Pound')": 2.64554714621853,
            "convert_temperature(1.2, 'Kelvin', 'DegreeCelsius')": -271.95,
            "convert_temperature(212, 'DegreeFahrenheit', 'DegreeCelsius')": 100,
            "format_bytes(564)": "564 Bytes",
            "format_bytes(10332, 1)": "10.1 KB",
            "format_bytes(20010332, 2)": "19.08 MB",
            "format_bytes(20010332, 0, 'KB')": "19541 KB",
            "format_bytes(long(null))": "",
        }
    )
    with pytest.raises(KqlError, match="the unit 'Cubit'"):
        values("convert_length(1, 'Cubit', 'Meter')")


def test_bits_and_gamma() -> None:
    check(
        {
            "binary_shift_left(1, 63)": -(1 << 63),
            "binary_shift_left(1, 64)": 1,
            "binary_shift_right(-8, 1)": -4,
            "gamma(5)": 24,
            "loggamma(5)": 3.1780538303479458,
            "around(1, 2, 0.5)": False,
            "around(datetime(2021-01-01), datetime(2021-01-02), 1d)": True,
        }
    )


def test_units_of_the_calendar_by_a_column() -> None:
    found = rows(
        "range i from -1 to 1 step 1 | project startofday(datetime(2017-01-01 10:10), i), "
        "endofmonth(datetime(2017-01-31), i), endofyear(datetime(2017-01-01), i)"
    )
    assert [[each[:10] for each in row] for row in found] == [
        ["2016-12-31", "2016-12-31", "2016-12-31"],
        ["2017-01-01", "2017-01-31", "2017-12-31"],
        ["2017-01-02", "2017-02-28", "2018-12-31"],
    ]


def test_the_ends_of_time() -> None:
    check(
        {
            "endofyear(datetime(9999-12-31))": "9999-12-31T23:59:59.9999999Z",
            "endofweek(datetime(9999-12-31))": None,
            "startofday(datetime(0001-01-01), -1)": None,
            "startofday(datetime(2020-01-01), 9223372036854775807)": None,
            "startofyear(datetime(2020-01-01), long(null))": None,
        }
    )


def test_zones() -> None:
    check(
        {
            "datetime_local_to_utc(datetime(2020-02-02 20:02:20.1234567), 'US/Pacific')": (
                "2020-02-03T04:02:20.1234567Z"
            ),
            "datetime_utc_to_local(datetime(2020-07-02 20:02:20), 'Europe/Paris')": (
                "2020-07-02T22:02:20.0000000Z"
            ),
        }
    )
    with pytest.raises(KqlError, match="no time zone 'Mars/Base'"):
        values("datetime_utc_to_local(now(), 'Mars/Base')")


def test_runs_of_letters_in_formats_are_pairs() -> None:
    check(
        {
            "format_datetime(datetime(2007-03-09), 'dddd, MMMM d, yyyy')": "0909, 0303 9, 2007",
            "format_datetime(datetime(2007-03-09), 'ddd MMM')": "099 033",
            "format_datetime(datetime(1907-03-09), 'y-M')": "7-3",
        }
    )


def test_texts_of_a_form() -> None:
    check(
        {
            'parse_csv(\'a,"b,c",,"d ""e"""\')': ["a", "b,c", "", 'd "e"'],
            "parse_csv('a,b\\nc,d')": ["a", "b"],
            "parse_path(@'C:\\temp\\file.tar.gz').Extension": "gz",
            "parse_path('file://C:/temp/file.txt:some.exe').AlternateDataStreamName": "some.exe",
            "parse_path('/usr/lib/file').DirectoryPath": "/usr/lib",
            "parse_path('').Filename": "",
        }
    )


def test_assertions() -> None:
    check({"assert(1 < 2, 'never')": True})
    with pytest.raises(KqlError, match="longer"):
        values("assert(2 < 1, 'must be longer')")


def test_covariance() -> None:
    found = rows(
        "range x from 1 to 100 step 1 | extend y = iff(x % 2 == 0, x * 2, x * 3)"
        " | summarize covarianceif(x, y, x % 3 == 0), covariancep(x, x)"
    )
    assert found == [[pytest.approx(2142), pytest.approx(833.25)]]


def test_guids_in_base64() -> None:
    guid = "'ae3133f2-6e22-49ae-b06a-16e6a9b212eb'"
    check(
        {
            f"base64_encode_fromguid(toguid({guid}))": "8jMxriJurkmwahbmqbIS6w==",
            "base64_decode_toguid('8jMxriJurkmwahbmqbIS6w==')": "ae3133f2-6e22-49ae-b06a-16e6a9b212eb",
            "base64_decode_toguid('abc')": None,
            "base64_decode_toguid('YWJj')": None,
            "strlen(tostring(new_guid()))": 36,
        }
    )


def test_times_of_columns_are_read_as_those_of_constants() -> None:
    moments = [
        "02/17/2016 08:39:00",
        "2/7/2016",
        "2/17/2016 8:39:00 PM",
        "2020",
        "2020-3",
        "20200301",
        "2020-1-2",
    ]
    moments += [
        "2020-1-2",
        "2020-01-02T03:04:05+01:00",
        "2020-01-02 03:04:05.1234567",
        "13/01/2020",
        "never",
        "",
    ]
    spans = ["1h", "1.5h", "2d", "10ms", "-3m", "1.02:03:04.5", "00:10", "7", "x", "", "25:00"]
    for function, texts in (("todatetime", moments), ("totimespan", spans)):
        table = f"datatable(s: string)[{', '.join(repr(text) for text in texts)}]"
        found = [value for (value,) in rows(f"{table} | project {function}(s)")]
        assert found == values(*(f"{function}({text!r})" for text in texts))
        assert None in found and found[0] is not None
