"""What may enter: one request body of batches, looked at without decompressing anything.

Pure. A frame is refused for what it *is*, alone, so that one bad batch holds up no other (the agent puts
it aside and counts it); a body that is not frames at all is refused as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from gapless.gateway.bounds import check_header
from gapless.gateway.payload import check_zstd_frame
from gapless.gateway.problems import Problem
from gapless.gateway.settings import GatewaySettings
from gapless.log.disk import Buffer
from gapless.log.frame import Frame, decode_all
from gapless.model.batch import BatchHeader, payload_digest
from gapless.model.entry import Kind
from gapless.model.errors import UNDECODABLE, GaplessError, Refused
from gapless.model.tables import table_schema

_headers = msgspec.json.Decoder(BatchHeader)


class Arrival(NamedTuple):
    """A frame that may enter: its header and its payload, as received."""

    header: BatchHeader
    payload: Buffer


class Refusal(NamedTuple):
    """A frame that may not, with as much of its identity as could be read."""

    header: BatchHeader | None
    error: GaplessError


def examine(body: Buffer, settings: GatewaySettings) -> list[Arrival | Refusal]:
    """The frames of a body, in order. Raises Corrupt if it is not frames, Problem 413 for too many."""
    return [_examine(frame, settings) for frame in _frames(body, settings.frames_max)]


def _frames(body: Buffer, frames_max: int) -> Iterator[Frame]:
    for number, frame in enumerate(decode_all(body, frames_max=frames_max + 1)):
        if number == frames_max:
            raise Problem(
                413, "too_many", f"the body holds more than {frames_max} batches: send fewer at a time"
            )
        yield frame


def _examine(frame: Frame, settings: GatewaySettings) -> Arrival | Refusal:
    header: BatchHeader | None = None
    try:
        header = _header(frame, settings)
        check_header(header)
        table_schema(header.stream.table)
        _check_payload(header, frame.body, settings)
        return Arrival(header, frame.body)
    except Refused as error:
        return Refusal(header, error)


def _header(frame: Frame, settings: GatewaySettings) -> BatchHeader:
    if frame.kind != Kind.BATCH:
        raise Refused(f"a frame of kind {frame.kind} is no batch: send batches (kind {Kind.BATCH:d}) here")
    if len(frame.meta) > settings.header_bytes_max:
        raise Refused(
            f"the batch's header is longer than {settings.header_bytes_max} bytes: cut the batch smaller"
        )
    try:
        return _headers.decode(frame.meta)
    except UNDECODABLE as error:
        raise Refused(f"the batch's header is not one: {error}") from error


def _check_payload(header: BatchHeader, payload: Buffer, settings: GatewaySettings) -> None:
    """The payload is the one the header speaks of, and decompresses to no more than it says."""
    if header.raw_bytes > settings.raw_bytes_max:
        raise Refused(
            f"the batch decompresses to {header.raw_bytes} bytes, {settings.raw_bytes_max} are allowed: "
            "cut the batch smaller"
        )
    if payload_digest(payload) != header.digest:
        raise Refused("the batch's digest is not that of its payload: compress and digest it anew")
    check_zstd_frame(payload, raw_bytes=header.raw_bytes, window_bytes_max=settings.raw_bytes_max)
