"""Cutting a file into batches for ``gapless send``: whole lines, about ``BATCH_BYTES`` of them at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import msgspec
import zstandard

from gapless import clock
from gapless.log.frame import encode
from gapless.model.batch import BatchHeader, Mark, payload_digest
from gapless.model.entry import Kind
from gapless.model.errors import Refused
from gapless.model.stream import EpochOpen, StreamKey

#: How much of the file goes into a batch; one line more where a line is longer than that.
BATCH_BYTES = 4 << 20
LINE_BYTES_MAX = 8 << 20
_ZSTD_LEVEL = 3


class Cut(NamedTuple):
    """Whole lines, each with its newline. ``terminated`` is False where the last had none and was given
    one; only a source's last line can be so."""

    lines: bytes
    terminated: bool


class Batch(NamedTuple):
    """A batch ready to be sent: ``body`` is its frame."""

    header: BatchHeader
    body: bytes


def cuts(source: BinaryIO, batch_bytes: int = BATCH_BYTES) -> Iterator[Cut]:
    """The lines of ``source`` in pieces. Raises Refused at a line longer than ``LINE_BYTES_MAX``; the
    pieces before it were given."""
    rest = b""
    while data := source.read(batch_bytes):
        end = data.rfind(b"\n") + 1
        if end == 0:
            rest += data
            if len(rest) > LINE_BYTES_MAX:
                raise Refused(
                    f"a line is longer than {LINE_BYTES_MAX} bytes: cut it, or follow the file with an agent"
                )
            continue
        yield Cut(rest + data[:end], True)
        rest = data[end:]
    if rest:
        yield Cut(rest + b"\n", False)


def batches(source: BinaryIO, stream: StreamKey, opened: EpochOpen) -> Iterator[Batch]:
    """The records of ``source`` as the batches of one epoch, from seq 0 on. Raises as ``cuts`` does."""
    compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
    first = 0
    read_from_us = clock.now_us()
    for cut in cuts(source):
        count = cut.lines.count(b"\n")
        payload = compressor.compress(cut.lines)
        read_to_us = max(read_from_us, clock.now_us())
        header = BatchHeader(
            stream=stream,
            opened=opened,
            first=first,
            next=first + count,
            digest=payload_digest(payload),
            raw_bytes=len(cut.lines),
            read_from_us=read_from_us,
            read_to_us=read_to_us,
            marks=() if cut.terminated else (Mark(count - 1, "unterminated"),),
        )
        yield Batch(header, b"".join(encode(Kind.BATCH, msgspec.json.encode(header), payload)))
        first, read_from_us = first + count, read_to_us
