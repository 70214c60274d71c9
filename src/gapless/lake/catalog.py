"""Reading the catalogue: from any process, while the lake is being written.

Every method is one short read of one consistent state. Paths in results are absolute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import sqlalchemy as sa

from gapless.lake import catalog_schema as schema
from gapless.model.errors import Corrupt, Misconfigured, Unavailable
from gapless.model.ranges import RangeSet

Account = Literal["stored", "quarantined", "expired"]

#: The day of files whose rows are of too many days for a file each.
MIXED_DAYS = "mixed"

_BUSY_TIMEOUT_S = 10.0


class FileRow(NamedTuple):
    """A Parquet file of a table. ``records`` is what it accounts for in the books: ``rows``, except where one
    quarantined row stands for a whole batch. Times are of ``TimeGenerated`` (first and last, inclusive);
    ``received_us`` is the last ``_IngestionTime``, ``added_us`` when the file was committed."""

    id: int
    tenant: str
    table: str
    day: str
    path: str
    rows: int
    records: int
    bytes: int
    min_us: int
    max_us: int
    received_us: int
    added_us: int


class Posting(NamedTuple):
    """``[first, next)`` of an epoch came to rest in ``account``, at ``at_us``.

    They came in the batches that stand in the journal from ``position`` on and before ``until``: whoever
    compares this with the journal must have read it up to ``until``. For "expired", which no batch caused,
    both are the journal cursor of that moment.
    """

    id: int
    stream: str
    epoch: str
    account: Account
    first: int
    next: int
    at_us: int
    position: int
    until: int


class Notice(NamedTuple):
    """Something an operator should know. Positions are of the journal, 0 where it is not about the journal;
    ``tenant`` and ``table`` are empty where they are not known."""

    kind: str
    text: str
    position: int = 0
    until: int = 0
    tenant: str = ""
    table: str = ""


class NoticeRow(NamedTuple):
    """A notice as it was committed."""

    id: int
    at_us: int
    notice: Notice


class Window(NamedTuple):
    """A part ``[first, next)`` of an epoch that is asked about."""

    stream: str
    epoch: str
    first: int
    next: int


@contextmanager
def translated() -> Iterator[None]:
    """Turn the database's errors into ours."""
    try:
        yield
    except sa.exc.OperationalError as error:
        raise Unavailable(f"the lake's catalogue does not answer, try again: {error.orig}") from error
    except sa.exc.DatabaseError as error:
        raise Corrupt(f"the lake's catalogue contradicts itself, stop and audit it: {error.orig}") from error


