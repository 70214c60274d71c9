"""evaluate: columns that depend on the data."""

from __future__ import annotations

import pytest
from kql_answers import result, rows
from query_lake import Ask

from gapless.query.kql.errors import KqlError

BAGS = """
datatable(d: dynamic, x: long)[
    dynamic({"Name": "Dave", "Height": 170, "Age": 40, "a/b'\\"c": 1.5}), 1,
    dynamic({"Name": "Joan", "Age": "old"}), 2,
    dynamic(null), 3,
    dynamic([1]), 4
]
"""
SALES = 'datatable(a: string, b: string, n: long)["x", "p", 1, "y", "q", 2, "x", "q", 5]'


def _columns(text: str) -> list[str]:
    return [f"{column.name}:{column.type}" for column in result(text).columns]


def test_bag_unpack_finds_its_columns() -> None:
    text = f"{BAGS} | evaluate bag_unpack(d)"
    assert _columns(text) == ["x:long", "Age:dynamic", "Height:long", "Name:string", "a/b'\"c:real"]
    assert sorted(rows(text)) == [
        [1, 40, 170, "Dave", 1.5],
        [2, "old", None, "Joan", None],
        [3, None, None, "", None],
        [4, None, None, "", None],
    ]


def test_bag_unpack_with_prefix_and_ignored_members() -> None:
    text = f"{BAGS} | evaluate bag_unpack(d, 'p_', ignoredProperties=dynamic(['Age']))"
    assert _columns(text) == ["x:long", "p_Height:long", "p_Name:string", "p_a/b'\"c:real"]


def test_bag_unpack_of_written_columns() -> None:
    assert _columns(f"{BAGS} | evaluate bag_unpack(d) : (Name: string, x: long)") == ["Name:string", "x:long"]
    assert _columns(f"{BAGS} | evaluate bag_unpack(d) : (*, Name: string)") == ["x:long", "Name:string"]


def test_bag_unpack_does_not_hide_columns() -> None:
    bags = 'print d = dynamic({"x": 1}), x = 2'
    with pytest.raises(KqlError, match="makes a column x, which is there already"):
        rows(f"{bags} | evaluate bag_unpack(d)")
    assert rows(f"{bags} | evaluate bag_unpack(d, columnsConflict='keep_source')") == [[2]]
    assert rows(f"{bags} | evaluate bag_unpack(d, columnsConflict='replace_source')") == [[1]]


def test_columns_are_found_one_after_the_other() -> None:
    """The second question depends on what the first one found."""
    text = 'print d = dynamic({"e": {"y": 7}}) | evaluate bag_unpack(d) | evaluate bag_unpack(e) | project y'
    assert rows(text) == [[7]]


def test_columns_are_not_asked_for_each_row() -> None:
    with pytest.raises(KqlError, match="bag_unpack without columns here is not supported"):
        rows("print a = dynamic([{}]) | mv-apply b = a on (evaluate bag_unpack(b))")


def test_pivot() -> None:
    assert _columns(f"{SALES} | evaluate pivot(b)") == ["a:string", "n:long", "p:long", "q:long"]
    assert sorted(rows(f"{SALES} | evaluate pivot(b, sum(n))")) == [["x", 1, 5], ["y", 0, 2]]
    assert sorted(rows(f"{SALES} | evaluate pivot(b, max(n), a)")) == [["x", 1, 5], ["y", None, 2]]
    written = f"{SALES} | evaluate pivot(b, sum(n)) : (a: string, q: long, z: long)"
    assert sorted(rows(written)) == [["x", 5, 0], ["y", 2, 0]]


def test_questions_read_tables(ask: Ask) -> None:
    found = ask("Events | evaluate pivot(Level, count(), Name) | count", language="kql")
    assert found.tables == ("Events",)
    assert found.rows[0][0] > 0


def test_the_whole_row_leaves_out_the_keys() -> None:
    text = f"{SALES} | summarize arg_max(n, *)"
    assert _columns(f"{text} by b") == ["b:string", "n:long", "a:string"]
    assert _columns(f"{text} by c = b") == ["c:string", "n:long", "a:string"]
    assert _columns(f"{text} by tostring(b)") == ["b:string", "n:long", "a:string"]
    assert _columns(f"{text} by b = tolower(b)") == ["b:string", "n:long", "a:string", "b1:string"]


