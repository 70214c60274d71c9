"""A thread that owns some state, and the requests that wait for what it does.

Work runs in it one piece after the other, in the order in which it was asked for: so the state needs no
lock, and the event loop never waits for a digest, a disk or a database.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """One thread, used from one event loop. What is begun ends, whoever stops waiting for it. ``thread``, if
    given, is whoever does the work instead, one piece after the other."""

    def __init__(
        self,
        name: str,
        *,
        thread: Executor | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._thread = thread or ThreadPoolExecutor(1, thread_name_prefix=name)
        self._monotonic_s = monotonic_s
        self._tasks: set[asyncio.Task[Any]] = set()
        self._progress_at_s = 0.0

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do ``work`` in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def run_later(self, work: Callable[..., object], *arguments: Any) -> None:
        """Do ``work`` in the thread, before anything that is asked for after this."""
        self._thread.submit(work, *arguments)

    async def finish(self, way: Coroutine[Any, Any, T]) -> T:
        """Go the whole ``way``, even if the caller is cancelled."""
        if not self._tasks:
            self._progress_at_s = self._monotonic_s()
        task = asyncio.create_task(way)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def stalled_s(self) -> float:
        """For how many seconds something has been under way without anything ending; 0 when nothing is."""
        return self._monotonic_s() - self._progress_at_s if self._tasks else 0.0

    async def close(self) -> None:
        """Wait for what is under way; nothing may be begun any more."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._thread.shutdown()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._progress_at_s = self._monotonic_s()
        if not task.cancelled():
            task.exception()  # seen, though the caller may be gone
