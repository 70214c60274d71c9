"""What there is to send, as the two logs tell anybody."""

from __future__ import annotations

from bisect import bisect_left

from gapless.agent.acks import AckReader
from gapless.agent.follow import SpoolView
from gapless.agent.layout import acks_directory, spool_directory
from gapless.log.disk import Disk


class Work:
    """Counts the batches that have no outcome. Not thread-safe."""

    def __init__(self, disk: Disk, data_dir: str) -> None:
        self._view = SpoolView(disk, spool_directory(data_dir))
        self._acks = AckReader(disk, acks_directory(data_dir))
        self._from = 0  # every batch before this position has an outcome
        self.unsent = 0
        self.settled = 0

    def look(self) -> None:
        """Look at both logs. Raises Unavailable if the disk refuses."""
        self._view.follow_all()
        self._view.withdrawn.clear()
        acks = self._acks.follow()
        batches = self._view.batches
        at = bisect_left(batches, self._from, key=lambda batch: batch.position)
        while at < len(batches) and acks.of(batches[at]) is not None:
            at += 1
        self._from = batches[at].position if at < len(batches) else self._view.durable()
        self.unsent = sum(acks.of(batch) is None for batch in batches[at:])
        self.settled = acks.taken
