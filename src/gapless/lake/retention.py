"""Retention: what is older than the limit leaves its table by being posted as expired."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import NamedTuple

import duckdb

from gapless.lake.catalog import FileRow, Notice
from gapless.lake.commits import CatalogWriter
from gapless.lake.engine import END_OF_QUARANTINED, engine, rows_of
from gapless.model.errors import Busy, Corrupt, Misconfigured
from gapless.model.tables import QUARANTINE

_DAY_US = 86_400_000_000
_FETCH_ROWS = 10_000


@dataclass(frozen=True)
class Retention:
    """For how many days rows are kept, counted from when they were received.

    Not from ``TimeGenerated``: a record whose clock was years behind would vanish as it arrives, one whose
    clock was ahead would never go. A record's true time is not after its receipt, so nothing goes too early.
    """

    days: int = 180  #: for every tenant
    tenant_days: Mapping[str, int] = field(default_factory=dict)  #: more than that, for some

    def check(self) -> Retention:
        """Return self if no tenant has less than all others. Raises Misconfigured with every fault."""
        faults = [] if self.days >= 1 else [f"retention_days is {self.days}: make it at least 1"]
        faults += [
            f"retention_days of tenant {tenant} is {days}: make it at least {self.days}, as all tenants have"
            for tenant, days in sorted(self.tenant_days.items())
            if days < self.days
        ]
        if faults:
            raise Misconfigured(faults)
        return self

    def horizon_us(self, tenant: str, now_us: int) -> int:
        """What this tenant's rows were received before expires."""
        return now_us - self.tenant_days.get(tenant, self.days) * _DAY_US


class ExpiryReport(NamedTuple):
    """Files that left their tables, and the records they held."""

    files: int
    records: int


class Expiry:
    """Expires files of which every row is older than the limit. Not thread-safe."""

    def __init__(
        self, catalog: CatalogWriter, retention: Retention, *, memory_bytes_max: int, spill_directory: str
    ) -> None:
        self._catalog = catalog
        self._retention = retention.check()
        self._memory_bytes_max = memory_bytes_max
        self._spill_directory = spill_directory

    def expire(self, now_us: int) -> ExpiryReport:
        """Expire what is due, a table's day at a time, each in a transaction of its own.

        Files that cannot be read are kept, with a notice: what they held can then not be told. Raises
        Unavailable if the catalogue does not answer, Fenced if another process took over.
        """
        files = records = 0
        due = [
            file
            for file in self._catalog.files_received_before(now_us - self._retention.days * _DAY_US)
            if file.received_us < self._retention.horizon_us(file.tenant, now_us)
        ]
        for (tenant, table, day), grouped in groupby(due, lambda file: (file.tenant, file.table, file.day)):
            of_day = list(grouped)
            try:
                with engine(
                    memory_bytes_max=self._memory_bytes_max, spill_directory=self._spill_directory
                ) as connection:
                    ranges = _ranges(connection, of_day)  # before the catalogue is locked
                    records += self._catalog.expire(of_day, ranges, now_us)
            except Busy:
                continue  # they were compacted meanwhile: the next call sees what came of them
            except Corrupt as error:
                text = f"day {day} is due to expire and stays, because it cannot be accounted for: {error}"
                self._catalog.add_notice(Notice("not_expired", text, tenant=tenant, table=table), now_us)
                continue
            files += len(of_day)
        return ExpiryReport(files, records)


def _ranges(
    connection: duckdb.DuckDBPyConnection, files: Sequence[FileRow]
) -> Iterator[tuple[str, str, int, int]]:
    """The records of files of one table: (stream, epoch, first, next), one for each unbroken run."""
    own = END_OF_QUARANTINED if files[0].table == QUARANTINE.name else "_Seq + 1"
    rows = rows_of([file.path for file in files])
    found = connection.execute(
        f"""
        WITH held AS (SELECT _Stream, _Epoch, _Seq AS first, {own} AS next FROM {rows}),
        steps AS (
            SELECT *, (first IS DISTINCT FROM lag(next) OVER run)::BIGINT AS step FROM held
            WINDOW run AS (PARTITION BY _Stream, _Epoch ORDER BY first)
        ),
        islands AS (
            SELECT *, sum(step) OVER (PARTITION BY _Stream, _Epoch ORDER BY first) AS island FROM steps
        )
        SELECT _Stream, _Epoch, min(first), max(next) FROM islands
        GROUP BY _Stream, _Epoch, island ORDER BY 1, 2, 3
        """
    )
    return chain.from_iterable(iter(lambda: found.fetchmany(_FETCH_ROWS), []))
