"""One record, wherever it came to rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gapless.lake.catalog import Catalog
from gapless.lake.engine import END_OF_QUARANTINED, engine, rows_of
from gapless.model.tables import QUARANTINE

_MEMORY_BYTES_MAX = 256 * 1024**2


class Found(NamedTuple):
    """A row as it is stored, its columns in order. Times are datetimes in UTC.

    ``table`` is QUARANTINE's for a record that was not decoded. If its ``RawEncoding`` is "journal", the row
    stands for all records from its ``_Seq`` to before the ``next`` in its ``_Extra``.
    """

    table: str
    row: dict[str, Any]


def find_row(catalog: Catalog, tenant: str, table: str, stream: str, epoch: str, seq: int) -> Found | None:
    """The row of the tenant's record (stream, epoch, seq), or None if the lake has none.

    Raises Corrupt if a file that may have it cannot be read.
    """
    identity = "_Stream = $stream AND _Epoch = $epoch AND "
    known = {"stream": stream, "epoch": epoch, "seq": seq}
    row = _select(_paths(catalog, tenant, table), identity + "_Seq = $seq", known)
    if row is not None:
        return Found(table, row)
    covers = f"_Seq <= $seq AND {END_OF_QUARANTINED} > $seq"
    row = _select(_paths(catalog, tenant, QUARANTINE.name), identity + covers, known)
    return None if row is None else Found(QUARANTINE.name, row)


def _paths(catalog: Catalog, tenant: str, table: str) -> list[str]:
    return [file.path for file in catalog.files(tenant, table)]


def _select(paths: Sequence[str], condition: str, known: dict[str, Any]) -> dict[str, Any] | None:
    if not paths:
        return None
    with engine(memory_bytes_max=_MEMORY_BYTES_MAX) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.sql(f"SELECT * FROM {rows_of(paths)} WHERE {condition} LIMIT 1", params=known)
        rows: list[dict[str, Any]] = found.to_arrow_table().to_pylist()
    return rows[0] if rows else None
