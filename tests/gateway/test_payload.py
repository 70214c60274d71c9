"""One zstd frame, whole, alone, and of the size it says: nothing else passes."""

from __future__ import annotations

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gapless.gateway.payload import check_zstd_frame
from gapless.model.errors import Refused

WINDOW = 1 << 26

RAW = {
    "small": b"a\n",
    "runs": b"\x00" * 1_000_000,
    "text": b"".join(b"line %d of a log\n" % n for n in range(60_000)),
    "noise": bytes((n * n * 2654435761 >> 7) % 256 for n in range(300_000)),
}


def check(payload: bytes, raw_bytes: int) -> None:
    check_zstd_frame(payload, raw_bytes=raw_bytes, window_bytes_max=WINDOW)


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("level", [1, 3, 12])
@pytest.mark.parametrize("checksum", [False, True])
def test_what_compressors_make_passes(name: str, level: int, checksum: bool) -> None:
    raw = RAW[name]
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=checksum)
    whole = compressor.compress(raw)
    check(whole, len(raw))
    stream = compressor.compressobj(size=len(raw))
    pieces = [stream.compress(raw[at : at + 70_000]) for at in range(0, len(raw), 70_000)]
    check(b"".join(pieces) + stream.flush(), len(raw))
    for other in (whole + b"x", whole[:-1], whole + whole, b"x" + whole, whole[4:]):
        with pytest.raises(Refused):
            check(other, len(raw))


def test_a_frame_that_declares_another_size_or_none_is_refused() -> None:
    payload = zstandard.ZstdCompressor().compress(RAW["text"])
    with pytest.raises(Refused, match="declare"):
        check(payload, len(RAW["text"]) + 1)
    stream = zstandard.ZstdCompressor().compressobj()
    with pytest.raises(Refused, match="declare"):
        check(stream.compress(RAW["small"]) + stream.flush(), len(RAW["small"]))


def test_a_skippable_frame_is_no_frame() -> None:
    with pytest.raises(Refused, match="not a zstd frame"):
        check(bytes.fromhex("502a4d18") + (2).to_bytes(4, "little") + b"a\n", 2)


def test_a_dictionary_or_a_large_window_is_refused() -> None:
    raw = RAW["text"]
    dictionary = zstandard.ZstdCompressionDict(raw[:5000], dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    trained = zstandard.train_dictionary(2000, [raw[n : n + 500] for n in range(0, 50_000, 500)])
    assert trained.dict_id() and not dictionary.dict_id()
    payload = zstandard.ZstdCompressor(dict_data=trained).compress(raw)
    with pytest.raises(Refused, match="dictionary"):
        check(payload, len(raw))
    with pytest.raises(Refused, match="window"):
        check_zstd_frame(
            zstandard.ZstdCompressor().compress(raw), raw_bytes=len(raw), window_bytes_max=len(raw) - 1
        )


def test_a_frame_of_blocks_that_hold_nothing_is_refused() -> None:
    """2 bytes of content behind 100,000 empty blocks: cheap to send, dear to read."""
    head = zstandard.ZstdCompressor().compress(b"a\n")
    head = head[: zstandard.frame_header_size(head)]
    last = (1 | 2 << 3).to_bytes(3, "little") + b"a\n"
    check(head + (0).to_bytes(3, "little") * 10 + last, 2)
    with pytest.raises(Refused):
        check(head + (0).to_bytes(3, "little") * 100_000 + last, 2)


@given(st.sampled_from(sorted(RAW)), st.integers(0, 40), st.integers(1, 255), st.binary(max_size=4))
def test_damage_never_does_worse_than_refuse(name: str, at: int, flip: int, more: bytes) -> None:
    payload = bytearray(zstandard.ZstdCompressor(level=1).compress(RAW[name]) + more)
    payload[at % len(payload)] ^= flip
    try:
        check(bytes(payload), len(RAW[name]))
    except Refused:
        pass


@given(st.binary(max_size=200), st.integers(0, 300))
def test_bytes_of_any_kind_never_do_worse_than_be_refused(data: bytes, raw_bytes: int) -> None:
    for payload in (data, bytes.fromhex("28b52ffd") + data):
        try:
            check(payload, raw_bytes)
        except Refused:
            continue
        # Whatever passes is a frame that says its size: the decoder holds it to that.
        try:
            assert len(zstandard.ZstdDecompressor().decompress(payload)) == raw_bytes
        except zstandard.ZstdError:
            pass
