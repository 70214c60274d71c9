"""Standard input, or any pipe, as a source. What is not asked for stays in the pipe: its writer waits."""

from __future__ import annotations

import array
import fcntl
import os
import select
import stat
import termios
from collections.abc import Iterator

from gapless.agent.sources.events import Chunk, FileCursor, LineState
from gapless.agent.sources.lines import Cut, cut
from gapless.model.batch import Part


class StdinSource:
    """Reads a descriptor to records, in chunks of the shape that files give.

    ``file`` is the identity of this run's input; positions are bytes since the run began. A pipe cannot
    be read twice: what was handed out and not made durable is gone with the process, and so is the
    beginning of a line whose end has not come (at most line_bytes_max). The descriptor stays open.
    """

    def __init__(
        self, fd: int, file: str, *, line_bytes_max: int = 8 * 1024 * 1024, read_bytes_max: int = 1024 * 1024
    ) -> None:
        self._fd = fd
        self._file = file
        self._line_bytes_max = line_bytes_max
        self._room_max = line_bytes_max + 1
        self._room = min(read_bytes_max, self._room_max)
        self._buffer = bytearray(self._room)
        self._start = self._stop = 0  # what of the buffer is not delivered
        self._offset = 0
        self._line: LineState = "start"
        self._at_end = self._done = False
        self._seen_us = 0
        self._poller: select.poll | None = None
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            self._poller = select.poll()
            self._poller.register(fd, select.POLLIN)

    @property
    def done(self) -> bool:
        """Whether the input has ended and all of it was handed out."""
        return self._done

    def poll(self, now_us: int, elapsed_us: int) -> None:
        """Nothing to prepare; as with files."""
        self._seen_us = now_us

    def read(self, now_us: int, budget_bytes: int) -> Iterator[Chunk]:
        """Hand out chunks, about ``budget_bytes`` in all (a chunk more at most), without waiting. The last
        one has no records, and a ``done`` part and cursor. Raises OSError."""
        self._seen_us = now_us
        while budget_bytes > 0 and not self._done:
            found = cut(
                self._buffer, self._start, self._stop, self._line, self._line_bytes_max, last=self._at_end
            )
            if found is not None:
                chunk = self._chunk(found)
                budget_bytes -= found.taken
                yield chunk
            elif self._at_end:
                self._done = True
                yield Chunk(b"", 0, Part(self._file, self._offset, self._offset, 0, True), (), self._cursor())
            elif not self._fill():
                return

    def backlog(self) -> tuple[int, int]:
        """Bytes handed out, and bytes waiting in the pipe or for the end of their line."""
        waiting = array.array("i", [0])
        try:
            fcntl.ioctl(self._fd, termios.FIONREAD, waiting)
        except OSError:
            pass  # closed or not a pipe: nothing is known to wait there
        return self._offset, self._stop - self._start + max(0, waiting[0])

    def cursors(self) -> list[FileCursor]:
        """The position now; a new run cannot go on from it, but the books can say where this one ended."""
        return [self._cursor()]

    def _fill(self) -> bool:
        """Get more bytes behind those that hold no whole line yet. False if there are none now."""
        if self._poller is not None and not self._poller.poll(0):
            return False
        left = self._stop - self._start
        assert left < self._room_max
        # At most line_bytes_max + 1 bytes, so that no line within can be too long.
        size = min(max(self._room, 4 * left), self._room_max)
        if left or size != len(self._buffer):
            buffer = bytearray(size)
            buffer[:left] = memoryview(self._buffer)[self._start : self._stop]
            self._buffer = buffer
        self._start, self._stop = 0, left
        got = os.readv(self._fd, [memoryview(self._buffer)[left:]])
        self._stop += got
        self._at_end = got == 0
        return True

    def _chunk(self, found: Cut) -> Chunk:
        view = memoryview(self._buffer)[found.start : found.end]
        # A newline that the input did not have: copied, because the byte behind is still to be delivered.
        data = b"".join((view, b"\n")) if found.add_newline else view
        part = Part(self._file, self._offset, self._offset + found.taken, found.records)
        self._start += found.taken
        self._offset += found.taken
        self._line = found.line
        return Chunk(data, found.records, part, found.marks, self._cursor())

    def _cursor(self) -> FileCursor:
        return FileCursor(
            file=self._file,
            path="-",
            offset=self._offset,
            line=self._line,
            size=self._offset,
            seen_us=self._seen_us,
            done=self._done,
        )
