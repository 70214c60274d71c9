"""The lake: opening it, and what its one owner does with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from gapless.lake.checks import Checker, CheckReport
from gapless.lake.chunks import BatchDecoder
from gapless.lake.commits import CatalogWriter
from gapless.lake.compact import Compactor, CompactReport
from gapless.lake.decode import Decoder
from gapless.lake.files import TableFiles
from gapless.lake.fold import fold_postings
from gapless.lake.limits import CheckLimits, CompactionLimits, StepLimits
from gapless.lake.mend import Mender, MendReport
from gapless.lake.retention import Expiry, ExpiryReport, Retention
from gapless.lake.writer import LakeWriter, StepReport
from gapless.log.disk import Disk, OsDisk
from gapless.log.port import EntryReader

_SPILL = "spill"


@dataclass(frozen=True)
class LakeSettings:
    """How the lake is kept."""

    step: StepLimits = field(default_factory=StepLimits)
    compaction: CompactionLimits = field(default_factory=CompactionLimits)
    retention: Retention = field(default_factory=Retention)
    checks: CheckLimits = field(default_factory=CheckLimits)
    unlink_grace_s: int = 600  #: files that left their table can still be read for so long


class SweepReport(NamedTuple):
    """Files that were removed: rubbish of earlier owners, and files that had left their tables."""

    orphans: int
    unlinked: int


class Lake:
    """The lake in directory ``root``, created where there is none and taken over from whoever had it.

    ``step`` and ``mend`` are called from one thread; all that keeps house (``check``, ``compact_one``,
    ``expire``, ``fold_postings``, ``sweep``) from one, which may be another. Any method may raise
    Unavailable (call it again) and Fenced (another process took over: stop).
    """

    def __init__(
        self,
        root: str,
        reader: EntryReader,
        settings: LakeSettings | None = None,
        *,
        decoder: BatchDecoder | None = None,
        disk: Disk | None = None,
    ) -> None:
        settings = settings or LakeSettings()
        disk = disk or OsDisk()
        self.catalog = CatalogWriter(root)
        self._files = TableFiles(disk, root, self.catalog.generation)
        self._writer = LakeWriter(self.catalog, self._files, reader, decoder or Decoder(), settings.step)
        spill = self._files.absolute(_SPILL)
        self._mender = Mender(self.catalog, self._writer)
        self._checker = Checker(self.catalog, self._files, settings.checks)
        self._compactor = Compactor(self.catalog, self._files, self._checker, settings.compaction, spill)
        self._expiry = Expiry(self.catalog, settings.retention)
        self._unlink_grace_us = settings.unlink_grace_s * 1_000_000
        self._swept = False

    def close(self) -> None:
        """Let go of everything. No other method may be under way, or be called later."""
        self._writer.close()
        self.catalog.close()

    def step(self, now_us: int) -> StepReport:
        """Take in what the journal has, up to the limits: see ``LakeWriter.step``."""
        return self._writer.step(now_us)

    def mend(self, now_us: int) -> MendReport | None:
        """Make again some of what a damaged file held; None if none is: see ``Mender.mend``."""
        return self._mender.mend(now_us)

    def check(self, now_us: int) -> CheckReport:
        """Look for missing and altered files, as far as it is time: see ``Checker.check``."""
        return self._checker.check(now_us)

    def compact_one(self, now_us: int) -> CompactReport | None:
        """Do one compaction that is due; None if there is none: see ``Compactor.compact_one``."""
        return self._compactor.compact_one(now_us)

    def expire(self, now_us: int) -> ExpiryReport:
        """Expire what is older than the retention: see ``Expiry.expire``."""
        return self._expiry.expire(now_us)

    def fold_postings(self, upto_id: int) -> int:
        """Fold postings that every reader has read; returns 0 when there are no more: see ``lake.fold``."""
        return fold_postings(self.catalog, upto_id)

    def sweep(self, now_us: int) -> SweepReport:
        """Unlink the files that left their tables longer than the grace ago; the first time also what earlier
        owners wrote and did not commit."""
        orphans = 0
        if not self._swept:
            orphans = self._remove_orphans()
            self._swept = True
        # A crash between the two leaves names of files that are gone: they are removed again.
        gone = self._files.unlink(self.catalog.removed_before(now_us - self._unlink_grace_us))
        self.catalog.forget(gone)
        return SweepReport(orphans, len(gone))

    def _remove_orphans(self) -> int:
        """Earlier generations commit no more: what they wrote and the catalogue does not know is rubbish."""
        orphans = self._files.leftovers(_SPILL)
        for tenant, table in self._files.tables():
            known = self.catalog.known_paths(tenant, table)
            written = self._files.of_earlier_generations(tenant, table)
            orphans += [path for path in written if path not in known]
        return len(self._files.unlink(orphans))
