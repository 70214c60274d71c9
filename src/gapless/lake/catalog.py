"""Reading the catalogue: from any process, while the lake is being written.

Every method is one short read of one consistent state. Paths in results are absolute.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from gapless.lake import catalog_schema as schema
from gapless.lake.facts import (
    Damaged,
    EpochKey,
    FileRow,
    Notice,
    NoticeRow,
    Posted,
    Posting,
    TableContent,
    Window,
)
from gapless.lake.holdings import decode
from gapless.model.errors import Corrupt, Misconfigured, Unavailable
from gapless.model.ranges import RangeSet

_BUSY_TIMEOUT_S = 10.0


@contextmanager
def translated() -> Iterator[None]:
    """Turn the database's errors into ours."""
    try:
        yield
    except sa.exc.OperationalError as error:
        raise Unavailable(f"the lake's catalogue does not answer, try again: {error.orig}") from error
    except sa.exc.DatabaseError as error:
        if type(error.orig) is sqlite3.DatabaseError:  # as "not a database" and "malformed" are said
            raise Corrupt(
                f"the lake's {schema.CATALOG_NAME} is damaged ({error.orig}): stop the platform and "
                "remove it, and the lake is made again from the journal"
            ) from error
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
        """The names of the tables in which the tenant has rows, or had and will have again, sorted."""
        names = sa.union(
            *(
                sa.select(each.c.table_name).where(each.c.tenant == tenant)
                for each in (schema.file, schema.damaged)
            )
        )
        with self.reading() as connection:
            return sorted(connection.scalars(names))

    def files(
        self, tenant: str, table: str, from_us: int | None = None, to_us: int | None = None
    ) -> list[FileRow]:
        """The files of ``content``."""
        return self.content(tenant, table, from_us, to_us).files

    def content(
        self, tenant: str, table: str, from_us: int | None = None, to_us: int | None = None
    ) -> TableContent:
        """The files that may hold rows of the tenant's table with ``TimeGenerated`` in ``[from_us, to_us)``
        (None: no bound), oldest first, and how many such records may be missing with damaged files. The files
        can be read for at least the unlink grace after this call."""
        file, damaged = schema.file.c, schema.damaged.c
        files = self._files(*_within(file, tenant, table, from_us, to_us)).order_by(file.min_us, file.id)
        missing = sa.select(sa.func.coalesce(sa.func.sum(damaged.records), 0))
        with self.reading() as connection:
            rows = self._rows_of(connection, files)
            lacking = connection.scalars(
                missing.where(*_within(damaged, tenant, table, from_us, to_us))
            ).one()
        return TableContent(rows, int(lacking))

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
        return self.posted_after(id_, limit).postings

    def posted_after(self, id_: int, limit: int) -> Posted:
        """``postings_after``, and up to which id postings were folded at that moment."""
        posting = schema.posting.c
        with self.reading() as connection:
            folded_id = connection.scalars(sa.select(schema.lake.c.folded_id)).one()
            rows = connection.execute(
                self._postings().where(posting.id > id_).order_by(posting.id).limit(limit)
            )
            return Posted([Posting(*row) for row in rows], folded_id)

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
                NoticeRow(id_, at_us, Notice(kind, text, position, until, tenant, table, path))
                for id_, at_us, kind, tenant, table, position, until, text, path in found
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

    def files_after(self, id_: int, limit: int) -> list[FileRow]:
        """Up to ``limit`` files of all tables with an id above ``id_``, in the order of their ids."""
        columns = schema.file.c
        return self._file_rows(self._files(columns.id > id_).order_by(columns.id).limit(limit))

    def needed_from(self) -> int:
        """The journal position from which on the lake needs the records of batches: those that it has not
        taken in, and those that it would make a damaged file from."""
        positions = [sa.select(each.c.position) for each in (schema.lake, schema.file, schema.damaged)]
        needed = sa.union_all(*positions).subquery()
        with self.reading() as connection:
            return int(connection.scalars(sa.select(sa.func.min(needed.c.position))).one())

    def last_file_id(self) -> int:
        """The highest id of a file; 0 while there is none."""
        with self.reading() as connection:
            return connection.scalar(sa.select(sa.func.max(schema.file.c.id))) or 0

    def first_damaged(self) -> Damaged | None:
        """The damaged file that has waited longest, if there is one."""
        columns = schema.damaged.c
        query = sa.select(
            columns.id, columns.tenant, columns.table_name, columns.path, columns.records, columns.position,
            columns.until, columns.holds,
        ).order_by(columns.id).limit(1)  # fmt: skip
        with self.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else Damaged(*row[:7], decode(row.holds))

    def damaged_files(self) -> list[tuple[str, str, str]]:
        """The tenant, table and path, relative to ``root``, of each damaged file."""
        columns = schema.damaged.c
        query = sa.select(columns.tenant, columns.table_name, columns.path)
        with self.reading() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(query)]

    def epochs(self, ids: Iterable[int]) -> dict[int, EpochKey]:
        """The epochs with these ids, and whose they are."""
        columns = schema.epoch.c
        query = sa.select(columns.tenant, columns.table_name, columns.stream, columns.epoch)
        with self.reading() as connection:
            return {id_: EpochKey(*connection.execute(query.where(columns.id == id_)).one()) for id_ in ids}

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
            columns.tenant, columns.table_name, columns.day, columns.path, columns.rows, columns.records,
            columns.bytes, columns.min_us, columns.max_us, columns.received_us, columns.digest, columns.id,
            columns.added_us, columns.position, columns.until,
        ).where(*conditions)  # fmt: skip

    def _file_rows(self, query: sa.Select[Any]) -> list[FileRow]:
        with self.reading() as connection:
            return self._rows_of(connection, query)

    def _rows_of(self, connection: sa.Connection, query: sa.Select[Any]) -> list[FileRow]:
        found = []
        for tenant, table, day, path, *more in connection.execute(query):
            found.append(FileRow(tenant, table, day, f"{self.root}/{path}", *more))
        return found

    def _postings(self) -> sa.Select[Any]:
        posting, epoch = schema.posting.c, schema.epoch.c
        return sa.select(
            posting.id, epoch.stream, epoch.epoch, posting.account, posting.first, posting.next,
            posting.at_us, posting.position, posting.until,
        ).join(schema.epoch, epoch.id == posting.epoch_id)  # fmt: skip


def _within(
    columns: Any, tenant: str, table: str, from_us: int | None, to_us: int | None
) -> Iterator[sa.ColumnElement[bool]]:
    """Conditions: a table's, and with times that may be in ``[from_us, to_us)``."""
    yield columns.tenant == tenant
    yield columns.table_name == table
    if from_us is not None:
        yield columns.max_us >= from_us
    if to_us is not None:
        yield columns.min_us < to_us
