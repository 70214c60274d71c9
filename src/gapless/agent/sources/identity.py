"""Whether content on a disk is the content that was read: by its head, and by the bytes before an offset.

An inode number alone proves nothing (it is reused), nor does a path (files are renamed), nor a head alone
(files begin alike). Compared are at most fingerprint_bytes + 64 bytes a question.
"""

from __future__ import annotations

from gapless.agent.sources.port import SourceFile
from gapless.agent.sources.tracked import TAIL_BYTES, TrackedFile, head_digest, trail_digest


def read_at(source: SourceFile, offset: int, length: int) -> bytes:
    """Up to ``length`` bytes from ``offset``."""
    buffer = bytearray(length)
    return bytes(buffer[: source.pread_into(memoryview(buffer), offset)])


def read_before(source: SourceFile, offset: int) -> bytes:
    """The bytes just before ``offset``, at most TAIL_BYTES."""
    length = min(offset, TAIL_BYTES)
    return read_at(source, offset - length, length)


def intact(f: TrackedFile) -> bool:
    """Whether the open file still has the bytes that were read last (of a young file: that were seen, as
    far as it still reaches)."""
    assert f.handle is not None
    if f.offset < len(f.head) and not f.head.startswith(read_at(f.handle, 0, len(f.head))):
        return False
    return _has_tail(f, f.handle)


def continues(f: TrackedFile, source: SourceFile, size: int) -> bool:
    """Whether a file of ``size`` bytes holds everything that was read of ``f``: reading can go on there."""
    length, digest = f.proof()
    return (
        size >= max(f.offset, length)
        and (not length or head_digest(read_at(source, 0, length)) == digest)
        and _has_tail(f, source)
    )


def contained(f: TrackedFile, source: SourceFile, size: int) -> bool:
    """Whether a shorter file holds nothing but what was read of ``f``, as far as ``f`` remembers it.

    That needs an older offset within the file, with the same bytes before it: a head alone is no proof."""
    length, digest = f.proof()
    if not 0 < length <= size < f.offset or head_digest(read_at(source, 0, length)) != digest:
        return False
    return any(
        offset <= size and trail_digest(read_before(source, offset)) == known for offset, known in f.trail
    )


def _has_tail(f: TrackedFile, source: SourceFile) -> bool:
    length = len(f.tail)
    return read_at(source, f.offset - length, length) == f.tail


def evidence_bytes(f: TrackedFile) -> int:
    """How many bytes an identity by content rests on."""
    return max(f.proof()[0], len(f.tail))


def begins_alike(a: TrackedFile, b: TrackedFile) -> bool:
    """Whether two heads are the same as far as both are known."""
    common = min(len(a.head), len(b.head))
    return common > 0 and a.head[:common] == b.head[:common]


def ends_alike(new: TrackedFile, old: TrackedFile) -> bool:
    """Whether ``new``, which begins like ``old``, has the same bytes where reading of ``old`` stands, or at
    its own end if that is earlier (a copy in progress). Both are open, and ``old`` is intact."""
    assert new.handle is not None and old.handle is not None
    at = min(new.size, old.offset or old.size)
    theirs = old.tail if at == old.offset else read_before(old.handle, at)
    return read_before(new.handle, at) == theirs
