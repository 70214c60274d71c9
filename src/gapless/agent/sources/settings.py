"""Settings of a file source."""

from __future__ import annotations

from typing import Literal

import msgspec

from gapless.agent.sources.globs import pattern_faults
from gapless.model.errors import Misconfigured

#: What a read or a line may take of memory, and the longest wait: 30 days.
READ_BYTES_MOST, _WAIT_S_MOST = 1 << 30, 30 * 86_400.0

#: The least and the most that each number may be.
_BOUNDS: dict[str, tuple[float, float]] = {
    "line_bytes_max": (1, READ_BYTES_MOST),
    "read_bytes_max": (1, READ_BYTES_MOST),
    "fingerprint_bytes": (64, 1 << 20),
    "quiet_s": (0.1, _WAIT_S_MOST),
    "rescan_s": (0.1, _WAIT_S_MOST),
    "copy_grace_s": (0.0, _WAIT_S_MOST),
    "rotated_quiet_s": (0.0, _WAIT_S_MOST),
    "missing_grace_s": (0.0, _WAIT_S_MOST),
    "entries_max": (1, 100_000_000),
    "files_max": (1, 10_000_000),
    "open_files_max": (8, 1_000_000),
}


class FileSettings(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Which files to follow, and how.

    ``paths``: absolute patterns (``*``, ``?``, ``[...]``, ``**`` alone between slashes). A pattern that
    matches the rotated names too (``app.log*``) finds every generation, also those that came and went
    while the agent was down for more than one rotation; no record is read twice for that.
    ``exclude``: patterns to leave out; without a slash they are compared with the file's name (``*.gz``).
    A directory that matches one is not looked into: so name those below ``**`` that may not be read.
    ``start_at``: where files begin that are there at the very first start. Later ones begin at their
    beginning.
    ``line_bytes_max``: a longer line is cut into pieces of this many bytes, marked "part" and "last_part".
    ``read_bytes_max``: one read, and the most that one file gives before it is another file's turn.
    ``fingerprint_bytes``: how much of a file's beginning its identity rests on.
    ``quiet_s``: a last line without a newline is delivered when it has not grown for this long.
    ``rescan_s``: how often directories are looked at; a new file is seen within this time.
    ``copy_grace_s``: how long a new file with the content of one that is being read is held back, to see
    whether that one is truncated now (copy-truncate, which may lose records: see "The books").
    ``rotated_quiet_s``: a file renamed out of all patterns is given up when it has been read to its end
    and has not grown for this long.
    ``missing_grace_s``: how long a file whose directory is missing or on another device (a disk not yet
    mounted) is waited for before it counts as deleted.
    ``entries_max``: entries of directories that a look goes through, so that ``/**`` does not go through all
    of a disk; where there are more, that is told of, and the stream counts as one with something unread.
    ``files_max``: files followed at once. A look at 100,000 takes about a second of a core: see ``rescan_s``.
    ``open_files_max``: files held open (more only while files that were rotated away have unread bytes), of
    this source, and fewer where the process may not open so many (``ulimit -Hn``, less 32). A
    file that is not open can still be followed through a rename within its directory, but not once its last
    name is deleted.
    """

    paths: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    start_at: Literal["beginning", "end"] = "beginning"
    line_bytes_max: int = 8 * 1024 * 1024
    read_bytes_max: int = 1024 * 1024
    fingerprint_bytes: int = 1024
    quiet_s: float = 5.0
    rescan_s: float = 1.0
    copy_grace_s: float = 10.0
    rotated_quiet_s: float = 600.0
    missing_grace_s: float = 600.0
    entries_max: int = 200_000
    files_max: int = 10_000
    open_files_max: int = 2_000

    def faults(self) -> list[str]:
        """Everything that is wrong, each named by its field."""
        faults = [] if self.paths else ["paths is empty: name at least one file or pattern"]
        for field, patterns in (("paths", self.paths), ("exclude", self.exclude)):
            for at, pattern in enumerate(patterns):
                for fault in pattern_faults(pattern, exclude=field == "exclude"):
                    faults.append(f"{field}[{at}] {pattern!r} {fault}")
        for field, (least, most) in _BOUNDS.items():
            if not least <= getattr(self, field) <= most:
                faults.append(f"{field} = {getattr(self, field)} cannot be: use {least} to {most}")
        return faults

    def check(self) -> FileSettings:
        """Return self. Raises Misconfigured with every fault at once."""
        if faults := self.faults():
            raise Misconfigured(faults)
        return self
