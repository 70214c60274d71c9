"""What the drilled services write: real files, rotated while they are written, and the count of it.

Every record carries an id that occurs in no other (see ``gapless.services.generate``). What was emitted is
known here, by these ids, and nowhere else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from gapless.services.catalogue import services
from gapless.services.generate import id_column, table_lines

#: TimeGenerated of a table's records: so many a second from the start on.
_RATE_PER_S = 10.0


class LogKey(NamedTuple):
    """One log: what a service of a tenant writes to a table. The service's name is the source's name."""

    tenant: str
    service: str
    table: str


class Records(NamedTuple):
    """The records of one log in the order in which they will be written, and the ids in them."""

    lines: list[bytes]
    ids: list[str]


def generate(
    tenants: Iterable[str], *, records_per_log: int, seed: int, start_us: int
) -> dict[LogKey, Records]:
    """The records of every table of every service of the catalogue, for each tenant; the same for the same
    arguments, and no id twice."""
    generated = {}
    for number, tenant in enumerate(tenants):
        for service in services():
            for table in service.tables:
                lines = [
                    line + b"\n"
                    for line in table_lines(
                        table,
                        records=records_per_log,
                        seed=seed + number,
                        start_us=start_us,
                        rate_per_s=_RATE_PER_S,
                        service=service,
                    )
                ]
                column = id_column(table)
                ids = [msgspec.json.decode(line)[column] for line in lines]
                generated[LogKey(tenant, service.name, table)] = Records(lines, ids)
    return generated


class LogFile:
    """A log file at ``path``, renamed to ``path``.1, .2 … when it holds ``lines_max`` lines, as logrotate
    does it; no generation is ever deleted."""

    def __init__(self, path: Path, records: Records, lines_max: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._records = records
        self._lines_max = lines_max
        self._lines = 0  # in the file as it is now
        self._generations = 0
        self._file = path.open("ab")
        self.written = 0

    @property
    def total(self) -> int:
        """How many records there are to write."""
        return len(self._records.lines)

    @property
    def emitted(self) -> list[str]:
        """The ids of the records that were written, in their order."""
        return self._records.ids[: self.written]

    def write_to(self, wanted: int) -> None:
        """Write until ``wanted`` records are written, or all; they are in the file on return."""
        wanted = min(wanted, self.total)
        while self.written < wanted:
            if self._lines == self._lines_max:
                self._rotate()
            upto = min(wanted, self.written + self._lines_max - self._lines)
            self._file.write(b"".join(self._records.lines[self.written : upto]))
            self._lines += upto - self.written
            self.written = upto
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _rotate(self) -> None:
        self._file.close()
        for number in range(self._generations, 0, -1):
            self._generation(number).rename(self._generation(number + 1))
        self._path.rename(self._generation(1))
        self._generations += 1
        self._file = self._path.open("ab")
        self._lines = 0

    def _generation(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


class Workload:
    """The log files of one act, below ``directory``."""

    def __init__(self, directory: Path, records: Mapping[LogKey, Records], *, lines_max: int) -> None:
        self._directory = directory
        self.files = {key: LogFile(self.path(key), records[key], lines_max) for key in records}
        # Neighbours in the order of turns are of different tenants.
        self._turns = deque(sorted(self.files, key=lambda log: (log.service, log.table, log.tenant)))

    def path(self, log: LogKey) -> Path:
        """Where a log is written."""
        return self._directory / log.tenant / log.service / f"{log.table}.json"

    @property
    def emitted(self) -> int:
        """How many records were written in all."""
        return sum(file.written for file in self.files.values())

    @property
    def total(self) -> int:
        """How many there are to write."""
        return sum(file.total for file in self.files.values())

    def emitted_by(self, tenant: str) -> int:
        """How many records were written for a tenant."""
        return sum(file.written for log, file in self.files.items() if log.tenant == tenant)

    def write_to(self, share: float) -> None:
        """Bring every file to ``share`` (0 to 1) of its records."""
        for file in self.files.values():
            file.write_to(round(share * file.total))

    def trickle(self, files: int, records: int, share_max: float) -> None:
        """The next ``files`` files in turn get ``records`` more, up to ``share_max`` of theirs."""
        for log in islice(self._turns, files):
            file = self.files[log]
            file.write_to(min(file.written + records, round(share_max * file.total)))
        self._turns.rotate(-files)

    def newest(self) -> dict[LogKey, str]:
        """The id of the record that was written last to each log."""
        return {log: file.emitted[-1] for log, file in self.files.items() if file.written}

    def close(self) -> None:
        for file in self.files.values():
            file.close()
