"""What the gateway needs of the journal; ``gapless.journal.port.Journal`` says what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gapless.log.port import EntryReader
from gapless.log.segments import Message


class Journal(Protocol):
    """Where everything the gateway accepts becomes durable."""

    async def append(self, messages: Sequence[Message]) -> list[int]:
        """Durable on return; after Unavailable or Busy none of it is there."""

    def stalled_s(self) -> float:
        """For how many seconds appends have waited or failed without one success."""

    def reader(self) -> EntryReader:
        """A reader of its own for one thread."""