def test_arguments_of_the_wrong_type_are_refused_where_they_are_used() -> None:
    assert rows("let f = (x: timespan) { print 1 }; f(now())") == [[1]]
    with pytest.raises(KqlError, match="argument x is of type datetime, not timespan"):
        rows("let f = (x: timespan) { print x }; f(now())")


def test_basket_shows_the_fullest_patterns() -> None:
    text = 'datatable(a: string, b: string, n: long)["x", "p", 1, "x", "p", 2, "x", "q", 5, "y", "q", 5]'
    assert rows(f"{text} | evaluate basket(0.5)") == [
        [0, 3, 75.0, "x", "", None],
        [1, 2, 50.0, "", "q", 5],
        [2, 2, 50.0, "x", "p", None],
    ]


def test_extend_without_a_name_takes_the_place_of_its_column() -> None:
    assert _columns("print a = 1, b = 'x' | extend tostring(a), b") == ["a:string", "b:string"]
    assert _columns("print a = 1 | serialize tostring(a)") == ["a:long", "a1:string"]


NUMBERED = "datatable(n: long, s: string)[1, '', 2, 'x', 3, '', 4, '', 5, 'x', 6, '', 7, '']\n"


def test_rows_near() -> None:
    def near(arguments: str) -> list[int]:
        query = f"{NUMBERED} | sort by n asc | evaluate rows_near({arguments}) | project n"
        return [n for (n,) in rows(query)]

    assert near("s == 'x', 1") == [1, 2, 3, 4, 5, 6]
    assert near("s == 'x', 0") == [2, 5]
    assert near("s == 'x', 1, 0") == [1, 2, 4, 5]
    assert near("s == 'y', 3") == []
    assert rows(f"{NUMBERED} | where n > 9 | evaluate rows_near(true, 1)") == []


def test_narrow() -> None:
    query = "datatable(a: long, b: string, d: dynamic)[1, 'x', dynamic([1]), long(null), '', dynamic(null)]"
    assert rows(f"{query} | evaluate narrow()") == [
        [0, "a", "1"],
        [0, "b", "x"],
        [0, "d", "[1]"],
        [1, "a", ""],
        [1, "b", ""],
        [1, "d", ""],
    ]


def test_dcount_intersect() -> None:
    sketches = "range x from 1 to 60 step 1 | summarize a = hll(x), b = hll(x * 2), c = hll(x * 3)"
    assert rows(f"{sketches} | evaluate dcount_intersect(a, b, c)") == [[60, 30, 10]]
    assert rows(f"{sketches} | extend b = dynamic(null) | evaluate dcount_intersect(a, b)") == [[60, 0]]


def test_rolling_percentile() -> None:
    table = "range x from 1 to 6 step 1 | extend t = datetime(2024-01-01) + (x - 1) * 12h, k = x % 2\n"
    table += "| where x != 3 and x != 4"
    found = rows(f"{table} | evaluate rolling_percentile(x, 100, t, 1d, 2, k) | sort by t asc, k asc")
    assert [row[1:] for row in found] == [[0, 2], [1, 1], [0, 6], [1, 5]]
    (only,) = rows("print x = 1.5, t = 10s | evaluate rolling_percentile(x, 50, t, 1m, 3)")
    assert only[1] == 1.5


def test_ipv4_lookup() -> None:
    networks = "let nets = datatable(net: string, zone: string, k: long)['10.0.0.0/8', 'a', 1, "
    networks += "'10.1.0.0/16', 'b', 2, '192.168.1.7', 'c', 1, 'none', 'd', 1];\n"
    rows_of = (
        networks + "datatable(ip: string, k: long)['10.1.2.3', 1, '192.168.1.7', 1, '8.8.8.8', 1, '', 1]"
    )
    matched = [["10.1.2.3", "a"], ["10.1.2.3", "b"], ["192.168.1.7", "c"]]
    shown = "| project ip, zone | sort by ip asc, zone asc"
    assert rows(f"{rows_of} | evaluate ipv4_lookup(nets, ip, net) {shown}") == matched
    by_key = f"{rows_of} | evaluate ipv4_lookup(nets, ip, net, k) {shown}"
    assert rows(by_key) == [matched[0], matched[2]]
    every = rows(f"{rows_of} | evaluate ipv4_lookup(nets, ip, net, k, return_unmatched = true) {shown}")
    assert every == [["", ""], matched[0], matched[2], ["8.8.8.8", ""]]
