"""The transform of a data collection rule: what it keeps, and what it says of times and columns."""

from __future__ import annotations

import duckdb
import pytest

from gapless.model.tables import Column, TableSchema
from gapless.query.kql.errors import KqlError
from gapless.query.kql.transform import transform

SOURCE = TableSchema("source", (Column("Level", "string"), Column("n", "long"), Column("d", "dynamic")))


def kept(text: str) -> list[int]:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE source AS FROM (VALUES ('debug', 1, '{\"a\":7}', 0), ('info', 2, NULL, 1), "
            "(NULL, 3, '[]', 2)) t(\"Level\", n, d, _row)"
        )
        made = transform(text, SOURCE, "_row", now_us=1_725_282_000_000_000)
        return [row for (row,) in connection.execute(made.sql).fetchall()]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("source", [0, 1, 2]),
        ("source | where Level != 'debug'", [1, 2]),
        ("source | where Level == '' | where n > 1", [2]),
        ("let most = 2; source | where n <= most and d.a == 7", [0]),
        ("source\n| where now() == datetime(2024-09-02T13:00:00Z) and n between (2 .. 3)", [1, 2]),
        ("source | where n in (datatable(m: long) [1, 3])", [0, 2]),
        ("source | project-away d | where n > 1 | extend TimeGenerated = todatetime(Level)", [1, 2]),
        ("source | project m = n + 1 | where m > 2 | project-rename k = m", [1, 2]),
        ("source | parse-where Level with 'de' rest", [0]),
    ],
)
def test_where_keeps_what_it_says(text: str, rows: list[int]) -> None:
    assert kept(text) == rows


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("source | extend a = now()", "depends on the time"),
        ("source | extend a = datetime(now)", "datetime|depends on the time"),
        ("source | extend a = rand()", "another one each time"),
        ("source | extend a = toscalar(print 1)", "more than the record itself"),
        ("source | extend a = _Stream", "no column _Stream"),
        ("source | extend a = " + "-(" * 5000 + "n" + ")" * 5000, "nest"),
        ("source | extend TimeGenerated = todatetime(n)", "this TimeGenerated is not supported"),
        ("source | where n > 1 | take 1", "operator take is not supported"),
        ("source | where n in ((source | project n))", "asks for source again"),
        ("source | where n == toscalar(source | count)", "asks for source again"),
        ("table('source') | where n > 1", "does not begin with source"),
        ("App_CL | where n > 1", "does not begin with source"),
        ("source | where m > 1", "there is no column m"),
        ("source | where", "line 1, column 15"),
        ("source | where " + "(" * 5000 + "n > 1" + ")" * 5000, "nest"),
        ("", "there is no query"),
    ],
)
def test_anything_else_is_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(KqlError, match=why):
        kept(text)
