"""An event loop for code that is written with asyncio: it runs when it is told to, until nothing is ready.

No thread, no socket, no clock: what waits for one of those cannot run here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from contextvars import Context
from typing import Any, TypeVar, cast

T = TypeVar("T")


class InlineExecutor(Executor):
    """Does the work at once, in the caller's thread."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class InlineLoop:
    """What tasks, futures and events need of a loop. A loop that is dropped takes its tasks with it."""

    def __init__(self) -> None:
        self._ready: deque[asyncio.Handle] = deque()
        self._errors: list[BaseException] = []
        self._running = False
        self._as_loop = cast(asyncio.AbstractEventLoop, self)

    def start(self, coroutine: Coroutine[Any, Any, T], done: Callable[[asyncio.Task[T]], None]) -> None:
        """Run a coroutine, with all that it wakes, as far as it goes; ``done`` is told when it has ended."""
        self.create_task(coroutine).add_done_callback(done)
        self.run_ready()

    def run_ready(self) -> None:
        """Run until nothing is ready. Raises what a callback raised."""
        if self._running:
            return
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self._as_loop)
        self._running = True
        try:
            while self._ready:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    handle._run()
        finally:
            self._running = False
            asyncio._set_running_loop(before)
        if self._errors:
            raise self._errors.pop()

    # What asyncio asks of it.

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self._as_loop, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._as_loop)

    def create_task(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return asyncio.Task(coroutine, loop=self._as_loop)

    def run_in_executor(self, executor: object, work: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        future = self.create_future()
        try:
            future.set_result(work(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        # Outside of `run_ready` they are tasks of processes that have ended: nobody waits for them.
        if self._running and isinstance(error := context.get("exception"), BaseException):
            self._errors.append(error)
