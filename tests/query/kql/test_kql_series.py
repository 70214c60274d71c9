"""Functions of series."""

from __future__ import annotations

import pytest
from kql_answers import check, result, rows

from gapless.query.kql.errors import KqlError


def test_item_by_item() -> None:
    check(
        {
            "series_abs(dynamic([-6.5, 0, 'x', null]))": [6.5, 0, None, None],
            "series_log(dynamic([-1, 0, 1]))": ["NaN", "-Infinity", 0],
            "series_abs(series_log(dynamic([0])))": ["Infinity"],
            "series_asin(dynamic([2, 0]))": ["NaN", 0],
            "series_add(dynamic([1, 2, 3]), dynamic([1, 2]))": [2, 4, None],
            "series_divide(dynamic([1, 0]), dynamic([0, 0]))": ["Infinity", "NaN"],
            "series_pow(2, dynamic([1, 3]))": [2, 8],
            "series_greater(dynamic([60, 0, null]), 15)": [True, False, None],
            "series_add(1, 2)": None,
            "series_add(dynamic([1]), dynamic(null))": None,
            "series_sign(dynamic({'a': 1}))": None,
        }
    )


def test_what_is_missing_is_filled() -> None:
    gaps = "dynamic([null, 111, null, 36, 41, null])"
    check(
        {
            f"series_fill_forward({gaps})": [None, 111, 111, 36, 41, 41],
            f"series_fill_backward({gaps})": [111, 111, 36, 36, 41, None],
            f"series_fill_const({gaps}, -1)": [-1, 111, -1, 36, 41, -1],
            "series_fill_const(dynamic([7, null, 0]), -1, 0)": [7, None, -1],
            f"series_fill_linear({gaps})": [111, 111, 73, 36, 41, 41],
            f"series_fill_linear({gaps}, double(null), false)": [None, 111, 73, 36, 41, None],
            "series_fill_linear(dynamic([1.0, null, null, 2.0]))": [1, 4 / 3, 5 / 3, 2],
            "series_fill_linear(dynamic([null, null]), double(null), true, 7)": [7, 7],
            "series_fill_forward(dynamic('text'))": None,
        }
    )


def test_statistics() -> None:
    series = "dynamic([23, 46, 23, 87, 4, 8, 3, 75, 2, 56, 13, 75, 32, 16, 29])"
    answer = result(f"print x = {series} | project series_stats(x)")
    names = [column.name.removeprefix("series_stats_x_") for column in answer.columns]
    assert names == ["min", "min_idx", "max", "max_idx", "avg", "stdev", "variance"]
    assert answer.rows == [
        [2.0, 8, 87.0, 3, 32.8, pytest.approx(28.5036338535), pytest.approx(812.457142857)]
    ]
    check(
        {
            f"series_stats_dynamic({series}).sum": 492,
            "series_stats(dynamic([1, null]))[0]": None,
            "series_stats_dynamic(dynamic([1, null]), true).len": 1,
            "series_sum(dynamic([]))": None,
            "series_product(dynamic([2, 3]))": 6,
            "series_magnitude(dynamic([3, 4]))": 5,
            "series_dot_product(dynamic([1, 2]), dynamic([3]))": None,
            "series_cosine_similarity(dynamic([1, 0]), dynamic([0, 2]))": 0,
            "series_pearson_correlation(dynamic([1, 2, 3]), dynamic([3, 2, 1]))": -1,
        }
    )


def test_the_line_of_least_squares() -> None:
    series = "dynamic([2, 5, 6, 8, 11, 15, 17, 18, 25, 26, 30, 30])"
    ((fit, slope, start),) = rows(
        f"print y = {series} | extend (fit, slope) = series_fit_line(y), line = series_fit_line_dynamic(y)"
        " | project fit, slope, tostring(line.interception)"
    )
    assert (fit, slope, float(start)) == (
        pytest.approx(0.9829007),
        pytest.approx(2.7307692),
        pytest.approx(-1.6666667),
    )


def test_more_names_than_values_are_refused() -> None:
    with pytest.raises(KqlError, match="8 names for 7 values"):
        rows("print x = dynamic([1]) | extend (a, b, c, d, e, f, g, h) = series_stats(x)")


def test_filters() -> None:
    check(
        {
            "series_fir(dynamic([5, 15, 10]), dynamic([1, -1]))": [5, 10, -5],
            "series_fir(dynamic([1, 2, 3]), dynamic([1, 1, 1]), true, true)": [1, 2, 5 / 3],
            "series_fir(dynamic([1, 2]), dynamic([1, -1]), true)": None,
            "series_iir(dynamic([0, 1, 2, 3]), dynamic([1]), dynamic([1, -1]))": [0, 1, 3, 6],
        }
    )
