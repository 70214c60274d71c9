"""Bringing a catalogue of an older format to the present one, in the transaction that takes the lake over."""

from __future__ import annotations

from hashlib import file_digest

import duckdb
import numpy as np
import sqlalchemy as sa

from gapless.lake import catalog_schema as schema
from gapless.lake.engine import END_OF_QUARANTINED, engine, rows_of
from gapless.lake.holdings import Ranges, count, encode, joined
from gapless.model.errors import Corrupt, Unavailable
from gapless.model.tables import QUARANTINE

_MEMORY_BYTES_MAX = 512 * 1024**2

_ADDED = (
    "ALTER TABLE file ADD COLUMN digest TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE file ADD COLUMN position BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE file ADD COLUMN until BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE file ADD COLUMN holds BLOB NOT NULL DEFAULT x''",
    "ALTER TABLE notice ADD COLUMN path TEXT NOT NULL DEFAULT ''",
)


def upgrade(connection: sa.Connection, root: str) -> None:
    """Bring a catalogue of format 1 or 2 to the present one.

    Does nothing to any other format. Raises Corrupt, with nothing done, for a file that cannot be read.
    """
    found = connection.scalar(sa.select(schema.lake.c.format))
    if found not in (1, 2):
        return
    connection.exec_driver_sql("ALTER TABLE epoch ADD COLUMN filtered BIGINT NOT NULL DEFAULT 0")
    if found == 1:
        _know_files(connection, root)
    connection.execute(schema.lake.update().values(format=schema.FORMAT))


def _know_files(connection: sa.Connection, root: str) -> None:
    """From format 2 on it is known what each file holds: every file is read once."""
    for statement in _ADDED:
        connection.exec_driver_sql(statement)
    columns = schema.file.c
    files = connection.execute(sa.select(columns.id, columns.path, columns.table_name, columns.records)).all()
    position = connection.scalars(sa.select(schema.lake.c.position)).one()
    with engine(memory_bytes_max=_MEMORY_BYTES_MAX, spill_directory=f"{root}/spill") as reading:
        for id_, path, table, records in files:
            holds = _holds(connection, reading, f"{root}/{path}", table)
            if count(holds.values()) != records:
                raise Corrupt(
                    f"{root}/{path} does not hold its {records} records: stop the platform, move the lake's "
                    "directory away, and start it; the lake is made again from the journal"
                )
            # Which of the journal's entries they came from was not kept: it is searched from its beginning.
            values = {"digest": _digest(f"{root}/{path}"), "position": 0, "until": position}
            connection.execute(
                schema.file.update().where(columns.id == id_).values(holds=encode(holds), **values)
            )


def _holds(
    connection: sa.Connection, reading: duckdb.DuckDBPyConnection, path: str, table: str
) -> dict[int, Ranges]:
    end = END_OF_QUARANTINED if table == QUARANTINE.name else "_Seq + 1"
    runs = reading.execute(
        f"""
        WITH held AS (SELECT _Stream, _Epoch, _Seq AS first, {end} AS next FROM {rows_of([path])}),
        steps AS (
            SELECT *, (first IS DISTINCT FROM lag(next) OVER run)::BIGINT AS step FROM held
            WINDOW run AS (PARTITION BY _Stream, _Epoch ORDER BY first)
        ),
        islands AS (
            SELECT *, sum(step) OVER (PARTITION BY _Stream, _Epoch ORDER BY first) AS island FROM steps
        )
        SELECT _Stream, _Epoch, min(first), max(next) FROM islands GROUP BY _Stream, _Epoch, island
        """
    ).fetchall()
    epoch = schema.epoch.c
    found: dict[int, list[Ranges]] = {}
    for stream, name, first, next_ in runs:
        query = sa.select(epoch.id).where(epoch.stream == stream, epoch.epoch == name)
        id_ = connection.scalars(query).one()
        found.setdefault(id_, []).append(np.array([(first, next_)], np.int64))
    return {id_: joined(parts) for id_, parts in found.items()}


def _digest(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Unavailable(
            f"{path} cannot be read ({error.strerror}): see to the disk, start again"
        ) from error
