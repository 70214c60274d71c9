"""The ledger's file: books, findings, what is still to be told to the gateway, and the cursors. SQLite.

Commit point: one transaction holds the books that a step changed, the findings that came of it, the outbox
and all cursors. A crash before it leaves the state of the step before, and the same entries are folded again.

All of it is a fold of the journal: a file that is damaged, gone or of another format is made anew. Books and
cursors carry a CRC-32, because SQLite itself does not notice a changed bit in them.

The outbox holds what the journal is to get through the gateway. Who posts removes a row once the gateway has
answered for it; a crash between the two leaves a row whose entry is in the journal, and the fold removes it
when it meets that entry.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.sqlite import insert

from gapless.failpoint import reached
from gapless.ledger.encoding import decode_agent, decode_stream, encode_book
from gapless.ledger.ledger import Ledger
from gapless.model.claim import Loss
from gapless.model.errors import UNDECODABLE, Unavailable
from gapless.model.finding import LASTING, Finding, FindingKind
from gapless.platform.auditor_damage import by_damage, check_of, remove_database, sealed, unsealed

_log = structlog.get_logger("gapless.ledger")

FORMAT = 5
FILE = "ledger.db"
_BUSY_TIMEOUT_S = 10.0
_IDS_MAX = 500  # in one question to the database

metadata = sa.MetaData()

#: ``format``; ``step`` counts the commits; ``journal``, ``posting`` and ``notice`` are the cursors;
#: ``folded`` is up to which id the lake had folded its postings when the first of them was read;
#: ``audited_us`` is the time as of which the books had caught up with the journal and were looked at;
#: ``told_us`` the time in the newest id of a finding; ``check`` the CRC-32 of all others.
state = sa.Table(
    "state",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

#: ``step`` is the one that changed the book last.
stream = sa.Table(
    "stream",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("step", sa.BigInteger, nullable=False, index=True),
    sa.Column("book", sa.LargeBinary, nullable=False),
)
agent = sa.Table(
    "agent",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("book", sa.LargeBinary, nullable=False),
)

#: Every finding there ever was. ``finding`` is its opening; ``closed_us`` is NULL while it is open.
finding = sa.Table(
    "finding",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("tenant", sa.String, nullable=False),
    sa.Column("table_name", sa.String, nullable=False),
    sa.Column("opened_us", sa.BigInteger, nullable=False, index=True),
    sa.Column("closed_us", sa.BigInteger, nullable=True),
    sa.Column("finding", sa.LargeBinary, nullable=False),
)

#: What is to be posted, in order. ``name`` tells it from every other message.
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("message", sa.LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

_INITIAL = {
    "format": FORMAT,
    "step": 0,
    "journal": 0,
    "posting": 0,
    "folded": 0,
    "notice": 0,
    "audited_us": 0,
    "told_us": 0,
}


class Message(NamedTuple):
    """A row of the outbox; ``message`` is JSON."""

    n: int
    kind: Literal["finding", "loss"]
    message: bytes


class Step(msgspec.Struct, kw_only=True):
    """What one step commits beside the changed books.

    ``told`` are findings, opened or closed, that the journal is to have; those known already are left out.
    ``grown`` are open ones with more records than before. ``journaled`` and ``journaled_losses`` are what the
    journal turned out to have.
    """

    cursors: dict[str, int]
    told: list[Finding] = msgspec.field(default_factory=list)
    grown: list[Finding] = msgspec.field(default_factory=list)
    journaled: list[Finding] = msgspec.field(default_factory=list)
    losses: list[Loss] = msgspec.field(default_factory=list)
    journaled_losses: list[str] = msgspec.field(default_factory=list)


def connect(directory: str, *, pooled: bool = True) -> sa.Engine:
    """An engine on the file in ``directory``. Writing transactions take the write lock when they begin, so
    that none has to be given up half-way; a commit returns once it is on disk. One that is not ``pooled``
    works on the file that is there at each transaction, be it another."""
    engine = sa.create_engine(
        f"sqlite:///{directory}/{FILE}",
        connect_args={"timeout": _BUSY_TIMEOUT_S},
        poolclass=None if pooled else sa.NullPool,
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver would begin transactions by itself, too late
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        writing = connection.get_execution_options().get("writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


class LedgerStore:
    """The file in ``directory``, for its one folding process: made where there is none, and made anew where
    it cannot be used. Raises Unavailable."""

    def __init__(self, directory: str) -> None:
        self._path = Path(directory, FILE)
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._damaged = ""
        self._open()

    def _open(self, *, anew: bool = False) -> None:
        self._engine = connect(str(self._path.parent))
        self._writer = self._engine.execution_options(writing=True)
        try:
            with self._writer.begin() as connection:
                metadata.create_all(connection)
                initial = _INITIAL | {"check": check_of(_INITIAL)}
                rows = [{"name": name, "value": value} for name, value in initial.items()]
                connection.execute(insert(state).on_conflict_do_nothing(), rows)
                found = read_state(connection)["format"]
            if found != FORMAT:
                raise ValueError(f"it has format {found}, not {FORMAT}")
        except (*UNDECODABLE, sa.exc.DatabaseError) as error:
            if anew or not by_damage(error):
                raise Unavailable("the books cannot be opened: will be tried again") from error
            return self._make_anew(str(error))
        self._file = self._found()

    def in_place(self) -> bool:
        """Whether the file is still the one that was opened, and nothing spoke against it."""
        return not self._damaged and self._found() == self._file

    def doubt(self, error: Exception) -> None:
        """Something failed with the file; ``load`` makes it anew if that was its own fault."""
        if by_damage(error):
            self._damaged = str(error)

    def discard(self, why: str) -> None:
        """The file is not to be gone on with: ``load`` makes it anew."""
        self._damaged = why

    def _found(self) -> tuple[int, int] | None:
        """The device and inode of the file that is there."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _make_anew(self, why: str) -> None:
        _log.warning("books_made_anew", path=str(self._path), why=why)
        self._engine.dispose()
        remove_database(self._path)
        self._damaged = ""
        self._open(anew=True)

    def close(self) -> None:
        self._engine.dispose()

    def load(self) -> tuple[Ledger, dict[str, int], list[Finding]]:
        """The books, the state, and the lasting findings that are open: those of a file that was just made,
        if there was none that could be used."""
        if not self.in_place():
            self._make_anew(self._damaged or "it is gone")
        try:
            return self._load()
        except (*UNDECODABLE, sa.exc.DatabaseError) as error:
            if not by_damage(error):
                raise
            self._make_anew(str(error))
            return self._load()

    def _load(self) -> tuple[Ledger, dict[str, int], list[Finding]]:
        ledger = Ledger()
        with self._engine.begin() as connection:
            values = read_state(connection)
            read_streams(connection, ledger, after_step=0)
            for tenant, name, book in connection.execute(sa.select(agent)):
                ledger.agents[tenant, name] = decode_agent(unsealed(book))
            lasting = sa.select(finding.c.finding).where(
                finding.c.closed_us.is_(None), finding.c.kind.in_(LASTING)
            )
            known = [msgspec.json.decode(row, type=Finding) for row in connection.scalars(lasting)]
        return ledger, values, known

    def unknown(self, findings: Sequence[Finding]) -> list[Finding]:
        """Those of ``findings`` that are not in the file."""
        if not findings:
            return []
        with self._engine.begin() as connection:
            known = _known(connection, {each.id for each in findings})
        return [each for each in findings if each.id not in known]

    def opened(self, kind: FindingKind) -> list[Finding]:
        """The findings of a kind that are open."""
        with self._engine.begin() as connection:
            query = sa.select(finding.c.finding).where(finding.c.kind == kind, finding.c.closed_us.is_(None))
            return [msgspec.json.decode(row, type=Finding) for row in connection.scalars(query)]

    def commit(self, ledger: Ledger, step: Step) -> None:
        """Keep a step, all of it or nothing; empties what the ledger notes as changed.

        Raises sqlalchemy.exc.DBAPIError; then what is in memory is ahead of what is kept.
        """
        with self._writer.begin() as connection:
            number = read_state(connection)["step"] + 1
            _keep_books(connection, ledger, number)
            _keep_findings(connection, step)
            for loss in step.losses:
                _send(connection, f"loss {loss.id}", "loss", msgspec.json.encode(loss))
            journaled = [f"{each.state} {each.id}" for each in step.journaled]
            journaled += [f"loss {id_}" for id_ in step.journaled_losses]
            for names in _chunks(journaled):
                connection.execute(outbox.delete().where(outbox.c.name.in_(names)))
            values = read_state(connection) | step.cursors | {"step": number}
            for name, value in {**values, "check": check_of(values)}.items():
                connection.execute(state.update().where(state.c.name == name).values(value=value))
            reached("ledger", "commit", Unavailable)
        reached("ledger", "committed", Unavailable)
        ledger.changed.clear()
        ledger.changed_agents.clear()


