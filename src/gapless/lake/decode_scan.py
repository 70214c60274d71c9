"""Where the top-level fields of JSON records begin and end, found for a whole payload at memory speed.

One bit stands for one byte: every class of byte (quotes, brackets, commas …) becomes a mask of 64-bit words,
and "inside a string" or "inside a nested value" is the running parity of the bits that open and close it,
computed word by word. The idea is that of simdjson (G. Langdale and D. Lemire, "Parsing Gigabytes of JSON per
Second", VLDB Journal 28, 2019); here NumPy's vectorised loops do the work.

What is found is exact for a line that is valid JSON. For any other line it means nothing, and it never
reaches another line: parities and depths start afresh after each newline. Only the bounds hold for every
line: nothing here recurses, and time and memory grow in proportion to the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Flags = NDArray[np.bool_]
Positions = NDArray[np.int32]

#: Bytes that are scanned at once: the masks of one block stay in a core's cache.
BLOCK_BYTES = 512 * 1024

_QUOTE, _BACKSLASH, _COLON, _COMMA, _NEWLINE = b'"\\:,\n'
_BLANK_MAX = 0x20  # between the tokens of valid JSON, bytes up to this one are blanks
_ONE, _WORD_LAST = np.uint64(1), np.uint64(63)
_SHIFTS = tuple(np.uint64(1 << power) for power in range(6))


@dataclass(frozen=True)
class Structure:
    """What the scan found. Positions are offsets in the payload; per-line arrays have one entry a line."""

    tokens: Positions  #: outermost brackets, and the colons and commas directly inside them, in order
    tokens_per_line: NDArray[np.int32]
    escapes: Positions  #: backslashes that begin an escape sequence, in order
    depth: NDArray[np.int32]  #: deepest nesting of a line; {"a":1} has depth 1
    loose: Flags  #: holds what lenient parsers take but JSON is not: a trailing comma, NaN, Infinity


def scan(data: Bytes, ends: NDArray[np.int64], skipped: Flags) -> Structure:
    """Scan a payload of less than 2 GiB whose lines end at ``ends`` (the offsets of their newlines).

    Lines marked in ``skipped`` are not looked at; theirs is depth 0 and no token.
    """
    lines = len(ends)
    found = Structure(
        tokens=np.empty(0, np.int32),
        tokens_per_line=np.zeros(lines, np.int32),
        escapes=np.empty(0, np.int32),
        depth=np.zeros(lines, np.int32),
        loose=np.zeros(lines, np.bool_),
    )
    tokens, escapes = [found.tokens], [found.escapes]
    scratch = _Scratch()
    first = 0
    while first < lines:
        start = int(ends[first - 1]) + 1 if first else 0
        if skipped[first]:
            first += 1
            continue
        stop = max(first + 1, int(np.searchsorted(ends, start + BLOCK_BYTES)))
        blocked = np.flatnonzero(skipped[first:stop])
        if len(blocked):
            stop = first + int(blocked[0])
        block = data[start : int(ends[stop - 1]) + 1]
        part = _scan_block(block, ends[first:stop] - start, scratch)
        found.tokens_per_line[first:stop] = part.tokens_per_line
        found.depth[first:stop] = part.depth
        found.loose[first:stop] = part.loose
        tokens.append((part.tokens + start).astype(np.int32))
        escapes.append((part.escapes + start).astype(np.int32))
        first = stop
    return Structure(
        np.concatenate(tokens), found.tokens_per_line, np.concatenate(escapes), found.depth, found.loose
    )


def skip_blanks(data: Bytes, positions: Positions, step: int) -> Positions:
    """The first position at or after (``step`` 1) or before (-1) each position that is no blank.

    Blanks are the bytes up to 0x20 but for the newline, so that no line is left; at the payload's edge the
    result is its first or last position. Time and memory grow with the blanks skipped, not with the payload.
    """
    last = len(data) - 1
    for _ in range(2):  # no blank or one is what ordinary writers put
        blank = _is_blank(data.take(positions))
        if not blank.any():
            return positions
        positions = np.clip(positions + step * blank, 0, last).astype(np.int32)
    pending = np.flatnonzero(_is_blank(data.take(positions)))
    width = 4
    while len(pending):
        places = np.clip(positions[pending][:, None] + step * np.arange(width), 0, last)
        solid = ~_is_blank(data[places])
        found = solid.any(axis=1)
        reached = places[np.arange(len(pending)), np.where(found, solid.argmax(axis=1), width - 1)]
        positions[pending] = reached
        pending = pending[~found & (reached > 0) & (reached < last)]
        width *= 4
    return positions


def _is_blank(data: Bytes) -> Flags:
    blank: Flags = (data <= _BLANK_MAX) & (data != _NEWLINE)
    return blank


class _Scratch:
    """Arrays as long as a block and a whole number of words, reused so that no page is faulted in twice."""

    def __init__(self) -> None:
        self._flags: Flags = np.empty(0, np.bool_)
        self._other: Flags = np.empty(0, np.bool_)
        self._bytes: Bytes = np.empty(0, np.uint8)

    def resize(self, length: int) -> tuple[Flags, Flags, Bytes]:
        """Two arrays of flags, padded with False to whole words, and one of ``length`` bytes."""
        padded = -(-length // 64) * 64
        if padded > len(self._flags):
            self._flags = np.empty(padded, np.bool_)
            self._other = np.empty(padded, np.bool_)
            self._bytes = np.empty(padded, np.uint8)
        self._flags[length:padded] = False
        self._other[length:padded] = False
        return self._flags[:padded], self._other[:padded], self._bytes[:length]


def _scan_block(block: Bytes, ends: NDArray[np.int64], scratch: _Scratch) -> Structure:
    length = len(block)
    flags, other, folded = scratch.resize(length)

    escapes = _escapes(block, other[:length])
    np.equal(block, _QUOTE, out=flags[:length])
    flags[escapes + 1] = False
    inside = _running_parity(_pack(flags))
    at_end = _bits_at(inside, ends)
    unclosed = at_end != np.append(False, at_end[:-1])
    if unclosed.any():
        flags[ends[unclosed]] = True
        inside = _running_parity(_pack(flags))
    outside = ~inside

    # [ ] { } are the bytes that become 0x7F with these bits set, but for four that JSON has in strings only.
    np.bitwise_or(block, 0x26, out=folded)
    np.equal(folded, 0x7F, out=flags[:length])
    brackets = _ones(_pack(flags) & outside)
    opens = (block[brackets] & 2) != 0
    depth, deepest, final = _depths(brackets, opens, ends)

    flags[:] = False
    flags[brackets[depth == np.where(opens, 2, 1)]] = True
    flags[ends[final >= 2]] = True
    nested = _running_parity(_pack(flags))

    np.equal(block, _COLON, out=flags[:length])
    np.equal(block, _COMMA, out=other[:length])
    np.logical_or(flags, other, out=flags)
    flags[brackets[depth == opens]] = True
    tokens = _ones(_pack(flags) & outside & ~nested)

    # A a I i: of JSON's own words only "false" has one of them, after its f.
    np.bitwise_or(block, 0x28, out=folded)
    np.equal(folded, 0x69, out=flags[:length])
    np.equal(block, ord("f"), out=other[:length])
    words = _ones(_pack(flags) & outside & ~_next(_pack(other)))
    closers = brackets[~opens]
    before = skip_blanks(block, np.maximum(closers - 1, 0).astype(np.int32), -1)
    wrong = np.append(words, closers[block[before] == _COMMA])

    loose = np.zeros(len(ends), np.bool_)
    loose[np.searchsorted(ends, wrong)] = True
    per_line = np.diff(np.searchsorted(tokens, ends), prepend=0)
    return Structure(
        tokens.astype(np.int32), per_line.astype(np.int32), escapes.astype(np.int32), deepest, loose
    )


def _escapes(block: Bytes, flags: Flags) -> NDArray[np.int64]:
    """The backslashes that escape what follows: in a run of them every other one, from the first."""
    np.equal(block, _BACKSLASH, out=flags)
    backslashes = np.flatnonzero(flags)
    if not len(backslashes):
        return backslashes
    order = np.arange(len(backslashes))
    begins = np.diff(backslashes, prepend=-2) != 1
    run_start = np.maximum.accumulate(np.where(begins, order, 0))
    escapes: NDArray[np.int64] = backslashes[(order - run_start) % 2 == 0]
    return escapes


def _depths(
    brackets: NDArray[np.int64], opens: Flags, ends: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """The depth after each bracket, and the deepest and the final depth of each line; each line from 0."""
    running = np.append(np.int32(0), np.cumsum(np.where(opens, 1, -1), dtype=np.int32))
    stops = np.searchsorted(brackets, ends)
    counts = np.diff(stops, prepend=0)
    at_start = running[stops - counts]
    depth = running[1:] - np.repeat(at_start, counts)
    deepest = np.zeros(len(ends), np.int32)
    with_brackets = counts > 0
    if len(brackets):
        deepest[with_brackets] = np.maximum.reduceat(depth, (stops - counts)[with_brackets])
    return depth, deepest, running[stops] - at_start


def _pack(flags: Flags) -> Words:
    return np.packbits(flags, bitorder="little").view(np.dtype("<u8"))


def _ones(words: Words) -> NDArray[np.int64]:
    """The positions of the bits that are set."""
    if not words.any():
        return np.empty(0, np.int64)
    return np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little").view(np.bool_))


def _next(words: Words) -> Words:
    """Each bit one position further on."""
    moved = words << _ONE
    moved[1:] |= words[:-1] >> _WORD_LAST
    return moved


def _bits_at(words: Words, positions: NDArray[np.int64]) -> Flags:
    shifts = (positions & 63).astype(np.uint64)
    bits: Flags = (words[positions >> 6] >> shifts & _ONE).astype(np.bool_)
    return bits


def _running_parity(words: Words) -> Words:
    """Bit i of the result is the parity of the bits 0 … i."""
    parity = words.copy()
    shifted = np.empty_like(words)
    for shift in _SHIFTS:
        np.left_shift(parity, shift, out=shifted)
        np.bitwise_xor(parity, shifted, out=parity)
    carry = np.bitwise_xor.accumulate(parity >> _WORD_LAST)
    parity[1:] ^= np.uint64(0) - carry[:-1]
    return parity
