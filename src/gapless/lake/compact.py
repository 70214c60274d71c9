"""Compaction: many small fresh files of a table and day become few sorted ones, with the same rows exactly.

Files belong to tiers by size, each four times the one before. A day that is still being written to is
compacted when a tier has ``fresh_files_max`` files, one that has settled as soon as a tier has two. So a row
is rewritten a few times at most, and the files of a day are few: some of each tier, and the full ones, which
are left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import duckdb

from gapless.failpoint import reached
from gapless.lake.checks import Checker
from gapless.lake.commits import CatalogWriter
from gapless.lake.engine import TooLarge, engine, quote, rows_of
from gapless.lake.facts import DataFile, FileRow, Notice
from gapless.lake.files import TableFiles
from gapless.lake.limits import CompactionLimits
from gapless.model.errors import Busy, Corrupt, Unavailable

_TIER_BYTES = 64 * 1024
_PUT_OFF_US = 3_600_000_000  # a day whose files cannot be compacted is looked at again after this

#: What rows are sorted by before their time: the first of these that the table has. Whoever looks for one
#: user's, caller's or workflow's records then reads a few row groups of a day.
_SORT_COLUMNS = (
    "UserPrincipalName",
    "UserId",
    "UserName",
    "ActorUserId",
    "Caller",
    "CallerPrincipalName",
    "ServicePrincipalId",
    "WorkflowName",
    "_Stream",
)


class CompactReport(NamedTuple):
    """One compaction: ``files`` files of ``bytes_before`` became one of ``bytes_after``."""

    tenant: str
    table: str
    day: str
    files: int
    rows: int
    bytes_before: int
    bytes_after: int


class _Content(NamedTuple):
    """What files hold, whatever the order of their rows: the sum is over a hash of each whole row."""

    rows: int
    sum: int
    min_us: int
    max_us: int
    received_us: int


_Day = tuple[str, str, str]  # tenant, table, day


class Compactor:
    """Compacts what the catalogue lists. Not thread-safe; it may run beside the writer's steps."""

    def __init__(
        self,
        catalog: CatalogWriter,
        files: TableFiles,
        checker: Checker,
        limits: CompactionLimits,
        spill_directory: str,
    ) -> None:
        self._catalog = catalog
        self._files = files
        self._checker = checker
        self._limits = limits.check()
        self._spill_directory = spill_directory
        self._seen_id = 0
        self._due_us: dict[_Day, int] = {}  # the days that may want compaction, and when to look

    def compact_one(self, now_us: int) -> CompactReport | None:
        """Do the most useful compaction that is due; None if there is none.

        A day whose files cannot be compacted is put off, with a notice. Raises Unavailable if the catalogue
        does not answer, Fenced if another process took over.
        """
        days, self._seen_id = self._catalog.partitions_added_after(self._seen_id)
        for day in days:
            self._due_us.setdefault(day, now_us)
        for day in [day for day, due_us in self._due_us.items() if due_us <= now_us]:
            files = self._catalog.files_of_day(*day)
            chosen = self._choose(files, now_us)
            if chosen:
                return self._compact(day, chosen, now_us)
            self._look_later(day, files, now_us)
        return None

    def _choose(self, files: Sequence[FileRow], now_us: int) -> list[FileRow]:
        """Files to make one of: a tier that has too many and those below it, the oldest rows first."""
        small = [file for file in files if file.bytes < self._limits.input_bytes_max // 2]
        counts = Counter(_tier(file.bytes) for file in small)
        enough = 2 if self._settles_us(files) <= now_us else self._limits.fresh_files_max
        for tier in sorted(counts):
            if counts[tier] >= enough:
                return self._bounded(file for file in small if _tier(file.bytes) <= tier)
        return []

    def _bounded(self, files: Iterable[FileRow]) -> list[FileRow]:
        chosen: list[FileRow] = []
        size = 0
        for file in files:
            size += file.bytes
            if size > self._limits.input_bytes_max:
                break
            chosen.append(file)
        return chosen

    def _look_later(self, day: _Day, files: Sequence[FileRow], now_us: int) -> None:
        settles_us = self._settles_us(files)
        if settles_us <= now_us:
            del self._due_us[day]  # until it gets a file again
            return
        self._due_us[day] = min(settles_us, now_us + self._limits.look_s * 1_000_000)

    def _settles_us(self, files: Sequence[FileRow]) -> int:
        return max((file.added_us for file in files), default=0) + self._limits.settle_s * 1_000_000

    def _compact(self, day: _Day, chosen: list[FileRow], now_us: int) -> CompactReport | None:
        self._due_us[day] = now_us + _PUT_OFF_US  # unless it goes well
        if self._checker.damaged(chosen, now_us):  # what is not what was written must not be written again
            self._due_us[day] = now_us
            return None
        try:
            chosen, new = self._write(day, chosen)
        except (Corrupt, Unavailable) as error:
            text = f"day {day[2]} cannot be compacted and stays as it is: {error}"
            self._catalog.add_notice(Notice("not_compacted", text, tenant=day[0], table=day[1]), now_us)
            return None
        try:
            # The new file stays if this fails: it may have been done nevertheless, and a sweep can tell.
            self._catalog.swap(chosen, new, now_us)
        except Busy:  # a file expired meanwhile
            self._files.unlink([new.path])
            self._due_us[day] = now_us
            return None
        self._due_us[day] = now_us
        return CompactReport(*day, len(chosen), new.rows, sum(file.bytes for file in chosen), new.bytes)

    def _write(self, day: _Day, chosen: list[FileRow]) -> tuple[list[FileRow], DataFile]:
        """Write one file in the place of the chosen ones, or of some of them if all are too much to sort."""
        while True:
            try:
                return chosen, self._write_sorted(day, chosen)
            except TooLarge:
                if len(chosen) <= 2:
                    raise
                chosen = chosen[: len(chosen) // 2 + len(chosen) % 2]

    def _write_sorted(self, day: _Day, chosen: Sequence[FileRow]) -> DataFile:
        paths = [file.path for file in chosen]
        path = self._files.new_path(*day)
        try:
            with engine(
                memory_bytes_max=self._limits.memory_bytes_max, spill_directory=self._spill_directory
            ) as connection:
                before = _content(connection, paths)
                self._sort(connection, paths, self._files.absolute(path))
                after = _content(connection, [self._files.absolute(path)])
            reached("lake", "sorted", Unavailable)
            size, digest = self._files.make_durable(path)
            if after != before or before.rows != sum(file.rows for file in chosen):
                raise Corrupt(f"its files hold {before}, sorted they were {after}")
        except Exception:
            self._files.unlink([path])
            raise
        return DataFile(
            *day, path, before.rows, sum(file.records for file in chosen), size,
            before.min_us, before.max_us, before.received_us, digest,
        )  # fmt: skip

    def _sort(self, connection: duckdb.DuckDBPyConnection, paths: Sequence[str], to_path: str) -> None:
        described = connection.execute(f"DESCRIBE SELECT * FROM {rows_of(paths)}").fetchall()
        names = {row[0] for row in described}
        lead = next(name for name in _SORT_COLUMNS if name in names)
        try:
            connection.execute(
                f'COPY (SELECT * FROM {rows_of(paths)} ORDER BY "{lead}", TimeGenerated) '
                f"TO {quote(to_path)} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, "
                f"ROW_GROUP_SIZE {self._limits.row_group_rows})"
            )
        except duckdb.IOException as error:  # not of its input, which was read as a whole before
            raise Unavailable(f"the disk did not take {to_path}: {error}") from error


def _content(connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> _Content:
    row = connection.execute(
        "SELECT count(*), sum(hash(r)::HUGEINT), epoch_us(min(TimeGenerated)), "
        f"epoch_us(max(TimeGenerated)), epoch_us(max(_IngestionTime)) FROM {rows_of(paths)} r"
    ).fetchone()
    assert row is not None
    return _Content(*row)


def _tier(size_bytes: int) -> int:
    return (size_bytes // _TIER_BYTES).bit_length() // 2
