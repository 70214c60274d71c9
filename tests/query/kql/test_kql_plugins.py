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
