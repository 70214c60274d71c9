"""The files of a source, by identity and by inode, and the events that wait to be handed out."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterable

from gapless.agent.sources.events import Chunk, FileCursor, Skipped, outward
from gapless.agent.sources.handles import Handles
from gapless.agent.sources.identity import continues, learn_start, lengthen_witness
from gapless.agent.sources.port import SourceFile, SourceHost
from gapless.agent.sources.problems import Problems, words
from gapless.agent.sources.settings import FileSettings
from gapless.agent.sources.tracked import TrackedFile
from gapless.model.batch import Part


class Roster:
    """Shared state of a file source: who is known, who is open, what is to be told.

    At most one known file per inode. ``now_us`` is the UTC time and ``t`` the elapsed time of the poll or
    read that is going on, ``looked_t`` when the look at everything before the present one was. Timers run on
    ``t``, so that a clock that is set neither stalls nor hurries anything.
    """

    def __init__(self, settings: FileSettings, host: SourceHost, mint: Callable[[], str]) -> None:
        self.settings = settings
        self.host = host
        self.mint = mint
        self.handles = Handles(host, settings.open_files_max)
        self.problems = Problems()
        self.events: deque[Chunk | Skipped] = deque()
        self.files: dict[str, TrackedFile] = {}
        self.by_id: dict[tuple[int, int], TrackedFile] = {}
        self.now_us = 0
        self.t = 0
        self.looked_t = 0

    def restore(self, cursors: Iterable[FileCursor]) -> None:
        """Take up files where their last durable cursors left them."""
        for cursor in cursors:
            if not cursor.done:
                f = TrackedFile.from_cursor(cursor)
                self.files[f.file] = f
                self.by_id.setdefault(f.id, f)

    def add(self, f: TrackedFile) -> None:
        assert f.id not in self.by_id or self.by_id[f.id] is f
        self.files[f.file] = f
        self.by_id[f.id] = f

    def take_over(self, old: TrackedFile, handle: SourceFile | None) -> None:
        """Go on with a file that an earlier roster knew, perhaps had open. One that no durable cursor names
        is new once more, if it is open: it may have lost its name since."""
        f = self.files.get(old.file)
        if handle is None:
            if f is not None:
                f.size_seen = max(f.size_seen, old.size_seen)
            return
        try:
            if f is None and old.id not in self.by_id:
                f = TrackedFile(self.mint(), old.path, *old.id)
                f.name, f.admitted = old.name, False
                self.add(f)
            if f is None or f.id != old.id or not continues(f, handle, handle.stat().size):
                handle.close()
                return
            learn_start(f, handle, self.settings.fingerprint_bytes)
            lengthen_witness(f, handle)
        except OSError as error:
            self.problems.add(old.path, words(error), self.now_us)
            handle.close()
            return
        f.size_seen = max(f.size_seen, old.size_seen)
        f.restored = False
        self.handles.adopt(f, handle)

    def forget(self, f: TrackedFile) -> None:
        """Drop a file of which nothing is left to say."""
        self.handles.close(f)
        self.files.pop(f.file, None)
        self.leave_inode(f)

    def leave_inode(self, f: TrackedFile) -> None:
        """The inode is no longer the one of ``f``."""
        if self.by_id.get(f.id) is f:
            del self.by_id[f.id]

    def finish(self, f: TrackedFile) -> None:
        """``f`` was read to its end and will not be read again."""
        self.forget(f)
        self.tell(f, done=True)

    def tell(self, f: TrackedFile, *, done: bool = False) -> None:
        """Hand out the cursor of ``f``, without records."""
        part = Part(f.file, f.offset, f.offset, 0, done)
        self.events.append(Chunk(b"", 0, part, (), f.cursor(done=done)))

    def skip(self, f: TrackedFile, start: int, end: int | None, evidence: str, *, done: bool) -> None:
        """Tell that bytes of ``f`` cannot be read any more."""
        self.events.append(
            Skipped(
                file=f.file,
                path=outward(f.path),
                start=start,
                end=end,
                cause="source_deleted" if f.deleted else "source_truncated",
                not_before_us=min(f.seen_us, self.now_us),
                not_after_us=self.now_us,
                evidence=outward(evidence),
                cursor=f.cursor(done=done),
            )
        )

    def reopen(self, f: TrackedFile) -> bool:
        """Open a closed file, and verify that its content is what was read: if it is not, the file becomes
        suspect. False if it cannot be read from now."""
        try:
            if not self.handles.open(f):
                return False
            handle = f.handle
            assert handle is not None
            if not continues(f, handle, handle.stat().size):
                f.suspect = True
                return False
            learn_start(f, handle, self.settings.fingerprint_bytes)
            lengthen_witness(f, handle)
        except OSError as error:
            self.trouble(f, error)
            return False
        f.restored = False
        return True

    def trouble(self, f: TrackedFile, error: OSError) -> None:
        """A file could not be read: tell, and try again at the next look. The handle is kept (the file might
        not be found again), unless it is the handle that has died."""
        self.problems.add(f.path, words(error), self.now_us)
        if error.errno == errno.ESTALE:
            self.handles.close(f)
        f.stirred = True
