"""The files that one step writes for one table: one for each day of ``TimeGenerated``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gapless.lake.changes import NewFile
from gapless.lake.facts import MIXED_DAYS
from gapless.lake.files import OpenFile, TableFiles
from gapless.lake.holdings import EpochName, Ranges, joined, runs_of
from gapless.lake.rows import Ordinals

_DAY_US = 86_400_000_000


@dataclass(slots=True)
class _Part:
    """A file of one day that is being filled."""

    file: OpenFile
    runs: dict[EpochName, list[Ranges]] = field(default_factory=dict)
    records: int = 0
    min_us: int = 1 << 62
    max_us: int = -(1 << 62)
    received_us: int = -(1 << 62)

    def add(self, rows: pa.Table, records: Ordinals | None) -> None:
        self.file.write(rows)
        self.records += len(rows) if records is None else int(records.sum())
        for epoch, runs in runs_of(rows, records):
            self.runs.setdefault(epoch, []).append(runs)
        times = pc.min_max(rows["TimeGenerated"].cast(pa.int64())).as_py()
        self.min_us = min(self.min_us, times["min"])
        self.max_us = max(self.max_us, times["max"])
        self.received_us = max(self.received_us, pc.max(rows["_IngestionTime"].cast(pa.int64())).as_py())


class DayFiles:
    """Rows of one table, sorted into files by UTC day.

    The rows of a step may be of any number of days (a stream that catches up, clocks that are wrong). Those
    beyond ``days_max`` share one file: no sender can make a step write a file for every record.
    """

    def __init__(self, files: TableFiles, tenant: str, table: str, *, days_max: int) -> None:
        self._files = files
        self._tenant = tenant
        self._table = table
        self._days_max = days_max
        self._parts: dict[str, _Part] = {}

    def write(self, rows: pa.Table, records: Ordinals | None = None) -> None:
        """Add rows, which stand for ``records`` records each (None: one each)."""
        if not len(rows):
            return
        names, parts = self._assign(rows["TimeGenerated"].cast(pa.int64()).to_numpy() // _DAY_US)
        for number, name in enumerate(names):
            chosen = parts == number
            part = self._parts.get(name)
            if part is None:
                part = self._parts[name] = _Part(OpenFile(rows.schema))
            if len(names) == 1:
                part.add(rows, records)
            else:
                part.add(rows.filter(pa.array(chosen)), None if records is None else records[chosen])

    def finish(self, written: list[NewFile]) -> None:
        """Write the files, one by one, adding each to ``written`` once its bytes are durable.

        Raises Unavailable if the disk refuses.
        """
        for day, part in self._parts.items():
            path = self._files.new_path(self._tenant, self._table, day)
            saved = self._files.save(path, part.file)
            written.append(
                NewFile(
                    tenant=self._tenant,
                    table=self._table,
                    day=day,
                    path=saved.path,
                    rows=saved.rows,
                    records=part.records,
                    bytes=saved.bytes,
                    min_us=part.min_us,
                    max_us=part.max_us,
                    received_us=part.received_us,
                    digest=saved.digest,
                    holds={epoch: joined(runs) for epoch, runs in part.runs.items()},
                )
            )
        self._parts.clear()

    def _assign(self, days: Ordinals) -> tuple[list[str], Ordinals]:
        """The files that rows of these days go to: names, and for each row the number of its file's name."""
        present, inverse, counts = np.unique(days, return_inverse=True, return_counts=True)
        numbers: dict[str, int] = {}
        number_of = np.empty(len(present), np.int64)
        fresh = self._days_max - len(self._parts)
        for at in np.argsort(-counts, kind="stable"):  # the days with most rows first
            name = str(np.datetime64(int(present[at]), "D"))
            if name not in self._parts:
                name = name if fresh > 0 else MIXED_DAYS
                fresh -= 1
            number_of[at] = numbers.setdefault(name, len(numbers))
        return list(numbers), number_of[inverse]
