"""The catalogue's tables in SQL, and how to connect to them. SQLite (embedded); the SQL is portable.

Everything the lake knows of itself stands here and changes in one transaction at a time: which files a table
consists of, where the journal cursor stands, which seqs have come to rest, and what the ledger is told.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

#: The format of a catalogue. One of format 1 is brought to this one (``lake.upgrade``); a program that finds
#: any other stops.
FORMAT = 3

CATALOG_NAME = "catalog.db"

#: SQLite counts rows up by itself only in a column of the type INTEGER.
_Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

#: One row. ``generation`` counts the writers that took over; ``position`` is the cursor in the journal;
#: postings up to ``folded_id`` were folded.
lake = Table(
    "lake",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("format", Integer, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("folded_id", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

#: Epochs of streams, with the running counts that the ranges must agree with (I14).
epoch = Table(
    "epoch",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("stream", Text, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("table_name", Text, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
    Column("filtered", BigInteger, nullable=False),
    Column("expired", BigInteger, nullable=False),
    Column("duplicates", BigInteger, nullable=False),
    sa.UniqueConstraint("stream", "epoch"),
    sqlite_autoincrement=True,
)

#: The seqs of each epoch that were stored or quarantined once, as disjoint, non-adjacent ranges. It only
#: grows: what expired stays in it, so that a late repeat of its batch is not taken for something new.
accounted = Table(
    "accounted",
    metadata,
    Column("epoch_id", ForeignKey("epoch.id"), primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("next", BigInteger, nullable=False),
)

#: What the ledger is told. Ids grow in the order of commits, because each transaction first locks `lake`.
posting = Table(
    "posting",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("epoch_id", ForeignKey("epoch.id"), nullable=False),
    Column("account", Text, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("next", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Index("posting_by_seq", "epoch_id", "first"),
    sqlite_autoincrement=True,
)

#: The Parquet files that the tables consist of. ``path`` is relative to the lake's directory, ``digest`` the
#: SHA-256 of its bytes in hex. Its records came in the batches that stand in the journal from ``position`` on
#: and before ``until``; which records, is said by ``holds`` (``lake.holdings``).
file = Table(
    "file",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("table_name", Text, nullable=False),
    Column("day", Text, nullable=False),
    Column("path", Text, nullable=False, unique=True),
    Column("rows", BigInteger, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("min_us", BigInteger, nullable=False),
    Column("max_us", BigInteger, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("added_us", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("holds", LargeBinary, nullable=False),
    Index("file_by_table", "tenant", "table_name", "day"),
    Index("file_by_age", "received_us"),
    sqlite_autoincrement=True,
)

#: Files that are no longer part of a table, until they are unlinked.
removed_file = Table(
    "removed_file",
    metadata,
    Column("path", Text, primary_key=True),
    Column("removed_us", BigInteger, nullable=False),
)

#: Files that were found damaged and left their tables, until what they held was made again from the journal
#: or declared lost: the journal is searched for it from ``position`` on. Columns as in ``file``.
damaged = Table(
    "damaged",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("table_name", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("records", BigInteger, nullable=False),
    Column("min_us", BigInteger, nullable=False),
    Column("max_us", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("holds", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

#: What an operator should know: damage, whole batches quarantined, files that cannot be read. ``path`` is the
#: data file that it is about, or empty.
notice = Table(
    "notice",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("table_name", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Column("path", Text, nullable=False),
    sqlite_autoincrement=True,
)


#: Ids of postings and notices have the second at which the catalogue was made (since 2024) in their upper
#: half: one that was made anew goes on above the ids of the one before, and shows.
ERA_BITS = 32
_ERAS_FROM_S = 1_704_067_200


def begin_ids(connection: sa.Connection, now_s: float) -> None:
    """Have the ids of a new catalogue begin in its own era."""
    base = max(1, int(now_s) - _ERAS_FROM_S) << ERA_BITS
    for table in (posting, notice):
        connection.exec_driver_sql("INSERT INTO sqlite_sequence VALUES (?, ?)", (table.name, base))


def connect(root: str, *, writable: bool, busy_timeout_s: float) -> sa.Engine:
    """An engine on the catalogue in the lake's directory ``root``. It opens no connection yet.

    Writing transactions take SQLite's write lock when they begin, so that none has to be given up half-way;
    a commit returns once it is on disk (``synchronous=FULL``). Read-only engines cannot write and never wait
    for the writer (WAL).
    """
    path = Path(root, CATALOG_NAME).resolve()
    mode = "rwc" if writable else "ro"
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=path.as_uri(), query={"mode": mode, "uri": "true"}),
        connect_args={"timeout": busy_timeout_s},
    )
    begin = "BEGIN IMMEDIATE" if writable else "BEGIN"

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver would begin transactions by itself, too late
        if writable:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @sa.event.listens_for(engine, "begin")
    def start(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
