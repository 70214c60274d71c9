"""Which new file is a copy of which old one: copy-truncate without loss and without repetition.

A rotation by copy-truncate copies the file first and empties it afterwards. So a new file that is
identical to one that is being read is held back for copy_grace_s. If the original is emptied meanwhile,
reading goes on in the copy where it stood in the original; if not, it is a file of its own.
"""

from __future__ import annotations

import os.path

from gapless.agent.sources.census import Census
from gapless.agent.sources.heads import AdmittedFiles, NewFiles
from gapless.agent.sources.identity import (
    begins_alike,
    continues,
    ends_alike,
    evidence_bytes,
    goes_another_way,
    intact,
    learn_start,
    proven_bytes,
    read_before,
)
from gapless.agent.sources.port import Seen
from gapless.agent.sources.problems import words
from gapless.agent.sources.roster import Roster
from gapless.agent.sources.settings import FileSettings
from gapless.agent.sources.tracked import TrackedFile

#: Of the files beside a truncated one that match no pattern, so many are opened to find its copy, those
#: with a similar name and the newest first; and only if what was read gives this much to compare.
_BESIDE_MAX = 64
_BESIDE_EVIDENCE_BYTES_MIN = 64
#: A file that has become shorter than what was read of it was cut if it still begins with enough of that;
#: less may be a header that every generation has, to be read with each. Enough is: so many bytes and a
#: third of all that was read, or more than any header. A copy under another name of which all was read
#: needs less.
_CUT_BYTES_MIN = 2048
_HEADER_BYTES_MAX = 64 * 1024
_COPY_BYTES_MIN = 1024


