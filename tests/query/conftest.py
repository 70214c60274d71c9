"""Two tenants with a table each, as Parquet files the way the lake writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gapless.model.tables import SYSTEM_COLUMNS, Column, TableSchema
from gapless.query.engine import execute
from gapless.query.request import QueryLimits, QueryRequest, QueryResult, TableFiles

EVENTS = TableSchema(
    "Events",
    (
        Column("TimeGenerated", "datetime"),
        Column("Id", "long"),
        Column("Name", "string"),
        Column("Level", "int"),
        Column("Score", "real"),
        Column("Ok", "bool"),
        Column("Details", "dynamic"),
        Column("Took", "timespan"),
        Column("Correlation", "guid"),
    ),
)
ALERTS = TableSchema("Alerts", (Column("TimeGenerated", "datetime"), Column("Title", "string")))

#: What the other tenant's only record says: it must never be seen.
SECRET = "the-other-tenants-secret"

_ARROW_TYPES = {
    "int": pa.int32(),
    "long": pa.int64(),
    "real": pa.float64(),
    "bool": pa.bool_(),
    "datetime": pa.timestamp("us", "UTC"),
}


class Ask(Protocol):
    def __call__(self, text: str, **more: Any) -> QueryResult: ...


def write_parquet(path: Path, schema: TableSchema, rows: list[dict[str, Any]], leave_out: str = "") -> str:
    """Write ``rows`` as a file of ``schema``, without the columns that ``leave_out`` names."""
    columns = [c for c in (*schema.columns, *SYSTEM_COLUMNS) if c.name not in leave_out.split()]
    arrays = [
        pa.array([row.get(c.name) for row in rows], _ARROW_TYPES.get(c.type, pa.string())) for c in columns
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays, [c.name for c in columns]), path)
    return str(path)


def event(number: int) -> dict[str, Any]:
    """The ``number``-th event: one a second from 2024-09-01T00:00:00Z."""
    return {
        "TimeGenerated": 1_725_148_800_000_000 + number * 1_000_000,
        "Id": number,
        "Name": f"user-{number % 7}",
        "Level": number % 3,
        "Score": number / 4,
        "Ok": number % 2 == 0,
        "Details": f'{{"n": {number}}}',
        "_Seq": number,
    }


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
