"""Tables of a tenant, their records, and Parquet files of them as the lake writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from gapless.model.tables import SYSTEM_COLUMNS, Column, TableSchema
from gapless.query.request import QueryResult

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
