"""The gateway's index: which batches the journal holds, by identity. A fold of the journal in SQLite.

It is written in the background, together with its cursor, in one transaction; a crash loses at most the
last of them, cursor and rows alike, and the fold goes on from there. Deleting the file (or finding it
damaged, or of another format) means that the journal is folded again from its beginning: nothing here is
the truth.

One thread calls ``step``; any thread may read.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    and_,
    create_engine,
    delete,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import DBAPIError

from gapless.failpoint import reached
from gapless.gateway import schema
from gapless.gateway.admission import EpochKey, Row
from gapless.gateway.chains import ChainKey
from gapless.gateway.fold import ChainRow, Changes, fold
from gapless.gateway.uploads import memory
from gapless.gateway.uploads.book import Remembered
from gapless.log.port import EntryReader
from gapless.model.errors import Busy, Unavailable
from gapless.model.ranges import RangeSet

_log = structlog.get_logger("gapless.gateway")

#: How much of the journal (heads and meta, not bodies) goes into one transaction.
_STEP_BYTES = 4 << 20


class BatchIndex:
    """The index in the SQLite file ``path``, following ``reader``.

    It is *complete* once it has reached the end that the journal had when the file was opened or rebuilt;
    until then ``ranges``, ``lookup`` and ``find`` raise Busy, because a batch that is not found could be
    one not yet folded. Uploads are kept for ``uploads_window_us``.
    """

    def __init__(self, path: str, reader: EntryReader, *, uploads_window_us: int = 0) -> None:
        self._path = path
        self._uploads_window_us = uploads_window_us
        self._reader = reader
        self._damaged = False
        self._generation = 0
        self._target = reader.durable()
        self.cursor = 0
        self._attempted = 0  # the cursor of a commit that may have been done though it failed
        #: How much of the journal was not folded after the last step, bodies included.
        self.behind_bytes = 0
        self._engine = self._open()

    @property
    def complete(self) -> bool:
        return self.cursor >= self._target and not self._damaged

    def step(self) -> Changes | None:
        """Fold the next part of the journal; None when there was nothing to fold.

        What it returns is committed. Raises Unavailable if the file cannot be written, Corrupt for an
        entry this version does not know: then nothing moved.
        """
        if self._damaged:
            self._rebuild()
        durable = self._reader.durable()
        frames = self._reader.read(self.cursor, bytes_max=_STEP_BYTES, bodies=False)
        if not frames:
            return None
        changes = fold(frames, self.cursor)
        attempted, self._attempted = self._attempted, changes.position
        try:
            with self._engine.begin() as connection:
                self._apply(connection, changes, attempted)
                reached("index", "commit", Unavailable)
            reached("index", "committed", Unavailable)
        except DBAPIError as error:
            raise self._failure(error) from error
        self.cursor = changes.position
        self.behind_bytes = max(0, durable - self.cursor)
        if changes.damaged:
            _log.warning("journal_damaged", entries=changes.damaged, before=changes.position)
        return changes

    def ranges(self, key: EpochKey) -> RangeSet:
        """The seqs of an epoch that are journaled."""
        table = schema.ranges
        query = select(table.c.first, table.c.next).where(_is(table, key)).order_by(table.c.first)
        with self._reading() as connection:
            return RangeSet((first, next_) for first, next_ in connection.execute(query))

    def lookup(self, key: EpochKey, first: int) -> Row | None:
        """The batch that begins at ``first``."""
        row = self.find(key, first)
        return row if row is not None and row.first == first else None

    def find(self, key: EpochKey, seq: int) -> Row | None:
        """The batch that holds ``seq``."""
        table = schema.batches
        query = (
            select(table.c.first, table.c.next, table.c.digest, table.c.position, table.c.journaled_us)
            .where(_is(table, key), table.c.first <= seq)
            .order_by(table.c.first.desc())
            .limit(1)
        )
        with self._reading() as connection:
            found = connection.execute(query).first()
        return Row(*found) if found is not None and found.next > seq else None

    def chain(self, key: ChainKey) -> ChainRow | None:
        """Where an agent's newest claims stand, as far as the index is."""
        table = schema.chains
        query = select(table.c.n, table.c.digest, table.c.position).where(
            table.c.agent == key[0], table.c.key == key[1]
        )
        with self._reading(complete=False) as connection:
            found = connection.execute(query).first()
        return ChainRow(*found) if found is not None else None

    def fences(self) -> list[EpochKey]:
        """The fenced epochs, oldest first, as far as the index is."""
        table = schema.fences
        query = select(table.c.stream, table.c.epoch).order_by(table.c.number)
        with self._reading(complete=False) as connection:
            return [(stream, epoch) for stream, epoch in connection.execute(query)]

    def uploads(self, *, uploads_max: int) -> Remembered:
        """Rules, the gateway's own streams, and the newest ``uploads_max`` uploads."""
        with self._reading() as connection:
            return memory.remembered(connection, uploads_max=uploads_max)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _reading(self, *, complete: bool = True) -> Iterator[Connection]:
        generation = self._generation
        if complete and not self.complete:
            raise Busy("the gateway's index is catching up with its journal: send it again in a moment")
        try:
            with self._engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise self._failure(error) from error
        if generation != self._generation:
            raise Busy("the gateway's index was replaced: send it again in a moment")

    def _failure(self, error: DBAPIError) -> Unavailable:
        # SQLite says "not a database" and "malformed" with the base class, what may pass with others.
        if type(error.orig) is sqlite3.DatabaseError:
            self._damaged = True
        return Unavailable(f"the gateway's index cannot be used ({error.orig}): look at its disk")

    def _open(self) -> Engine:
        engine = _engine(self._path)
        try:
            cursor = _prepare(engine)
        except DBAPIError as error:
            if type(error.orig) is not sqlite3.DatabaseError:
                raise Unavailable(
                    f"{self._path} cannot be opened ({error.orig}): look at its disk"
                ) from error
            cursor = None
        if cursor is not None and cursor <= self._target:
            self.cursor = cursor
            return engine
        _log.warning("index_rebuilt", path=self._path, cursor=cursor, journal=self._target)
        engine.dispose()
        return self._create()

    def _rebuild(self) -> None:
        """Begin anew after damage. Readers under way see another generation and do not trust their answer."""
        _log.warning("index_damaged", path=self._path, cursor=self.cursor)
        self._target = self._reader.durable()
        self._generation += 1
        self._engine.dispose()
        self._engine = self._create()
        self._damaged = False

    def _create(self) -> Engine:
        """An empty index in place of what is there. A crash in here leaves one that is opened as empty."""
        self.cursor = 0
        for suffix in ("", "-wal", "-shm"):
            try:
                os.unlink(self._path + suffix)
            except FileNotFoundError:
                pass
        engine = _engine(self._path)
        try:
            _prepare(engine)
        except DBAPIError as error:
            raise Unavailable(f"{self._path} cannot be created ({error.orig}): look at its disk") from error
        return engine

    def _apply(self, connection: Connection, changes: Changes, attempted: int) -> None:
        """All of ``changes`` and the cursor; the caller's transaction makes them durable together. What a
        commit up to ``attempted`` has done already is done again, and stays as it is."""
        ours = schema.meta.c.cursor.in_((self.cursor, attempted))
        moved = connection.execute(update(schema.meta).where(ours).values(cursor=changes.position))
        if moved.rowcount != 1:
            raise Unavailable(f"another process writes {self._path}: stop it")
        batches: list[dict[str, Any]] = [
            {"stream": stream, "epoch": epoch, **row._asdict()}
            for (stream, epoch), rows in changes.batches.items()
            for row in rows.values()
        ]
        if batches:
            connection.execute(upsert(schema.batches).on_conflict_do_nothing(), batches)
        for key, ranges in changes.ranges.items():
            for first, next_ in ranges:
                _add_range(connection, key, first, next_)
        for chain, row in changes.chains.items():
            _advance_chain(connection, chain, row)
        for (stream, epoch), finding in changes.fences.items():
            values = {"stream": stream, "epoch": epoch, "finding": finding.id}
            connection.execute(upsert(schema.fences).on_conflict_do_nothing(), values)
        memory.keep(connection, changes.uploads, window_us=self._uploads_window_us)


