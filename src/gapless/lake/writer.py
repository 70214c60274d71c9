"""The lake's writer: folds the journal into tables, each record exactly once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gapless.failpoint import reached
from gapless.lake.ahead import OneAhead
from gapless.lake.changes import StepCommit
from gapless.lake.chunks import BatchDecoder
from gapless.lake.commits import CatalogWriter
from gapless.lake.facts import EpochKey, Window
from gapless.lake.files import TableFiles
from gapless.lake.intake import Batch, Group, take
from gapless.lake.limits import StepLimits
from gapless.lake.storing import TenantStore, post_expired
from gapless.log.port import EntryReader
from gapless.model.errors import GaplessError, Unavailable


@dataclass(frozen=True)
class StepReport:
    """What a step did. Records are counted once each: stored, quarantined, filtered, or seen before."""

    position: int  #: the cursor now
    entries: int = 0
    raw_bytes: int = 0
    stored: int = 0
    quarantined: int = 0
    filtered: int = 0
    duplicates: int = 0
    files: int = 0
    notices: int = 0
    more: bool = False  #: a limit ended the step: the journal may well have more


class LakeWriter:
    """The one writer of a lake. ``step`` is called from one thread.

    It keeps nothing in memory from one step to the next that the catalogue does not have: each step begins at
    the cursor it finds there.
    """

    def __init__(
        self,
        catalog: CatalogWriter,
        files: TableFiles,
        reader: EntryReader,
        decoder: BatchDecoder,
        limits: StepLimits,
    ) -> None:
        self._catalog = catalog
        self._files = files
        self._reader = reader
        self._decoder = decoder
        self._limits = limits.check()
        self._ahead = OneAhead("decode")
        self._doubtful: tuple[int, list[str]] | None = None

    def close(self) -> None:
        """End the thread that decodes. No step may be under way."""
        self._ahead.close()

    def step(self, now_us: int) -> StepReport:
        """Take in what the journal has, up to the limits, and commit it. On return it is durable and visible.

        Raises Unavailable if the disk, the catalogue or the journal refuses: nothing is lost, call again.
        Raises Fenced if another process took over, Corrupt if the books would break: stop then.
        """
        position = self._catalog.position()
        self._clear_doubt(position)
        group = self.take(position)
        if not group.entries:
            return StepReport(position)
        commit = StepCommit(position, group.until, notices=group.notices)
        self.store(self._without_duplicates(group.batches, commit), commit)
        self._commit(commit, now_us)
        return _report(group, commit)

    def store(self, batches: Sequence[Batch], commit: StepCommit) -> None:
        """Write the new records of batches; the files, durable on return, and the postings go to ``commit``.
        Raises Unavailable if the disk refuses: nothing is left then."""
        try:
            self._store(batches, commit)
            # A crash before the names are durable may leave files without names or with: nobody knows them.
            reached("lake", "written", Unavailable)
            self._files.sync_names([file.path for file in commit.files])
        except Exception:
            self._files.unlink([file.path for file in commit.files])
            raise

    def take(self, position: int) -> Group:
        """What the journal has from ``position`` on, up to the limits. Raises Unavailable if it ends before
        that, or cannot be read."""
        durable = self._reader.durable()  # less than was there before, after a power loss, until it is mended
        if durable < position:
            raise Unavailable(
                f"the journal ends at {durable}, before {position}, where the lake goes on: start the "
                "journal's writer; if that does not help, this is not the journal that the lake was made from"
            )
        limits = self._limits
        try:
            return take(
                self._reader,
                position,
                group_bytes_max=limits.group_bytes_max,
                entries_max=limits.entries_max,
                raw_bytes_max=limits.raw_bytes_max,
            )
        except OSError as error:
            raise Unavailable(f"the journal cannot be read from {position} on: {error.strerror}") from error

    def _without_duplicates(self, batches: Sequence[Batch], commit: StepCommit) -> list[Batch]:
        """The batches that have new records, with which ones are. A batch may be in the journal twice."""
        known = self._catalog.accounted(
            Window(batch.stream, batch.header.epoch, batch.header.first, batch.header.next)
            for batch in batches
        )
        fresh = []
        for batch in batches:
            header = batch.header
            seen = known[batch.stream, header.epoch]
            new = seen.holes(header.first, header.next)
            seen.add(header.first, header.next)
            batch = replace(batch, new=new)
            if new:
                fresh.append(batch)
            if batch.new_count < header.count:
                stream = header.stream
                key = EpochKey(stream.tenant, stream.table, batch.stream, header.epoch)
                commit.duplicates[key] += header.count - batch.new_count
        return fresh

    def _store(self, batches: Sequence[Batch], commit: StepCommit) -> None:
        tenants: dict[str, dict[str, list[Batch]]] = defaultdict(lambda: defaultdict(list))
        for batch in batches:
            if batch.dropped:
                post_expired(batch, commit)
                continue
            tenants[batch.header.stream.tenant][batch.header.stream.table].append(batch)
        for tenant, tables in tenants.items():
            store = TenantStore(tenant, self._files, self._decoder, self._ahead, self._limits, commit)
            store.store(tables)

    def _commit(self, commit: StepCommit, now_us: int) -> None:
        try:
            self._catalog.commit_step(commit, now_us)
        except GaplessError:
            # It may have been done nevertheless: only the cursor tells, when the catalogue answers again.
            self._doubtful = (commit.position, [file.path for file in commit.files])
            raise

    def _clear_doubt(self, position: int) -> None:
        """Remove the files of a commit that turned out not to have been done."""
        if self._doubtful is not None:
            began_at, paths = self._doubtful
            if position == began_at:
                self._files.unlink(paths)
            self._doubtful = None


def _report(group: Group, commit: StepCommit) -> StepReport:
    counts: Counter[str] = Counter()
    for posting in commit.postings:
        counts[posting.account] += posting.next - posting.first
    return StepReport(
        position=group.until,
        entries=group.entries,
        raw_bytes=group.raw_bytes,
        stored=counts["stored"],
        quarantined=counts["quarantined"],
        filtered=counts["filtered"],
        duplicates=commit.duplicates.total(),
        files=len(commit.files),
        notices=len(commit.notices),
        more=group.full,
    )
