"""The journal in local segment files, with group commit.

One thread writes: it takes everything that waits, writes it with one call, syncs once, and tells every
waiter the same outcome. While it syncs, the next group gathers; so the number of syncs per second is the
disk's, whatever the number of appends.

Commit points, and what a crash leaves at each:

* before the sync returned: nothing, or whole entries that nobody was told of; the log's recovery keeps
  those and cuts the torn rest. Who appended them sends them again, and must recognise the repeat.
* after it, before a waiter was told: the same, all of them whole.

Segments are never removed: sealed ones are the raw archive of every record, until its retention is over and
its bytes are dropped from them (``gapless.log.drop``).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gapless.log.disk import Disk
from gapless.log.frame import DAMAGED, HEAD_BYTES
from gapless.log.port import EntryReader
from gapless.log.segments import LogReader, LogWriter, Message, Recovery
from gapless.model.errors import Busy, GaplessError, Refused, Unavailable

#: How long a failure counts as "failing now" when nobody has tried again since.
_FAILURE_REMEMBERED_S = 10.0


class _Waiter(NamedTuple):
    messages: Sequence[Message]
    size_bytes: int
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[list[int]]


class LocalJournal:
    """``gapless.journal.port.Journal`` over a ``Disk``. At most one may exist per directory: see
    ``gapless.log.lock``.

    ``queue_bytes_max`` bounds what waits, the group being written included. ``on_sync_s`` is told, in
    the writer's thread, how many seconds each group took to be written and synced. ``read_to`` is how far
    whoever folds the journal has come: no entry is given a position before it, or nobody would read it.
    Opening reads the last segment and may write to it; raises Corrupt if the disk does not let it.
    """

    def __init__(
        self,
        disk: Disk,
        directory: str,
        *,
        segment_bytes_max: int = 128 << 20,
        queue_bytes_max: int = 640 << 20,
        on_sync_s: Callable[[float], None] = lambda seconds: None,
        monotonic_s: Callable[[], float] = time.monotonic,
        read_to: int = 0,
    ) -> None:
        self._disk = disk
        self._directory = directory
        self._queue_bytes_max = queue_bytes_max
        self._on_sync_s = on_sync_s
        self._monotonic_s = monotonic_s
        self._writer = LogWriter(disk, directory, segment_bytes_max=segment_bytes_max, read_to=read_to)
        self._changed = threading.Condition()
        # The rest is guarded by `_changed`, which is never held across I/O.
        self._queue: list[_Waiter] = []
        self._waiting_bytes = 0
        self._closing = False
        self._broken = ""
        self._owing_since_s: float | None = None
        self._failed_at_s = float("-inf")
        self._readers: list[LogReader] = []
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def recovery(self) -> Recovery:
        return self._writer.recovery

    async def append(self, messages: Sequence[Message]) -> list[int]:
        if not messages:
            return []
        size = sum(HEAD_BYTES + len(message.meta) + len(message.body) for message in messages)
        loop = asyncio.get_running_loop()
        waiter = _Waiter(messages, size, loop, loop.create_future())
        with self._changed:
            self._admit(waiter)
            self._changed.notify()
        return await waiter.future

    def stalled_s(self) -> float:
        with self._changed:
            if self._owing_since_s is None:
                return 0.0
            now_s = self._monotonic_s()
            if self._broken:
                return now_s - self._owing_since_s
            if not self._waiting_bytes and now_s - self._failed_at_s > _FAILURE_REMEMBERED_S:
                return 0.0
            return now_s - self._owing_since_s

    def reader(self) -> EntryReader:
        reader = LogReader(self._disk, self._directory)
        self._readers.append(reader)
        return reader

    def close(self) -> None:
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify()
        self._thread.join()
        self._writer.close()
        for reader in self._readers:
            reader.close()

    def _admit(self, waiter: _Waiter) -> None:
        if self._closing or self._broken:
            raise Unavailable(self._broken or "the journal is closed: start the platform, then send again")
        if any(not 0 <= message.kind < DAMAGED for message in waiter.messages):
            raise Refused(f"an entry's kind is from 0 to {DAMAGED - 1}: choose another")
        if waiter.size_bytes > self._queue_bytes_max:
            raise Refused(
                f"{waiter.size_bytes} bytes are more than the journal takes at once "
                f"({self._queue_bytes_max}): send them in parts"
            )
        if self._waiting_bytes + waiter.size_bytes > self._queue_bytes_max:
            raise Busy("the journal has too much waiting to be written: send it again in a moment")
        self._waiting_bytes += waiter.size_bytes
        self._queue.append(waiter)
        if self._owing_since_s is None:
            self._owing_since_s = self._monotonic_s()

    def _run(self) -> None:
        while group := self._next_group():
            self._take(group)

    def _take(self, group: list[_Waiter]) -> None:
        """Make a group durable, and tell who waits for it."""
        started_s = self._monotonic_s()
        outcome = self._commit(group)
        finished_s = self._monotonic_s()
        self._account(group, outcome, finished_s)
        _tell(group, outcome)
        if not isinstance(outcome, GaplessError):
            self._on_sync_s(finished_s - started_s)

    def _next_group(self) -> list[_Waiter]:
        """Everything that waits; blocks until there is something, and is empty only at the end."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            group, self._queue = self._queue, []
            return group

    def _commit(self, group: list[_Waiter]) -> list[int] | GaplessError:
        """Make a group durable; return all its positions, or why none of it is in the journal."""
        if self._broken:
            return Unavailable(self._broken)
        try:
            positions = self._writer.append([message for waiter in group for message in waiter.messages])
            self._writer.sync()
            return positions
        except Unavailable as error:
            return error
        except Exception as error:  # a defect: what the file holds is no longer known
            with self._changed:
                self._broken = f"the journal's writer failed ({type(error).__name__}): restart the platform"
            return Unavailable(self._broken)

    def _account(self, group: list[_Waiter], outcome: list[int] | GaplessError, now_s: float) -> None:
        with self._changed:
            self._waiting_bytes -= sum(waiter.size_bytes for waiter in group)
            if isinstance(outcome, GaplessError):
                self._failed_at_s = now_s
            else:
                self._owing_since_s = now_s if self._waiting_bytes else None


def _tell(group: list[_Waiter], outcome: list[int] | GaplessError) -> None:
    """Give every waiter its part of the outcome, in its own event loop."""
    at = 0
    for waiter in group:
        mine = outcome
        if isinstance(outcome, list):
            mine = outcome[at : at + len(waiter.messages)]
            at += len(waiter.messages)
        try:
            waiter.loop.call_soon_threadsafe(_resolve, waiter.future, mine)
        except RuntimeError:
            pass  # that loop is closed: nobody waits there any more


def _resolve(future: asyncio.Future[list[int]], outcome: list[int] | GaplessError) -> None:
    if future.done():  # cancelled: nobody waits
        return
    if isinstance(outcome, GaplessError):
        future.set_exception(type(outcome)(str(outcome)))  # waiters must not share one traceback
    else:
        future.set_result(outcome)