def read_state(connection: sa.Connection) -> dict[str, int]:
    """What stands in ``state``. Raises ValueError if it is not what was written."""
    values = {row.name: row.value for row in connection.execute(sa.select(state))}
    if values.pop("check", None) != check_of(values):
        raise ValueError("the cursors of the books are not what was written")
    return values


def read_streams(connection: sa.Connection, ledger: Ledger, *, after_step: int) -> None:
    """Put the books that changed after a step into ``ledger``."""
    changed = sa.select(stream.c.id, stream.c.book).where(stream.c.step > after_step)
    for id_, book in connection.execute(changed):
        ledger.streams[id_] = decode_stream(unsealed(book))


def _keep_books(connection: sa.Connection, ledger: Ledger, number: int) -> None:
    books = [
        {"id": id_, "step": number, "book": sealed(encode_book(ledger.streams[id_]))}
        for id_ in ledger.changed
    ]
    agents = [
        {"tenant": tenant, "name": name, "book": sealed(encode_book(ledger.agents[tenant, name]))}
        for tenant, name in ledger.changed_agents
    ]
    if books:
        put = insert(stream)
        new = {"book": put.excluded.book, "step": put.excluded.step}
        connection.execute(put.on_conflict_do_update(index_elements=["id"], set_=new), books)
    if agents:
        put = insert(agent)
        new = {"book": put.excluded.book}
        connection.execute(put.on_conflict_do_update(index_elements=["tenant", "name"], set_=new), agents)


