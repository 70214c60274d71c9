"""The semantics of KQL that bite who comes from SQL, one after the other."""

from __future__ import annotations

from typing import Any

import pytest
from kql_answers import result, rows, value, values
from query_lake import Ask

from gapless.model.tables import known_tables
from gapless.query.kql.errors import KqlError
from gapless.query.kql.translate import translate

NULLS = "datatable(x: long)[1, 2, long(null)]"
#: The second row has no s, since nothing joins it.
NO_TEXT = "datatable(k: long)[1, 2] | join kind=leftouter (datatable(k: long, s: string)[1, 'x']) on k"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("s != 'x'", [2]),
        ("s !in ('x', 'y')", [2]),
        ("s !in~ ('X')", [2]),
        ("s !has 'x'", [2]),
        ("s !contains 'x'", [2]),
        ("s !startswith 'x'", [2]),
        ("not(s matches regex 'x')", [2]),
        ("s == ''", [2]),
        ("isempty(s)", [2]),
        ("isnull(s)", []),
        ("isnotnull(s)", [1, 2]),
        ("strlen(s) == 0", [2]),
        ("strcat(s, '!') == '!'", [2]),
    ],
)
def test_strings_are_never_null(condition: str, expected: list[int]) -> None:
    assert [k for (k,) in rows(f"{NO_TEXT} | where {condition} | project k")] == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        # No value equals null, every value differs from it; an order with null is neither.
        ("x != 1", [2, None]),
        ("x == 1", [1]),
        ("not(x == 1)", [2, None]),
        ("x !in (1, 2)", [None]),
        ("x > 1", [2]),
        ("not(x > 1)", [1]),
        ("x <= 2 or x > 2", [1, 2]),
        ("x == long(null)", []),
        ("x between (1 .. 1)", [1]),
        ("x !between (1 .. 1)", [2]),
        ("isnull(x)", [None]),
        ("x in (dynamic([1, 5]))", [1]),
    ],
)
def test_null_differs_from_every_value_and_has_no_order(condition: str, expected: list[Any]) -> None:
    assert [x for (x,) in rows(f"{NULLS} | where {condition}")] == expected


def test_a_comparison_with_null_is_a_value_but_for_an_order() -> None:
    text = f"{NULLS} | where isnull(x) | project x != 1, x == 1, x !in (1), isnull(x < 1), isnull(x > 1)"
    assert rows(text) == [[True, False, True, True, True]]


@pytest.mark.parametrize("kind", ["long", "datetime", "real", "guid", "string"])
def test_join_keys_match_null_to_null(kind: str) -> None:
    null = "''" if kind == "string" else f"{kind}(null)"
    left = f"datatable(k: {kind}, m: long, l: string)[{null}, 1, 'a', {null}, long(null), 'b']"
    right = f"datatable(k: {kind}, m: long, r: string)[{null}, long(null), 'z']"
    assert rows(f"{left} | join kind=inner ({right}) on k, m | project l, r") == [["b", "z"]]
    assert rows(f"{left} | join kind=leftanti ({right}) on k, m | project l") == [["a"]]
    assert rows(f"{left} | lookup ({right}) on k, m | project l, r | sort by l asc") == [
        ["a", ""],
        ["b", "z"],
    ]


def test_a_join_without_a_kind_takes_one_row_of_each_key_from_the_left() -> None:
    left = "datatable(k: long, l: string)[1, 'a', 1, 'b', 2, 'c']"
    right = "datatable(k: long, r: string)[1, 'x', 1, 'y']"
    for kind in ("", "kind=innerunique"):
        assert rows(f"{left} | join {kind} ({right}) on k | sort by r asc | project l, r") == [
            ["a", "x"],
            ["a", "y"],
        ]
    assert len(rows(f"{left} | join kind=inner ({right}) on k")) == 4


TEXTS = (
    "datatable(s: string)['', 'x', '1.2.3', '99999999999999999999', '[', ':', '1e999', '-', '24:61',"
    " '2024-02-30', 'Sat, 30 Feb 2024 01:02:03 GMT', '2/30/2024', '2024-01-01T25:00:00']"
)


@pytest.mark.parametrize(
    "function",
    ["tobool", "toint", "tolong", "todatetime", "totimespan", "toguid"],
)
def test_conversions_never_fail(function: str) -> None:
    for text in (TEXTS, f"{TEXTS} | project s = todynamic(strcat('\"', s, '\"'))"):
        found = rows(f"{text} | where s != '99999999999999999999' | project v = {function}(s)")
        assert {v for (v,) in found} == {None}


