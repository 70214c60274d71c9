"""The threads that carry out attempts. They post and hand back the reply; nothing else is theirs.

Attempts and replies cross in two queues; there is nothing that two threads could wait for each other to
let go of. A thread that does not come back is missed by ``Uploader.overdue`` and by the watchdog: threads
are daemons, and the process is what is replaced.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import NamedTuple

from gapless.agent.dispatch import UploadSettings
from gapless.agent.transport import Reply, Transport
from gapless.agent.uploader import Attempt

NewTransport = Callable[[UploadSettings], Transport]


class Finished(NamedTuple):
    """An attempt and what became of it."""

    attempt: Attempt
    reply: Reply


class Workers:
    """As many threads as there were ever attempts under way at once; each has a transport of its own."""

    def __init__(self, new_transport: NewTransport) -> None:
        self._new_transport = new_transport
        self._threads: list[_Worker] = []
        self._attempts: SimpleQueue[Attempt | None] = SimpleQueue()
        self._finished: SimpleQueue[Finished] = SimpleQueue()
        self._under_way = 0

    @property
    def sent_bytes(self) -> int:
        """Bytes handed to sockets so far."""
        return sum(thread.sent_bytes for thread in self._threads)

    def give(self, attempt: Attempt) -> None:
        """Carry out an attempt, at once."""
        self._under_way += 1
        if self._under_way > len(self._threads):
            thread = _Worker(self._new_transport, self._attempts, self._finished)
            self._threads.append(thread)
            thread.start()
        self._attempts.put(attempt)

    def take(self, timeout_s: float) -> list[Finished]:
        """What was finished; waits for the first at most so long."""
        finished: list[Finished] = []
        try:
            finished.append(self._finished.get(timeout=timeout_s))
            while True:
                finished.append(self._finished.get_nowait())
        except Empty:
            pass
        self._under_way -= len(finished)
        return finished

    def close(self) -> None:
        """Each thread ends when it is done with its attempt. Nobody waits for it."""
        for _ in self._threads:
            self._attempts.put(None)


class _Worker(threading.Thread):
    def __init__(
        self,
        new_transport: NewTransport,
        attempts: SimpleQueue[Attempt | None],
        finished: SimpleQueue[Finished],
    ) -> None:
        super().__init__(name="upload", daemon=True)
        self._new_transport = new_transport
        self._attempts = attempts
        self._finished = finished
        self._transport: Transport | None = None
        self._settings: UploadSettings | None = None
        self._sent_before = 0  # through transports that were given up

    @property
    def sent_bytes(self) -> int:
        transport = self._transport
        return self._sent_before + (0 if transport is None else transport.sent_bytes)

    def run(self) -> None:
        while (attempt := self._attempts.get()) is not None:
            self._finished.put(Finished(attempt, self._carry_out(attempt)))
        if self._transport is not None:
            self._transport.close()

    def _carry_out(self, attempt: Attempt) -> Reply:
        try:
            transport = self._transport_for(attempt.settings)
            target = attempt.target
            if attempt.batches:
                return transport.post(attempt.url, target.token, attempt.frames, target.ca_file)
            return transport.receipt_key(attempt.url, target.ca_file)
        except Exception as error:  # a defect must not cost a thread, nor go unseen
            return Reply(met="failed", error=f"sending to {attempt.url} failed unexpectedly: {error!r}")

    def _transport_for(self, settings: UploadSettings) -> Transport:
        if self._transport is not None and settings == self._settings:
            return self._transport
        if self._transport is not None:
            self._sent_before, old = self.sent_bytes, self._transport
            self._transport = None
            old.close()
        self._transport, self._settings = self._new_transport(settings), settings
        return self._transport
