"""What the operators and functions mean; each expectation follows from KQL's rules, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest
from kql_answers import result, rows, value

from gapless.query.kql.errors import KqlError

NULLS = "datatable(x: long)[1, 2, long(null)]"
TEXTS = 'datatable(s: string)["alpha beta", "alphabet", "ALPHA-1", ""]'


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 / 0", None),
        ("1 % 0", None),
        ("1.0 / 0.0", "Infinity"),
        ("0.0 / 0.0", "NaN"),
        ("9223372036854775807 + 1", -9223372036854775808),
        ("gettype(toint(1) + toint(1))", "long"),
        ("gettype(1d / 1h)", "real"),
        ("bin(datetime(2024-09-04 13:45:00), 1h)", "2024-09-04T13:00:00.0000000Z"),
        ("bin(-7, 5)", -10),
        ("bin(-1h, 1d)", "-1.00:00:00"),
        ("datetime(9999-12-31 23:59:59.9999999) + 1tick", None),
        ("endofmonth(datetime(2024-02-10))", "2024-02-29T23:59:59.9999999Z"),
        ("datetime_diff('day', datetime(2024-03-01), datetime(2024-02-28 23:00))", 2),
        ("datetime_add('month', 1, datetime(2024-01-31))", "2024-02-29T00:00:00.0000000Z"),
        (
            "format_datetime(datetime(2024-03-09 05:04:03.1234567), 'yyyy-MM-dd H:mm:ss.fff')",
            "2024-03-09 5:04:03.123",
        ),
        ("format_timespan(1d + 2h, 'd.hh:mm')", "1.02:00"),
        # Conversions give null instead of failing.
        ("toint('12x')", None),
        ("tolong(' 45 ')", 45),
        ("tolong('0x1F')", 31),
        ("toint(2147483648)", -2147483648),
        ("toint('2147483648')", None),
        ("tolong(-2.9)", -2),
        ("todouble('1_000')", None),
        ("tobool('TRUE')", True),
        ("tobool('maybe')", None),
        ("todatetime('2024-13-01')", None),
        ("todatetime('2024-02-29T10:00:00+02:00')", "2024-02-29T08:00:00.0000000Z"),
        ("totimespan('1.02:03:04')", "1.02:03:04"),
        ("toguid('{74BE27DE-1E4E-49D9-B579-FE0B331D3642}')", "74be27de-1e4e-49d9-b579-fe0b331d3642"),
        ("tostring(1.0)", "1.0"),
        ("tostring(1d)", "1.00:00:00"),
        # Text.
        ("split('a,b,c', ',', 9)", []),
        ("split('a,b', ',')[-1]", "b"),
        ("substring('abcdef', -3, 2)", "de"),
        ("substring('abc', 5)", ""),
        ("indexof('abcabc', 'c', 3)", 5),
        ("countof('aaa', 'aa')", 2),
        ("extract('x=([0-9]+)', 1, 'a x=17')", "17"),
        ("extract('x=([0-9]+)', 1, 'none')", ""),
        ("extract('x=([0-9]+)', 1, 'a x=17', typeof(long)) + 1", 18),
        ("replace_regex('a1b22', @'\\d+', '#')", "a#b#"),
        ("trim(@'[^\\w]+', '--ab--')", "ab"),
        ("strcat('a', 1, true, dynamic([1]))", "a1True[1]"),
        ("strlen('héllo')", 5),
        ("base64_decode_tostring('aGk=')", "hi"),
        ("base64_decode_tostring('no base64')", ""),
        ("hash_sha256('')", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        # Choices.
        ("coalesce(int(null), 5)", 5),
        ("coalesce('', 'x')", "x"),
        ("iff(bool(null), 'a', 'b')", "b"),
        ("case(1 > 2, 'a', 2 > 1, 'b', 'c')", "b"),
        ("max_of(1, long(null), 3)", 3),
        # Addresses.
        ("ipv4_is_private('10.1.2.3')", True),
        ("ipv4_is_private('8.8.8.8')", False),
        ("ipv4_is_private('no address')", None),
        ("ipv4_is_in_range('192.168.1.7', '192.168.1.0/24')", True),
        ("ipv4_is_in_any_range('172.16.0.1', dynamic(['10.0.0.0/8', '172.16.0.0/12']))", True),
        ("parse_ipv4('0.0.1.0')", 256),
        ("parse_url('https://u:p@h.org:8080/p/q?a=1&b=2#f').Port", "8080"),
    ],
)
def test_expression(expression: str, expected: Any) -> None:
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("s has 'alpha'", ["alpha beta", "ALPHA-1"]),
        ("s has_cs 'alpha'", ["alpha beta"]),
        ("s !has 'alpha'", ["alphabet", ""]),
        ("s hasprefix 'alpha'", ["alpha beta", "alphabet", "ALPHA-1"]),
        ("s hassuffix 'bet'", ["alphabet"]),
        ("s contains 'ALPHA'", ["alpha beta", "alphabet", "ALPHA-1"]),
        ("s contains_cs 'ALPHA'", ["ALPHA-1"]),
        ("s !contains 'beta'", ["alphabet", "ALPHA-1", ""]),
        ("s startswith 'alpha '", ["alpha beta"]),
        ("s endswith_cs 'a'", ["alpha beta"]),
        ("s =~ 'ALPHABET'", ["alphabet"]),
        ("s in~ ('ALPHABET', 'x')", ["alphabet"]),
        ("s has_any ('beta', 'bet')", ["alpha beta"]),
        ("s has_all ('beta', 'alpha')", ["alpha beta"]),
        ("s matches regex '^a.*t$'", ["alphabet"]),
        ("s has ' '", ["alpha beta"]),
        ("isempty(s)", [""]),
        ("isnull(s)", []),
    ],
)
def test_condition_on_text(condition: str, expected: list[str]) -> None:
    assert [s for (s,) in rows(f"{TEXTS} | where {condition}")] == expected


def test_a_member_may_have_an_empty_name() -> None:
    assert rows("print d = dynamic({'': 7}) | extend x = d[''] | project x") == [[7]]


JOIN_LEFT = "datatable(k: long, l: string)[1, 'a', 1, 'b', 2, 'c', long(null), 'd']"
JOIN_RIGHT = "datatable(k: long, r: string)[1, 'x', 3, 'y', long(null), 'z']"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("inner", [[1, "a", 1, "x"], [1, "b", 1, "x"], [None, "d", None, "z"]]),
        ("innerunique", [[1, "a", 1, "x"], [None, "d", None, "z"]]),
        ("leftouter", [[1, "a", 1, "x"], [1, "b", 1, "x"], [2, "c", None, ""], [None, "d", None, "z"]]),
        ("rightouter", [[1, "a", 1, "x"], [1, "b", 1, "x"], [None, "", 3, "y"], [None, "d", None, "z"]]),
        (
            "fullouter",
            [
                [1, "a", 1, "x"],
                [1, "b", 1, "x"],
                [2, "c", None, ""],
                [None, "", 3, "y"],
                [None, "d", None, "z"],
            ],
        ),
        ("leftsemi", [[1, "a"], [1, "b"], [None, "d"]]),
        ("leftanti", [[2, "c"]]),
        ("rightsemi", [[1, "x"], [None, "z"]]),
        ("rightanti", [[3, "y"]]),
    ],
)
def test_join(kind: str, expected: list[list[Any]]) -> None:
    found = rows(f"{JOIN_LEFT} | join kind={kind} ({JOIN_RIGHT}) on k")
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_lookup_leaves_out_the_right_keys() -> None:
    found = result(f"{JOIN_LEFT} | lookup ({JOIN_RIGHT}) on k | where k == 1 | take 1")
    assert [column.name for column in found.columns] == ["k", "l", "r"]


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [
        ("sum(x)", 3),
        ("avg(x)", 1.5),
        ("count()", 3),
        ("countif(x > 1)", 1),
        ("dcount(x)", 2),
        ("make_list(x)", [1, 2]),
        ("make_set(x)", [1, 2]),
        ("min(x)", 1),
        ("percentile(x, 50)", 1),
        ("sumif(x, x > 1)", 2),
        ("stdev(x)", pytest.approx(0.5**0.5)),
        ("take_any(x)", 1),
        ("sum(x) / count()", 1),
    ],
)
def test_aggregate(aggregate: str, expected: Any) -> None:
    assert rows(f"{NULLS} | summarize a = {aggregate}") == [[expected]]


def test_values_are_collected_without_nulls_in_the_order_of_the_rows() -> None:
    times = "datatable(t: datetime, s: timespan)[datetime(2024-01-01), 1h, datetime(null), timespan(null)]"
    found = rows(f"{times} | summarize make_list(t), make_list(s), make_set(s), make_list_with_nulls(s)")
    assert found == [[["2024-01-01T00:00:00.0000000Z"], ["01:00:00"], ["01:00:00"], ["01:00:00", None]]]
    text = "datatable(x: long, r: real, d: dynamic)[3, 2.5, dynamic(['b', 1]), 1, 1.5, dynamic(['a', 'b'])]"
    found = rows(f"{text} | summarize make_set(x), make_set(r), make_set(d), make_set(x, 1)")
    assert found == [[[3, 1], [2.5, 1.5], ["b", 1, "a"], [3]]]


def test_a_condition_stands_before_what_may_be_left_out() -> None:
    text = "datatable(x: long, s: string)[1, 'a', 2, 'b', 3, 'a']"
    found = rows(
        f"{text} | summarize make_list_if(x, s == 'a', 1), make_set_if(x, s == 'a', 9),"
        " dcountif(x, s == 'a', 2), make_bag_if(pack(s, x), x > 1, 9), make_list_if(x, x > 1),"
        " make_bag(pack(s, x), 1), make_bag_if(pack(s, x), x > 1, 1), make_bag_if(pack(s, x), x > 9, 1)"
    )
    assert found == [[[1], [1, 3], 2, {"b": 2, "a": 3}, [2, 3], {"a": 1}, {"b": 2}, {}]]


def test_aggregates_of_nothing() -> None:
    text = "datatable(x: long)[] | summarize sum(x), avg(x), count(), make_list(x), max(x), stdev(x)"
    assert rows(text) == [[0, "NaN", 0, [], None, 0.0]]


def test_arg_max_takes_all_values_from_one_row() -> None:
    text = "datatable(g: string, t: long, v: string)['a', 1, 'x', 'a', 3, '', 'b', 2, 'y']"
    found = result(f"{text} | summarize arg_max(t, *) by g | sort by g asc")
    assert [column.name for column in found.columns] == ["g", "t", "v"]
    assert found.rows == [["a", 3, ""], ["b", 2, "y"]]


def test_names_of_columns() -> None:
    text = "print d = dynamic({'a': 1}), n = 1 | summarize count(), sum(n), make_list(n), dcount(n), any(n)"
    names = [column.name for column in result(text + " by tostring(d.a), bin(n, 5)").columns]
    assert names == ["d_a", "n", "count_", "sum_n", "list_n", "dcount_n", "any_n"]


def test_window_functions() -> None:
    text = "datatable(g: string, v: long)['a', 5, 'a', 3, 'b', 4] | sort by g asc, v asc"
    text += " | extend n = row_number(1, g != prev(g)), s = row_cumsum(v), p = prev(v), q = next(v, 1, -1)"
    assert rows(text) == [["a", 3, 1, 3, None, 5], ["a", 5, 2, 8, 3, 4], ["b", 4, 1, 12, 5, -1]]


def test_mv_expand() -> None:
    text = "datatable(k: long, d: dynamic)[1, dynamic([10, 20]), 2, dynamic([]), 3, dynamic(null)]"
    assert rows(f"{text} | mv-expand with_itemindex=i x = d to typeof(long) | project k, i, x") == [
        [1, 0, 10],
        [1, 1, 20],
        [3, 0, None],
    ]
    assert rows('print d = dynamic({"a": 1, "b": 2}) | mv-expand d') == [[{"a": 1}], [{"b": 2}]]


def test_mv_apply() -> None:
    text = "datatable(k: long, d: dynamic)[1, dynamic([3, 1, 2]), 2, dynamic([9])]"
    found = rows(f"{text} | mv-apply x = d to typeof(long) on (top 2 by x | summarize s = sum(x) + max(k))")
    assert sorted(row[-1] for row in found) == [6, 11]


def test_mv_apply_keeps_the_order_of_the_items() -> None:
    text = "print d = dynamic([3, 1, 2]) | mv-apply x = d to typeof(long) on (extend y = x * 2)"
    assert rows(f"{text} | summarize make_list(y)") == [[[6, 2, 4]]]


def test_columns_that_mv_apply_makes_take_the_place_of_others() -> None:
    text = "datatable(k: long, s: string, d: dynamic)[1, 'a', dynamic([3, 1]), 2, 'b', dynamic([9])]"
    found = result(f"{text} | mv-apply x = d to typeof(long) on (summarize s = sum(x) by q = k)")
    assert [column.name for column in found.columns] == ["k", "s", "d", "q"]
    assert found.rows == [[1, 4, [3, 1], 1], [2, 9, [9], 2]]


def test_parse() -> None:
    text = "print s = 'user=anna id=17 rest of it' | parse s with 'user=' user ' id=' id: long ' ' rest"
    assert rows(f"{text} | project-away s") == [["anna", 17, "rest of it"]]
    assert rows("print s = 'x' | parse s with 'a=' a ' ' * | project a") == [[""]]
    assert rows("print s = 'x' | parse-where s with 'a=' a | project a") == []


def test_let_functions_and_tables() -> None:
    text = """
    let limit = 2;
    let twice = (x: long) { x * 2 };
    let big = (T: (v: long), least: long) { T | where v > least };
    let numbers = materialize(range v from 1 to 5 step 1);
    big(numbers, limit) | extend w = twice(v) | where w in ((numbers | project v * 2)) | project v, w
    """
    assert sorted(rows(text)) == [[3, 6], [4, 8], [5, 10]]


def test_union() -> None:
    text = "union withsource=t (print a = 1), (print a = 'x', b = 2)"
    found = result(text)
    assert [column.name for column in found.columns] == ["t", "a_long", "a_string", "b"]
    assert sorted(found.rows, key=str) == [["union_arg0", 1, "", None], ["union_arg1", None, "x", 2]]


def test_an_inner_union_has_the_names_that_all_have_by_their_types() -> None:
    found = result("union kind=inner (print a = 1, b = 2), (print a = 'x', c = 3)")
    assert [column.name for column in found.columns] == ["a_long", "a_string"]
    assert sorted(found.rows, key=str) == [[1, ""], [None, "x"]]


def test_what_a_part_of_a_union_lacks_is_null_and_empty_text() -> None:
    parts = (
        "(datatable(a: string)['x']), (datatable(b: string, n: long)['y', 1]),"
        " (datatable(c: datetime)[datetime(2024-01-01)])"
    )
    assert sorted(rows(f"union {parts} | project a, n"), key=str) == [["", 1], ["", None], ["x", None]]
    assert rows(f"union {parts} | where a != 'x' and b !has 'y' | project a, b, n") == [["", "", None]]
    assert rows(f"union {parts} | summarize count() by a | sort by a asc") == [["", 2], ["x", 1]]
    assert rows(f"union {parts} | where isempty(c) | count") == [[2]]


def test_make_series() -> None:
    text = "datatable(t: datetime, v: long)[datetime(2024-01-01 05:00), 1, datetime(2024-01-03), 5]"
    found = rows(
        f"{text} | make-series s = sum(v) on t from datetime(2024-01-01) to datetime(2024-01-04) step 1d"
    )
    assert found[0][0] == [1, 0, 5]
    assert found[0][1][1] == "2024-01-02T00:00:00.0000000Z"


def test_the_last_of_queries_between_empty_lines_is_run() -> None:
    assert rows("print 1\n\nprint 2\n| extend b = 3\n\n| project b") == [[3]]


def test_search() -> None:
    found = rows("datatable(s: string)['needle in hay', 'needles', 'x'] | search 'needle' | project s")
    assert found == [["needle in hay"]]


def test_types_of_the_answer() -> None:
    text = "print a = 1, b = 1.5, c = true, d = 'x', e = now(), f = 1h, g = dynamic([1]), h = toint(1)"
    kinds = [column.type for column in result(text).columns]
    assert kinds == ["long", "real", "bool", "string", "datetime", "timespan", "dynamic", "int"]


def test_names_in_bags_are_taken_as_they_are() -> None:
    names = ["$1", "a'b", "{x}", "\\"]
    packed = ", ".join(f'@"{name}", {index}' for index, name in enumerate(names))
    assert rows(f"print n = 1 | project d = pack({packed}, 'n', n)") == [
        [{"$1": 0, "a'b": 1, "{x}": 2, "\\": 3, "n": 1}]
    ]


def test_expressions_are_computed_once() -> None:
    """A chain in which each step names the last one twice would double each time, if written out."""
    steps = "".join(f" | extend a{n} = a{n - 1} + a{n - 1}" for n in range(1, 41))
    assert rows(f"datatable(a0: long)[1]{steps} | project a40") == [[2**40]]


def test_parameters_of_a_query_have_their_defaults() -> None:
    assert rows("declare query_parameters(a: long = 5, b: timespan = 1h); print a / 2, b") == [
        [2, "01:00:00"]
    ]
    for given in ("a: long", "a: real = 5"):
        with pytest.raises(KqlError, match="give the query parameter a a literal"):
            rows(f"declare query_parameters({given}); print a")
