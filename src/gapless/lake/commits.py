"""Writing the catalogue: one owner at a time, one transaction for everything that belongs together.

Whoever opens the catalogue for writing takes it over: the generation goes up by one, and every transaction
of an earlier owner fails from then on. So an owner that was only thought dead can do no harm, and whatever
an earlier generation wrote and did not commit is known to be rubbish.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from gapless.failpoint import reached
from gapless.lake import catalog_schema as schema
from gapless.lake.catalog import Catalog, FileRow, Notice, translated
from gapless.lake.changes import EpochKey, NewFile, NewPosting, StepCommit
from gapless.log.disk import OsDisk
from gapless.model.errors import Busy, Corrupt, Unavailable
from gapless.model.ranges import Range, RangeSet

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
            self._check_format(connection)
            connection.execute(schema.lake.update().values(generation=schema.lake.c.generation + 1))
            self.generation = int(connection.scalars(sa.select(schema.lake.c.generation)).one())
        disk.sync_dir(root)

    def close(self) -> None:
        self._writer.dispose()
        super().close()

    def commit_step(self, step: StepCommit, now_us: int) -> None:
        """Make a step's files part of their tables, post it, and move the cursor.

        The files must be durable. Fails as Fenced if the cursor is not where the step began.
        """
        step.check()
        # A crash before this commit leaves files that the catalogue does not know: the next owner's sweep
        # removes them, and the step is done again from the same cursor. After it, all of it is done.
        with self.writing(schema.lake.c.position == step.position, position=step.until) as connection:
            ids = self._epoch_ids(connection, step)
            self._account(connection, ids, step.postings)
            self._post(connection, ids, step.postings, now_us)
            self._count(connection, ids, step)
            self._add_files(connection, step.files, now_us)
            self._add_notices(connection, step.notices, now_us)
            reached("lake", "step", Unavailable)
        reached("lake", "stepped", Unavailable)

    def swap(self, removed: Sequence[FileRow], added: NewFile, now_us: int) -> None:
        """Put one file, durable already, in the place of files that hold the same rows."""
        if sum(file.records for file in removed) != added.records:
            raise Corrupt(f"{added.path} does not hold what it should replace: stop the lake and report this")
        # A crash before this commit leaves the new file to the next owner's sweep; one after it leaves the
        # old files, which are unlinked when their grace is over.
        with self.writing() as connection:
            self._remove_files(connection, removed, now_us)
            self._add_files(connection, [added], now_us)
            reached("lake", "swap", Unavailable)
        reached("lake", "swapped", Unavailable)

    def expire(
        self, removed: Sequence[FileRow], ranges: Iterable[tuple[str, str, int, int]], now_us: int
    ) -> int:
        """Take files out of their table and post their records, given as (stream, epoch, first, next), as
        expired. Returns how many records that were."""
        held = sum(file.records for file in removed)
        expired: dict[int, Counter[str]] = defaultdict(Counter)
        # A crash before this commit changes nothing; after it, files are unlinked when their grace is over.
        with self.writing() as connection:
            position = connection.scalars(sa.select(schema.lake.c.position)).one()
            for stream, epoch, first, next_ in ranges:
                epoch_id = self._epoch_id(connection, stream, epoch)
                if epoch_id is None:
                    raise Corrupt(f"{removed[0].path} holds epoch {epoch}, which the catalogue does not know")
                connection.execute(schema.posting.insert(), {
                    "epoch_id": epoch_id, "account": "expired", "first": first, "next": next_,
                    "at_us": now_us, "position": position, "until": position,
                })  # fmt: skip
                expired[epoch_id]["expired"] += next_ - first
            self._bump(connection, expired)
            total = sum(count["expired"] for count in expired.values())
            if total != held:
                raise Corrupt(f"files that should hold {held} records hold {total}: stop and audit")
            self._remove_files(connection, removed, now_us)
        return held

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

    def _epoch_id(self, connection: sa.Connection, stream: str, epoch: str) -> int | None:
        columns = schema.epoch.c
        query = sa.select(columns.id).where(columns.stream == stream, columns.epoch == epoch)
        return connection.scalars(query).one_or_none()

    def _epoch_ids(self, connection: sa.Connection, step: StepCommit) -> dict[EpochKey, int]:
        ids = {}
        for key in dict.fromkeys([*(posting.key for posting in step.postings), *step.duplicates]):
            known = self._epoch_id(connection, key.stream, key.epoch)
            if known is None:
                known = connection.scalars(schema.epoch.insert().returning(schema.epoch.c.id), {
                    "stream": key.stream, "epoch": key.epoch, "tenant": key.tenant, "table_name": key.table,
                    "stored": 0, "quarantined": 0, "expired": 0, "duplicates": 0,
                }).one()  # fmt: skip
            ids[key] = known
        return ids

    def _account(
        self, connection: sa.Connection, ids: dict[EpochKey, int], postings: Sequence[NewPosting]
    ) -> None:
        taken: dict[EpochKey, RangeSet] = defaultdict(RangeSet)
        for posting in postings:
            if taken[posting.key].add(posting.first, posting.next) != posting.next - posting.first:
                raise Corrupt(f"a step posts {posting} twice: stop the lake and report this")
        for key, ranges in taken.items():
            for each in ranges:
                self._extend(connection, ids[key], each)

    def _extend(self, connection: sa.Connection, epoch_id: int, new: Range) -> None:
        """Add a range to those accounted for. Raises Corrupt if any of it is among them already."""
        first, next_ = new
        columns = schema.accounted.c
        adjoining = (columns.epoch_id == epoch_id, columns.next >= first, columns.first <= next_)
        found = [(row.first, row.next) for row in connection.execute(
            sa.select(columns.first, columns.next).where(*adjoining)
        )]  # fmt: skip
        merged = RangeSet(found)
        if merged.add(first, next_) != next_ - first:
            raise Corrupt(f"records of [{first}, {next_}) would be stored twice: stop the lake, report this")
        if found:
            connection.execute(schema.accounted.delete().where(*adjoining))
        ((merged_first, merged_next),) = merged
        connection.execute(
            schema.accounted.insert(), {"epoch_id": epoch_id, "first": merged_first, "next": merged_next}
        )

    def _post(
        self, connection: sa.Connection, ids: dict[EpochKey, int], postings: Sequence[NewPosting], now_us: int
    ) -> None:
        if postings:
            connection.execute(schema.posting.insert(), [
                {
                    "epoch_id": ids[each.key], "account": each.account, "first": each.first,
                    "next": each.next, "at_us": now_us, "position": each.position, "until": each.until,
                }
                for each in postings
            ])  # fmt: skip

    def _count(self, connection: sa.Connection, ids: dict[EpochKey, int], step: StepCommit) -> None:
        counts: dict[int, Counter[str]] = defaultdict(Counter)
        for posting in step.postings:
            counts[ids[posting.key]][posting.account] += posting.next - posting.first
        for key, duplicates in step.duplicates.items():
            counts[ids[key]]["duplicates"] += duplicates
        self._bump(connection, counts)

    def _bump(self, connection: sa.Connection, counts: dict[int, Counter[str]]) -> None:
        names = ("stored", "quarantined", "expired", "duplicates")
        columns = schema.epoch.c
        if counts:
            connection.execute(
                schema.epoch.update()
                .where(columns.id == sa.bindparam("of"))
                .values({name: columns[name] + sa.bindparam(f"more_{name}") for name in names}),
                [
                    {"of": id_, **{f"more_{name}": count[name] for name in names}}
                    for id_, count in counts.items()
                ],
            )

    def _add_files(self, connection: sa.Connection, files: Sequence[NewFile], now_us: int) -> None:
        if files:
            rows: list[dict[str, Any]] = [file._asdict() for file in files]
            for row in rows:
                row["table_name"] = row.pop("table")
                row["added_us"] = now_us
            connection.execute(schema.file.insert(), rows)

    def _remove_files(self, connection: sa.Connection, files: Sequence[FileRow], now_us: int) -> None:
        for file in files:
            gone = connection.execute(schema.file.delete().where(schema.file.c.id == file.id)).rowcount
            if gone != 1:
                raise Busy(f"{file.path} left its table meanwhile: look at the table's files again")
            path = file.path.removeprefix(f"{self.root}/")
            connection.execute(schema.removed_file.insert(), {"path": path, "removed_us": now_us})

    def _add_notices(self, connection: sa.Connection, notices: Sequence[Notice], now_us: int) -> None:
        if notices:
            rows: list[dict[str, Any]] = [notice._asdict() for notice in notices]
            for row in rows:
                row["table_name"] = row.pop("table")
                row["at_us"] = now_us
            connection.execute(schema.notice.insert(), rows)
