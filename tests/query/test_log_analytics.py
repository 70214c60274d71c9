"""What the Log Analytics API is asked and answers, piece by piece."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from azure.monitor.query._helpers import construct_iso8601
from hypothesis import given
from hypothesis import strategies as st
from query_lake import EVENTS, Ask, write_parquet

from gapless.model.errors import Refused
from gapless.model.tables import Column, TableSchema
from gapless.query.engine import execute
from gapless.query.failures import BadMeaning, BadSyntax, OutOfTime
from gapless.query.frames import Failed
from gapless.query.log_analytics.answers import answer, failure
from gapless.query.log_analytics.prefer import WAIT_S_DEFAULT, WAIT_S_MAX, preferences
from gapless.query.log_analytics.timespan import window_us
from gapless.query.request import QueryRequest, TableFiles

NOW_US = 1_725_000_000_123_456
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "from_", "to"),
    [
        ("2024-09-01/2024-09-02", "2024-09-01T00:00+00:00", "2024-09-02T00:00+00:00"),
        ("2024-09-01T00:00:00Z/PT1.5S", "2024-09-01T00:00+00:00", "2024-09-01T00:00:01.500000+00:00"),
        ("P1DT1H/2024-09-02T01:00:00Z", "2024-09-01T00:00+00:00", "2024-09-02T01:00+00:00"),
        ("2024-09-01T02:00:00+02:00/P1W", "2024-09-01T00:00+00:00", "2024-09-08T00:00+00:00"),
        ("2024-09-01T00:00/P1M", "2024-09-01T00:00+00:00", "2024-10-01T00:00+00:00"),
        ("2024-09-01 00:00:00,25/PT0.5H", "2024-09-01T00:00:00.250000+00:00", "2024-09-01T00:30:00.25+00:00"),
        # The seventh digit: a row at .000001 is in a window that begins at .0000001.
        (
            "2024-09-01T00:00:00.0000001Z/2024-09-01T00:00:00.0000019Z",
            "2024-09-01T00:00:00.000001+00:00", "2024-09-01T00:00:00.000002+00:00",
        ),
        ("0001-01-01/9999-12-31T23:59:59.9999999Z", "0001-01-01T00:00+00:00", None),
    ],
)  # fmt: skip
def test_a_timespan_is_a_window(text: str, from_: str, to: str | None) -> None:
    found = window_us(text, NOW_US)
    assert found == (us(from_), 253_402_300_800_000_000 if to is None else us(to))


def test_a_duration_ends_now_and_none_is_no_window() -> None:
    assert window_us("PT1H", NOW_US) == (NOW_US + 1 - 3_600_000_000, NOW_US + 1)
    assert window_us("PT0.0000015S", NOW_US) == (NOW_US, NOW_US + 1), "a bound inside a microsecond"
    assert window_us("P10000Y", NOW_US) == (us("0001-01-01T00:00+00:00"), NOW_US + 1)
    assert window_us(None, NOW_US) == window_us(" ", NOW_US) == (None, None)


@given(st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=10_000)))
def test_whatever_duration_azures_client_writes(duration: timedelta) -> None:
    from_us, to_us = window_us(construct_iso8601(duration), NOW_US)
    assert from_us is not None and to_us == NOW_US + 1
    # A float of seconds has 53 bits.
    assert abs(to_us - from_us - duration // timedelta(microseconds=1)) <= 1


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_whatever_interval_azures_client_writes(one: datetime, other: datetime) -> None:
    start, end = sorted((one, other))
    if start == end:
        return
    found = window_us(construct_iso8601((start, end)), NOW_US)
    assert found == tuple((each - EPOCH) // timedelta(microseconds=1) for each in (start, end))


@pytest.mark.parametrize(
    "text",
    [
        "P", "PT", "P1", "1D", "PT1H/PT1H", "2024-13-01/P1D", "2024-09-01", "/", "2024-09-01/", "P1D/P1D/P1D",
        "2024-09-02/2024-09-01", "2024-09-01/2024-09-01", "P1DT", "PT1e5S", "PT1e-05H", "P-1D",
        "PT" + "9" * 50 + "S",
        "2024-09-01T24:61/P1D", "２０２４-09-01/P1D", "2024-09-01T00:00:00Z' or 1=1/P1D",
    ],
)  # fmt: skip
def test_what_is_no_timespan_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="timespan"):
        window_us(text, NOW_US)


def test_preferences() -> None:
    assert preferences("").wait_s == WAIT_S_DEFAULT
    said = preferences('Wait=20, include-statistics=true,include-render="TRUE", respond-async')
    assert (said.wait_s, said.statistics, said.render) == (20, True, True)
    assert preferences("wait=9999").wait_s == WAIT_S_MAX
    for bad in ("wait=0", "wait=x", "wait=-1", "wait=1.5", "wait=", "wait=" + "9" * 5000, "wait=²"):
        with pytest.raises(Refused, match="wait"):
            preferences(bad)


def test_errors_say_in_their_innermost_part_what_is_wrong() -> None:
    outer = failure("query_syntax", "line 1").error
    assert (outer.code, outer.innererror and outer.innererror.code) == ("BadArgumentError", "SyntaxError")
    assert outer.innererror and outer.innererror.message == "line 1"
    assert failure("busy", "later").error.code == "ThrottledError"
    assert failure("AuthenticationFailed", "no").error.code == "AuthenticationFailed"
    for error in (BadSyntax("s"), BadMeaning("m"), OutOfTime("t")):
        again = Failed.of(error).error()
        assert type(again) is type(error) and str(again) == str(error)


def test_a_text_that_is_no_kql_is_told_from_one_that_asks_too_much(ask: Ask) -> None:
    for text, kind in (("Events | where", BadSyntax), ("Events | where Nmae == 'x'", BadMeaning)):
        with pytest.raises(Refused, match="line 1, column") as refusal:
            ask(text, language="kql")
        assert type(Failed.of(refusal.value).error()) is kind


def test_rows_are_typed_and_a_cut_is_a_partial_error(ask: Ask) -> None:
    result = ask(
        "Events | sort by Id asc | take 3 | project TimeGenerated, Id, Took = 90s, D = parse_json('[1]') "
        "| render timechart",
        language="kql",
        dynamic_as_text=True,
        rows_max=2,
    )
    said = msgspec.json.decode(msgspec.json.encode(answer(result, statistics=True, render=True)))
    (table,) = said["tables"]
    assert [(c["name"], c["type"]) for c in table["columns"]] == [
        ("TimeGenerated", "datetime"), ("Id", "long"), ("Took", "timespan"), ("D", "dynamic"),
    ]  # fmt: skip
    rows = table["rows"]
    assert rows[0] == ["2024-09-01T00:00:00.0000000Z", 0, "00:01:30", "[1]"]
    assert (len(rows), said["error"]["code"], said["render"]) == (
        2,
        "PartialError",
        {"visualization": "timechart"},
    )
    assert said["error"]["innererror"]["code"] == said["error"]["details"][0]["code"] == "ResultTooLarge"
    assert said["statistics"]["query"]["executionTime"] > 0
    whole = msgspec.json.decode(msgspec.json.encode(answer(ask("Events | take 1", language="kql"))))
    assert set(whole) == {"tables"}


def test_dynamic_values_are_texts_that_strings_are_not_quoted_in(ask: Ask) -> None:
    text = (
        "print a = dynamic({'x': [1, 'y']}), s = dynamic('a \"b\" c'), n = dynamic(1.5), b = dynamic(true), "
        "z = dynamic(null), e = dynamic('')"
    )
    (row,) = ask(text, language="kql", dynamic_as_text=True).rows
    assert row == ['{"x":[1,"y"]}', 'a "b" c', "1.5", "true", None, ""]


RESOURCES = TableSchema(
    "Web",
    (Column("TimeGenerated", "datetime"), Column("_ResourceId", "string"), Column("N", "long")),
)


def test_a_resource_has_its_own_rows_and_those_below_it(
    tmp_path: Path, request_for: Callable[..., QueryRequest]
) -> None:
    ids = [
        "/subscriptions/S/sites/A",
        "/SUBSCRIPTIONS/s/sites/a/slots/x",
        "/subscriptions/s/sites/ab",
        None,
        "",
    ]
    rows: list[dict[str, Any]] = [{"_ResourceId": each, "N": n} for n, each in enumerate(ids)]
    path = write_parquet(tmp_path / "Web" / "0.parquet", RESOURCES, rows)
    tables = (TableFiles(RESOURCES, (path,)), TableFiles(EVENTS))

    def seen(resource: str) -> list[Any]:
        asked = request_for(
            "Web | sort by N asc | project N", language="kql", tables=tables, resource=resource
        )
        return [row[0] for row in execute(asked).rows]

    assert seen("") == [0, 1, 2, 3, 4]
    assert seen("/subscriptions/s/sites/a") == seen("/subscriptions/s/SITES/A/") == [0, 1]
    assert seen("/subscriptions/s") == [0, 1, 2]
    assert seen("/subscriptions/s/sites/a' or true or '") == seen("/%") == []
    nothing = request_for("Events | count", language="kql", resource="/subscriptions/s")
    assert execute(nothing).rows == [[0]], "the table does not say whose its rows are"
