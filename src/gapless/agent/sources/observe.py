"""A second pair of eyes on a file source, for whoever must notice that its reader is stuck."""

from __future__ import annotations

from collections.abc import Iterable

from gapless.agent.sources.events import FileCursor
from gapless.agent.sources.port import SourceHost
from gapless.agent.sources.settings import FileSettings


def observe(settings: FileSettings, cursors: Iterable[FileCursor], host: SourceHost) -> tuple[int, int]:
    """Bytes durably read, and bytes that the files which match now hold beyond that.

    Independent of the source: only directories and durable cursors are looked at, nothing is opened.
    Files renamed out of all patterns, and deleted ones that the reader still holds, are not seen here.
    A file that is being held back as a possible copy counts as unread. Directories that cannot be read
    count as empty.
    """
    offsets = {(cursor.dev, cursor.ino): cursor.offset for cursor in cursors if not cursor.done}
    read_bytes = sum(offsets.values())
    unread_bytes = 0
    for found in {found.id: found for found in host.scan(settings.paths, settings.exclude).files}.values():
        offset = offsets.get(found.id, 0)
        # Shorter than what was read: it was emptied, and all of it is new.
        unread_bytes += found.size - offset if found.size >= offset else found.size
    return read_bytes, unread_bytes
