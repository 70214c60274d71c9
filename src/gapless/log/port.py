"""What the journal promises to those who read it, whichever log is behind it."""

from __future__ import annotations

from typing import Protocol

from gapless.log.frame import Frame


class EntryReader(Protocol):
    """The durable entries of a journal, in order.

    Positions grow strictly; reading from the same position again gives the same entries, byte for byte.
    An entry is seen only once it is durable. One reader serves one thread; any number may exist, in any
    process. What cannot be read any more comes as an entry of kind ``DAMAGED`` and is never left out.
    """

    def durable(self) -> int:
        """The position behind the last durable entry."""

    def first(self) -> int:
        """The position of the oldest entry kept."""

    def read(self, position: int, *, bytes_max: int, bodies: bool = True) -> list[Frame]:
        """Entries from ``position``, up to about ``bytes_max``; at least one if there is one, else none."""
