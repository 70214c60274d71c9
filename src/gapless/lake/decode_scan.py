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

from collections.abc import Iterator
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
    spaced: bool  #: some line has blanks outside of strings


def scan(data: Bytes, ends: NDArray[np.int64], skipped: Flags) -> Structure:
    """Scan a payload of less than 2 GiB whose lines end at ``ends`` (the offsets of their newlines).

    Lines marked in ``skipped`` are not looked at; theirs is depth 0 and no token.
    """
    lines = len(ends)
    per_line = np.zeros(lines, np.int32)
    depth = np.zeros(lines, np.int32)
    loose = np.zeros(lines, np.bool_)
    tokens, escapes, spaced = [np.empty(0, np.int32)], [np.empty(0, np.int32)], False
    block = None
    for first, stop in _blocks(ends, skipped):
        start = int(ends[first - 1]) + 1 if first else 0
        block = _Block(data[start : int(ends[stop - 1]) + 1], block)
        part = _scan_block(block, ends[first:stop] - start)
        per_line[first:stop], depth[first:stop] = part.tokens_per_line, part.depth
        loose[first:stop] = part.loose
        tokens.append(part.tokens + np.int32(start))
        escapes.append(part.escapes + np.int32(start))
        spaced |= part.spaced
    return Structure(np.concatenate(tokens), per_line, np.concatenate(escapes), depth, loose, spaced)


def _blocks(ends: NDArray[np.int64], skipped: Flags) -> Iterator[tuple[int, int]]:
    """Runs [first, stop) of lines that are not skipped, each of ``BLOCK_BYTES`` at most, or of one line."""
    barriers = np.append(np.flatnonzero(skipped), len(ends))
    first = 0
    for barrier in barriers:
        while first < barrier:
            start = int(ends[first - 1]) + 1 if first else 0
            fitting = int(np.searchsorted(ends, start + BLOCK_BYTES))
            stop = min(max(first + 1, fitting), int(barrier))
            yield first, stop
            first = stop
        first = int(barrier) + 1


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


class _Block:
    """Masks over one block of bytes: bit i % 64 of word i // 64 is for byte i. Bits past the block are 0.

    A block may be given the arrays of the one before it, so that no page is faulted in twice.
    """

    def __init__(self, data: Bytes, before: _Block | None) -> None:
        padded = -(-len(data) // 64) * 64
        reused = before is not None and len(before._space) >= padded
        self._space: Flags = before._space if before and reused else np.empty(padded, np.bool_)
        self._folds: Bytes = before._folds if before and reused else np.empty(padded, np.uint8)
        self._flags = self._space[:padded]
        self._flags[len(data) :] = False
        self.data = data

    def equal(self, value: int) -> Words:
        """The bytes that are ``value``."""
        np.equal(self.data, value, out=self._flags[: len(self.data)])
        return self._packed()

    def folded(self, bits: int, value: int) -> Words:
        """The bytes that are ``value`` once ``bits`` are set in them."""
        folded = self._folds[: len(self.data)]
        np.bitwise_or(self.data, bits, out=folded)
        np.equal(folded, value, out=self._flags[: len(self.data)])
        return self._packed()

    def blank(self) -> Words:
        np.less_equal(self.data, _BLANK_MAX, out=self._flags[: len(self.data)])
        return self._packed()

    def at(self, *positions: NDArray[np.int64]) -> Words:
        """The bytes at these positions."""
        self._flags[:] = False
        for each in positions:
            self._flags[each] = True
        return self._packed()

    def _packed(self) -> Words:
        return np.packbits(self._flags, bitorder="little").view(np.dtype("<u8"))


def _scan_block(block: _Block, ends: NDArray[np.int64]) -> Structure:
    data = block.data
    escapes = _escapes(block)
    quotes = block.equal(_QUOTE)
    if len(escapes):
        quotes &= ~block.at(escapes + 1)
    inside = _running_parity(quotes)
    at_end = _bits_at(inside, ends)
    unclosed = at_end != np.append(False, at_end[:-1])
    if unclosed.any():
        inside = _running_parity(quotes | block.at(ends[unclosed]))
    outside = ~inside

    # [ ] { } are the bytes that become 0x7F with these bits set, but for four that JSON has in strings only.
    brackets = _ones(block.folded(0x26, 0x7F) & outside)
    opens = (data[brackets] & 2) != 0
    depth, deepest, final = _depths(brackets, opens, ends)
    crossed = depth == np.where(opens, 2, 1)
    nested = _running_parity(block.at(brackets[crossed], ends[final >= 2]))
    between = (block.equal(_COLON) | block.equal(_COMMA)) & outside & ~nested
    tokens = _ones(between | block.at(brackets[depth == opens]))

    loose = np.zeros(len(ends), np.bool_)
    loose[np.searchsorted(ends, _loose(block, outside, brackets[~opens]))] = True
    return Structure(
        tokens=tokens.astype(np.int32),
        tokens_per_line=np.diff(np.searchsorted(tokens, ends), prepend=0).astype(np.int32),
        escapes=escapes.astype(np.int32),
        depth=deepest,
        loose=loose,
        spaced=int(np.bitwise_count(block.blank() & outside).sum()) > len(ends),
    )


def _loose(block: _Block, outside: Words, closers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where a parser was lenient: letters of NaN or Infinity, brackets closed after a comma."""
    # Bytes that become an i: A a I i. Of JSON's own words only "false" has one of them, after its f.
    letters = _ones(block.folded(0x28, ord("i")) & outside & ~_next(block.equal(ord("f"))))
    before = skip_blanks(block.data, np.maximum(closers - 1, 0).astype(np.int32), -1)
    return np.append(letters, closers[block.data[before] == _COMMA])


def _escapes(block: _Block) -> NDArray[np.int64]:
    """The backslashes that escape what follows: in a run of them every other one, from the first."""
    backslashes = _ones(block.equal(_BACKSLASH))
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
