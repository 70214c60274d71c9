"""Writing the catalogue: one owner at a time, one transaction for everything that belongs together.

Whoever opens the catalogue for writing takes it over: the generation goes up by one, and every transaction
of an earlier owner fails from then on. So an owner that was only thought dead can do no harm, and whatever
an earlier generation wrote and did not commit is known to be rubbish.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from gapless.failpoint import reached
from gapless.lake import accounts
from gapless.lake import catalog_schema as schema
from gapless.lake.catalog import Catalog, translated
from gapless.lake.changes import Mended, StepCommit
from gapless.lake.facts import Account, DataFile, FileRow, Notice
from gapless.lake.holdings import Ranges, count, decode, encode, merged
from gapless.lake.upgrade import upgrade
from gapless.log.disk import OsDisk
from gapless.model.errors import Busy, Corrupt, Unavailable
from gapless.model.ranges import Range
from gapless.model.tables import QUARANTINE

_BUSY_TIMEOUT_S = 30.0


class Fenced(Unavailable):
    """Another process took the lake over: this one must stop, trying again cannot help."""


class CatalogWriter(Catalog):
    """The catalogue in directory ``root``, created where there is none, and taken over from whoever had it.

    Safe to use from several threads. Methods raise Fenced once somebody else took over, Unavailable when the
    database does not answer (what they were to do may then have been done: read before trying again), and
    Corrupt, with nothing done, for what would break the books.
    """

    def __init__(self, root: str) -> None:
        super().__init__(root)
        disk = OsDisk()
        disk.make_dirs(root)
        self._writer = schema.connect(root, writable=True, busy_timeout_s=_BUSY_TIMEOUT_S)
        with translated(), self._writer.begin() as connection:
            schema.metadata.create_all(connection)
            if connection.execute(sa.select(schema.lake)).first() is None:
                connection.execute(
                    schema.lake.insert().values(
                        id=1, format=schema.FORMAT, generation=0, position=0, folded_id=0
                    )
                )
                schema.begin_ids(connection, time.time())
            upgrade(connection, root)
            self._check_format(connection)
            connection.execute(schema.lake.update().values(generation=schema.lake.c.generation + 1))
            self.generation = int(connection.scalars(sa.select(schema.lake.c.generation)).one())
        disk.sync_dir(root)

    def close(self) -> None:
        self._writer.dispose()
        super().close()

    def commit_step(self, step: StepCommit, now_us: int, mended: Mended | None = None) -> None:
        """Make a step's files part of their tables, post it, and move the cursor. With ``mended`` it is a
        step over what a damaged file held.

        The files must be durable. Fails as Fenced if the cursor is not where the step began.
        """
        step.check()
        # A crash before this commit leaves files that the catalogue does not know: the next owner's sweep
        # removes them, and the step is done again from the same cursor. After it, all of it is done.
        with self.writing(schema.lake.c.position == step.position, position=step.until) as connection:
            ids = accounts.enter(connection, step, now_us)
            named = {(key.stream, key.epoch): id_ for key, id_ in ids.items()}
            for file in step.files:
                holds = {named[epoch]: ranges for epoch, ranges in file.holds.items()}
                self._add_file(connection, file, step.span, holds, now_us)
            self._add_notices(connection, step.notices, now_us)
            if mended is not None:
                self._mend(connection, mended, now_us)
            reached("lake", "step", Unavailable)
        reached("lake", "stepped", Unavailable)

    def swap(self, removed: Sequence[FileRow], added: DataFile, now_us: int) -> None:
        """Put one file, durable already, in the place of files that hold the same rows."""
        if sum(file.records for file in removed) != added.records:
            raise Corrupt(f"{added.path} does not hold what it should replace: stop the lake and report this")
        # A crash before this commit leaves the new file to the next owner's sweep; one after it leaves the
        # old files, which are unlinked when their grace is over.
        span = min(file.position for file in removed), max(file.until for file in removed)
        with self.writing() as connection:
            holds = self._remove_files(connection, removed, now_us)
            self._add_file(connection, added, span, holds, now_us)
            reached("lake", "swap", Unavailable)
        reached("lake", "swapped", Unavailable)

    def expire(self, removed: Sequence[FileRow], now_us: int) -> int:
        """Take files out of their table and post their records as expired. Returns how many that were."""
        # A crash before this commit changes nothing; after it, files are unlinked when their grace is over.
        with self.writing() as connection:
            holds = self._remove_files(connection, removed, now_us)
            accounts.post(connection, "expired", holds, now_us)
            expired = {id_: Counter(expired=count([ranges])) for id_, ranges in holds.items()}
            accounts.add_to_counts(connection, expired)
        return count(holds.values())

    def condemn(self, file: FileRow, fault: str, now_us: int) -> None:
        """Take a damaged file out of its table, and what it held out of the books, until that is made again.
        Raises Busy if it left its table meanwhile."""
        account: Account = "quarantined" if file.table == QUARANTINE.name else "stored"
        # A crash before this commit changes nothing: the file is found again. After it the file is mended.
        with self.writing() as connection:
            holds = self._remove_files(connection, [file], now_us)
            connection.execute(schema.damaged.insert(), {
                "tenant": file.tenant, "table_name": file.table, "path": self._relative(file),
                "records": file.records, "min_us": file.min_us, "max_us": file.max_us,
                "position": file.position, "until": file.until, "holds": encode(holds),
            })  # fmt: skip
            for epoch_id, ranges in holds.items():
                accounts.release(connection, epoch_id, ranges)
            accounts.post(connection, "withdrawn", holds, now_us)
            withdrawn = {id_: Counter[str]({account: -count([ranges])}) for id_, ranges in holds.items()}
            accounts.add_to_counts(connection, withdrawn)
            text = f"file {self._relative(file)} with {file.records} records: {fault}; it is made again"
            notice = Notice("file_damaged", text, 0, 0, file.tenant, file.table, self._relative(file))
            self._add_notices(connection, [notice], now_us)
            reached("lake", "condemn", Unavailable)
        reached("lake", "condemned", Unavailable)

    def add_notice(self, notice: Notice, now_us: int) -> None:
        with self.writing() as connection:
            self._add_notices(connection, [notice], now_us)

    def removed_before(self, at_us: int) -> list[str]:
        """The files (paths relative to ``root``) that left their tables before ``at_us``."""
        with self.reading() as connection:
            return list(
                connection.scalars(
                    sa.select(schema.removed_file.c.path).where(schema.removed_file.c.removed_us < at_us)
                )
            )

    def forget(self, paths: Sequence[str]) -> None:
        """Forget removed files, which were unlinked."""
        if paths:
            path = schema.removed_file.c.path
            with self.writing() as connection:
                connection.execute(
                    schema.removed_file.delete().where(path == sa.bindparam("gone")),
                    [{"gone": each} for each in paths],
                )

    @contextmanager
    def writing(self, *conditions: sa.ColumnElement[bool], **changes: int) -> Iterator[sa.Connection]:
        """A transaction of this generation, which may also change the one row of `lake`.

        It locks that row first, so that transactions, and the ids they give, come one after the other.
        """
        lake = schema.lake.c
        fence = (
            schema.lake.update()
            .where(lake.generation == self.generation, *conditions)
            .values(generation=self.generation, **changes)
        )
        with translated(), self._writer.begin() as connection:
            if connection.execute(fence).rowcount != 1:
                raise Fenced("another process writes this lake now: stop this one")
            yield connection

    def _add_file(
        self,
        connection: sa.Connection,
        file: DataFile,
        span: Range,
        holds: Mapping[int, Ranges],
        now_us: int,
    ) -> None:
        row = {field.name: getattr(file, field.name) for field in fields(DataFile)}
        row["table_name"] = row.pop("table")
        more = {"added_us": now_us, "position": span[0], "until": span[1], "holds": encode(holds)}
        connection.execute(schema.file.insert(), row | more)

    def _remove_files(
        self, connection: sa.Connection, files: Sequence[FileRow], now_us: int
    ) -> dict[int, Ranges]:
        """Take files out of their tables; return what they hold together. Raises Busy if one has left."""
        gone = schema.file.delete().where(schema.file.c.id == sa.bindparam("of"))
        holds = []
        for file in files:
            held = connection.scalar(gone.returning(schema.file.c.holds), {"of": file.id})
            if held is None:
                raise Busy(f"{file.path} left its table meanwhile: look at the table's files again")
            holds.append(decode(held))
            removed = {"path": self._relative(file), "removed_us": now_us}
            connection.execute(schema.removed_file.insert(), removed)
        return merged(holds)

    def _relative(self, file: FileRow) -> str:
        return file.path.removeprefix(f"{self.root}/")

    def _mend(self, connection: sa.Connection, mended: Mended, now_us: int) -> None:
        of = schema.damaged.c.id == mended.damaged.id
        if mended.lost is None:
            connection.execute(schema.damaged.update().where(of).values(position=mended.position))
            return
        connection.execute(schema.damaged.delete().where(of))
        accounts.post(connection, "lost", mended.lost, now_us)
        file, lost = mended.damaged, count(mended.lost.values())
        text = f"file {file.path}: {file.records - lost} of its {file.records} records were made again"
        text += f", {lost} are lost: the journal does not have them any more" if lost else ""
        notice = Notice("file_mended", text, 0, 0, file.tenant, file.table, file.path)
        self._add_notices(connection, [notice], now_us)

    def _add_notices(self, connection: sa.Connection, notices: Sequence[Notice], now_us: int) -> None:
        if notices:
            rows: list[dict[str, Any]] = [notice._asdict() for notice in notices]
            for row in rows:
                row["table_name"] = row.pop("table")
                row["at_us"] = now_us
            connection.execute(schema.notice.insert(), rows)
