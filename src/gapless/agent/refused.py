"""Batches that the gateway refused. It may take them later: a table is made, or a defect of it mended.

Of each stream one batch at a time is tried again, in turn. Once one is received, all of the stream's are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gapless.agent.follow import Spooled
from gapless.model.stream import StreamKey


@dataclass
class _Line:
    due_s: float
    waiting: dict[int, Spooled] = field(default_factory=dict)
    trying: int | None = None


class RefusedBatches:
    """By stream, and by position in the spool."""

    def __init__(self) -> None:
        self._lines: dict[StreamKey, _Line] = {}
        self._streams: dict[int, StreamKey] = {}

    def __len__(self) -> int:
        """How many wait, or are tried."""
        return len(self._streams)

    def add(self, batch: Spooled, due_s: float) -> None:
        """It was refused, for the first time or again: it is the last in turn, and none is tried before
        ``due_s``."""
        line = self._lines.setdefault(batch.stream, _Line(due_s))
        line.due_s = due_s
        line.waiting[batch.position] = batch
        line.trying = None if line.trying == batch.position else line.trying
        self._streams[batch.position] = batch.stream

    def due(self, now_s: float) -> list[Spooled]:
        """Those to be tried now."""
        tried = []
        for line in self._lines.values():
            if line.trying is None and line.waiting and line.due_s <= now_s:
                line.trying = next(iter(line.waiting))
                tried.append(line.waiting.pop(line.trying))
        return tried

    def received(self, position: int) -> list[Spooled]:
        """A batch, perhaps one that was tried, has its receipt: those to be sent, too."""
        stream = self._streams.get(position)
        if stream is None:
            return []
        line = self._lines.pop(stream)
        for each in (position, *line.waiting):
            del self._streams[each]
        return list(line.waiting.values())

    def drop(self, position: int) -> None:
        """The batch is not to be sent any more, whether it waits or is tried."""
        stream = self._streams.pop(position, None)
        if stream is None:
            return
        line = self._lines[stream]
        line.waiting.pop(position, None)
        line.trying = None if line.trying == position else line.trying
        if not line.waiting and line.trying is None:
            del self._lines[stream]

    def hurry(self) -> None:
        """The next of each stream is due now."""
        for line in self._lines.values():
            line.due_s = float("-inf")
