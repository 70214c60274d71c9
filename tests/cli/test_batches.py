from __future__ import annotations

import io

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gapless.cli.batches import LINE_BYTES_MAX, batches, cuts
from gapless.log.frame import decode_all
from gapless.model.batch import BatchHeader, payload_digest
from gapless.model.errors import Refused
from gapless.model.stream import EpochOpen, StreamKey

STREAM = StreamKey("contoso", "Acme_CL", "host", "file")
OPENED = EpochOpen("0" * 32)

_texts = st.lists(st.sampled_from([b"\n", b"a", b"bcd", b"\r\n", b"\x00"])).map(b"".join)


@given(_texts, st.integers(1, 9))
def test_cuts_are_whole_lines_and_together_all_of_the_source(data: bytes, batch_bytes: int) -> None:
    pieces = list(cuts(io.BytesIO(data), batch_bytes))
    whole = b"".join(piece.lines for piece in pieces)
    terminated = not data or data.endswith(b"\n")
    assert whole == (data if terminated else data + b"\n")
    assert all(piece.lines.endswith(b"\n") for piece in pieces)
    assert [piece.terminated for piece in pieces if not piece.terminated] == ([] if terminated else [False])
    assert all(piece.terminated for piece in pieces[:-1])


@given(_texts)
def test_batches_say_what_they_hold(data: bytes) -> None:
    seq = 0
    for batch in batches(io.BytesIO(data), STREAM, OPENED):
        (frame,) = decode_all(batch.body, frames_max=1)
        header = msgspec.json.decode(frame.meta, type=BatchHeader).check()
        raw = zstandard.ZstdDecompressor().decompress(frame.body)
        assert header == batch.header and header.first == seq
        assert (header.raw_bytes, header.count) == (len(raw), raw.count(b"\n"))
        assert header.digest == payload_digest(frame.body)
        seq = header.next
    assert seq == data.count(b"\n") + (not data.endswith(b"\n") if data else 0)


def test_a_line_that_is_too_long_is_refused_after_what_stands_before_it() -> None:
    source = io.BytesIO(b"x\n" + b"y" * (2 * LINE_BYTES_MAX))
    pieces = cuts(source)
    assert next(pieces).lines == b"x\n"
    with pytest.raises(Refused, match="longer than"):
        next(pieces)
