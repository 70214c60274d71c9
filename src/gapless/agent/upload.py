"""The uploader's process: spool to gateway, several requests under way.

One thread owns the spool's view, the outcomes and what is to be sent; it never waits for the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import NamedTuple, Protocol

from gapless.agent.acks import ACKS_SEGMENT_BYTES_MAX, AckWriter
from gapless.agent.channel import Channel, Report
from gapless.agent.follow import SpoolView
from gapless.agent.layout import acks_directory, spool_directory
from gapless.agent.machine import Machine, Supervised, this_machine
from gapless.agent.target import Targets
from gapless.agent.transport import HttpTransport, Reply
from gapless.agent.troubles import Troubles
from gapless.agent.uploader import Attempt, Uploader
from gapless.agent.workers import NewTransport, Workers
from gapless.model.errors import Unavailable

_RETRY_S = 1.0
#: How often the spool is looked at while there is something to do; and once there was nothing for
#: ``_QUIET_AFTER_S``.
_POLL_S = 0.05
_QUIET_POLL_S = 0.2
_QUIET_AFTER_S = 2.0
_REPORT_EVERY_S = 0.25


class Carrier(Protocol):
    """Who carries out attempts: see ``Workers``."""

    @property
    def sent_bytes(self) -> int: ...
    def give(self, attempt: Attempt) -> None: ...


def upload(channel: Channel, new_transport: NewTransport = HttpTransport) -> None:
    """The uploader's main. A new configuration is taken in place, but for another ``data_dir``. Ends by
    Stopped; what is under way then is sent again by the next."""
    workers = Workers(new_transport)
    process = Uploading(channel, this_machine(), workers, Random())
    try:
        while True:
            channel.wait(0)
            process.finished(workers.take(process.begin()))
    finally:
        workers.close()
        process.close()


class _Opened(NamedTuple):
    view: SpoolView
    acks: AckWriter
    targets: Targets
    uploader: Uploader


class Uploading:
    """The state of one process: ``begin``, wait for replies, ``finished``, and again. Its log of outcomes is
    opened once it can be."""

    def __init__(
        self,
        supervised: Supervised,
        machine: Machine,
        carrier: Carrier,
        random: Random,
        *,
        acks_segment_bytes_max: int = ACKS_SEGMENT_BYTES_MAX,
    ) -> None:
        self._supervised = supervised
        self._machine = machine
        self._carrier = carrier
        self._random = random
        self._acks_segment_bytes_max = acks_segment_bytes_max
        self._opened: _Opened | None = None
        self._troubles = Troubles()
        self._waits = 0  # looks around with nothing under way: standing before what is in the way
        self._progress = 0
        self._reported_s = float("-inf")
        self._busy_s = machine.monotonic_s()

    @property
    def idle(self) -> bool:
        """Nothing is to be done before the spool has something new."""
        return self._opened is not None and self._opened.uploader.idle and not self._opened.uploader.refused

    def begin(self) -> float:
        """Give what is due to the carrier; returns for how many seconds to wait for replies, at most."""
        try:
            if self._opened is None:
                self._opened = self._open()
        except Unavailable as error:
            self._waits += 1
            self._troubles.note("disk", str(error), self._machine.now_us())
            self._say(self._waits, "", 0)
            return _RETRY_S
        config, uploader = self._supervised.config, self._opened.uploader
        now_s, now_us = self._machine.monotonic_s, self._machine.now_us
        uploader.aim(self._opened.targets.read(config), config.upload, now_s())
        more = uploader.follow(now_us())
        while (attempt := uploader.begin(now_s(), now_us())) is not None:
            self._carrier.give(attempt)
        return self._pause_s(uploader, more)

    def finished(self, replies: Iterable[tuple[Attempt, Reply]]) -> None:
        """Take in what became of attempts, make it durable, and report."""
        if self._opened is None:
            return
        _, _, targets, uploader = self._opened
        now_s, now_us = self._machine.monotonic_s, self._machine.now_us
        for attempt, reply in replies:
            uploader.finished(attempt, reply, now_s(), now_us())
        uploader.write(now_s(), now_us())
        if targets.error:
            self._troubles.note("files", targets.error, now_us())
        else:
            self._troubles.over("files")
        self._report(uploader)

    def close(self) -> None:
        """Let go of the files."""
        if self._opened is not None:
            self._opened.acks.close()
            self._opened.view.close()

    def _open(self) -> _Opened:
        disk, data_dir = self._machine.disk, self._supervised.config.agent.data_dir
        view = SpoolView(disk, spool_directory(data_dir))
        acks = AckWriter(
            disk,
            acks_directory(data_dir),
            spool_first=view.first,
            segment_bytes_max=self._acks_segment_bytes_max,
        )
        targets = Targets(disk, data_dir)
        uploader = Uploader(view, acks, self._supervised.config.upload, self._random, pin=targets.pin)
        self._troubles = uploader.troubles
        return _Opened(view, acks, targets, uploader)

    def _pause_s(self, uploader: Uploader, more: bool) -> float:
        now_s = self._machine.monotonic_s()
        if more or not uploader.idle:
            self._busy_s = now_s
        if more:
            return 0.0
        return _POLL_S if now_s - self._busy_s < _QUIET_AFTER_S else _QUIET_POLL_S

    def _report(self, uploader: Uploader) -> None:
        now_s = self._machine.monotonic_s()
        if not uploader.in_flight:
            self._waits += 1
        if now_s - self._reported_s < _REPORT_EVERY_S:
            return
        self._reported_s = now_s
        if not uploader.overdue(now_s):
            self._progress = self._waits + uploader.steps + self._carrier.sent_bytes
        self._say(self._progress, uploader.url, uploader.backlog)

    def _say(self, progress: int, url: str, waiting: int) -> None:
        trouble = self._troubles.oldest()
        error, since_us = ("", 0) if trouble is None else trouble
        self._supervised.report(
            Report(progress=progress, url=url, error=error, error_since_us=since_us, waiting=waiting)
        )