def _keep_findings(connection: sa.Connection, step: Step) -> None:
    known = _known(connection, {each.id for each in (*step.told, *step.journaled)})
    for each in step.told:
        if each.state == "closed" or each.id not in known:
            _send(connection, f"{each.state} {each.id}", "finding", msgspec.json.encode(each))
    for each in (*step.journaled, *step.told):
        if each.id not in known:
            known.add(each.id)
            connection.execute(finding.insert(), _row(each))
        if each.state == "closed":
            still_open = (finding.c.id == each.id, finding.c.closed_us.is_(None))
            connection.execute(finding.update().where(*still_open).values(closed_us=each.at_us))
    for each in step.grown:
        encoded = msgspec.json.encode(each)
        connection.execute(finding.update().where(finding.c.id == each.id).values(finding=encoded))


def _send(connection: sa.Connection, name: str, kind: str, message: bytes) -> None:
    row = {"name": name, "kind": kind, "message": message}
    connection.execute(insert(outbox).on_conflict_do_nothing(), row)


def _known(connection: sa.Connection, ids: Iterable[str]) -> set[str]:
    return {
        id_
        for some in _chunks(list(ids))
        for id_ in connection.scalars(sa.select(finding.c.id).where(finding.c.id.in_(some)))
    }


def _chunks(names: list[str]) -> list[list[str]]:
    return [names[at : at + _IDS_MAX] for at in range(0, len(names), _IDS_MAX)]


def _row(each: Finding) -> dict[str, Any]:
    return {
        "id": each.id,
        "kind": each.kind,
        "tenant": each.tenant,
        "table_name": each.table,
        "opened_us": each.at_us,
        "closed_us": None,
        "finding": msgspec.json.encode(each),
    }
