"""The durable journal: what it promises to those who write to it, whichever log is behind it.

``tests/journal/conformance.py`` runs against every implementation. What readers are promised is
``gapless.log.port.EntryReader``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gapless.log.port import EntryReader
from gapless.log.segments import Message, Recovery


class Journal(Protocol):
    """The one writer of the platform's journal.

    Durable when: the messages of an ``append`` are on stable storage when it returns, and not before.
    Order: the entries of one ``append`` stand in the order given, with no other entry between them;
    of two appends, the one that returned before the other was called stands first.
    Concurrent: any number of appends may wait at once, from any number of event loops; they share syncs.
    Repeatable: nothing here compares what is appended with what is there. Who appends the same message
    again, because it was not told the outcome, has it twice: telling repeats apart is the caller's task.
    """

    @property
    def recovery(self) -> Recovery:
        """What opening the journal found at its end."""

    async def append(self, messages: Sequence[Message]) -> list[int]:
        """Make the messages durable; return their positions, which grow.

        Buffers must not change until it returns. Cancelling the caller does not take the messages back.
        Raises Busy when too much waits already, Refused for more than could ever wait at once or for a
        kind that cannot be written, and Unavailable when the messages could not be made durable: then
        none of them is in the journal.
        """

    def stalled_s(self) -> float:
        """For how many seconds appends have waited or failed without one success; 0 when all is well."""

    def reader(self) -> EntryReader:
        """A reader of its own for one thread, until the journal is closed. Not for every request: it
        holds files open."""

    def close(self) -> None:
        """Finish what waits, then refuse everything with Unavailable. Blocks; may be called twice."""
