"""The names and types of columns that the text does not name, as Microsoft's own binder gives them."""

from __future__ import annotations

import pytest
from kql_answers import result

from gapless.query.kql.errors import KqlError

ROW = "print i = toint(7), l = 5, r = 2.5, s = 'a', t = datetime(2024-03-05), d = dynamic({'x': [1]})"


def _columns(text: str) -> str:
    return " ".join(f"{column.name}:{column.type}" for column in result(text).columns)


@pytest.mark.parametrize(
    ("expressions", "columns"),
    [
        ("l + 1, tolower(s), -l, not(l == 1)", "Column1:long Column2:string Column3:long Column4:bool"),
        # Conversions, bins and arithmetic functions are named as what they are of.
        ("tostring(l), toint(r), totime(s), bin(l, 2)", "l:string r:int s:timespan l1:long"),
        ("abs(l), sqrt(r), log(i), tohex(l)", "l:long r:real i:real l1:string"),
        ("split(s, ','), format_datetime(t, 'yy'), startofday(t)", "s:dynamic t:string t1:datetime"),
        # What is not one of them has a number, or a word of its own.
        ("startofweek(t), endofday(t), sign(l)", "Column1:datetime Column2:datetime Column3:real"),
        (
            "strlen(s), gettype(l), repeat(l, 2), strlen('x')",
            "strlen_s:long type_l:string repeat_l:dynamic strlen_:long",
        ),
        (
            "d.x, d['x'], d.x[0], d[s], tostring(d.x)",
            "d_x:dynamic d_x1:dynamic d_x_0:dynamic d_:dynamic d_x2:string",
        ),
        (
            "array_sort_asc(d.x), array_sort_asc(d, d.x)",
            "d_x_sorted:dynamic d_sorted:dynamic d_x_sorted1:dynamic",
        ),
        ("series_fit_line(dynamic([1]))[1]", "Column1:real"),
        # Whole numbers are rounded to whole numbers; parts of times have 32 bits.
        ("round(l), round(i), ceiling(l), ceiling(r)", "l:long i:int l1:long r:real"),
        ("getyear(t), week_of_year(t), datetime_part('hour', t)", "Column1:int Column2:int Column3:int"),
    ],
)
def test_names_and_types_of_expressions(expressions: str, columns: str) -> None:
    assert _columns(f"{ROW} | project {expressions}") == columns


@pytest.mark.parametrize(
    ("aggregates", "columns"),
    [
        (
            "take_any(l), any(s), take_anyif(r, l > 1), anyif(i, l > 1)",
            "l:long any_s:string r:real anyif_i:int",
        ),
        (
            "take_any(l, s), any(r, s), take_any(l + 1)",
            "l:long s:string any_r:real any_s:string any_arg0:long",
        ),
        ("arg_max(l, s), arg_min(r + 1, l)", "l:long s:string min_:real l1:long"),
        ("argmax(l, s)", "max_l:long max_l_s:string"),
        ("sum(l), sum(l + 1), sum(abs(l)), sum(i)", "sum_l:long sum_:long sum_l1:long sum_i:long"),
        ("percentile(l, 50), percentilew(l, i, 50)", "percentile_l_50:long percentile_l_501:long"),
        (
            "percentiles_array(l, 5, 50), percentilesw_array(r, l, 50)",
            "percentiles_l:dynamic percentiles_r:dynamic",
        ),
        ("covariance(l, r), binary_all_or(l)", "covariance_l_r:real l:long"),
        (
            "countif(l > 1), dcountif(s, l > 1), make_list_if(l, l > 1)",
            "countif_:long dcountif_s:long list_l:dynamic",
        ),
    ],
)
def test_names_and_types_of_aggregates(aggregates: str, columns: str) -> None:
    assert _columns(f"{ROW} | summarize {aggregates}") == columns


def test_names_of_what_is_printed() -> None:
    assert _columns("print 1, x = 2, strlen('a')") == "print_0:long x:long print_2:long"
    assert _columns("print (a, b) = series_stats(dynamic([1]))") == "a:real b:long"
    assert (
        _columns("let a = dynamic([1]); print array_sort_asc(a, a)") == "a_sorted:dynamic a_sorted1:dynamic"
    )
    assert _columns("print series_stats(dynamic([1])) | project-keep *_m*").startswith(
        "series_stats__min:real"
    )


@pytest.mark.parametrize(
    "text",
    [
        "print a = 1, a = 2",
        "print a = 1 | extend b = 1, b = 2",
        "print a = 1 | project a, a",
        "print a = 1 | distinct a, a",
        "print a = 1 | summarize count() by a, a",
        "print a = 1 | summarize a = count() by a",
    ],
)
def test_a_name_is_declared_once(text: str) -> None:
    with pytest.raises(KqlError, match=r"the column [ab] is there twice"):
        result(text)
