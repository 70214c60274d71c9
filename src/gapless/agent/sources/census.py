"""Looking at the directories: which files are there, which are new, renamed, cut, or gone."""

from __future__ import annotations

import os.path

from gapless.agent.sources.identity import intact, learn_start, read_before
from gapless.agent.sources.port import Listing, Scan, Seen
from gapless.agent.sources.problems import words
from gapless.agent.sources.roster import Roster
from gapless.agent.sources.settings import FileSettings
from gapless.agent.sources.tracked import TrackedFile
from gapless.agent.sources.trail import WITNESS_BYTES


class Census:
    """One look at a time at what the patterns show, compared with what the roster knows.

    It marks files whose content is no longer what was read as ``suspect``, and meets new ones; what
    becomes of both is decided in Copies.
    """

    def __init__(self, roster: Roster, settings: FileSettings, *, resumed: bool) -> None:
        self._roster = roster
        self._settings = settings
        self._start_at_end = settings.start_at == "end" and not resumed
        self._failed: list[str] = []
        self._listings: dict[str, Listing | OSError] = {}

    def look(self) -> None:
        """Look once at everything. Cost: the scan, and two small reads per file that has changed."""
        roster = self._roster
        self._listings.clear()
        scan = roster.host.scan(self._settings.paths, self._settings.exclude, self._settings.entries_max)
        self._note_failures(scan)
        seen = {found.id: found for found in reversed(scan.files)}  # each inode once, by its first name
        for f in [f for f in roster.files.values() if not f.suspect]:
            try:
                if f.handle is None:
                    self._look_at_closed(f, seen.get(f.id))
                else:
                    self._look_at_open(f, seen.get(f.id))
            except OSError as error:
                roster.trouble(f, error)
        new = sorted(found for found in seen.values() if found.id not in roster.by_id)
        room = max(0, self._settings.files_max - len(roster.files))
        for found in new[:room]:
            self._meet(found)
        if beyond := new[room:]:
            text = f"more than files_max = {self._settings.files_max} files: {len(beyond)} are not read"
            roster.problems.add(beyond[0].path, f"{text}; raise it, or name fewer", roster.now_us)
        self._start_at_end = False

    def listing(self, directory: str) -> Listing:
        """The directory's files, read once per look. Raises OSError."""
        known = self._listings.get(directory)
        if known is None:
            try:
                known = self._roster.host.listing(directory)
            except OSError as error:
                known = error
            self._listings[directory] = known
        if isinstance(known, OSError):
            raise known
        return known

    def _note_failures(self, scan: Scan) -> None:
        self._failed = [path for path, _ in scan.failed]
        for path, error in scan.failed:
            self._roster.problems.add(path, words(error), self._roster.now_us)

    def _unseeable(self, f: TrackedFile) -> bool:
        """Whether ``f`` may well be where it was, below something that could not be read this time."""
        return any(f.name == path or f.name.startswith(path.rstrip("/") + "/") for path in self._failed)

    def _look_at_open(self, f: TrackedFile, found: Seen | None) -> None:
        assert f.handle is not None
        roster, stat = self._roster, None
        if found is None:
            stat = f.handle.stat()
            found = Seen(f.path, stat.dev, stat.ino, stat.size, stat.changed_ns)
        if (found.size, found.changed_ns) != (f.size, f.changed_ns) and self._is_other(f, found.size):
            f.suspect = True
            return
        if found.size < f.size_seen:
            self._cut(f, found.size)
        f.note(found, roster.now_us, roster.t)
        if stat is None:
            self._show(f, found)
        elif not self._unseeable(f):
            f.deleted = stat.links == 0
            self._wait_for_end(f)
        self._rest(f)

    def _is_other(self, f: TrackedFile, size: int) -> bool:
        """Whether an open file that changed holds other content than before."""
        if size < f.offset or (not f.offset and size < f.size_seen):
            return True
        return not intact(f)

    def _wait_for_end(self, f: TrackedFile) -> None:
        """A file out of all patterns is given up once it has been read to its end and stays quiet: its
        writer may be about to write on."""
        settings, t = self._settings, self._roster.t
        if f.away_t is None:
            f.away_t = t
        wait_s = settings.quiet_s if f.deleted else settings.rotated_quiet_s
        if t - max(f.away_t, f.grew_t) < wait_s * 1e6:
            return
        if not f.size:
            self._roster.forget(f)  # never held anything
        else:
            f.ending = True

    def _rest(self, f: TrackedFile) -> None:
        """Hand out a cursor when it becomes known that the writer of a file out of all patterns has left it,
        and when that turns out to be wrong: should the file be gone after a restart, it decides (see
        Copies._give_up)."""
        rested = f.rested
        if f.size > f.offset or not f.offset or f.away_t is None:
            rested = False
        elif self._roster.t - max(f.away_t, f.grew_t) >= self._settings.quiet_s * 1e6:
            rested = True
        if rested != f.rested:
            f.rested = rested
            self._roster.tell(f)

    def _cut(self, f: TrackedFile, size: int) -> None:
        """The end of the file was cut off, behind what was read: it goes on, without those bytes."""
        start, end = size, f.size_seen
        f.size_seen = size
        f.left = min(f.left, size - f.offset)
        f.head = f.head[:size]
        f.start = f.start if size >= WITNESS_BYTES else ""
        evidence = f"cut from {end} to {size} bytes, of which {f.offset} were read"
        self._roster.skip(f, start, end, evidence, done=False)

    def _look_at_closed(self, f: TrackedFile, found: Seen | None) -> None:
        roster, path, name = self._roster, f.path, f.name
        if found is not None:
            self._show(f, found)
        elif self._unseeable(f) or (found := self._find_beside(f)) is None:
            return
        else:
            f.path = f.name = found.path
            f.away_t = roster.t if f.away_t is None else f.away_t
        f.missing_t = None
        unchanged = (found.size, found.changed_ns) == (f.size, f.changed_ns)
        if f.admitted and unchanged and not f.restored and f.away_t is None:
            f.seen_us = roster.now_us
            self._rest(f)
        elif roster.reopen(f):
            if found.size < f.size_seen:
                self._cut(f, found.size)
            f.note(found, roster.now_us, roster.t)
            self._rest(f)
        elif f.suspect:
            # The inode holds something else now; under another name, it was given to another file. If a
            # pattern shows that, it is met in a moment.
            roster.handles.close(f)
            roster.leave_inode(f)
            f.deleted = f.name != name
            f.path, f.name = path, name
        else:
            # Not readable now: at least know how much there is.
            f.note(found, roster.now_us, roster.t)

    def _find_beside(self, f: TrackedFile) -> Seen | None:
        """Look for a closed file under another name in its directory. Marks it suspect when it is not
        there; leaves it alone while the directory itself is not what it was (a disk not yet mounted)."""
        roster, directory = self._roster, os.path.dirname(f.path)
        try:
            listing = self.listing(directory)
        except (FileNotFoundError, NotADirectoryError):
            there = False
        else:
            there = listing.dev == f.dev
            for found in listing.files:
                if found.id == f.id:
                    return found
        if f.missing_t is None:
            f.missing_t = roster.t
        if there or roster.t - f.missing_t >= self._settings.missing_grace_s * 1e6:
            f.deleted = f.suspect = True
        else:
            roster.problems.add(directory, "directory or disk is not there: waiting for it", roster.now_us)
        return None

    def _show(self, f: TrackedFile, found: Seen) -> None:
        """A pattern shows ``f``, perhaps under a new name."""
        f.away_t = None
        f.ending = f.deleted = False
        if f.name != found.path:
            f.name = found.path
            f.path = self._roster.host.real_path(found.path)

    def _meet(self, found: Seen) -> None:
        """A file not known before. It is held open from now on, so that it can be read even if it is
        deleted while it is being decided whether it is a copy of another."""
        roster = self._roster
        f = TrackedFile(roster.mint(), roster.host.real_path(found.path), found.dev, found.ino)
        f.name = found.path
        f.admitted = False
        f.note(found, roster.now_us, roster.t)
        roster.add(f)
        if roster.reopen(f) and self._start_at_end and f.size:
            self._skip_to_end(f)

    def _skip_to_end(self, f: TrackedFile) -> None:
        handle = f.handle
        assert handle is not None
        try:
            f.place_at(f.size, read_before(handle, f.size))
            learn_start(f, handle, self._settings.fingerprint_bytes)
        except OSError as error:
            self._roster.trouble(f, error)
            return
        f.admitted = True
        self._roster.tell(f)