def test_conversions_of_numbers_never_fail() -> None:
    reals = "datatable(r: real)[1e300, -1e300, real(nan), real(+inf), real(null)]"
    for function in ("toint", "tolong", "tobool", "totimespan", "todatetime", "tostring"):
        assert len(rows(f"{reals} | project v = {function}(r)")) == 5
    longs = "datatable(n: long)[9223372036854775807, -9223372036854775808, long(null)]"
    for function in (
        "toint",
        "tobool",
        "totimespan",
        "todatetime",
        "todouble",
        "unixtime_seconds_todatetime",
    ):
        assert len(rows(f"{longs} | project v = {function}(n)")) == 3
    assert values("make_datetime(2024, 13, 1)", "parse_json('{')", "todouble('1,5')") == [None, "{", None]


def test_whole_numbers_divide_to_whole_numbers_and_a_remainder_is_never_negative() -> None:
    text = "datatable(a: long, b: long)[7, 2, -7, 2, 7, -2, -7, -2, 1, 0]"
    found = rows(f"{text} | project a / b, a % b, gettype(a / b)")
    assert found == [[3, 1, "long"], [-3, 1, "long"], [-3, 1, "long"], [3, 1, "long"], [None, None, "long"]]
    assert values("7 / 2", "7 / 2.0", "-7.5 % 2", "toint(7) / toint(2)") == [3, 3.5, 0.5, 3]
    assert values("-7 / 2", "-7 % 3", "7 % -3", "-7 % -3", "1 % 0") == [-3, 2, 1, 2, None]


def test_bins_of_times_count_from_the_year_1() -> None:
    # 0001-01-01 was a Monday; bins of 7 days begin on Mondays, not on Sundays or Thursdays (1970-01-01).
    text = "datatable(t: datetime)[datetime(2024-09-04), datetime(1955-11-05 06:15), datetime(0001-01-09)]"
    assert [t[:10] for (t,) in rows(f"{text} | project bin(t, 7d)")] == [
        "2024-09-02",
        "1955-10-31",
        "0001-01-08",
    ]
    assert value("bin(datetime(2024-02-16), 30d)").startswith("2024-02-15")


def test_now_is_one_value_for_the_whole_query() -> None:
    text = """
    let then = now();
    let f = () { now() };
    let many = range x from 1 to 1000 step 1 | extend t = now();
    union many, (print t = f()), (print t = then), (print t = ago(0s))
    | summarize dcount(t), min(t) == now(), max(t) == toscalar(print now())
    """
    assert rows(text) == [[1, True, True]]


def test_a_tick_is_100_nanoseconds() -> None:
    assert values(
        "datetime(2024-01-01) + 1tick",
        "datetime(2024-01-01 00:00:00.1234567) - datetime(2024-01-01)",
        "tolong(1s)",
        "1microsecond / 1tick",
        "todatetime('2024-01-01 00:00:00.0000001') > datetime(2024-01-01)",
        "endofday(datetime(2024-01-01))",
    ) == [
        "2024-01-01T00:00:00.0000001Z",
        "00:00:00.1234567",
        10_000_000,
        10.0,
        True,
        "2024-01-01T23:59:59.9999999Z",
    ]


def test_weeks_start_on_sunday() -> None:
    # 2024-09-01 was a Sunday.
    text = "range t from datetime(2024-08-31) to datetime(2024-09-08) step 1d"
    found = rows(f"{text} | project format_datetime(startofweek(t), 'MM-dd'), dayofweek(t) / 1d")
    assert found == [["08-25", 6.0], *(["09-01", float(day)] for day in range(7)), ["09-08", 0.0]]
    assert value("endofweek(datetime(2024-09-01))") == "2024-09-07T23:59:59.9999999Z"
    assert value("datetime_diff('week', datetime(2024-09-01), datetime(2024-08-31))") == 1


def test_split_with_an_index_gives_an_array_of_one() -> None:
    text = "datatable(s: string)['a,b,c', 'a', '']"
    assert rows(f"{text} | project split(s, ',', 1), array_length(split(s, ',', 0))") == [
        [["b"], 1],
        [[], 1],
        [[], 1],
    ]


def test_a_missing_path_is_null_and_its_text_is_empty() -> None:
    text = "datatable(d: dynamic)[dynamic({'a': {'b': null}}), dynamic([1]), dynamic('x'), dynamic(null)]"
    found = rows(
        f"{text} | project isnull(d.z.y[0]), tostring(d.z.y), tostring(d.a.b), strlen(tostring(d[7]))"
    )
    assert found == [[True, "", "", 0]] * 4
    assert rows("print d = dynamic({'a': [1, {'c': 'x'}]}) | project d.a[1].c, d.a[-1].c, d['a'][0]") == [
        ["x", "x", 1]
    ]