class Catalog:
    """The catalogue of the lake in directory ``root``, read-only. Safe to use from several threads.

    Raises Unavailable (from any method) while there is no catalogue or it does not answer, Misconfigured if
    it has a format that this program does not know.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._engine = schema.connect(root, writable=False, busy_timeout_s=_BUSY_TIMEOUT_S)
        self._format_checked = False

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the catalogue."""
        with translated(), self._engine.begin() as connection:
            if not self._format_checked:
                self._check_format(connection)
            yield connection

    def _check_format(self, connection: sa.Connection) -> None:
        found = connection.scalar(sa.select(schema.lake.c.format))
        if found != schema.FORMAT:
            fault = f"the lake in {self.root} has format {found}, not {schema.FORMAT}"
            raise Misconfigured([f"{fault}: use the version of this program that wrote it"])
        self._format_checked = True

    def position(self) -> int:
        """The journal cursor: everything before it is in the lake, or in a notice."""
        with self.reading() as connection:
            return int(connection.scalars(sa.select(schema.lake.c.position)).one())

    def tables(self, tenant: str) -> list[str]:
        """The names of the tables in which the tenant has rows, sorted."""
        name = schema.file.c.table_name
        with self.reading() as connection:
            return list(
                connection.scalars(
                    sa.select(name).where(schema.file.c.tenant == tenant).distinct().order_by(name)
                )
            )

    def files(
        self, tenant: str, table: str, from_us: int | None = None, to_us: int | None = None
    ) -> list[FileRow]:
        """The files that may hold rows of the tenant's table with ``TimeGenerated`` in ``[from_us, to_us)``
        (None: no bound), oldest first. They can be read for at least the unlink grace after this call."""
        columns = schema.file.c
        query = self._files(columns.tenant == tenant, columns.table_name == table)
        if from_us is not None:
            query = query.where(columns.max_us >= from_us)
        if to_us is not None:
            query = query.where(columns.min_us < to_us)
        return self._file_rows(query.order_by(columns.min_us, columns.id))

    def files_of_day(self, tenant: str, table: str, day: str) -> list[FileRow]:
        """The files of one partition, oldest first."""
        columns = schema.file.c
        query = self._files(columns.tenant == tenant, columns.table_name == table, columns.day == day)
        return self._file_rows(query.order_by(columns.min_us, columns.id))

    def files_received_before(self, at_us: int) -> list[FileRow]:
        """The files of every tenant of which no row was received at or after ``at_us``."""
        columns = schema.file.c
        query = self._files(columns.received_us < at_us)
        return self._file_rows(query.order_by(columns.tenant, columns.table_name, columns.day, columns.id))

    def postings_after(self, id_: int, limit: int) -> list[Posting]:
        """Up to ``limit`` postings with an id above ``id_``, in the order in which they were committed."""
        posting = schema.posting.c
        with self.reading() as connection:
            rows = connection.execute(
                self._postings().where(posting.id > id_).order_by(posting.id).limit(limit)
            )
            return [Posting(*row) for row in rows]

    def postings_of(self, stream: str, epoch: str, seq: int) -> list[Posting]:
        """The postings of one record, oldest first."""
        posting = schema.posting.c
        with self.reading() as connection:
            rows = connection.execute(
                self._postings()
                .where(schema.epoch.c.stream == stream, schema.epoch.c.epoch == epoch)
                .where(posting.first <= seq, posting.next > seq)
                .order_by(posting.id)
            )
            return [Posting(*row) for row in rows]

    def notices_after(self, id_: int, limit: int) -> list[NoticeRow]:
        """Up to ``limit`` notices with an id above ``id_``, oldest first."""
        row = schema.notice.c
        with self.reading() as connection:
            found = connection.execute(
                sa.select(schema.notice).where(row.id > id_).order_by(row.id).limit(limit)
            )
            return [
                NoticeRow(id_, at_us, Notice(kind, text, position, until, tenant, table))
                for id_, at_us, kind, tenant, table, position, until, text in found
            ]

    def accounted(self, windows: Iterable[Window]) -> dict[tuple[str, str], RangeSet]:
        """The seqs accounted for by (stream, epoch): all of them within the windows, else perhaps not."""
        accounted, epoch = schema.accounted.c, schema.epoch.c
        query = (
            sa.select(accounted.first, accounted.next)
            .join(schema.epoch, epoch.id == accounted.epoch_id)
            .where(epoch.stream == sa.bindparam("of_stream"), epoch.epoch == sa.bindparam("of_epoch"))
            .where(accounted.next > sa.bindparam("from_seq"), accounted.first < sa.bindparam("to_seq"))
        )
        found: dict[tuple[str, str], RangeSet] = {}
        with self.reading() as connection:
            for window in windows:
                rows = connection.execute(query, {
                    "of_stream": window.stream, "of_epoch": window.epoch,
                    "from_seq": window.first, "to_seq": window.next,
                })  # fmt: skip
                ranges = found.setdefault((window.stream, window.epoch), RangeSet())
                ranges.update((row.first, row.next) for row in rows)
        return found

    def known_paths(self, tenant: str, table: str) -> set[str]:
        """The paths, relative to ``root``, of the files that are part of the tenant's table, and of all files
        that wait to be unlinked."""
        file = schema.file.c
        part = sa.select(file.path).where(file.tenant == tenant, file.table_name == table)
        with self.reading() as connection:
            return set(connection.scalars(sa.union_all(part, sa.select(schema.removed_file.c.path))))

    def partitions_added_after(self, id_: int) -> tuple[list[tuple[str, str, str]], int]:
        """The partitions (tenant, table, day) that got files with an id above ``id_``, and the last id."""
        columns = schema.file.c
        with self.reading() as connection:
            rows = connection.execute(
                sa.select(columns.tenant, columns.table_name, columns.day, sa.func.max(columns.id))
                .where(columns.id > id_)
                .group_by(columns.tenant, columns.table_name, columns.day)
            ).all()
        return [(row[0], row[1], row[2]) for row in rows], max((row[3] for row in rows), default=id_)

    def _files(self, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
        columns = schema.file.c
        return sa.select(
            columns.id, columns.tenant, columns.table_name, columns.day, columns.path, columns.rows,
            columns.records, columns.bytes, columns.min_us, columns.max_us, columns.received_us,
            columns.added_us,
        ).where(*conditions)  # fmt: skip

    def _file_rows(self, query: sa.Select[Any]) -> list[FileRow]:
        with self.reading() as connection:
            rows = [FileRow(*row) for row in connection.execute(query)]
        return [row._replace(path=f"{self.root}/{row.path}") for row in rows]

    def _postings(self) -> sa.Select[Any]:
        posting, epoch = schema.posting.c, schema.epoch.c
        return sa.select(
            posting.id, epoch.stream, epoch.epoch, posting.account, posting.first, posting.next,
            posting.at_us, posting.position, posting.until,
        ).join(schema.epoch, epoch.id == posting.epoch_id)  # fmt: skip
