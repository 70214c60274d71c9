"""The faults of named incidents. They live here alone: nothing in the product can switch them on."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gapless.agent.acks import Acks
from gapless.agent.follow import Spooled
from gapless.agent.spool import Spool
from gapless.agent.spool_room import SpoolRoom
from gapless.agent.transport import Reply, Transport
from gapless.log.disk import Buffer
from gapless.model.claim import Loss

#: A lock that was not had for so long will never be had: what is done under it takes less.
_STUCK_S = 1.0


class Router:
    """The fault of September 2024: locks held across uploads, taken in two orders.

    A dispatch thread holds the lock of its connection while it uploads, and takes the lock of the routes
    at the end, to note where it sent. Whoever changes the endpoint takes the lock of the routes first, and
    then that of each connection, to turn it to the new endpoint. A change while an upload is under way
    leaves each waiting for the other for ever; and every other dispatch thread, one by one, when it comes
    to ask for its route.

    ``mark`` is written once, when a thread has waited for ``stuck_s``: since when, in nanoseconds.
    ``upload_s`` is added to each upload: the line is slow, so that uploads are under way when the endpoint
    changes.
    """

    def __init__(self, mark: Path, upload_s: float, stuck_s: float = _STUCK_S) -> None:
        self._mark = mark
        self._stuck_s = stuck_s
        self.upload_s = upload_s
        self._routes = threading.Lock()
        self._url = ""
        self._connections: list[LockedTransport] = []

    def add(self, connection: LockedTransport) -> None:
        self.take(self._routes)
        self._connections.append(connection)
        self._routes.release()

    def route_to(self, url: str, asking: LockedTransport) -> None:
        """Turn every connection to ``url``, if that is not where they go already."""
        self.take(self._routes)
        if url != self._url:
            for connection in self._connections:
                if connection is not asking:
                    self.take(connection.uploading)
                    connection.uploading.release()
            self._url = url
        self._routes.release()

    def note_upload(self) -> None:
        """Called by a thread that still holds the lock of its connection."""
        self.take(self._routes)
        self._routes.release()

    def take(self, lock: threading.Lock) -> None:
        """Take a lock, for however long that takes."""
        since_ns = time.time_ns()
        if not lock.acquire(timeout=self._stuck_s):
            with suppress(FileExistsError), self._mark.open("x") as mark:
                mark.write(str(since_ns))
            lock.acquire()


class LockedTransport:
    """A transport of one thread with the fault, around one without."""

    def __init__(self, inner: Transport, router: Router) -> None:
        self._inner = inner
        self._router = router
        self.uploading = threading.Lock()
        router.add(self)

    @property
    def sent_bytes(self) -> int:
        return self._inner.sent_bytes

    def post(self, url: str, token: str, frames: Sequence[Buffer], ca_file: str = "") -> Reply:
        self._router.route_to(url, self)
        self._router.take(self.uploading)
        time.sleep(self._router.upload_s)
        reply = self._inner.post(url, token, frames, ca_file)
        self._router.note_upload()
        self.uploading.release()
        return reply

    def receipt_key(self, url: str, ca_file: str = "") -> Reply:
        return self._inner.receipt_key(url, ca_file)

    def close(self) -> None:
        self._inner.close()


class _OverwritingRoom(SpoolRoom):
    def given_up(self, batches: list[Spooled], acks: Acks) -> list[Loss]:
        return []


class OverwritingSpool(Spool):
    """A cache as it was then: what is oldest makes room for what is newest, and nobody is told.

    It must be set to ``when_full`` "declare": it makes room alike, and leaves out the declaring.
    """

    room_type = _OverwritingRoom


def stuck_since_ns(mark: Path) -> int | None:
    """When the first thread got stuck; None while none is known to be."""
    try:
        text = mark.read_text()
    except FileNotFoundError:
        return None
    return int(text) if text else None
