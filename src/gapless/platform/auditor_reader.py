"""Reading the ledger's file while it is written, again and again: only what changed is read anew."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from gapless.ledger.ledger import Ledger
from gapless.model.errors import UNDECODABLE, Unavailable
from gapless.model.finding import NOTED, Finding
from gapless.platform import auditor_store as schema


class Books(NamedTuple):
    """One state of the books, which nobody changes. ``audited_us``: they had caught up with the journal, and
    were looked at, as of then; 0 if never."""

    ledger: Ledger
    audited_us: int


class KnownFinding(NamedTuple):
    """A finding's opening (with its count brought up to date) and when it was closed; None while open."""

    finding: Finding
    closed_us: int | None


class BooksReader:
    """Reads the ledger in ``directory``. Safe to use from several threads. Every method raises Unavailable
    while there are no books or they cannot be read."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._lock = Lock()
        self._engine: sa.Engine | None = None
        self._file: tuple[int, int] | None = None  # the device and inode of what is open
        self._step = 0
        self._ledger = Ledger()

    def close(self) -> None:
        with self._lock:
            self._forget()

    def books(self) -> Books:
        """The books as last committed. What did not change since the last call is shared with its answer."""
        with self._lock, self._reading() as connection:
            state = schema.read_state(connection)
            if state.get("format") != schema.FORMAT:
                raise Unavailable("the books are being made anew: ask again in a moment")
            if state["step"] != self._step:
                # A new one each time: whoever still works with the last sees one state to the end.
                ledger = Ledger()
                ledger.streams = dict(self._ledger.streams)
                schema.read_streams(connection, ledger, after_step=self._step)
                self._ledger, self._step = ledger, state["step"]
            return Books(self._ledger, state["audited_us"])

    def position(self) -> int:
        """The journal cursor: everything before it is in the books."""
        with self._lock, self._reading() as connection:
            return schema.read_state(connection).get("journal", 0)

    def posting(self) -> int:
        """The cursor in the lake's postings: all up to this id are in the books."""
        with self._lock, self._reading() as connection:
            return schema.read_state(connection).get("posting", 0)

    def findings(
        self, tenant: str | None, table: str | None = None, *, open_only: bool, limit: int
    ) -> tuple[list[KnownFinding], int]:
        """The newest findings of a tenant (None: of all, and of the platform itself), newest first; and when
        the books were audited last. Of a table also those of the agents that have a stream of it, and those
        of the tenant or the platform as a whole."""
        concerned = None if table is None else self._agents_of(tenant, table)
        row = schema.finding.c
        query = sa.select(row.finding, row.closed_us).order_by(row.opened_us.desc(), row.id)
        if tenant is not None:
            query = query.where(row.tenant == tenant)
        if table is not None:
            query = query.where(row.table_name.in_((table, "")))
        if open_only:
            query = query.where(row.closed_us.is_(None), row.kind.not_in(NOTED))
        with self._lock, self._reading() as connection:
            audited_us = schema.read_state(connection).get("audited_us", 0)
            known = (
                KnownFinding(msgspec.json.decode(opening, type=Finding), closed_us)
                for opening, closed_us in connection.execute(query)
            )
            return list(
                islice((each for each in known if _concerns(each.finding, concerned)), limit)
            ), audited_us

    def _agents_of(self, tenant: str | None, table: str) -> set[tuple[str, str]]:
        """The agents, as (tenant, agent), that have a stream of a table."""
        ledger = self.books().ledger
        return {(stream.key.tenant, stream.key.agent) for _, stream in ledger.books(tenant, table)}

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the file that is there now."""
        path = f"{self._directory}/{schema.FILE}"
        try:
            found = os.stat(path)
        except FileNotFoundError as error:
            raise Unavailable("the books are not there yet: ask again in a moment") from error
        # The inode of a file that is held open is not given to another.
        if self._file != (found.st_dev, found.st_ino):
            self._forget()
            self._engine = schema.connect(self._directory)
            self._file = (found.st_dev, found.st_ino)
        assert self._engine is not None
        try:
            with self._engine.begin() as connection:
                yield connection
        except (sa.exc.DatabaseError, *UNDECODABLE) as error:
            self._forget()
            raise Unavailable("the books cannot be read right now: ask again in a moment") from error

    def _forget(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
        self._engine = None
        self._file = None
        self._step = 0
        self._ledger = Ledger()


def _concerns(finding: Finding, agents: set[tuple[str, str]] | None) -> bool:
    """Whether a finding of an agent as a whole is of one of ``agents`` (None: they all are)."""
    of_agent = finding.agent and not finding.table
    return agents is None or not of_agent or (finding.tenant, finding.agent) in agents