class Copies:
    """Settles suspects and decides about new files, after each look of the census."""

    def __init__(self, roster: Roster, census: Census, settings: FileSettings) -> None:
        self._roster = roster
        self._census = census
        self._settings = settings
        self._found = NewFiles(())
        self._admitted = AdmittedFiles(())

    def settle_and_admit(self) -> None:
        """First find out where the content of suspects went, then admit the new files that are nobody's
        copy: the other way round, a copy would be read a second time."""
        files = self._roster.files
        lost = [f for f in files.values() if f.suspect or f.missing_t is not None]
        # An empty file is not decided on: its first bytes will tell. So every cursor has some to verify.
        new = [f for f in files.values() if not f.admitted and f.size]
        if not lost and not new:
            return
        self._found = NewFiles(f for f in new if not f.suspect and self._know_head(f))
        for f in lost:
            # Where only a disk is missing, it may be back under another device number.
            if f.suspect or self._copy_among_new(f) is not None:
                self._settle(f)
        self._admitted = AdmittedFiles(f for f in files.values() if f.admitted)
        for f in [f for f in files.values() if not f.admitted and f.size]:
            try:
                if f.file in files and not f.suspect and self._is_decided(f) and not f.admitted:
                    self._admit(f)
            except OSError as error:
                self._roster.trouble(f, error)

    def _know_head(self, new: TrackedFile) -> bool:
        """Read the beginning of a new file, as far as it is not known. False if that cannot be done now."""
        if new.handle is None and not self._roster.reopen(new):
            return False
        assert new.handle is not None
        length = self._settings.fingerprint_bytes
        if len(new.head) < min(length, new.size):
            try:
                learn_start(new, new.handle, length)
            except OSError as error:
                self._roster.trouble(new, error)
                return False
        return True

    # -- new files

    def _admit(self, new: TrackedFile) -> None:
        """Read ``new`` as a file of its own. Its cursor is handed out before it is read: once that is
        durable, the file is known even if nothing of it could be read before it was rotated away."""
        new.admitted = new.stirred = True
        self._admitted.add(new)
        self._roster.tell(new)

    def _is_decided(self, new: TrackedFile) -> bool:
        """Whether ``new`` is to be read as a file of its own from now on."""
        if not self._know_head(new):
            return False  # tried again at the next look
        if new.away_t is not None:
            return True
        known = self._roster.files.get(new.held_for)
        for old in [known] if known is not None else self._admitted.candidates(new):
            if self._is_copied(old, new):
                return new.file in self._roster.files and self._is_held_long_enough(new, old)
        return True

    def _is_copied(self, old: TrackedFile, new: TrackedFile) -> bool:
        """Whether ``new`` may be a copy of ``old``. If it turns out that ``old`` was emptied already, it is
        settled here and now, perhaps with ``new``."""
        roster = self._roster
        if roster.files.get(old.file) is not old or old.away_t is not None or not begins_alike(new, old):
            return False
        roster.handles.used(new)
        if goes_another_way(new, old):
            return False
        if (not roster.reopen(old) and old.suspect) if old.handle is None else not intact(old):
            old.suspect = True
            self._settle(old)
            return new.file not in roster.files
        if old.handle is None or new.handle is None:
            return True  # it cannot be told now: wait as for a copy
        return ends_alike(new, old)

    def _is_held_long_enough(self, new: TrackedFile, old: TrackedFile) -> bool:
        t, grace_t = self._roster.t, int(self._settings.copy_grace_s * 1e6)
        first = not new.held_for
        if first:
            new.held_for, new.held_size = old.file, old.size
        # A copy in progress: the grace begins when it has the size that the original had.
        if first or (new.grew_t == t and new.size < new.held_size):
            new.held_until_t = t + grace_t
        return t >= new.held_until_t

    # -- files whose content is not where it was

    def _settle(self, f: TrackedFile) -> None:
        copy = self._copy_among_new(f) or self._copy_beside(f)
        if copy is not None:
            self._take_over(f, copy)
        else:
            self._give_up(f)

    def _copy_among_new(self, f: TrackedFile) -> TrackedFile | None:
        for c in self._found.beginning_like(f):
            if self._roster.files.get(c.file) is not c or c.admitted or c.suspect or c is f:
                continue
            if c.handle is None and not self._roster.reopen(c):
                continue
            assert c.handle is not None
            try:
                if continues(f, c.handle, c.size):
                    return c
                self._pass_over(f, c)
            except OSError as error:
                self._roster.trouble(c, error)
        return None

    def _copy_beside(self, f: TrackedFile) -> TrackedFile | None:
        """A file that no pattern shows, in the directory of ``f``, with the content of ``f``."""
        if evidence_bytes(f) < _BESIDE_EVIDENCE_BYTES_MIN:
            return None
        directory, name = os.path.split(f.path)
        try:
            files = self._census.listing(directory).files
        except OSError:
            return None  # no directory, no copy in it
        strangers = [s for s in files if s.id not in self._roster.by_id and s.size >= f.offset]
        strangers.sort(key=lambda s: (not os.path.basename(s.path).startswith(name), -s.changed_ns))
        for stranger in strangers[:_BESIDE_MAX]:
            if (copy := self._open_stranger(f, stranger)) is not None:
                return copy
        return None

    def _open_stranger(self, f: TrackedFile, stranger: Seen) -> TrackedFile | None:
        roster = self._roster
        c = TrackedFile(roster.mint(), stranger.path, stranger.dev, stranger.ino)
        try:
            if roster.handles.open(c) and c.handle is not None and continues(f, c.handle, stranger.size):
                learn_start(c, c.handle, self._settings.fingerprint_bytes)
                c.note(stranger, roster.now_us, roster.t)
                c.away_t = roster.t
                return c
        except OSError as error:
            roster.problems.add(stranger.path, words(error), roster.now_us)
        roster.handles.close(c)
        return None

    def _pass_over(self, f: TrackedFile, c: TrackedFile) -> None:
        """Begin ``c`` behind what is proven to have been read as ``f``, if ``c`` is shorter than that was:
        ``f`` cut off and perhaps written on, or a copy made before the last reads. What follows the last
        proven offset is read: of what was read already, at most an eighth and a line a second time."""
        assert c.handle is not None
        if c.size >= f.offset or (proven := proven_bytes(f, c.handle, c.size)) < _COPY_BYTES_MIN:
            return
        is_cut = proven > _HEADER_BYTES_MAX or (proven >= _CUT_BYTES_MIN and 3 * proven >= f.offset)
        if is_cut or (proven == c.size and c.path != f.path):
            c.place_at(proven, read_before(c.handle, proven))
            c.admitted = c.stirred = True
            self._roster.tell(c)

    def _take_over(self, f: TrackedFile, copy: TrackedFile) -> None:
        """Go on reading ``f`` in its copy. A crash before the event is durable finds ``f`` suspect again,
        and its copy again."""
        roster = self._roster
        # Gone on with elsewhere, but not emptied: a disk that is back under another number.
        emptied, grown = f.suspect, not f.restored and copy.size > f.size_seen
        self._leave(f)
        roster.files.pop(copy.file, None)
        roster.leave_inode(copy)
        handle = roster.handles.release(copy)
        assert handle is not None
        f.path, f.name, f.dev, f.ino = copy.path, copy.name, copy.dev, copy.ino
        f.head, f.start = copy.head, copy.start
        f.away_t, f.missing_t = copy.away_t, None
        f.deleted = f.suspect = f.restored = f.ending = f.rested = False
        f.left = 0
        roster.handles.adopt(f, handle)
        roster.add(f)
        f.stirred = True
        if f.size_seen > copy.size:
            start, end = copy.size, f.size_seen
            f.size_seen = copy.size
            evidence = f"written after {copy.path} was copied, and emptied before it was read"
            roster.skip(f, start, end, evidence, done=False)
        elif emptied and (grown or self._was_busy(f)):
            evidence = f"written to until {copy.path} was copied, and perhaps then, before it was emptied"
            roster.skip(f, copy.size, None, evidence, done=False)
        else:
            roster.tell(f)
        f.note(Seen(copy.name, copy.dev, copy.ino, copy.size, copy.changed_ns), roster.now_us, roster.t)

    def _give_up(self, f: TrackedFile) -> None:
        """The content of ``f`` is nowhere: tell what of it was not read.

        - It is known that there was more than was read: that much is a loss, byte for byte.
        - It was whole and read to its end when this run last looked, and had not grown for quiet_s: no loss.
        - It had grown more lately: its writer was at it, and what it wrote after the last look is gone.
          Nobody can say whether that was anything: a loss without an end.
        - It is known from a cursor only (it went away while nobody was looking), and that says ``rested``:
          no pattern had shown it for quiet_s, it had been read to its end and stayed quiet, as a file does
          whose writer has gone on to the next one. No loss.
        - From a cursor only, and its writer may still have been at it: whatever it got after ``seen_us`` is
          gone, and nobody can say whether that was anything. A loss without an end, however soon after the
          last look it was.
        """
        roster = self._roster
        successor = self._leave(f)
        del roster.files[f.file]
        what = "deleted" if f.deleted else "truncated or replaced"
        if f.size_seen > f.offset:
            evidence = f"{what}: {f.size_seen} bytes were seen, {f.offset} were read, no copy was found"
            roster.skip(f, f.offset, f.size_seen, evidence, done=True)
        elif (f.restored and not f.rested) or self._was_busy(f):
            when = "while nobody was looking" if f.restored else "while it was written to"
            evidence = f"{what} {when}, no copy was found: {f.offset} bytes were read"
            roster.skip(f, f.offset, None, evidence, done=True)
        elif f.admitted:
            roster.tell(f, done=True)
        if successor is not None:
            try:
                self._pass_over(f, successor)
            except OSError as error:
                roster.trouble(successor, error)

    def _was_busy(self, f: TrackedFile) -> bool:
        """Whether ``f`` had grown, or given something, within quiet_s at the look before this one."""
        return self._roster.looked_t - f.grew_t < self._settings.quiet_s * 1e6

    def _leave(self, f: TrackedFile) -> TrackedFile | None:
        """Part ``f`` from its inode. If that is open, new content is in it: a new file, to be decided on,
        which is returned once its head is known."""
        roster = self._roster
        roster.leave_inode(f)
        handle = roster.handles.release(f)
        if handle is None:
            return None
        if f.id in roster.by_id:  # a cursor that should have been dropped, from a spool that lost its end
            handle.close()
            return None
        successor = TrackedFile(roster.mint(), f.path, f.dev, f.ino)
        successor.name, successor.away_t = f.name, f.away_t
        successor.admitted = False
        roster.handles.adopt(successor, handle)
        roster.add(successor)
        try:
            stat = handle.stat()
            successor.note(
                Seen(f.name, stat.dev, stat.ino, stat.size, stat.changed_ns), roster.now_us, roster.t
            )
        except OSError as error:
            roster.trouble(successor, error)
            return None
        if not self._know_head(successor):
            return None
        self._found.add(successor)
        return successor
