"""Texts of datetimes and timespans: a constant and a column of the same text give the same time."""

from __future__ import annotations

import json

import pytest
from kql_answers import rows

DATETIMES = {
    "2024-01-05": "2024-01-05T00:00:00.0000000Z",
    "2024-1-5": "2024-01-05T00:00:00.0000000Z",
    "2024-01": "2024-01-01T00:00:00.0000000Z",
    "2024": "2024-01-01T00:00:00.0000000Z",
    "20240105": "2024-01-05T00:00:00.0000000Z",
    "2024-01-05 10:20": "2024-01-05T10:20:00.0000000Z",
    "2024-01-05T10:20:30.1234567Z": "2024-01-05T10:20:30.1234567Z",
    "2024-01-05T10:20:30.123456789Z": "2024-01-05T10:20:30.1234567Z",
    "2024-01-05T10:20:30+02:00": "2024-01-05T08:20:30.0000000Z",
    "2024-01-05T10:20:30 +02:00": "2024-01-05T08:20:30.0000000Z",
    "2024-01-05T10:20:30-0130": "2024-01-05T11:50:30.0000000Z",
    "1/5/2024": "2024-01-05T00:00:00.0000000Z",
    "1/5/2024 10:20": "2024-01-05T10:20:00.0000000Z",
    "1/5/2024 12:20:30 AM": "2024-01-05T00:20:30.0000000Z",
    "1/5/2024 1:20:30 pm": "2024-01-05T13:20:30.0000000Z",
    "Sat, 8 Nov 14 15:05:02 GMT": "2014-11-08T15:05:02.0000000Z",
    "Sat, 08 Nov 2014 15:05:02 GMT": "2014-11-08T15:05:02.0000000Z",
    "8 Nov 98 15:05": "1998-11-08T15:05:00.0000000Z",
    "Saturday, 08-Nov-14 15:05:02 GMT": "2014-11-08T15:05:02.0000000Z",
    " '2024-01-05' ": "2024-01-05T00:00:00.0000000Z",
    "0001-01-01": "0001-01-01T00:00:00.0000000Z",
    "9999-12-31T23:59:59.9999999Z": "9999-12-31T23:59:59.9999999Z",
}
NO_DATETIMES = [
    "", "x", "2024-02-30", "2024-13-01", "31/12/2024", "2024-01-05T24:00:00Z", "2024-01-05 23:59:60",
    "2024/01/05", "12:30", "0001-01-01T00:00:00+02:00", "9999-12-31T23:00:00-02:00",
    "2024-01-05T00:00:00+99:00", "2024-01-05T00:00:00-14:30", "2024-01-05 10:00 +1500",
    "0000-01-01", "٢٠٢٤-01-05", "202401",
]  # fmt: skip
TIMESPANS = {
    "1h": "01:00:00",
    "1.5d": "1.12:00:00",
    "2 days": "2.00:00:00",
    "-3m": "-00:03:00",
    "100ms": "00:00:00.1000000",
    "0.1234567s": "00:00:00.1234567",
    "10": "10.00:00:00",
    "1:2": "01:02:00",
    "-1.02:03:04.5": "-1.02:03:04.5000000",
}
NO_TIMESPANS = [
    "",
    "x",
    "25:00",
    "1:60",
    "1 fortnight",
    "99999999999d",
    "99999999.00:00:00",
    "20240105",
    "٣h",
]


def _both(function: str, texts: list[str]) -> None:
    listed = ", ".join(json.dumps(text, ensure_ascii=False) for text in texts)
    columns = rows(f"datatable(s: string)[{listed}] | project {function}(s)")
    constants = [rows(f"print {function}({json.dumps(each, ensure_ascii=False)})")[0] for each in texts]
    assert columns == constants


@pytest.mark.parametrize("function", ["todatetime", "totimespan"])
def test_a_constant_and_a_column_give_the_same(function: str) -> None:
    _both(function, [*DATETIMES, *NO_DATETIMES, *TIMESPANS, *NO_TIMESPANS])


@pytest.mark.parametrize(
    ("function", "known", "unknown"),
    [("todatetime", DATETIMES, NO_DATETIMES), ("totimespan", TIMESPANS, NO_TIMESPANS)],
)
def test_what_a_text_means(function: str, known: dict[str, str], unknown: list[str]) -> None:
    listed = ", ".join(json.dumps(text, ensure_ascii=False) for text in [*known, *unknown])
    found = rows(f"datatable(s: string)[{listed}] | project s, {function}(s)")
    assert found == [*([*each] for each in known.items()), *([each, None] for each in unknown)]


def test_a_series_of_reals_has_its_default_as_a_real() -> None:
    text = "datatable(t: datetime, v: long)[datetime(2024-01-01), 1, datetime(2024-01-03), 5]"
    (found,) = rows(
        f"{text} | make-series a = avg(v), n = sum(v) on t step 1d | project tostring(a), tostring(n)"
    )
    assert found == ["[1.0,0.0,5.0]", "[1,0,5]"]
