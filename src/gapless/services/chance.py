"""Where all randomness of the sample records comes from: SHAKE128 of a label and an index.

Nothing here has a state that depends on what was asked before, on Python's version or on its hash seed: the
bytes at (label, index) are always the same, so any record can be made without making those before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import shake_128
from typing import TypeVar

T = TypeVar("T")


def stream_label(*parts: object) -> bytes:
    """The name of one stream of random bytes, made of the text of ``parts``."""
    return "/".join(str(part) for part in parts).encode()


def stream_bytes(label: bytes, index: int, size_bytes: int) -> bytes:
    """``size_bytes`` random bytes at ``index`` (0 <= index < 2**64) of a stream.

    A shorter answer is a prefix of a longer one. The index has a fixed width, so no two (label, index)
    share their input.
    """
    return shake_128(label + index.to_bytes(8, "big")).digest(size_bytes)


def guid_text(digits: str) -> str:
    """32 hexadecimal digits as a random (version 4) UUID; 122 of the 128 bits are kept."""
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


class Dice:
    """Throws one after another, for what is made once per organisation: people, devices, names."""

    def __init__(self, *label: object) -> None:
        self._label = stream_label(*label)
        self._throws = 0

    def bytes(self, size_bytes: int) -> bytes:
        """The next ``size_bytes`` bytes."""
        self._throws += 1
        return stream_bytes(self._label, self._throws, size_bytes)

    def below(self, bound: int) -> int:
        """A number in [0, bound); its bias is below bound / 2**64."""
        return int.from_bytes(self.bytes(8), "big") % bound

    def guid(self) -> str:
        """A random UUID as text."""
        return guid_text(self.bytes(16).hex())

    def pick(self, options: Sequence[T]) -> T:
        """One of ``options``, each as likely as the others."""
        return options[self.below(len(options))]

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """``count`` different ones of ``options`` (at most all of them), in random order."""
        rest = list(options)
        return [rest.pop(self.below(len(rest))) for _ in range(min(count, len(rest)))]
