"""A spool that tells the oracle what it is given: nothing else is changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gapless.agent.frames import Batch
from gapless.agent.sources import FileCursor
from gapless.agent.spool import Spool
from gapless.log.disk import Buffer
from gapless.model.claim import Loss
from gapless.testing.oracle import Oracle
from gapless.testing.source_host import SourceDisk


class TappedSpool(Spool):
    """``truth`` hears of each batch when it is added, and again when it is durable; and of what the cursors
    into ``sources`` know."""

    def __init__(self, *arguments: Any, truth: Oracle, sources: SourceDisk, **options: Any) -> None:
        self._truth = truth
        self._sources = sources
        self._told: list[Sequence[bytes]] = []
        super().__init__(*arguments, **options)

    def add(self, batch: Batch, payload: Buffer) -> None:
        # First: what the disk refuses may be on it all the same, and count after a crash.
        lines = self._truth.batch_added(batch.header, bytes(payload))
        if batch.replaces is not None:
            old = next(each for each in self.view.batches if each.position == batch.replaces)
            if old.epoch != batch.header.epoch:
                self._truth.renumbers(old, batch.header)
        super().add(batch, payload)
        self._told.append(lines)

    def add_loss(self, loss: Loss, cursors: tuple[FileCursor, ...] = ()) -> None:
        for cursor in cursors:
            self._truth.loss_files[loss.id] = cursor.file
        super().add_loss(loss, cursors)

    def _take_back(self) -> None:
        super()._take_back()
        self._told.clear()

    def commit(self) -> None:
        super().commit()
        told, self._told = self._told, []
        self._truth.committed(self, told)
        self._truth.cursors_kept(self._sources, self)
