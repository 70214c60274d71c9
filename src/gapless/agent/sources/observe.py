"""A second pair of eyes on a file source, for whoever must notice that its reader is stuck."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gapless.agent.sources.events import FileCursor
from gapless.agent.sources.port import FileId, SourceHost
from gapless.agent.sources.settings import FileSettings


class Observed(NamedTuple):
    """What a look at a source shows: up to where each file was durably read, and how many bytes the files
    that match now hold beyond that (none that hold no more). ``blind``: some directory or file could not be
    looked at, so there may be more."""

    offsets: dict[FileId, int]
    unread: dict[FileId, int]
    blind: bool

    @property
    def read_bytes(self) -> int:
        return sum(self.offsets.values())

    @property
    def unread_bytes(self) -> int:
        return sum(self.unread.values())


def observe(settings: FileSettings, cursors: Iterable[FileCursor], host: SourceHost) -> Observed:
    """Look at a source.

    Independent of its reader: only directories and durable cursors are looked at, nothing is opened.
    Files renamed out of all patterns, and deleted ones that the reader still holds, are not seen here.
    A file that is being held back as a possible copy counts as unread.
    """
    offsets = {(cursor.dev, cursor.ino): cursor.offset for cursor in cursors if not cursor.done}
    scan = host.scan(settings.paths, settings.exclude, settings.entries_max)
    unread: dict[FileId, int] = {}
    for found in scan.files:
        offset = offsets.get(found.id, 0)
        # Shorter than what was read: it was emptied, and all of it is new.
        if more := found.size - offset if found.size >= offset else found.size:
            unread[found.id] = more
    return Observed(offsets, unread, bool(scan.failed))


class _Waiting(NamedTuple):
    offset: int
    since_s: float
    turn: int


class Attention:
    """Whether a reader leaves something out while it goes on with the rest: for what all of its files
    together have moved, one that it cannot open would not show.

    A reader takes its files in turn. So a file is left out once another has moved at two looks, one after
    the other or not, while it had something unread and did not move. With a backlog in many files each waits
    for long, and none is left out.
    """

    def __init__(self) -> None:
        self._offsets: dict[FileId, int] = {}
        self._moved: set[FileId] = set()
        self._turn = 0
        self._waiting: dict[FileId, _Waiting] = {}
        self._blind_s: float | None = None

    def left_s(self, settings: FileSettings, observed: Observed, now_s: float) -> float:
        """For how long something has been left out, or could not be looked at, beyond the time for which the
        settings let anything wait: seconds, 0 if nothing has. To be asked at each look; ``now_s`` is of a
        monotonic clock."""
        self._count_turns(observed.offsets)
        before, self._waiting = self._waiting, {}
        for file in observed.unread:
            offset, known = observed.offsets.get(file, 0), before.get(file)
            still = known is not None and known.offset == offset
            self._waiting[file] = known if known and still else _Waiting(offset, now_s, self._turn)
        self._blind_s = (now_s if self._blind_s is None else self._blind_s) if observed.blind else None
        # The turn in which it began to wait may be half over, and the next is the first whole one.
        since = [each.since_s for each in self._waiting.values() if self._turn > each.turn + 1]
        since += [self._blind_s] if self._blind_s is not None else []
        allowed_s = settings.rescan_s + settings.copy_grace_s + settings.quiet_s
        return max(0.0, now_s - min(since, default=now_s) - allowed_s)

    def _count_turns(self, offsets: dict[FileId, int]) -> None:
        moved = {file for file, offset in offsets.items() if self._offsets.get(file) != offset}
        self._offsets = offsets
        if moved & self._moved:
            self._turn += 1
            self._moved = set()
        self._moved |= moved
