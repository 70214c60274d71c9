"""Two tenants with a table each, and queries of one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from query_lake import ALERTS, EVENTS, SECRET, Ask, event, write_parquet

from gapless.query.engine import execute
from gapless.query.request import QueryLimits, QueryRequest, QueryResult, TableFiles


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with both tenants' files; do not change what is in it."""
    lake = tmp_path_factory.mktemp("lake")
    for file in range(3):
        events = [event(number) for number in range(file * 100, file * 100 + 100)]
        write_parquet(lake / "ours" / "Events" / "day=2024-09-01" / f"{file}.parquet", EVENTS, events)
    write_parquet(lake / "theirs" / "Events" / "0.parquet", EVENTS, [{"Id": 1, "Name": SECRET}])
    (lake / "theirs" / "notes.csv").write_text(f"note\n{SECRET}\n")
    return lake


@pytest.fixture(scope="session")
def secret_file(lake: Path) -> Path:
    return lake / "theirs" / "Events" / "0.parquet"


@pytest.fixture(scope="session")
def tables(lake: Path) -> tuple[TableFiles, ...]:
    """Our tenant's tables: 300 events in three files, and alerts, of which there are none."""
    paths = sorted(str(path) for path in (lake / "ours").rglob("*.parquet"))
    return (TableFiles(EVENTS, tuple(paths)), TableFiles(ALERTS))


@pytest.fixture(scope="session")
def request_for(tables: tuple[TableFiles, ...]) -> Callable[..., QueryRequest]:
    """Make a request of our tenant; limits go by their own names."""

    def make(text: str, **more: Any) -> QueryRequest:
        limits = {name: more.pop(name) for name in QueryLimits.__struct_fields__ if name in more}
        parts: dict[str, Any] = {"language": "sql", "tables": tables, "limits": QueryLimits(**limits)}
        return QueryRequest(text=text, **parts | more)

    return make


@pytest.fixture(scope="session")
def ask(request_for: Callable[..., QueryRequest]) -> Ask:
    """Run a query of our tenant in this process."""

    def run(text: str, **more: Any) -> QueryResult:
        return execute(request_for(text, **more))

    return run
