"""The same queries over the same files give the same answers on Spark as on DuckDB."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from query_lake import write_parquet

from gapless.model.tables import Column, TableSchema
from gapless.query import engine
from gapless.query.request import QueryLimits, QueryRequest, TableFiles

_TEXT = (Path(__file__).parent / "queries.kql").read_text()
QUERIES = {
    query.partition("\n")[0].removeprefix("// "): query for query in re.split(r"\n\n(?=// )", _TEXT.strip())
}


def test_there_are_fifty_queries() -> None:
    assert len(QUERIES) >= 50
    assert [int(name.partition(":")[0]) for name in QUERIES] == list(range(1, len(QUERIES) + 1))


@pytest.mark.parametrize("name", QUERIES)
def test_same_answer(name: str, session: Any, ask: Any) -> None:
    from gapless.query.spark.engine import execute

    request = ask(QUERIES[name])
    wanted = engine.execute(request)
    assert wanted.rows, "a query without rows compares nothing"
    found = execute(request, session)
    assert found.columns == wanted.columns
    assert found.tables == wanted.tables
    assert len(found.rows) == len(wanted.rows)
    for row, (ours, theirs) in enumerate(zip(found.rows, wanted.rows, strict=True)):
        for column, one, other in zip(found.columns, ours, theirs, strict=True):
            assert _same(one, other), f"row {row}, {column.name}: Spark {one!r}, DuckDB {other!r}"


def test_declared_columns(session: Any, tmp_path: Path) -> None:
    """Columns of a custom table that are fields of its records."""
    from gapless.query.spark.engine import execute

    stored = (Column("TimeGenerated", "datetime"), Column("RawData", "string"), Column("Data", "dynamic"))
    declared = (Column("Level", "string"), Column("Took", "long"), Column("At", "datetime"))
    rows = [
        {
            "TimeGenerated": 1_725_148_800_000_000,
            "Data": '{"Level":"high","Took":"12","At":"2024-09-01T01:00:00Z"}',
        },
        {"TimeGenerated": 1_725_148_801_000_000, "Data": '{"Level":3,"Took":1.5}'},
        {"TimeGenerated": 1_725_148_802_000_000, "RawData": "no JSON"},
    ]
    schema = TableSchema("App_CL", stored, declared)
    path = write_parquet(tmp_path / "day=2024-09-01" / "a.parquet", schema, rows)
    text = "App_CL | sort by TimeGenerated asc | project Level, Took, At, Known = isnotempty(Level)"
    limits = QueryLimits(time_s_max=300.0)
    request = QueryRequest(text=text, language="kql", tables=(TableFiles(schema, (path,)),), limits=limits)
    found = execute(request, session)
    assert found.rows == engine.execute(request).rows
    assert found.rows[0] == ["high", 12, "2024-09-01T01:00:00.0000000Z", True]


def _same(found: Any, wanted: Any) -> bool:
    """Values of one type, in the same order; reals may differ in their last digits."""
    if type(found) is not type(wanted):
        return False
    if isinstance(found, list):
        return len(found) == len(wanted) and all(map(_same, found, wanted))
    if isinstance(found, dict):
        return list(found) == list(wanted) and all(_same(found[key], wanted[key]) for key in found)
    if isinstance(found, float):
        return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-12)
    return bool(found == wanted)
