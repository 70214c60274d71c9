"""A spool that tells the oracle what it is given: nothing else is changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gapless.agent.frames import Batch
from gapless.agent.spool import Spool
from gapless.log.disk import Buffer
from gapless.testing.oracle import Oracle


class TappedSpool(Spool):
    """``truth`` hears of each batch when it is added, and again when it is durable."""

    truth: Oracle | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._told: list[Sequence[bytes]] = []

    def add(self, batch: Batch, payload: Buffer) -> None:
        # First: what the disk refuses may be on it all the same, and count after a crash.
        lines = self.truth.batch_added(batch.header, bytes(payload)) if self.truth is not None else []
        if self.truth is not None and batch.replaces is not None:
            old = next(each for each in self.view.batches if each.position == batch.replaces)
            if old.epoch != batch.header.epoch:
                self.truth.renumbers(old, batch.header)
        super().add(batch, payload)
        self._told.append(lines)

    def _take_back(self) -> None:
        super()._take_back()
        self._told.clear()

    def commit(self) -> None:
        super().commit()
        told, self._told = self._told, []
        if self.truth is not None:
            self.truth.committed(self, told)
