"""Whether bytes are exactly one zstd frame that decompresses to the size it declares, at most.

Looked at without decompressing: a payload costs the gateway its digest and a walk over its block heads
(3 bytes each; a block holds up to 128 KiB). Format: RFC 8878, section 3.1.1.
"""

from __future__ import annotations

import zstandard

from gapless.log.disk import Buffer
from gapless.model.errors import Refused

_MAGIC = (0xFD2FB528).to_bytes(4, "little")
_RLE, _RESERVED = 1, 3
_CHECKSUM_BYTES = 4
#: Compressors fill blocks; a frame of many that hold nothing costs whoever decompresses it dearly.
_RAW_BYTES_PER_BLOCK_MIN = 1024
_BLOCKS_FREE = 16


def check_zstd_frame(payload: Buffer, *, raw_bytes: int, window_bytes_max: int) -> None:
    """Raises Refused unless ``payload`` is one zstd frame, with nothing before or after it, that declares
    a content of ``raw_bytes``, wants no dictionary, and needs no larger window than allowed."""
    if bytes(payload[:4]) != _MAGIC:
        raise Refused("the batch's payload is not a zstd frame: compress it as one")
    try:
        frame = zstandard.get_frame_parameters(payload)
        head_bytes = zstandard.frame_header_size(payload)
    except zstandard.ZstdError as error:
        raise Refused("the batch's payload is not a zstd frame: compress it as one") from error
    if frame.content_size != raw_bytes:
        raise Refused("the batch's zstd frame does not declare the size that its header gives")
    if frame.dict_id or frame.window_size > window_bytes_max:
        raise Refused("the batch's zstd frame asks for a dictionary or for too large a window")
    blocks_max = raw_bytes // _RAW_BYTES_PER_BLOCK_MIN + _BLOCKS_FREE
    end = _end_of_blocks(payload, head_bytes, blocks_max)
    if end + (_CHECKSUM_BYTES if frame.has_checksum else 0) != len(payload):
        raise Refused("the batch's payload does not end where its zstd frame ends: compress it as one frame")


def _end_of_blocks(payload: Buffer, offset: int, blocks_max: int) -> int:
    """Where the last block ends; -1 if there is none within the payload and within ``blocks_max``."""
    for _ in range(blocks_max):
        if offset + 3 > len(payload):
            return -1
        head = payload[offset] | payload[offset + 1] << 8 | payload[offset + 2] << 16
        last, kind, size = head & 1, head >> 1 & 3, head >> 3
        if kind == _RESERVED:
            return -1
        offset += 3 + (1 if kind == _RLE else size)
        if last:
            return offset
    return -1
