"""The file source: follows every file that matches through every kind of rotation, and reads them in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from gapless.agent.sources.census import Census
from gapless.agent.sources.copies import Copies
from gapless.agent.sources.events import Chunk, FileCursor, Problem, Skipped
from gapless.agent.sources.port import SourceHost
from gapless.agent.sources.reader import FileReader
from gapless.agent.sources.roster import Roster
from gapless.agent.sources.settings import FileSettings
from gapless.agent.sources.tracked import TrackedFile
from gapless.model.batch import Part

#: A file that gave something is tried again at every poll for so long; after that, when a look at the
#: directories shows that it has changed.
_WARM_US = 3_000_000


class FileSource:
    """Reads files to records. Not thread-safe; no clock, no randomness inside.

    ``mint`` gives new file identities (32 hex digits). ``cursors`` are the last durable ones of an earlier
    run; only they count, whatever that run had read beyond them. ``resumed`` says that the source ran before
    on this host (``start_at = "end"`` then no longer applies); by default: that there are cursors.

    What ``read`` hands out is taken: the source will not give it again, unless ``resume`` sets it back. That
    is for a collector that cannot make an event durable.
    """

    def __init__(
        self,
        settings: FileSettings,
        host: SourceHost,
        mint: Callable[[], str],
        cursors: Iterable[FileCursor] = (),
        *,
        resumed: bool | None = None,
    ) -> None:
        self._settings = settings
        self._host = host
        self._mint = mint
        self._reader = FileReader(
            settings.read_bytes_max, settings.line_bytes_max, settings.fingerprint_bytes
        )
        self._begin(cursors, resumed)

    def resume(self, cursors: Iterable[FileCursor]) -> None:
        """Go on from the durable cursors, whatever was handed out beyond them. What is open stays open, and
        is read to its end also where it has no name any more."""
        before = list(self._roster.files.values())
        handles = self._roster.handles
        self._begin(cursors, resumed=True)
        for f in before:
            self._roster.take_over(f, handles.release(f))

    def _begin(self, cursors: Iterable[FileCursor], resumed: bool | None) -> None:
        settings = self._settings
        self._roster = Roster(settings, self._host, self._mint)
        self._roster.restore(cursors)
        resumed = bool(self._roster.files) if resumed is None else resumed
        self._census = Census(self._roster, settings, resumed=resumed)
        self._copies = Copies(self._roster, self._census, settings)
        self._ring: deque[TrackedFile] = deque()
        self._warm: dict[str, TrackedFile] = {}
        self._begun_us: int | None = None
        self._look_due_t = 0

    def poll(self, now_us: int, elapsed_us: int) -> None:
        """Find out what there is to read. Reads a few bytes of files that changed, delivers nothing.

        ``elapsed_us`` is of a clock that goes on evenly, whatever becomes of the time of day: all timers run
        on it, so that a line that is being written is no record because a clock was set."""
        self._begun_us = elapsed_us if self._begun_us is None else self._begun_us
        t = self._roster.t = elapsed_us - self._begun_us
        self._roster.now_us = now_us
        if t >= self._look_due_t:
            self._look_due_t = t + int(self._settings.rescan_s * 1e6)
            self._census.look()
            self._copies.settle_and_admit()
            self._roster.looked_t = t
            self._roster.problems.settle()
            for f in self._roster.files.values():
                if f.stirred or f.ending or self._is_overdue(f):
                    self._enqueue(f)
        for f in list(self._warm.values()):
            if t > f.warm_until_t:
                del self._warm[f.file]
            self._enqueue(f)

    def read(self, now_us: int, budget_bytes: int) -> Iterator[Chunk | Skipped]:
        """Hand out events, about ``budget_bytes`` of the files' bytes (a chunk more at most), the files in
        turn, one read each. With a budget of 0, only events that need no reading."""
        self._roster.now_us = now_us
        events = self._roster.events
        while True:
            while events:
                yield events.popleft()
            if budget_bytes <= 0 or not self._ring:
                return
            f = self._ring.popleft()
            f.queued = False
            chunk = self._take(f)
            if chunk is not None:
                budget_bytes -= chunk.part.end - chunk.part.start
                yield chunk

    def backlog(self) -> tuple[int, int]:
        """Bytes read and bytes not read yet of the files that are there, as of the last look."""
        files = self._roster.files.values()
        return sum(f.offset for f in files), sum(f.unread for f in files)

    def cursors(self) -> list[FileCursor]:
        """Where every file stands now, durable or not."""
        return [f.cursor() for f in self._roster.files.values() if f.admitted]

    def problems(self) -> list[Problem]:
        """What is in the way, at most PROBLEMS_MAX; all of it is being retried."""
        return self._roster.problems.list()

    def close(self) -> None:
        """Close all files."""
        self._roster.handles.close_all()

    def _is_overdue(self, f: TrackedFile) -> bool:
        """Whether the last line has been without its newline for too long to wait for it."""
        return bool(f.left) and self._roster.t - f.grew_t >= self._settings.quiet_s * 1e6

    def _enqueue(self, f: TrackedFile) -> None:
        if f.admitted and not f.suspect and not f.queued:
            f.queued = True
            self._ring.append(f)

    def _take(self, f: TrackedFile) -> Chunk | None:
        """One read of one file."""
        roster, t = self._roster, self._roster.t
        if f.suspect or roster.files.get(f.file) is not f:
            return None
        if f.handle is None and not roster.reopen(f):
            return None
        roster.handles.used(f)
        f.stirred = False
        start = f.offset
        try:
            reading = self._reader.read(f, t, last=f.ending or self._is_overdue(f))
        except OSError as error:
            roster.trouble(f, error)
            return None
        if not reading.intact:
            f.suspect = True
            self._look_due_t = t
            return None
        f.seen_us = roster.now_us
        if reading.found is None:
            if f.ending and not f.left:
                roster.finish(f)
            f.ending = False
            return None
        f.grew_t = t  # a look finds the size that this read left, and would take it for quiet
        f.warm_until_t = t + _WARM_US
        self._warm[f.file] = f
        f.ending = f.ending and reading.found.line == "open"  # anything else: it has grown since
        if f.ending or not f.at_end:
            self._enqueue(f)
        part = Part(f.file, start, f.offset, reading.found.records)
        return Chunk(reading.data, reading.found.records, part, reading.found.marks, f.cursor())