def test_sort_descends_with_nulls_last_and_ascends_with_nulls_first() -> None:
    assert [x for (x,) in rows(f"{NULLS} | sort by x")] == [2, 1, None]
    assert [x for (x,) in rows(f"{NULLS} | sort by x asc")] == [None, 1, 2]
    assert [x for (x,) in rows(f"{NULLS} | sort by x desc nulls first")] == [None, 2, 1]
    assert [x for (x,) in rows(f"{NULLS} | sort by x asc nulls last")] == [1, 2, None]
    assert [x for (x,) in rows(f"{NULLS} | top 2 by x")] == [2, 1]
    assert [x for (x,) in rows(f"{NULLS} | top 2 by x asc")] == [None, 1]


def test_column_names_have_case() -> None:
    found = result("print a = 1, A = 2 | extend Ab = 3, aB = 4 | project A, a, aB, Ab")
    assert [column.name for column in found.columns] == ["A", "a", "aB", "Ab"]
    assert found.rows == [[2, 1, 4, 3]]
    with pytest.raises(KqlError, match="there is no column Name"):
        result("print name = 1 | project Name")


def test_columns_that_every_table_has(ask: Ask) -> None:
    text = "Events | where isnull(ingestion_time()) or ingestion_time() <= now() | take 1"
    assert ask(f"{text} | project Type, TenantId, _ResourceId", language="kql").rows == [["Events", "", ""]]
    for name, table in known_tables().items():
        made = translate(f"{name} | project _ResourceId, Type, TenantId, at = ingestion_time()", [table])
        assert [column.type for column in made.columns] == ["string", "string", "string", "datetime"]


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("arraylength(d)", "array_length(d)"),
        ("parsejson(s)", "parse_json(s)"),
        ("todynamic(s)", "parse_json(s)"),
        ("toobject(s)", "parse_json(s)"),
        ("pack('a', 1)", "bag_pack('a', 1)"),
        ("pack_dictionary('a', 1)", "bag_pack('a', 1)"),
        ("notempty(s)", "isnotempty(s)"),
        ("notnull(n)", "isnotnull(n)"),
        ("iif(n > 1, 'a', 'b')", "iff(n > 1, 'a', 'b')"),
        ("toreal('1.5')", "todouble('1.5')"),
        ("toboolean(n)", "tobool(n)"),
        ("totime('1h')", "totimespan('1h')"),
        ("floor(n, 3)", "bin(n, 3)"),
        ("getmonth(t)", "monthofyear(t)"),
        ("weekofyear(t)", "week_of_year(t)"),
        ("datepart('day', t)", "datetime_part('day', t)"),
        ("extractall('([0-9])', s)", "extract_all('([0-9])', s)"),
        ("extractjson('$[0]', s)", "extract_json('$[0]', s)"),
        ("replace('[0-9]', 'x', s)", "replace_regex(s, '[0-9]', 'x')"),
        ("base64_encodestring(s)", "base64_encode_tostring(s)"),
        ("base64_decodestring('aGk=')", "base64_decode_tostring('aGk=')"),
        ("hash_xxhash64(s)", "hash(s)"),
        ("make_string(65, 66)", "unicode_codepoints_to_string(65, 66)"),
        ("to_utf8(s)", "unicode_codepoints_from_string(s)"),
        ("array_iif(dynamic([true]), d, d)", "array_iff(dynamic([true]), d, d)"),
        ("columnifexists('n', 1)", "column_ifexists('n', 1)"),
    ],
)
def test_older_names_of_functions(older: str, newer: str) -> None:
    row = "print s = '[12]', n = 7, d = dynamic([1, 2]), t = datetime(2024-05-06)"
    ((a, b),) = rows(f"{row} | project a = {older}, b = {newer}")
    assert a == b and a is not None


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("summarize l = makelist(n)", "summarize l = make_list(n)"),
        ("summarize s = makeset(n)", "summarize s = make_set(n)"),
        ("summarize a = any(m)", "summarize a = take_any(m)"),
        ("summarize (n, m) = argmax(n, m)", "summarize (n, m) = arg_max(n, m)"),
        ("summarize (n, m) = argmin(n, m)", "summarize (n, m) = arg_min(n, m)"),
        ("mvexpand d", "mv-expand d"),
        (
            "mvapply d to typeof(long) on (summarize s = sum(d))",
            "mv-apply d to typeof(long) on (summarize s = sum(d))",
        ),
        ("order by n asc", "sort by n asc"),
        ("limit 1 | count", "take 1 | count"),
        ("filter n > 1", "where n > 1"),
    ],
)
def test_older_names_of_aggregates_and_operators(older: str, newer: str) -> None:
    table = "datatable(n: long, m: long, d: dynamic)[2, 5, dynamic([1, 2]), 1, 5, dynamic([3])]"
    a, b = result(f"{table} | {older}"), result(f"{table} | {newer}")
    assert (a.columns, a.rows) == (b.columns, b.rows)
