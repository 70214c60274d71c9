"""Open files: when there are open_files_max, the one read longest ago gives way."""

from __future__ import annotations

import errno
from collections import OrderedDict

from gapless.agent.sources.port import SourceFile, SourceHost
from gapless.agent.sources.tracked import TrackedFile


class Handles:
    """Opens and closes the files of a source.

    A file that no pattern shows any more is not closed for want of descriptors while it has unread bytes:
    it might not be found again. So open_files_max is exceeded by as many as there are of those.
    """

    def __init__(self, host: SourceHost, open_files_max: int) -> None:
        self._host = host
        self._open_files_max = open_files_max
        self._open: OrderedDict[str, TrackedFile] = OrderedDict()

    def open(self, f: TrackedFile) -> bool:
        """Open ``f`` at its path; False if another file is there now. Raises OSError."""
        assert f.handle is None
        while len(self._open) >= self._open_files_max and self._close_one():
            pass
        try:
            handle = self._host.open(f.path)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE) or not self._close_one():
                raise
            handle = self._host.open(f.path)
        if handle.stat().id != f.id:
            handle.close()
            return False
        self.adopt(f, handle)
        return True

    def adopt(self, f: TrackedFile, handle: SourceFile) -> None:
        """Take over a handle that is open already."""
        f.handle = handle
        f.at_end = False
        self._open[f.file] = f

    def release(self, f: TrackedFile) -> SourceFile | None:
        """Give up the handle of ``f`` without closing it."""
        self._open.pop(f.file, None)
        handle, f.handle = f.handle, None
        return handle

    def close(self, f: TrackedFile) -> None:
        handle = self.release(f)
        if handle is not None:
            handle.close()

    def used(self, f: TrackedFile) -> None:
        self._open.move_to_end(f.file)

    def close_all(self) -> None:
        for f in list(self._open.values()):
            self.close(f)

    def _close_one(self) -> bool:
        for f in self._open.values():
            if f.away_t is None and not f.suspect:
                self.close(f)
                return True
            if f.away_t is not None and f.at_end and not f.left:
                f.ending = f.stirred = True  # given up early: its handle is free after the next read
        return False
