"""Percentiles with weights, sketches, bags of all columns, and geometries in well-known text."""

from __future__ import annotations

import pytest
from kql_answers import check, result, rows

from gapless.query.kql.errors import KqlError

_LATENCY = "datatable(n: long, latency: long)[8, 10, 6, 20, 3, 30, 1, 40, 5, long(null), 0, 5]"


def test_percentiles_with_weights() -> None:
    answer = result(f"{_LATENCY} | summarize percentilesw(latency, n, 50, 75, 99.9)")
    names = ["percentile_latency_50", "percentile_latency_75", "percentile_latency_99_9"]
    assert [column.name for column in answer.columns] == names
    assert answer.rows == [[20, 20, 40]]


def test_arrays_of_percentiles() -> None:
    found = rows(
        f"{_LATENCY} | summarize percentilesw_array(latency, n, dynamic([50, 99.9])), "
        "percentiles_array(latency, 0, 100), percentilew(latency, n, 0)"
    )
    assert found == [[[20, 40], [5, 40], 10]]
    with pytest.raises(KqlError, match="from 0 to 100"):
        rows(f"{_LATENCY} | summarize percentiles_array(latency, 101)")


def test_sketches_count_exactly() -> None:
    found = rows(
        "range x from 1 to 10 step 1 | extend y = x + 5"
        " | summarize a = hll(x), b = hll_if(y, x > 3) by z = x % 2"
        " | summarize a = hll_merge(a), b = hll_merge(b)"
        " | project dcount_hll(a), dcount_hll(b), dcount_hll(hll_merge(a, b))"
    )
    assert found == [[10, 7, 15]]


def test_all_columns_as_a_bag() -> None:
    found = rows("datatable(a: string, b: long)['x', 1, '', long(null)] | project pack_all(), pack_all(true)")
    assert found == [[{"a": "x", "b": 1}, {"a": "x", "b": 1}], [{"a": "", "b": None}, {}]]


def test_geometries_as_text() -> None:
    check(
        {
            "geo_from_wkt('point(-1.5 2e1)')": {"type": "Point", "coordinates": [-1.5, 20]},
            "geo_from_wkt('MULTIPOINT ((1 1), (2 2))').coordinates": [[1, 1], [2, 2]],
            "geo_from_wkt('MULTIPOINT (1 1, 2 2)').coordinates": [[1, 1], [2, 2]],
            "geo_from_wkt('POLYGON ((0 0, 2 0, 2 2, 0 0))').coordinates": [[[0, 0], [2, 0], [2, 2], [0, 0]]],
            "geo_from_wkt('GEOMETRYCOLLECTION (POINT (1 1), POINT (2 2))').geometries[1].coordinates": [2, 2],
            "geo_from_wkt('GEOMETRYCOLLECTION (POINT (1 1), x)')": None,
            "geo_from_wkt('LINESTRING')": None,
            "geo_from_wkt('POINT (1 1) x')": None,
        }
    )
