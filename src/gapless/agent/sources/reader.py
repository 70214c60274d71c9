"""Reading one file from an offset: one system call gets new bytes and the witness of the old ones before
them, and where that does not reach the file's beginning, a second one gets its head."""

from __future__ import annotations

from typing import NamedTuple

from gapless.agent.sources.identity import has_head
from gapless.agent.sources.lines import Cut, cut
from gapless.agent.sources.port import SourceFile
from gapless.agent.sources.tracked import TrackedFile
from gapless.agent.sources.trail import WITNESS_BYTES, points_within, witness_digest

#: A last line without newline that is longer than this is not read again as a whole to see whether its
#: newline has come: only what is new of it.
_PEEK_FROM_BYTES = 4096


class Reading(NamedTuple):
    """What a read gave: ``found`` None when there is nothing to deliver yet, ``intact`` False when the
    bytes before the offset, or the first of the file, are no longer those that were read."""

    intact: bool
    found: Cut | None = None
    data: memoryview = memoryview(b"")


_CHANGED = Reading(intact=False)
_NOTHING = Reading(intact=True)


class FileReader:
    """Reads files one after another through one buffer.

    The buffer is read_bytes_max; only while a longer line is being read it is as long as that line, at
    most line_bytes_max. What a read returns is valid until the next one.
    """

    def __init__(self, read_bytes_max: int, line_bytes_max: int, fingerprint_bytes: int) -> None:
        # One read never spans more than a line may be long: so no line within it can be too long.
        self._room_max = line_bytes_max + 1
        self._room = min(read_bytes_max, self._room_max)
        self._line_bytes_max = line_bytes_max
        self._fingerprint_bytes = fingerprint_bytes
        self._buffer = bytearray(WITNESS_BYTES + self._room + 1)
        self._long = bytearray()

    def read(self, f: TrackedFile, t: int, last: bool) -> Reading:
        """Read ``f`` from its offset and move it over the records found. ``last`` delivers a last line
        without a newline, unless it has grown. Raises OSError; ``f`` is then as it was."""
        source = f.handle
        assert source is not None
        if f.line != "long":
            self._long = bytearray()
        if f.left >= _PEEK_FROM_BYTES and f.at_end and not last and not self._line_has_end(f, source, t):
            return _NOTHING
        room, before = self._room_for(f), f.witness_bytes
        while True:
            buffer = self._buffer_of(room)
            view = memoryview(buffer)
            stop = source.pread_into(view[: before + room], f.offset - before)
            if stop < before or witness_digest(view[:before]) != f.witness:
                return _CHANGED
            f.at_end = stop < before + room
            whole = f.at_end and stop - before == f.left
            found = cut(buffer, before, stop, f.line, self._line_bytes_max, last=last and whole)
            if found is not None or f.at_end:
                break
            room = min(room * 4, self._room_max)
        # Asked after the bytes were read: a file replaced in between must not pass for the old one.
        if f.offset == before:  # they begin where the file does
            if not f.head.startswith(view[: min(stop, len(f.head))]):
                return _CHANGED
        elif found is not None and not has_head(f, source):
            return _CHANGED
        self._extend_head(f, buffer, before, stop)
        if found is None:
            self._set_left(f, stop - before, t)
            return _NOTHING
        end = before + found.taken
        whole_witness = before == min(f.offset, WITNESS_BYTES)
        points = points_within(buffer, f.offset - before, before, end) if whole_witness else ()
        f.advance(found.taken, view[max(0, end - WITNESS_BYTES) : end], tuple(points), found.line)
        # What follows the last newline holds none; of what follows a piece of a long line nothing is known.
        self._set_left(f, stop - end if found.line == "start" else 0, t)
        end = found.end
        if found.add_newline:
            buffer[end] = 0x0A  # what stood there is read again
            end += 1
        return Reading(True, found, view[found.start : end])

    def _room_for(self, f: TrackedFile) -> int:
        """How much to read: more than usual only where the line is known to be longer."""
        if f.line == "long":
            return self._room_max
        room = self._room
        while f.left >= room < self._room_max:
            room = min(room * 4, self._room_max)
        return room

    def _buffer_of(self, room: int) -> bytearray:
        """A buffer for the bytes before the offset, ``room`` new ones, and a newline."""
        length = WITNESS_BYTES + room + 1
        if length <= len(self._buffer):
            return self._buffer
        if length > len(self._long):
            self._long = bytearray(length)
        return self._long

    def _extend_head(self, f: TrackedFile, buffer: bytearray, start: int, stop: int) -> None:
        """Take more of a young file's beginning from the buffer, in which ``start`` is the file's offset."""
        if not f.start and start == f.offset and stop >= WITNESS_BYTES:
            f.start = witness_digest(memoryview(buffer)[:WITNESS_BYTES])
        known = len(f.head)
        if known < self._fingerprint_bytes:
            assert known >= f.offset
            f.head += buffer[start + known - f.offset : min(stop, start + self._fingerprint_bytes - f.offset)]

    def _set_left(self, f: TrackedFile, left: int, t: int) -> None:
        if left != f.left:
            f.left, f.grew_t = left, t
        f.size = max(f.size, f.offset + left)
        f.size_seen = max(f.size_seen, f.size)

    def _line_has_end(self, f: TrackedFile, source: SourceFile, t: int) -> bool:
        """Whether a long line that had no end yet can be delivered now: its newline has come, or it has
        become too long. Reads only what was added to it."""
        view = memoryview(self._buffer)
        while f.left < self._room_max:
            got = source.pread_into(view[: min(self._room, self._room_max - f.left)], f.offset + f.left)
            if self._buffer.find(b"\n", 0, got) >= 0:
                return True
            if not got:
                return False
            self._set_left(f, f.left + got, t)
        return True
