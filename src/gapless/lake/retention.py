"""Retention: what is older than the limit leaves its table by being posted as expired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from gapless.lake.commits import CatalogWriter
from gapless.model.errors import Busy, Misconfigured

_DAY_US = 86_400_000_000


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

    def __init__(self, catalog: CatalogWriter, retention: Retention) -> None:
        self._catalog = catalog
        self._retention = retention.check()

    def expire(self, now_us: int) -> ExpiryReport:
        """Expire what is due, a table's day at a time, each in a transaction of its own.

        Raises Unavailable if the catalogue does not answer, Fenced if another process took over.
        """
        files = records = 0
        due = [
            file
            for file in self._catalog.files_received_before(now_us - self._retention.days * _DAY_US)
            if file.received_us < self._retention.horizon_us(file.tenant, now_us)
        ]
        for _, grouped in groupby(due, lambda file: (file.tenant, file.table, file.day)):
            of_day = list(grouped)
            try:
                records += self._catalog.expire(of_day, now_us)
            except Busy:
                continue  # they were compacted meanwhile: the next call sees what came of them
            files += len(of_day)
        return ExpiryReport(files, records)
