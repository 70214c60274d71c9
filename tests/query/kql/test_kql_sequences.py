"""Operators that go through rows one after the other, and those that choose some."""

from __future__ import annotations

import pytest
from kql_answers import result, rows

from gapless.query.kql.errors import KqlError

STEPS = "range x from 1 to 5 step 1"


def test_scan_carries_a_value_from_row_to_row() -> None:
    text = f"{STEPS} | scan declare (total: long = 0) with (step s: true => total = x + s.total;)"
    assert rows(text) == [[1, 1], [2, 3], [3, 6], [4, 10], [5, 15]]


def test_scan_assigns_from_the_state_before() -> None:
    """Both assignments of a row see what the row before left, and a bare name is its default."""
    text = (
        f"{STEPS} | scan declare (a: long = 0, b: long = 1) with (step s: true => a = s.b, b = s.a + x + b;)"
    )
    assert rows(text)[:3] == [[1, 1, 2], [2, 2, 4], [3, 4, 6]]


def test_scan_shows_matching_rows_alone() -> None:
    assert rows(f"{STEPS} | scan with (step s: x % 2 == 0;)") == [[2], [4]]


EVENTS = """
datatable(t: long, e: string)
[0, "a", 1, "start", 2, "b", 3, "stop", 4, "c", 5, "start", 6, "start", 7, "stop", 8, "stop"] | sort by t asc
"""


def test_scan_follows_sequences() -> None:
    text = f"""{EVENTS} | scan with_match_id=id with (
        step one: e == "start";
        step two: e !in ("start", "stop");
        step three: e == "stop" and t - one.t < 5;
    )"""
    # No sequence comes to the last step without one of the step between.
    assert rows(text) == [[1, "start", 0], [2, "b", 0], [3, "stop", 0], [5, "start", 1], [6, "start", 1]]


def test_scan_ends_a_session_with_a_step_that_shows_nothing() -> None:
    text = """
    datatable(t: timespan)[0m, 10m, 32m, 36m, 75m] | sort by t asc
    | scan with_match_id=id declare (began: timespan) with (
        step inside: true => began = iff(isnull(inside.began), t, inside.began);
        step ended output=none: t - inside.began > 30m;
    )"""
    assert [row[2] for row in rows(text)] == [0, 0, 1, 1, 2]
    assert [row[1] for row in rows(text)] == ["00:00:00", "00:00:00", "00:32:00", "00:32:00", "01:15:00"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scan with (step s output=last: true;)", "scan with output=last is not supported"),
        ("scan with (step s: true => y = 1;)", "declare them first"),
        ("scan declare (y: long) with (step s: true => y = 'a';)", "y is of type long, not string"),
        ("scan with (step s: q.x > 1;)", "there is no column q"),
        ("scan with ()", "scan needs a step"),
    ],
)
def test_scan_refuses(text: str, message: str) -> None:
    with pytest.raises(KqlError, match=message):
        rows(f"{STEPS} | {text}")


def test_sessions_by_time() -> None:
    text = """
    datatable(id: string, t: datetime)[
        "a", datetime(2024-01-01 10:00), "a", datetime(2024-01-01 10:04), "a", datetime(2024-01-01 10:10),
        "b", datetime(2024-01-01 10:11), "b", datetime(null), "b", datetime(2024-01-01 10:12)
    ] | serialize | extend n = 1, s = row_window_session(t, 1h, 5m, id != prev(id)), m = 2
    | project m, minute = datetime_part('Minute', s)"""
    assert rows(text) == [[2, 0], [2, 0], [2, 10], [2, 11], [2, None], [2, 12]]


SALES = 'datatable(c: string, s: string, v: long)["a", "x", 10, "a", "y", 20, "b", "x", 30, "b", "z", 5]'


def test_top_nested() -> None:
    found = result(f"{SALES} | top-nested 1 of c by sum(v), top-nested 1 of s by least = min(v) asc")
    assert [column.name for column in found.columns] == ["c", "aggregated_c", "s", "least"]
    assert found.rows == [["b", 35, "z", 5]]
    assert len(rows(f"{SALES} | top-nested of c by sum(v), top-nested of s by count()")) == 4


def test_sample() -> None:
    taken = rows("range x from 1 to 100 step 1 | sample 5")
    assert len({x for (x,) in taken}) == 5
    assert len(rows("range x from 1 to 100 step 1 | sample-distinct 3 of x % 2")) == 2
    first, second = rows("let s = materialize(range x from 1 to 1000 step 1 | sample 1); union s, s")
    assert first == second


def test_partition() -> None:
    assert sorted(rows(f"{SALES} | partition by c (top 1 by v | project c, v)")) == [["a", 20], ["b", 30]]
    assert sorted(rows(f"{SALES} | partition by c (summarize n = count(), sum(v))")) == [[2, 30], [2, 35]]
    numbered = f"{SALES} | partition hint.strategy=native by c (sort by v asc | extend n = row_number())"
    assert sorted(row[2:] for row in rows(numbered)) == [[5, 1], [10, 1], [20, 2], [30, 2]]
    with pytest.raises(KqlError, match="scan in partition"):
        rows(f"{SALES} | partition by c (sort by v asc | scan with (step s: true;))")


def test_patterns_of_names_mean_views_too() -> None:
    views = "let V_1 = view () { print x = 1 }; let V_2 = view () { print x = 2 };"
    views += "let V_3 = () { print x = 3 };"
    assert sorted(rows(f"{views} union V_*")) == [[1], [2]]
    assert rows(f"{views} union isfuzzy=true (V_1 | where x > 0), (Missing | where x > 0) | count") == [[1]]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("a=1;b=x y;a=2", "pair_delimiter=';', kv_delimiter='='", ["1", "x y"]),
        ("b='n ;a=5' ; 'a'=2", "pair_delimiter=';', quote=\"'\"", ["2", "n ;a=5"]),
        ("a: 1 b: 2", r"regex=@'(\w+):\s*(\w+)'", ["1", "2"]),
    ],
)
def test_parse_kv(text: str, options: str, expected: list[str]) -> None:
    parsed = f"parse-kv s as (a: string, b: string) with ({options}) | project a, b"
    assert rows(f'print s = @"{text}" | {parsed}') == [expected]


def test_search_looks_into_each_column() -> None:
    text = "datatable(a: string, b: string)['one two', 'x', 'one', 'two', 'onetwo', 'y']"
    assert len(rows(f"{text} | search 'two'")) == 2
    assert rows(f"{text} | search 'one two' | project a") == [["one two"]]
    assert rows(f"{text} | where * has 'y' | project a") == [["onetwo"]]
    assert rows(f"{text} | where * contains 'netw' | project a") == [["onetwo"]]


def test_names_of_columns_as_a_value() -> None:
    assert rows(f"print column_names_of({SALES})") == [[["c", "s", "v"]]]
