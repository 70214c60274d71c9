"""What the lake went past: journaled seqs that it did not store and will not, because it is beyond them.

The lake says where in the journal it stands, and posts what it stored; the books know what was journaled.
What was journaled before a place, and is at rest nowhere once the lake is past that place and all that it
posted is known, was overlooked: its bytes were destroyed after the books had seen its head, or the lake is
defective.
"""

from __future__ import annotations

from gapless.ledger.ledger import Ledger
from gapless.model.ranges import RangeSet


class Passed:
    """Watches one lake. It keeps the seqs of one look at a time: work and memory are in proportion to what
    was not at rest then."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: other books, or another lake."""
        self._until = 0
        self._awaited: dict[tuple[str, str], RangeSet] = {}

    def look(self, ledger: Ledger, *, journal: int, lake: int) -> None:
        """The books are folded up to ``journal``, and with all that a lake posted that had come to
        ``lake``."""
        if lake < self._until:
            return
        for (stream_id, epoch), ranges in self._awaited.items():
            stream = ledger.streams.get(stream_id)
            book = stream.epochs.get(epoch) if stream else None
            if book is not None and book.overlook(ranges):
                ledger.changed.add(stream_id)
        self._until = journal
        self._awaited = {}
        for stream_id, stream in ledger.streams.items():
            for epoch, book in stream.epochs.items():
                if book.settled.prefix() < book.journaled.end():
                    self._awaited[stream_id, epoch] = book.unsettled()
