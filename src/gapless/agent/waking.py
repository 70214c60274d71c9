"""Signals for a process that waits in a selector."""

from __future__ import annotations

import signal
import socket

_NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class Signals:
    """A context manager: within it SIGTERM, SIGINT, SIGHUP and SIGCHLD are noted in ``seen``, and the socket
    that it gives becomes readable. Only in the main thread."""

    def __init__(self, seen: set[int]) -> None:
        self._seen = seen
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)

    def __enter__(self) -> socket.socket:
        for number in _NUMBERS:
            signal.signal(number, lambda number, _: self._seen.add(number))
        signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        return self._ours

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for number in _NUMBERS:
            signal.signal(number, signal.SIG_DFL)
        self._ours.close()
        self._theirs.close()
