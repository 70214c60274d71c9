"""The outbox in the ledger's file, as whoever posts it sees it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from gapless.platform.auditor_store import Message, connect, outbox


class LedgerOutbox:
    """``auditor_posting.Outbox`` in the ledger of ``directory``, which may be made anew at any time."""

    def __init__(self, directory: str) -> None:
        self._engine = connect(directory, pooled=False)
        self._writer = self._engine.execution_options(writing=True)

    def first(self, limit: int) -> list[Message]:
        """The oldest messages."""
        with self._engine.begin() as connection:
            query = sa.select(outbox.c.n, outbox.c.kind, outbox.c.message).order_by(outbox.c.n)
            return [Message(*row) for row in connection.execute(query.limit(limit))]

    def remove(self, rows: Sequence[Message]) -> None:
        """These were posted; durable on return."""
        with self._writer.begin() as connection:
            posted = sa.tuple_(outbox.c.n, outbox.c.message)  # numbers begin again in a file made anew
            connection.execute(outbox.delete().where(posted.in_([(row.n, row.message) for row in rows])))

    def close(self) -> None:
        self._engine.dispose()
