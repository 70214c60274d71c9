"""Batches of one table to chunks, and chunks to columns: the part of a step that writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gapless.lake.decode import Decoded
from gapless.lake.intake import Batch, Undecodable, unpack
from gapless.lake.limits import StepLimits
from gapless.lake.rows import Origins, Piece
from gapless.model.errors import Unavailable
from gapless.model.tables import TableSchema

#: The marks that say a record is not whole; the others only say how its line ended at the source.
_CUT = ("part", "last_part")


class BatchDecoder(Protocol):
    """What turns records into columns: ``gapless.lake.decode.Decoder``. Used in one thread at a time."""

    def decode(
        self,
        schema: TableSchema,
        payload: bytes | memoryview | pa.Buffer,
        *,
        received_us: int | NDArray[np.int64],
        marks: Mapping[int, str] | None = None,
        time: str = "",
    ) -> Decoded: ...


Part = tuple[Piece, memoryview]  # a piece and its records


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records of one table that are decoded in one go."""

    schema: TableSchema
    pieces: Sequence[Piece]
    ends: Sequence[int]  #: of each piece's records in ``payload``
    payload: memoryview
    time: str  #: which field is their TimeGenerated

    def apart(self) -> Iterator[Chunk]:
        """Each piece as a chunk of its own."""
        start = 0
        for piece, end in zip(self.pieces, self.ends, strict=True):
            yield Chunk(self.schema, [piece], [end - start], self.payload[start:end], self.time)
            start = end


@dataclass(frozen=True, slots=True)
class DecodedChunk:
    """The columns of a chunk's records, and whose records they are."""

    schema: TableSchema
    origins: Origins
    decoded: Decoded


@dataclass(frozen=True, slots=True)
class RefusedPiece:
    """A piece that cannot be decoded, and why."""

    schema: TableSchema
    piece: Piece
    error: Undecodable


def chunks(
    schema: TableSchema,
    batches: Iterable[Batch],
    limits: StepLimits,
    refuse: Callable[[Batch, Undecodable], None],
) -> Iterator[Chunk]:
    """The batches' records in chunks of bounded size, those of a stream in their order. Batches that cannot
    be unpacked go to ``refuse``."""
    by_time: dict[str, list[Batch]] = {}
    for batch in batches:
        upload = batch.header.upload
        by_time.setdefault(upload.time if upload else "", []).append(batch)
    for time, of_time in by_time.items():
        yield from _chunks(schema, time, of_time, limits, refuse)


def _chunks(
    schema: TableSchema,
    time: str,
    batches: Iterable[Batch],
    limits: StepLimits,
    refuse: Callable[[Batch, Undecodable], None],
) -> Iterator[Chunk]:
    parts: list[Part] = []
    records = size = 0
    for batch in batches:
        try:
            payload = unpack(batch, raw_bytes_max=limits.raw_bytes_max)
        except Undecodable as error:
            refuse(batch, error)
            continue
        for piece, lines in _pieces(batch, payload, limits.chunk_records_max):
            count = piece.next - piece.first
            full = size >= limits.chunk_bytes_max
            if parts and (full or records + count > limits.chunk_records_max):
                chunk = _chunk(schema, time, parts)
                parts, records, size = [], 0, 0  # before the chunk is given away: it has a copy
                yield chunk
            parts.append((piece, lines))
            records += count
            size += len(lines)
    if parts:
        yield _chunk(schema, time, parts)


def decode(decoder: BatchDecoder, chunk: Chunk) -> list[DecodedChunk | RefusedPiece]:
    """Decode a chunk as a whole; if that fails, its pieces one by one, to refuse only those to blame.

    Raises Unavailable if there is not enough memory.
    """
    try:
        return [_decode(decoder, chunk)]
    except Undecodable as error:
        if len(chunk.pieces) == 1:
            return [RefusedPiece(chunk.schema, chunk.pieces[0], error)]
    return [outcome for alone in chunk.apart() for outcome in decode(decoder, alone)]


def whole(batch: Batch) -> Piece:
    """All records of a batch."""
    return Piece(batch, batch.header.first, batch.header.next)


def _decode(decoder: BatchDecoder, chunk: Chunk) -> DecodedChunk:
    """Decode the pieces' records in one go. Raises Undecodable if the decoder fails or miscounts.

    Whatever the decoder stumbles over, the lake must go on: a batch is quarantined rather than tried
    again for ever. Only want of memory is not the batch's fault.
    """
    origins = Origins(chunk.pieces)
    marks = {
        int(start) + mark.at - (piece.first - piece.batch.header.first): mark.kind
        for start, piece in zip(origins.starts[:-1], origins.pieces, strict=True)
        for mark in piece.batch.header.marks
        if mark.kind in _CUT and piece.first <= piece.batch.header.first + mark.at < piece.next
    }
    try:
        decoded = decoder.decode(
            chunk.schema, chunk.payload, received_us=origins.journaled_us, marks=marks, time=chunk.time
        )
    except MemoryError as error:
        raise Unavailable("there is not enough memory to decode a batch: give the lake more") from error
    except Exception as error:
        raise Undecodable("undecodable", f"the decoder failed: {error}") from error
    ordinals = np.concatenate([decoded.rows["_row"].to_numpy(), decoded.quarantined["_row"].to_numpy()])
    if len(ordinals) != len(origins) or not np.array_equal(np.sort(ordinals), np.arange(len(origins))):
        raise Undecodable("undecodable", f"the decoder made {len(ordinals)} of {len(origins)} records")
    return DecodedChunk(chunk.schema, origins, decoded)


def _chunk(schema: TableSchema, time: str, parts: Sequence[Part]) -> Chunk:
    pieces = [piece for piece, _ in parts]
    ends = np.cumsum([len(lines) for _, lines in parts]).tolist()
    if len(parts) == 1:
        return Chunk(schema, pieces, ends, parts[0][1], time)
    # Not b"".join: that keeps all other threads waiting.
    payload = np.concatenate([np.frombuffer(lines, np.uint8) for _, lines in parts])
    return Chunk(schema, pieces, ends, payload.data, time)


def _pieces(batch: Batch, payload: bytes, records_max: int) -> Iterator[Part]:
    """A batch's records in pieces of at most ``records_max``."""
    header, view = batch.header, memoryview(payload)
    if header.count <= records_max:
        yield whole(batch), view
        return
    newlines = np.flatnonzero(np.frombuffer(payload, np.uint8) == ord("\n"))
    start = 0
    for at in range(0, header.count, records_max):
        stop = min(at + records_max, header.count)
        end = int(newlines[stop - 1]) + 1
        yield Piece(batch, header.first + at, header.first + stop), view[start:end]
        start = end
