"""The ledger on disk: books, journal cursor and posting cursor, kept together.

One process writes (``Bookkeeper``), any may read (``read_ledger``). All is a fold of the journal and of the
lake's postings: delete the file and it is made again.

Commit point: one SQLite transaction holds the changed books, the events that they gave rise to and both
cursors. A crash before it leaves the state of the step before, and the same entries are folded again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from gapless.ledger.book import decode_ranges, encode_book
from gapless.ledger.ledger import AgentBook, Event, Ledger, StreamBook
from gapless.log.frame import Frame
from gapless.log.port import EntryReader
from gapless.model.entry import BatchEntry, ClaimsEntry, DecommissionEntry, Kind, LossEntry
from gapless.model.errors import Misconfigured, Unavailable

_FORMAT = 1
_FILE = "ledger.db"

_metadata = sa.MetaData()
_state = sa.Table(
    "state",
    _metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
_stream = sa.Table(
    "stream",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("book", sa.LargeBinary, nullable=False),
)
_agent = sa.Table(
    "agent",
    _metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("book", sa.LargeBinary, nullable=False),
)
_event = sa.Table(
    "event",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("event", sa.LargeBinary, nullable=False),
)

_STREAM_BOOK = msgspec.msgpack.Decoder(StreamBook, dec_hook=decode_ranges)
_AGENT_BOOK = msgspec.msgpack.Decoder(AgentBook)


class Posting(Protocol):
    """A posting as the lake's catalogue gives it: see there."""

    @property
    def id(self) -> int: ...
    @property
    def stream(self) -> str: ...
    @property
    def epoch(self) -> str: ...
    @property
    def account(self) -> Any: ...
    @property
    def first(self) -> int: ...
    @property
    def next(self) -> int: ...
    @property
    def until(self) -> int: ...


def _connect(directory: str) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{directory}/{_FILE}")

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA busy_timeout=10000")

    return engine


class Bookkeeper:
    """Folds the journal and the lake's postings into the ledger, and keeps it.

    ``postings_after(id, limit)`` gives the lake's postings in commit order; it may raise Unavailable while
    there is no lake yet.
    """

    def __init__(
        self,
        directory: str,
        reader: EntryReader,
        postings_after: Callable[[int, int], list[Any]],
        *,
        entries_bytes_max: int = 4 << 20,
        postings_max: int = 10_000,
    ) -> None:
        Path(directory).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._engine = _connect(directory)
        self._reader = reader
        self._postings_after = postings_after
        self._entries_bytes_max = entries_bytes_max
        self._postings_max = postings_max
        with self._engine.begin() as connection:
            _metadata.create_all(connection)
        self.ledger, self._cursors = _load(self._engine)

    @property
    def cursor(self) -> int:
        """The journal position up to which the books are folded."""
        return self._cursors["journal"]

    def step(self, now_us: int) -> int:
        """Fold what there is, up to the bounds; note what is suspect as of ``now_us``; commit it. Returns how
        many entries and postings it was. Raises Unavailable: call it again."""
        cursor, events = self.cursor, list[Event]()
        entries = self._reader.read(cursor, bytes_max=self._entries_bytes_max, bodies=False)
        for entry in entries:
            events += fold(self.ledger, entry)
            cursor = entry.next_position
        posting_id, posted = self._cursors["posting"], 0
        for posting in self._postings():
            if posting.until > cursor:  # the batches it speaks of are not folded yet
                break
            events += self.ledger.posting(
                posting.account, posting.stream, posting.epoch, posting.first, posting.next
            )
            posting_id, posted = posting.id, posted + 1
        self.ledger.review(now_us)
        if entries or posted or self.ledger.changed:
            try:
                self._commit({"journal": cursor, "posting": posting_id}, events)
            except sa.exc.DBAPIError as error:
                # What is in memory is ahead of what is kept: go back to that, or entries count twice.
                self.ledger, self._cursors = _load(self._engine)
                raise Unavailable("the books could not be written: will be tried again") from error
        return len(entries) + posted

    def close(self) -> None:
        self._engine.dispose()

    def _postings(self) -> list[Any]:
        try:
            return self._postings_after(self._cursors["posting"], self._postings_max)
        except Unavailable:
            return []

    def _commit(self, cursors: dict[str, int], events: list[Event]) -> None:
        ledger = self.ledger
        books = [{"id": key, "book": encode_book(ledger.streams[key])} for key in ledger.changed]
        agents = [
            {"tenant": tenant, "name": name, "book": msgspec.msgpack.encode(book)}
            for (tenant, name), book in ledger.agents.items()
        ]
        with self._engine.begin() as connection:
            for table, rows, keys in ((_stream, books, ["id"]), (_agent, agents, ["tenant", "name"])):
                if rows:
                    statement = insert(table)
                    changed = {"book": statement.excluded.book}
                    connection.execute(
                        statement.on_conflict_do_update(index_elements=keys, set_=changed), rows
                    )
            if events:
                connection.execute(
                    _event.insert(), [{"event": msgspec.msgpack.encode(event)} for event in events]
                )
            for name, value in cursors.items():
                connection.execute(_state.update().where(_state.c.name == name).values(value=value))
        self._cursors = cursors
        ledger.changed.clear()


def fold(ledger: Ledger, entry: Frame) -> list[Event]:
    """What one journal entry does to the books. Kinds that are none of theirs do nothing."""
    match entry.kind:
        case Kind.BATCH:
            batch = msgspec.json.decode(entry.meta, type=BatchEntry)
            return ledger.batch(batch.header, batch.journaled_us)
        case Kind.CLAIMS:
            claims = msgspec.json.decode(entry.meta, type=ClaimsEntry)
            return ledger.claims(claims.signed, claims.received_us)
        case Kind.LOSS:
            return ledger.loss(msgspec.json.decode(entry.meta, type=LossEntry).loss)
        case Kind.DECOMMISSION:
            gone = msgspec.json.decode(entry.meta, type=DecommissionEntry)
            ledger.decommission(gone.stream, gone.at_us)
    return []


def read_ledger(directory: str) -> Ledger:
    """The books as last committed. Raises Unavailable while there are none."""
    if not Path(directory, _FILE).exists():
        raise Unavailable("the books are not there yet: ask again in a moment")
    engine = _connect(directory)
    try:
        return _load(engine)[0]
    except sa.exc.OperationalError as error:
        raise Unavailable("the books cannot be read right now: ask again in a moment") from error
    finally:
        engine.dispose()


def _load(engine: sa.Engine) -> tuple[Ledger, dict[str, int]]:
    ledger = Ledger()
    with engine.begin() as connection:
        state = {row.name: row.value for row in connection.execute(sa.select(_state))}
        if not state:
            state = {"format": _FORMAT, "journal": 0, "posting": 0}
            connection.execute(_state.insert(), [{"name": n, "value": v} for n, v in state.items()])
        if state["format"] != _FORMAT:
            raise Misconfigured([f"{_FILE} has format {state['format']}: delete it, it is made anew"])
        for key, blob in connection.execute(sa.select(_stream)):
            ledger.streams[key] = _STREAM_BOOK.decode(blob)
        for tenant, name, blob in connection.execute(sa.select(_agent)):
            ledger.agents[tenant, name] = _AGENT_BOOK.decode(blob)
    return ledger, {"journal": state["journal"], "posting": state["posting"]}
