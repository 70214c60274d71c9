"""From the body of an upload to a batch's payload: a JSON array, gzip or not, to lines. Pure.

The array is taken as a whole or not at all. Each record keeps its bytes, but for newlines between its
tokens, which become blanks. No Python code runs per record: msgspec finds where records begin and end.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import zstandard

from gapless.gateway.problems import Problem
from gapless.log.disk import Buffer
from gapless.model.batch import payload_digest
from gapless.model.errors import UNDECODABLE

_GZIP_WBITS = 31  # zlib's number for "with gzip's head and checksum"
_BOM = b"\xef\xbb\xbf"
_records = msgspec.json.Decoder(list[msgspec.Raw])


class Payload(NamedTuple):
    """``records`` of them as one zstd frame, with its digest (SHA-256, hex) and size when unpacked."""

    data: bytes
    digest: str
    records: int
    raw_bytes: int


def expand(body: Buffer, encoding: str, *, bytes_max: int) -> bytes:
    """A body without its content encoding; never takes more than ``bytes_max`` of memory for it.

    Raises Problem 415 for an encoding that is neither gzip nor none, 413 for more bytes, and 400 for what is
    not one gzip member.
    """
    if encoding in ("", "identity"):
        return bytes(body)
    if encoding != "gzip":
        raise Problem(415, "UnsupportedContentEncoding", "send the body with Content-Encoding gzip, or none")
    inflater = zlib.decompressobj(_GZIP_WBITS)
    try:
        data = inflater.decompress(body, bytes_max + 1)
    except zlib.error as error:
        raise _malformed("the body is not gzip, though its Content-Encoding says so") from error
    if len(data) > bytes_max:
        raise too_long(bytes_max)
    if not inflater.eof or inflater.unused_data:
        raise _malformed("the body is not one whole gzip member: compress it as one")
    return data


def records_of(body: bytes) -> list[msgspec.Raw]:
    """The records of a JSON array of objects, as they were sent but without newlines. Raises Problem 400 for
    anything else."""
    body = body.removeprefix(_BOM)
    try:
        body.decode()
        records = _records.decode(body)
        if b"\n" in body:
            # Within strings there is none, as the parser has just said.
            records = _records.decode(body.replace(b"\n", b" "))
    except UNDECODABLE as error:
        raise _malformed(f"the body is not a JSON array in UTF-8: {error}") from error
    heads = b"\n".join((b"", *records))
    if heads.count(b"\n{") != len(records):
        at = next(at for at, record in enumerate(records) if not bytes(record).startswith(b"{"))
        raise _malformed(f"record {at} of the array is not a JSON object")
    return records


def lines_of(records: Iterable[msgspec.Raw]) -> bytes:
    """The records, each ended by a newline."""
    return b"\n".join((*records, b""))


def pack(records: Sequence[msgspec.Raw]) -> Payload:
    """Records as a batch has them."""
    lines = lines_of(records)
    data = zstandard.ZstdCompressor(level=1).compress(lines)
    return Payload(data, payload_digest(data), len(records), len(lines))


def too_long(bytes_max: int) -> Problem:
    """The answer to a body that is too large, before or after its content encoding is taken away."""
    return Problem(
        413,
        "ContentLengthLimitExceeded",
        f"at most {bytes_max} bytes may be sent at once: send fewer records",
    )


def _malformed(text: str) -> Problem:
    return Problem(400, "InvalidPayload", text)
