"""Checking that the files of the tables are still there, and still what was written.

A missing file is noticed within ``look_s``. An altered one is noticed when its bytes are read again: all
files are, one after the other, from the start of the process on and then every ``sweep_s``, as fast as
``bytes_per_s`` allows. What is found leaves its table at once, and is made again (``lake.mend``).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gapless.lake.commits import CatalogWriter
from gapless.lake.facts import FileRow
from gapless.lake.files import TableFiles
from gapless.lake.limits import CheckLimits
from gapless.model.errors import Busy

_PAGE_FILES = 1000
_AHEAD_US_MAX = 10_000_000  # of a pause, what may be made up for


class CheckReport(NamedTuple):
    """``files`` were read, ``damaged`` left their tables."""

    files: int
    damaged: int


class Checker:
    """Checks what the catalogue lists. Not thread-safe; it may run beside the writer's steps.

    Every method raises Unavailable if the catalogue does not answer or the disk refuses for a reason that
    says nothing of the files, and Fenced if another process took over.
    """

    def __init__(self, catalog: CatalogWriter, files: TableFiles, limits: CheckLimits) -> None:
        self._catalog = catalog
        self._files = files
        self._limits = limits.check()
        self._looked_us: int | None = None
        self._swept_us: int | None = None  # when the sweep under way, or the last one, began
        self._sweep: Iterator[FileRow] | None = None
        self._checked_us = 0
        self._allowed_bytes = 0.0

    def check(self, now_us: int) -> CheckReport:
        """Look whether files are missing, if that is due, and read on in the sweep, as far as the time since
        the last call allows; a file at least."""
        damaged = 0
        if _due(self._looked_us, now_us, self._limits.look_s):
            self._looked_us = now_us
            damaged += sum(self._condemn(file, "it is gone", now_us) for file in self._missing())
        if self._sweep is None and _due(self._swept_us, now_us, self._limits.sweep_s):
            self._swept_us = self._checked_us = now_us
            self._sweep = self._all_files()
        if self._sweep is None:
            return CheckReport(0, damaged)
        passed_us = min(max(0, now_us - self._checked_us), _AHEAD_US_MAX)
        self._checked_us = now_us
        # What one file took too much is waited for; what was not used is not saved up.
        self._allowed_bytes = min(self._allowed_bytes, 0) + passed_us / 1e6 * self._limits.bytes_per_s
        read = 0
        while self._allowed_bytes >= 0:
            file = next(self._sweep, None)
            if file is None:
                self._sweep = None
                break
            read += 1
            self._allowed_bytes -= file.bytes
            damaged += len(self.damaged([file], now_us))
        return CheckReport(read, damaged)

    def damaged(self, files: Iterable[FileRow], now_us: int) -> list[FileRow]:
        """Read files now; those that are damaged leave their tables, and are returned."""
        found = []
        for file in files:
            fault = self._files.fault(file)
            if fault and self._condemn(file, fault, now_us):
                found.append(file)
        return found

    def _condemn(self, file: FileRow, fault: str, now_us: int) -> bool:
        try:
            self._catalog.condemn(file, fault, now_us)
        except Busy:  # it was compacted or expired meanwhile
            return False
        return True

    def _missing(self) -> Iterator[FileRow]:
        for page in self._pages(0):
            yield from self._files.missing(page)

    def _all_files(self) -> Iterator[FileRow]:
        """Every file once. It begins anywhere: whoever is started again and again gets round to each, too."""
        start = random.randrange(max(1, self._catalog.last_file_id()))
        for page in self._pages(start):
            yield from page
        for page in self._pages(0):
            for file in page:
                if file.id > start:
                    return
                yield file

    def _pages(self, after_id: int) -> Iterator[Sequence[FileRow]]:
        while page := self._catalog.files_after(after_id, _PAGE_FILES):
            yield page
            after_id = page[-1].id


def _due(last_us: int | None, now_us: int, every_s: float) -> bool:
    """Whether it is time again; also when the clock was set back."""
    return last_us is None or not 0 <= now_us - last_us < every_s * 1e6
