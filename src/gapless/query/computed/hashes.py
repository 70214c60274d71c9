"""XXH64, by its published specification: the hash that Kusto calls hash()."""

from __future__ import annotations

from typing import Any

_MASK = (1 << 64) - 1
_P1, _P2, _P3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P4, _P5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def _turned(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _MASK


def _round(state: int, lane: int) -> int:
    return _turned((state + lane * _P2) & _MASK, 31) * _P1 & _MASK


def _word(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


def _stripes(data: bytes) -> int:
    """The state after all whole stripes of 32 bytes."""
    states = [(_P1 + _P2) & _MASK, _P2, 0, -_P1 & _MASK]
    for at in range(0, len(data) - 31, 32):
        states = [_round(state, _word(data, at + 8 * lane, 8)) for lane, state in enumerate(states)]
    found = sum(_turned(state, bits) for state, bits in zip(states, (1, 7, 12, 18), strict=True)) & _MASK
    for state in states:
        found = ((found ^ _round(0, state)) * _P1 + _P4) & _MASK
    return found


def xxh64(data: bytes) -> int:
    """The hash of bytes, as a signed number of 64 bits."""
    found = ((_stripes(data) if len(data) >= 32 else _P5) + len(data)) & _MASK
    at = len(data) & ~31
    while at + 8 <= len(data):
        found = (_turned(found ^ _round(0, _word(data, at, 8)), 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= len(data):
        found = (_turned(found ^ (_word(data, at, 4) * _P1 & _MASK), 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        found = _turned(found ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    found = (found ^ found >> 33) * _P2 & _MASK
    found = (found ^ found >> 29) * _P3 & _MASK
    found ^= found >> 32
    return found - (1 << 64) if found >> 63 else found


def _of_text(text: str | None) -> int | None:
    return None if text is None else xxh64(text.encode())


def _of_ticks(ticks: int | None) -> int | None:
    return None if ticks is None else xxh64(ticks.to_bytes(8, "little", signed=True))


FUNCTIONS: dict[str, Any] = {
    "hash_xxhash64(text) whole": _of_text,
    "hash_xxhash64_of_ticks(whole) whole": _of_ticks,
}
