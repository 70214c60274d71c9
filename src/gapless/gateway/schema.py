"""The tables of the gateway's index. The format's number grows with every change to them."""

from __future__ import annotations

from sqlalchemy import Column, Integer, MetaData, String, Table

FORMAT = 5

metadata = MetaData()

#: One row: the format, the journal position before which everything is in these tables, where the last entry
#: before it stands that cannot be read (-1: there is none), and when the gateway last wrote of itself.
meta = Table(
    "meta",
    metadata,
    Column("format", Integer, nullable=False),
    Column("cursor", Integer, nullable=False),
    Column("damaged_at", Integer, nullable=False),
    Column("alive_us", Integer, nullable=False),
)

#: Every batch of the journal; of two with the same identity, the first.
batches = Table(
    "batches",
    metadata,
    Column("stream", String, primary_key=True),
    Column("epoch", String, primary_key=True),
    Column("first", Integer, primary_key=True),
    Column("next", Integer, nullable=False),
    Column("digest", String, nullable=False),
    Column("position", Integer, nullable=False),
    Column("journaled_us", Integer, nullable=False),
    sqlite_with_rowid=False,
)

#: The seqs of ``batches`` as disjoint, non-adjacent ranges.
ranges = Table(
    "ranges",
    metadata,
    Column("stream", String, primary_key=True),
    Column("epoch", String, primary_key=True),
    Column("first", Integer, primary_key=True),
    Column("next", Integer, nullable=False),
    sqlite_with_rowid=False,
)

#: Where each agent's newest claims stand.
chains = Table(
    "chains",
    metadata,
    Column("agent", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("n", Integer, nullable=False),
    Column("digest", String, nullable=False),
    Column("position", Integer, nullable=False),
    sqlite_with_rowid=False,
)

#: The epochs that must not go on, and the finding that said so first.
fences = Table(
    "fences",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("stream", String, nullable=False),
    Column("epoch", String, nullable=False),
    Column("finding", String, nullable=False, unique=True),
)

#: The data collection rules in force, in the order in which they were made.
rules = Table(
    "rules",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("rule", String, nullable=False),
)

#: What rules ever declared of custom tables, and which entry did so last.
declared = Table(
    "declared",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("declared", String, nullable=False),
    Column("position", Integer, nullable=False),
    sqlite_with_rowid=False,
)

#: Where each of the gateway's own streams stands that has not ended, and which entry said so last.
counters = Table(
    "counters",
    metadata,
    Column("stream", String, primary_key=True),
    Column("counter", String, nullable=False),
    Column("position", Integer, nullable=False),
    sqlite_with_rowid=False,
)

#: The uploads of the last while, by the digest of their content; ``half`` is the digest of the one batch that
#: is there of an upload whose other batch is not.
uploads = Table(
    "uploads",
    metadata,
    Column("content", String, primary_key=True),
    Column("journaled_us", Integer, nullable=False, index=True),
    Column("request", String, nullable=False),
    Column("half", String, nullable=False),
    sqlite_with_rowid=False,
)
