"""What the gateway needs of the journal; ``gapless.journal.port.Journal`` says what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gapless.log.port import EntryReader
from gapless.log.segments import Message
from gapless.model.errors import Refused
from gapless.model.rule import Effect, RuleStream
from gapless.model.stream import StreamKey


class Sieve(Protocol):
    """What the transforms of data collection rules do to records before they are journaled. Called from one
    thread."""

    def check(self, stream: RuleStream) -> Effect:
        """What the transform does. Raises Refused for one that is wrong or not supported, Unavailable if
        nobody can say now."""

    def kept(self, key: StreamKey, stream: RuleStream, lines: bytes, received_us: int) -> NDArray[np.bool_]:
        """Which of the records in ``lines``, each ended by a newline, the transform keeps; all of them if it
        fails. ``key`` is what they are counted as: rules of several tenants may say the same."""


class NoSieve:
    """Supports no transform."""

    def check(self, stream: RuleStream) -> Effect:
        """Raises Refused."""
        raise Refused(f"the transform of stream {stream.name} is not supported here: leave it out")

    def kept(self, key: StreamKey, stream: RuleStream, lines: bytes, received_us: int) -> NDArray[np.bool_]:
        """All of them."""
        return np.ones(lines.count(b"\n"), np.bool_)


class Journal(Protocol):
    """Where everything the gateway accepts becomes durable."""

    async def append(self, messages: Sequence[Message]) -> list[int]:
        """Durable on return; after Unavailable or Busy none of it is there."""

    def stalled_s(self) -> float:
        """For how many seconds appends have waited or failed without one success."""

    def reader(self) -> EntryReader:
        """A reader of its own for one thread."""
