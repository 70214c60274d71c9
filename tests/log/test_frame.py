"""Frames: whole and intact, or refused."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapless.log.frame import DAMAGED, HEAD_BYTES, decode_all, decode_head, encode
from gapless.model.errors import Corrupt

FRAMES = st.tuples(st.integers(0, 254), st.binary(max_size=50), st.binary(max_size=200))


def joined(frames: list[tuple[int, bytes, bytes]]) -> bytes:
    return b"".join(bytes(piece) for frame in frames for piece in encode(*frame))


@given(frames=st.lists(FRAMES, max_size=8), kind=st.sampled_from([bytes, bytearray, memoryview]))
def test_what_is_encoded_is_decoded(frames: list[tuple[int, bytes, bytes]], kind: type) -> None:
    data = joined(frames)
    decoded = list(decode_all(kind(data), frames_max=len(frames)))
    assert [(frame.kind, frame.meta, bytes(frame.body)) for frame in decoded] == frames
    ends = [frame.next_position for frame in decoded]
    assert [frame.position for frame in decoded] == [0, *ends][: len(frames)]
    assert ends[-1:] == ([len(data)] if frames else [])


@pytest.mark.case("T21")
@given(
    kind=st.integers(0, 254),
    position=st.integers(0, 2**64 - 1),
    durable=st.integers(0, 2**64 - 1),
    meta=st.binary(max_size=50),
    body=st.binary(max_size=50),
    before=st.binary(max_size=9),
)
def test_the_head_as_it_is_written_down(
    kind: int, position: int, durable: int, meta: bytes, body: bytes, before: bytes
) -> None:
    head, rest = encode(kind, meta, body, position, durable)
    assert rest is body, "bodies are not copied"
    expected = struct.pack(
        "<2sBBQQIIII", b"GF", 1, kind, position, durable, len(meta), len(body), crc32(meta), crc32(body)
    )
    assert bytes(head) == expected + struct.pack("<I", crc32(expected)) + meta
    decoded = decode_head(before + bytes(head), len(before))
    assert decoded == (kind, position, durable, len(meta), len(body), crc32(meta), crc32(body), False)
    assert decoded.frame_bytes == len(head) + len(body)


def test_every_changed_byte_is_noticed() -> None:
    data = joined([(1, b"meta", b"body" * 5), (2, b"", b"")])
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            with pytest.raises(Corrupt):
                list(decode_all(changed, frames_max=2))


def test_every_missing_or_surplus_byte_is_noticed() -> None:
    data = joined([(1, b"meta", b"body" * 5), (2, b"", b"")])
    whole = {0, len(data) - HEAD_BYTES, len(data)}
    for size in range(len(data) + 1):
        if size in whole:
            list(decode_all(data[:size], frames_max=2))
        else:
            with pytest.raises(Corrupt, match="no whole frame"):
                list(decode_all(data[:size], frames_max=2))
    with pytest.raises(Corrupt, match=f"byte {len(data)}"):
        list(decode_all(data + b"G", frames_max=3))


def test_lengths_beyond_the_data_are_refused_before_anything_is_read() -> None:
    head = struct.pack("<2sBBQQIIII", b"GF", 1, 1, 0, 0, 2**32 - 1, 2**32 - 1, 0, 0)
    with pytest.raises(Corrupt, match="no whole frame at byte 0"):
        list(decode_all(head + struct.pack("<I", crc32(head)), frames_max=1))


def test_the_number_of_frames_is_bounded() -> None:
    data = joined([(1, b"", b"")] * 3)
    assert len(list(decode_all(data, frames_max=3))) == 3
    with pytest.raises(Corrupt, match="more than 2 frames"):
        list(decode_all(data, frames_max=2))
    assert list(decode_all(b"", frames_max=0)) == []


@pytest.mark.case("T25")
@given(data=st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    with pytest.raises(Corrupt):
        list(decode_all(b"?" + data, frames_max=10))
    assert decode_head(b"?" + data) is None


def test_damage_is_no_kind_to_send() -> None:
    with pytest.raises(ValueError, match="means damage"):
        encode(DAMAGED, b"")
    head = struct.pack("<2sBBQQIIII", b"GF", 1, DAMAGED, 0, 0, 0, 0, 0, 0)
    with pytest.raises(Corrupt):
        list(decode_all(head + struct.pack("<I", crc32(head)), frames_max=1))
