"""What a supervisor and a child of it say to each other: short messages on a socket pair.

The child reports; the supervisor says that there is a new configuration, or to stop. Neither ever waits
for the other to read.
"""

from __future__ import annotations

import select
import socket
import time
from typing import Literal

import msgspec

from gapless.agent.config import AgentConfig, load_config
from gapless.agent.layout import config_path
from gapless.model.errors import Misconfigured

MESSAGE_BYTES_MAX = 16 << 10
_TEXT_MAX = 500
#: A long step says so often that it goes on.
_GOES_ON_S = 0.2


class Stopped(Exception):
    """The supervisor said to stop, or is gone."""


class Report(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a child says of itself. ``progress`` grows with every step that it finished, a failed attempt
    included: it is what the watchdog looks at. ``error`` is what is in the way, ``error_since_us`` since
    when; ``url`` where it sends to; ``waiting`` what it has in hand; ``problems`` what of its sources it
    cannot read; ``fills_in_s`` the time left until the spool is full, if it is filling."""

    progress: int = 0
    url: str = ""
    error: str = ""
    error_since_us: int = 0
    waiting: int = 0
    problems: tuple[str, ...] = ()
    fills_in_s: float | None = None


Order = Literal["config", "stop"]


class Channel:
    """The child's end. ``config`` is the newest configuration that the supervisor accepted."""

    def __init__(self, sock: socket.socket, config: AgentConfig) -> None:
        self._sock = sock
        self._sock.setblocking(False)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._said = Report()
        self._said_s = 0.0
        self._goings_on = 0
        self.config = config

    def wait(self, timeout_s: float) -> bool:
        """Take in what the supervisor says, waiting at most so long for it. True: ``config`` is a new one.
        Raises Stopped."""
        changed = False
        while self._poll.poll(0 if changed else max(0.0, timeout_s * 1000)):
            try:
                order = self._sock.recv(MESSAGE_BYTES_MAX)
            except BlockingIOError:
                break
            except OSError as error:
                raise Stopped from error
            if order in (b"stop", b""):
                raise Stopped
            changed = self._reload() or changed
        return changed

    def report(self, report: Report) -> None:
        """Never blocks; lost if the supervisor does not read."""
        short = tuple(problem[:_TEXT_MAX] for problem in report.problems[:8])
        self._said = msgspec.structs.replace(report, error=report.error[:_TEXT_MAX], problems=short)
        self._say()

    def goes_on(self) -> None:
        """A part of a long step is finished: said with the last report, a few times a second
        at most."""
        if time.monotonic() - self._said_s >= _GOES_ON_S:
            self._goings_on += 1
            self._say()

    def _say(self) -> None:
        self._said_s = time.monotonic()
        report = msgspec.structs.replace(self._said, progress=self._said.progress + self._goings_on)
        try:
            self._sock.send(msgspec.json.encode(report))
        except OSError:
            pass  # gone or not reading: `wait` tells which

    def _reload(self) -> bool:
        try:
            self.config = load_config(config_path(self.config.agent.data_dir))
        except Misconfigured:  # cannot be: the supervisor wrote it whole. The one in force goes on.
            return False
        return True
