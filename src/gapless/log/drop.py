"""Dropping bodies that nothing needs any more from the sealed segments of a log.

Heads and meta stay where they are, so that positions hold and whoever looks at no bodies reads the same as
before; bodies become holes, which take no room on the disk. A segment is written anew beside the old one and
takes its name. Whoever still has the old one open reads it to its end.

Commit point: the rename. A crash before it leaves ``<segment>.thin``, which the next call overwrites; one
before the directory is synced leaves either of two segments that say the same.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from gapless.log.disk import Disk, File, read_small, write_atomically
from gapless.log.frame import HEAD_BYTES, Head, decode_head, without_body
from gapless.log.layout import refusals, segment_bases, segment_path

_COPY_BYTES = 1 << 20


def drop_bodies_before(
    disk: Disk,
    directory: str,
    position: int,
    kind: int,
    may_go: Callable[[bytes], bool],
    *,
    segments_max: int,
) -> int:
    """Drop the bodies of entries of ``kind`` from segments that end at or before ``position``, oldest first,
    up to ``segments_max`` of them; return how many segments that were. Durable on return.

    It ends before the first segment with an entry whose meta ``may_go`` does not agree to. A segment with any
    damage stays as it is. To be called from one thread of the process that writes the log, which never writes
    to these segments any more. Raises Unavailable if the disk refuses: call it again.
    """
    dropped = 0
    with refusals(directory):
        done = _done(disk, directory)
        for base, end in pairwise(segment_bases(disk, directory)):  # the last is the writer's
            if base < done:
                continue
            if end > position or dropped == segments_max:
                break
            if not _drop(disk, segment_path(directory, base), base, end, kind, may_go):
                break
            disk.sync_dir(directory)
            write_atomically(disk, _marker(directory), str(end).encode())
            dropped += 1
    return dropped


def _drop(disk: Disk, path: str, base: int, end: int, kind: int, may_go: Callable[[bytes], bool]) -> bool:
    """Write one segment anew; False if an entry must keep its body."""
    old = disk.open(path, writable=False)
    try:
        heads = _heads(old, base, end)
        if heads is None:
            return True
        for offset, head in heads:
            if head.kind == kind and not may_go(old.pread(head.meta_bytes, offset + HEAD_BYTES)):
                return False
        thin = f"{path}.thin"
        try:
            disk.unlink(thin)
        except FileNotFoundError:
            pass
        new = disk.create(thin)
        try:
            for offset, head in heads:
                _copy(old, new, offset, head, without=head.kind == kind and head.body_bytes > 0)
            new.sync()
        finally:
            new.close()
        disk.rename(thin, path)
        return True
    finally:
        old.close()


def _heads(file: File, base: int, end: int) -> list[tuple[int, Head]] | None:
    """Every frame of a segment, by its offset; None if they do not fill it from beginning to end."""
    found, offset = [], 0
    while base + offset < end:
        head = decode_head(file.pread(HEAD_BYTES, offset))
        if head is None or head.position != base + offset or base + offset + head.frame_bytes > end:
            return None
        found.append((offset, head))
        offset += head.frame_bytes
    return found


def _copy(old: File, new: File, offset: int, head: Head, *, without: bool) -> None:
    if without:
        meta = old.pread(head.meta_bytes, offset + HEAD_BYTES)
        new.write([without_body(head), meta], offset)
        return
    end = offset + (HEAD_BYTES + head.meta_bytes if head.dropped else head.frame_bytes)
    while offset < end:
        data = old.pread(min(_COPY_BYTES, end - offset), offset)
        if not data:
            return  # cut short: as it was
        new.write([data], offset)
        offset += len(data)


def _marker(directory: str) -> str:
    """Up to where segments have been looked at, in decimal digits. Without it they are looked at again."""
    return f"{directory}/dropped"


def _done(disk: Disk, directory: str) -> int:
    text = read_small(disk, _marker(directory)) or b"0"
    return int(text) if text.isdigit() else 0
