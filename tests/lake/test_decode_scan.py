"""The scan by itself: its bounds hold for lines that are no JSON, and no line reaches another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapless.lake.decode_scan import scan, skip_blanks

hostile = st.lists(st.sampled_from(list(b'"\\{}[]:, a\r0f')), max_size=150).map(bytes)


def scan_lines(*lines: bytes) -> list[tuple[list[int], list[int], int, bool]]:
    """For each line: its tokens and escapes, counted from its start, its depth, and whether it is loose."""
    data = np.frombuffer(b"".join(line + b"\n" for line in lines), np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    found = scan(data, ends, np.zeros(len(ends), np.bool_))
    tokens = np.split(found.tokens, np.cumsum(found.tokens_per_line))
    seen, start = [], 0
    for number, end in enumerate(ends):
        escapes = found.escapes[(found.escapes >= start) & (found.escapes < end)] - start
        line = ((tokens[number] - start).tolist(), escapes.tolist(), found.depth[number], found.loose[number])
        seen.append(line)
        start = int(end) + 1
    return seen


@settings(max_examples=200, deadline=None)
@given(st.lists(hostile, min_size=1, max_size=5))
def test_a_line_is_scanned_as_if_it_were_alone(lines: list[bytes]) -> None:
    assert scan_lines(*lines) == [scan_lines(line)[0] for line in lines]


def test_tokens_are_those_of_the_outermost_level() -> None:
    line = b'{"a:,":{"b":[1,2]}, "c\\"d\\\\" : [{},"]"] }'
    ((tokens, escapes, depth, loose),) = scan_lines(line)
    assert bytes(line[at] for at in tokens) == b"{:,:}"
    assert escapes == [22, 25]
    assert (depth, loose) == (3, False)


@pytest.mark.parametrize("length", [61, 62, 63, 64, 65, 127, 128, 129])
def test_masks_join_at_the_edges_of_words(length: int) -> None:
    line = b'{"' + b"x" * (length - 10) + b'\\\\":{"y":[":,"]},"z":false}'
    ((tokens, _, depth, loose),) = scan_lines(line)
    assert bytes(line[at] for at in tokens) == b"{:,:}"
    assert (depth, loose) == (3, False)


def test_skipped_lines_are_not_looked_at() -> None:
    data = np.frombuffer(b'{"a":1}\n{"b":[2]}\n{"c":3}\n{}\n', np.uint8)
    found = scan(data, np.flatnonzero(data == ord("\n")), np.array([True, False, True, False]))
    assert found.tokens_per_line.tolist() == [0, 3, 0, 2]
    assert found.depth.tolist() == [0, 2, 0, 1]


def test_blanks_are_skipped_within_the_line() -> None:
    data = np.frombuffer(b"  \n" + b" " * 1000 + b"x" + b"\t" * 1000 + b"\n  ", np.uint8)
    forward = skip_blanks(data, np.array([0, 2, 3, 1003, 1004, 2005], np.int32), 1)
    assert forward.tolist() == [2, 2, 1003, 1003, 2004, 2006]
    backward = skip_blanks(data, np.array([2006, 2003, 1003, 1002, 1], np.int32), -1)
    assert backward.tolist() == [2004, 1003, 1003, 2, 0]
