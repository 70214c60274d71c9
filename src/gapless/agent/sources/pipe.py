"""A pipe whose records are kept until they are durable: what a failed commit took back is given again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from gapless.agent.sources.events import Chunk, FileCursor
from gapless.agent.sources.stdin import StdinSource


class KeptPipe:
    """A StdinSource for a collector that builds its sources again after a failed commit.

    What was handed out since the last ``poll`` is kept: at most one tick's bytes. ``poll`` after a commit
    that succeeded lets go of it; ``resume`` after one that failed hands it out again.
    """

    def __init__(self, source: StdinSource) -> None:
        self._source = source
        self._kept: list[Chunk] = []
        self._again: list[Chunk] = []

    def resume(self, cursors: Iterable[FileCursor]) -> KeptPipe:
        """Go on from the durable cursors; return self."""
        durable = {cursor.file: cursor.offset for cursor in cursors}
        given = [*self._kept, *self._again]
        self._again = [c for c in given if c.cursor.done or c.cursor.offset > durable.get(c.cursor.file, 0)]
        self._kept = []
        return self

    def poll(self, now_us: int, elapsed_us: int) -> None:
        self._kept = []
        self._source.poll(now_us, elapsed_us)

    def read(self, now_us: int, budget_bytes: int) -> Iterator[Chunk]:
        """What is to be given again first; then as the source does. Raises OSError."""
        while self._again and budget_bytes > 0:
            chunk = self._again.pop(0)
            budget_bytes -= chunk.part.end - chunk.part.start
            self._kept.append(chunk)
            yield chunk
        if self._again:
            return
        for chunk in self._source.read(now_us, budget_bytes):
            self._kept.append(replace(chunk, data=bytes(chunk.data)))
            yield chunk

    def backlog(self) -> tuple[int, int]:
        """Bytes handed out, and bytes that wait."""
        done, waiting = self._source.backlog()
        again = sum(chunk.part.end - chunk.part.start for chunk in self._again)
        return done - again, waiting + again
