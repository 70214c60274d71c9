"""One file as the source knows it: where the reader stands, and what makes the content recognisable."""

from __future__ import annotations

from hashlib import blake2b

from gapless.agent.sources.events import FileCursor, LineState, outward
from gapless.agent.sources.port import Seen, SourceFile
from gapless.agent.sources.trail import WITNESS_BYTES, Trail, extended, trail_digest, witness_digest

_LONG_AGO_T = -(1 << 62)


def head_digest(head: bytes) -> str:
    """The digest of a file's beginning: BLAKE2b-128 in hex."""
    return blake2b(head, digest_size=16).hexdigest()


class TrackedFile:
    """The state of one file. ``*_t`` are microseconds of the source's own elapsed time, ``*_us`` are UTC.

    ``head`` are the first bytes as far as they were seen (empty until a restored file was verified, when
    ``proof`` is what the cursor says), ``start`` is the digest of the first WITNESS_BYTES once those were
    seen: it tells apart many files with one header without reading them. ``witness`` is the digest of the
    ``witness_bytes`` before the offset, ``trail`` are witnesses of older offsets. ``left`` are bytes after
    the offset known to hold no newline. ``admitted`` is False while it is not decided whether a new file is
    a copy of another.
    """

    __slots__ = (
        "_digest",
        "admitted",
        "at_end",
        "away_t",
        "changed_ns",
        "deleted",
        "dev",
        "ending",
        "file",
        "grew_t",
        "handle",
        "head",
        "held_for",
        "held_size",
        "held_until_t",
        "ino",
        "left",
        "line",
        "missing_t",
        "name",
        "offset",
        "path",
        "queued",
        "rested",
        "restored",
        "seen_us",
        "size",
        "size_seen",
        "start",
        "stirred",
        "suspect",
        "trail",
        "warm_until_t",
        "witness",
        "witness_bytes",
    )

    def __init__(self, file: str, path: str, dev: int, ino: int) -> None:
        self.file = file
        self.path = path  # real path
        self.name = path  # as the scan shows it: a symbolic link perhaps
        self.dev = dev
        self.ino = ino
        self.offset = 0
        self.line: LineState = "start"
        self.left = 0
        self.at_end = False  # the last read reached the end of the file
        self.head = b""
        self.start = ""
        self.witness = ""
        self.witness_bytes = 0
        self.trail: Trail = ()
        self._digest: tuple[int, str] = (0, "")
        self.size = 0
        self.size_seen = 0
        self.changed_ns = -1
        self.seen_us = 0
        self.grew_t = 0
        self.warm_until_t = 0
        self.handle: SourceFile | None = None
        self.admitted = True
        self.held_for = ""
        self.held_size = 0
        self.held_until_t = 0
        self.away_t: int | None = None  # since when no pattern shows it
        self.missing_t: int | None = None  # since when its directory is not there to look at
        self.deleted = False
        self.rested = False  # away, read to its end, and quiet since then for quiet_s
        self.restored = False  # from a cursor, and not verified since
        self.suspect = False  # the content is no longer what was read
        self.ending = False  # at its end for so long that it can be given up
        self.stirred = False  # changed since it was last read
        self.queued = False

    @classmethod
    def from_cursor(cls, cursor: FileCursor) -> TrackedFile:
        """The file a cursor speaks of; closed, and to be verified before it is read."""
        f = cls(cursor.file, cursor.path, cursor.dev, cursor.ino)
        f.offset, f.line = cursor.offset, cursor.line
        if cursor.witness_bytes:
            f.witness, f.witness_bytes = cursor.witness, cursor.witness_bytes
        else:
            f.witness, f.witness_bytes = witness_digest(cursor.tail), len(cursor.tail)
        f.trail = cursor.trail
        f._digest = (cursor.head_bytes, cursor.head)
        f.size = f.size_seen = max(cursor.size, cursor.offset)
        f.seen_us = cursor.seen_us
        f.rested = cursor.rested
        f.restored = True
        f.grew_t = _LONG_AGO_T
        return f

    @property
    def id(self) -> tuple[int, int]:
        return self.dev, self.ino

    @property
    def unread(self) -> int:
        return max(0, self.size - self.offset)

    def cursor(self, *, done: bool = False) -> FileCursor:
        head_bytes, digest = self.proof()
        return FileCursor(
            file=self.file,
            path=outward(self.path),
            dev=self.dev,
            ino=self.ino,
            offset=self.offset,
            line=self.line,
            head=digest,
            head_bytes=head_bytes,
            witness=self.witness,
            witness_bytes=self.witness_bytes,
            trail=self.trail,
            size=self.size_seen,
            seen_us=self.seen_us,
            rested=self.rested,
            done=done,
        )

    def proof(self) -> tuple[int, str]:
        """The length and digest of the head as far as it was read. A copy holds at least that much,
        whereas bytes only seen may have been written after it was made."""
        length = min(len(self.head), self.offset) if self.offset else len(self.head)
        if self.head and length != self._digest[0]:
            self._digest = (length, head_digest(self.head[:length]))
        return self._digest

    def begin(self, start: bytes | memoryview, fingerprint_bytes: int) -> None:
        """Take in the first bytes of the content."""
        self.head = bytes(start[:fingerprint_bytes])
        self.start = witness_digest(start[:WITNESS_BYTES]) if len(start) >= WITNESS_BYTES else ""

    def note(self, seen: Seen, now_us: int, t: int) -> None:
        """Take in how the file looks from outside."""
        if (seen.size, seen.changed_ns) != (self.size, self.changed_ns):
            if seen.size != self.size:
                self.grew_t = t
            self.size, self.changed_ns = seen.size, seen.changed_ns
            self.stirred = True
        self.size_seen = max(self.size_seen, seen.size)
        self.seen_us = now_us

    def advance(self, taken: int, window: memoryview, points: Trail, line: LineState) -> None:
        """Move the offset over bytes that were delivered. ``window``: the bytes (up to WITNESS_BYTES) before
        the new offset; ``points``: what to remember of the offsets passed."""
        if self.line == "start" and 0 < self.witness_bytes == min(self.offset, WITNESS_BYTES):
            points = ((self.offset, trail_digest(self.witness)), *points)
        self.offset += taken
        self.trail = extended(self.trail, points, self.offset)
        self.witness, self.witness_bytes = witness_digest(window), len(window)
        self.line = line
        self.rested = False
        self.size = max(self.size, self.offset)
        self.size_seen = max(self.size_seen, self.size)

    def place_at(self, offset: int, window: bytes) -> None:
        """Put the reader somewhere without delivering what lies before (``window``: the bytes, up to
        WITNESS_BYTES, just before)."""
        self.offset, self.left = offset, 0
        self.witness, self.witness_bytes = witness_digest(window), len(window)
        self.line = "start" if offset == 0 or window.endswith(b"\n") else "open"
