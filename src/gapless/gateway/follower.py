"""Keeps the index up to the journal, in a thread of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from gapless.gateway.fold import Changes
from gapless.gateway.worker import Worker

_log = structlog.get_logger("gapless.gateway")


class Index(Protocol):
    """What follows: see ``BatchIndex``."""

    @property
    def complete(self) -> bool: ...
    @property
    def cursor(self) -> int: ...
    def step(self) -> Changes | None: ...


class Follower:
    """Steps ``index`` every ``interval_s``, and at once while there is more. ``told`` is awaited with
    what each step committed. A step that fails is tried again, for ever, and shows in ``failing_s``."""

    def __init__(
        self,
        index: Index,
        told: Callable[[Changes], Awaitable[None]],
        *,
        interval_s: float,
        worker: Worker | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._index = index
        self._told = told
        self._interval_s = interval_s
        self._monotonic_s = monotonic_s
        self._worker = worker or Worker("index")
        self._stopping = asyncio.Event()
        self._failing_since_s: float | None = None
        self._task: asyncio.Task[None] | None = None
        #: Set when the index is complete for the first time.
        self.caught_up = asyncio.Event()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Finish the step under way; what is left is folded at the next start."""
        self._stopping.set()
        if self._task is not None:
            await self._task
        await self._worker.close()

    def failing_s(self) -> float:
        """For how many seconds no step has succeeded; 0 when the last one did."""
        return 0.0 if self._failing_since_s is None else self._monotonic_s() - self._failing_since_s

    async def _run(self) -> None:
        while not self._stopping.is_set():
            if await self.step():
                continue
            try:
                await asyncio.wait_for(self._stopping.wait(), self._interval_s)
            except TimeoutError:
                pass

    async def step(self) -> bool:
        """One step; whether there may be more at once."""
        try:
            changes = await self._worker.run(self._index.step)
            if changes is not None:
                await self._told(changes)
        except Exception as error:  # whatever it is, the next step begins where this one did
            if self._failing_since_s is None:
                self._failing_since_s = self._monotonic_s()
                _log.error("index_step_failed", error=str(error), cursor=self._index.cursor)
            return False
        self._failing_since_s = None
        if self._index.complete:
            self.caught_up.set()
        return changes is not None
