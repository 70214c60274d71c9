"""The same queries over the same files give the same answers on Spark as on DuckDB."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from gapless.query import engine

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
