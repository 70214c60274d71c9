"""What a source hands to the collector: records, the positions they came from, and where to go on.

Every event carries a cursor: the state of its file *after* the event. The collector makes event and cursor
durable in one append, and restores the source from the last durable cursor of each file. A cursor with
``done`` is the last word on its file: forget the file when it is durable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from gapless.model.batch import Mark, Part

#: Where in a line the offset stands. "start": at the start of a line; "long": within a line longer than
#: line_bytes_max of which pieces were delivered; "open": after a line that was delivered without a newline.
LineState = Literal["start", "long", "open"]


def outward(path: str) -> str:
    """A path as text that every encoder takes: bytes that are no UTF-8 become escapes."""
    return path.encode(errors="backslashreplace").decode()


class FileCursor(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Where a reader stands in a file, and what it needs to find the same content again.

    ``file`` is the identity the agent gave (32 hex digits); ``path``, ``dev``, ``ino`` say where the
    content was last. ``head`` is the BLAKE2b-128 in hex of the first ``head_bytes`` bytes, ``witness`` that
    of the ``witness_bytes`` (up to 4 KiB) before ``offset``, ``trail`` older offsets (at most 20), each with
    the first 64 bits of the same digest. ``size`` is the largest size seen, ``seen_us`` when the file was
    last seen in this state. ``rested``: no pattern showed the file any more, it had been read to its end,
    and had not grown for quiet_s.

    ``tail`` comes from cursors written before there was a witness: the (up to 64) bytes before ``offset``.
    Their trail proves nothing today, and so is no harm.
    """

    file: str
    path: str
    dev: int = 0
    ino: int = 0
    offset: int = 0
    line: LineState = "start"
    head: str = ""
    head_bytes: int = 0
    tail: bytes = b""
    witness: str = ""
    witness_bytes: int = 0
    trail: tuple[tuple[int, str], ...] = ()
    size: int = 0
    seen_us: int = 0
    rested: bool = False
    done: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole records of one file, each ended by a newline.

    ``data`` is valid until the next event is asked for. ``part`` says which bytes of the file they were
    (parts of a file are adjacent, in order); ``marks`` count from this chunk's first record. A chunk may
    hold no record at all (``count`` 0): a newline that ended a line already delivered, a file done or found
    under another name. Its cursor counts all the same.
    """

    data: bytes | memoryview
    count: int
    part: Part
    marks: tuple[Mark, ...]
    cursor: FileCursor


@dataclass(frozen=True, slots=True)
class Skipped:
    """Bytes that were in the source and can no longer be read: ``[start, end)`` of ``file``.

    ``end`` None: nobody was looking, so nobody can say how many, if any. They went away between
    ``not_before_us`` (when the file was last seen with them) and ``not_after_us``.
    """

    file: str
    path: str
    start: int
    end: int | None
    cause: Literal["source_truncated", "source_deleted"]
    not_before_us: int
    not_after_us: int
    evidence: str
    cursor: FileCursor


class Problem(msgspec.Struct, frozen=True):
    """Something in the way of reading, for a person: where, what, since when. It is being retried."""

    path: str
    error: str
    since_us: int
