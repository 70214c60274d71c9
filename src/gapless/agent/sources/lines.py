"""Cutting bytes into records at newlines, at memchr speed: nothing here runs per record.

Bytes are never changed: a carriage return, a NUL or half a character is part of the record.
"""

from __future__ import annotations

from typing import NamedTuple

from gapless.agent.sources.events import LineState
from gapless.model.batch import Mark

_NEWLINE = 0x0A


class Cut(NamedTuple):
    """Records found in a buffer: ``[start, end)`` of it (plus a newline when ``add_newline``), from the
    ``taken`` bytes at the front. ``line`` is the state after them."""

    start: int
    end: int
    add_newline: bool
    taken: int
    records: int
    marks: tuple[Mark, ...]
    line: LineState


def cut(
    buffer: bytearray, start: int, stop: int, line: LineState, line_bytes_max: int, *, last: bool
) -> Cut | None:
    """The records at the front of ``buffer[start:stop]``; None if more bytes are needed to tell.

    ``stop - start`` is at most ``line_bytes_max + 1``, so that no line that ends in it can be too long.
    ``last`` delivers a last line that has no newline. A piece of a longer line is cut only when it is sure
    that the line is longer: one of exactly ``line_bytes_max`` bytes is whole.
    """
    assert stop - start <= line_bytes_max + 1
    end = buffer.rfind(b"\n", start, stop) + 1
    if end:
        return _whole_lines(buffer, start, end, line)
    if stop - start > line_bytes_max:
        return _piece(start, start + line_bytes_max, line)
    if last and stop > start:
        return _unterminated(start, stop, line)
    return None


def _whole_lines(buffer: bytearray, start: int, end: int, line: LineState) -> Cut:
    first = start
    marks: tuple[Mark, ...] = ()
    if line == "open" and buffer[start] == _NEWLINE:
        # The newline of a line that was delivered without it: consumed, no record.
        first += 1
    elif line != "start":
        marks = (Mark(0, "continued" if line == "open" else "last_part"),)
    return Cut(first, end, False, end - start, buffer.count(b"\n", first, end), marks, "start")


def _piece(start: int, end: int, line: LineState) -> Cut:
    marks: tuple[Mark, ...] = (Mark(0, "part"),)
    if line == "open":
        marks = (Mark(0, "continued"), *marks)
    return Cut(start, end, True, end - start, 1, marks, "long")


def _unterminated(start: int, stop: int, line: LineState) -> Cut:
    marks: tuple[Mark, ...] = (Mark(0, "unterminated"),)
    if line != "start":
        marks = (Mark(0, "continued" if line == "open" else "last_part"), *marks)
    return Cut(start, stop, True, stop - start, 1, marks, "open")