def _engine(path: str) -> Engine:
    # SQLite would make it readable by everybody; its other files take after this one.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise Unavailable(f"{path} cannot be opened ({error.strerror}): look at its disk") from error
    engine = create_engine(f"sqlite:///{path}")

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, _: object) -> None:
        # WAL: readers wait for nobody. NORMAL: a power loss may take the last transactions, whole.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine


def _prepare(engine: Engine) -> int | None:
    """Create what is missing; the cursor, or None for an index of another format."""
    with engine.begin() as connection:
        schema.metadata.create_all(connection)
        found = connection.execute(select(schema.meta.c.format, schema.meta.c.cursor)).first()
        if found is None:
            connection.execute(
                insert(schema.meta).values(format=schema.FORMAT, cursor=0, damaged_at=-1, alive_us=0)
            )
            return 0
        return found.cursor if found.format == schema.FORMAT else None


def _is(table: Table, key: EpochKey) -> ColumnElement[bool]:
    return and_(table.c.stream == key[0], table.c.epoch == key[1])


def _add_range(connection: Connection, key: EpochKey, first: int, next_: int) -> None:
    """Join ``[first, next_)`` with the ranges it touches."""
    table = schema.ranges
    before = connection.execute(
        select(table.c.first, table.c.next)
        .where(_is(table, key), table.c.first <= first)
        .order_by(table.c.first.desc())
        .limit(1)
    ).first()
    touched = RangeSet([(first, next_)])
    if before is not None and before.next >= first:
        touched.add(before.first, before.next)
    after = select(table.c.first, table.c.next).where(
        _is(table, key), table.c.first > first, table.c.first <= next_
    )
    for other_first, other_next in connection.execute(after):
        touched.add(other_first, other_next)
    ((joined_first, joined_next),) = touched
    connection.execute(
        delete(table).where(_is(table, key), table.c.first >= joined_first, table.c.first <= joined_next)
    )
    connection.execute(
        insert(table).values(stream=key[0], epoch=key[1], first=joined_first, next=joined_next)
    )


def _advance_chain(connection: Connection, key: ChainKey, row: ChainRow) -> None:
    values = {"n": row.n, "digest": row.digest, "position": row.position}
    statement = upsert(schema.chains).values(agent=key[0], key=key[1], **values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["agent", "key"], set_=values, where=schema.chains.c.n < row.n
        )
    )
