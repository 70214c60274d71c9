"""Whether content on a disk is the content that was read: by its head, and by the bytes before an offset.

An inode number alone proves nothing (it is reused), nor does a path (files are renamed), nor a head alone
(files begin alike), nor a few bytes before an offset (records end alike). So two things are compared: the
head, and the witness, which is all of the last WITNESS_BYTES before the offset. That is one read of
fingerprint_bytes and one of WITNESS_BYTES a question, asked of files that have changed.

What remains undetectable:

- New content that has the same first fingerprint_bytes and the same WITNESS_BYTES before the offset as what
  was read counts as read up to there, wherever else it differs (records longer than WITNESS_BYTES that
  differ only in front of that, behind a common head); so does content written again as it was.
- A file that has become shorter and still begins with much of what was read of it (Copies says how much)
  counts as cut: what is proven of that beginning is not read again, even if it was written anew.
- Of content that was seen and not yet read, nothing but the head is known.
- A rewrite to the same size that does not move the time of change (two within one tick of the kernel's
  clock) is noticed when the file changes next.
"""

from __future__ import annotations

from gapless.agent.sources.port import SourceFile
from gapless.agent.sources.tracked import TrackedFile, head_digest
from gapless.agent.sources.trail import WITNESS_BYTES, trail_digest, witness_digest


def read_at(source: SourceFile, offset: int, length: int) -> bytes:
    """Up to ``length`` bytes from ``offset``."""
    buffer = bytearray(length)
    return bytes(buffer[: source.pread_into(memoryview(buffer), offset)])


def read_before(source: SourceFile, offset: int) -> bytes:
    """The bytes just before ``offset``, at most WITNESS_BYTES."""
    length = min(offset, WITNESS_BYTES)
    return read_at(source, offset - length, length)


def learn_start(f: TrackedFile, source: SourceFile, fingerprint_bytes: int) -> None:
    """Read the first bytes of ``f`` as they are now."""
    f.begin(read_at(source, 0, max(fingerprint_bytes, WITNESS_BYTES)), fingerprint_bytes)


def lengthen_witness(f: TrackedFile, source: SourceFile) -> None:
    """Take the whole witness of content that was verified by a shorter one (of an old cursor)."""
    if f.witness_bytes < min(f.offset, WITNESS_BYTES):
        window = read_before(source, f.offset)
        f.witness, f.witness_bytes = witness_digest(window), len(window)


def intact(f: TrackedFile) -> bool:
    """Whether the open file still has the bytes that were read first and last (of a young file: that were
    seen, as far as it still reaches)."""
    assert f.handle is not None
    return has_head(f, f.handle) and _has_witness(f, f.handle)


def has_head(f: TrackedFile, source: SourceFile) -> bool:
    """Whether ``source`` begins with the known head, as far as it reaches."""
    return f.head.startswith(read_at(source, 0, len(f.head)))


def continues(f: TrackedFile, source: SourceFile, size: int) -> bool:
    """Whether a file of ``size`` bytes holds everything that was read of ``f``: reading can go on there."""
    length, digest = f.proof()
    return (
        size >= max(f.offset, length)
        and (not length or head_digest(read_at(source, 0, length)) == digest)
        and _has_witness(f, source)
    )


def proven_bytes(f: TrackedFile, source: SourceFile, size: int) -> int:
    """How much of a file of ``size`` bytes is what was read of ``f``, as far as ``f`` remembers it: the
    largest offset of its trail with the same witness, if the head is the same too; else 0."""
    length, digest = f.proof()
    if not 0 < length <= size or head_digest(read_at(source, 0, length)) != digest:
        return 0
    for offset, known in reversed(f.trail):
        if offset <= size and trail_digest(witness_digest(read_before(source, offset))) == known:
            return offset
    return 0


def _has_witness(f: TrackedFile, source: SourceFile) -> bool:
    length = f.witness_bytes
    return witness_digest(read_at(source, f.offset - length, length)) == f.witness


def evidence_bytes(f: TrackedFile) -> int:
    """How many bytes an identity by content rests on."""
    return max(f.proof()[0], f.witness_bytes)


def begins_alike(a: TrackedFile, b: TrackedFile) -> bool:
    """Whether two heads are the same as far as both are known."""
    common = min(len(a.head), len(b.head))
    if not common or a.head[:common] != b.head[:common]:
        return False
    return not a.start or not b.start or a.start == b.start


def goes_another_way(new: TrackedFile, old: TrackedFile) -> bool:
    """Whether ``new`` reaches to where reading of ``old`` stands and has other bytes there: it is no copy,
    whatever became of ``old`` since."""
    assert new.handle is not None
    return 0 < old.offset <= new.size and not _has_witness(old, new.handle)


def ends_alike(new: TrackedFile, old: TrackedFile) -> bool:
    """Whether ``new``, which begins like ``old``, has the same bytes where reading of ``old`` stands, or at
    its own end if that is earlier (a copy in progress). Both are open, and ``old`` is intact."""
    assert new.handle is not None and old.handle is not None
    at = min(new.size, old.offset or old.size)
    return read_before(new.handle, at) == read_before(old.handle, at)
