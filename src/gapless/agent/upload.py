"""The uploader's process: spool to gateway, several requests under way.

One thread owns the spool's view, the outcomes and what is to be sent; it never waits for the network.
"""

from __future__ import annotations

import time
from random import Random

from gapless import clock
from gapless.agent.acks import AckWriter
from gapless.agent.channel import Channel, Report
from gapless.agent.follow import SpoolView
from gapless.agent.layout import acks_directory, spool_directory
from gapless.agent.target import Targets
from gapless.agent.transport import HttpTransport
from gapless.agent.troubles import Troubles
from gapless.agent.uploader import Uploader
from gapless.agent.workers import NewTransport, Workers
from gapless.log.disk import OsDisk
from gapless.model.errors import Unavailable

_RETRY_S = 1.0
#: How often the spool is looked at while it grows; and once it has not grown for ``_QUIET_AFTER_S``.
_POLL_S = 0.05
_QUIET_POLL_S = 0.2
_QUIET_AFTER_S = 2.0
_REPORT_EVERY_S = 0.25


def upload(channel: Channel, new_transport: NewTransport = HttpTransport) -> None:
    """The uploader's main. A new configuration is taken in place, but for another ``data_dir``. Ends by
    Stopped; what is under way then is sent again by the next."""
    process = _Uploading(channel, new_transport)
    while True:
        try:
            process.run()
        except Unavailable as error:
            process.trouble(str(error))
            channel.wait(_RETRY_S)


class _Uploading:
    """The state of one process: its log of outcomes is opened once it can be."""

    def __init__(self, channel: Channel, new_transport: NewTransport) -> None:
        self._channel = channel
        self._new_transport = new_transport
        self._disk = OsDisk()
        self._troubles = Troubles()
        self._waits = 0  # looks around with nothing under way: standing before what is in the way
        self._progress = 0
        self._reported_s = 0.0
        self._grew_s = time.monotonic()

    def run(self) -> None:
        """Open the log, and upload until Stopped. Raises Unavailable if it cannot be opened."""
        data_dir = self._channel.config.agent.data_dir
        view = SpoolView(self._disk, spool_directory(data_dir))
        acks = AckWriter(self._disk, acks_directory(data_dir), spool_first=view.first)
        workers = Workers(self._new_transport)
        try:
            targets = Targets(self._disk, data_dir)
            uploader = Uploader(view, acks, self._channel.config.upload, Random(), pin=targets.pin)
            self._troubles = uploader.troubles
            while True:
                self._round(uploader, targets, workers)
        finally:
            workers.close()
            acks.close()
            view.close()

    def trouble(self, error: str) -> None:
        """Say what keeps the process from its work."""
        self._waits += 1
        self._troubles.note("disk", error, clock.now_us())
        self._say(self._waits, "", 0)

    def _round(self, uploader: Uploader, targets: Targets, workers: Workers) -> None:
        self._channel.wait(0)
        config = self._channel.config
        uploader.aim(targets.read(config), config.upload, time.monotonic())
        more = uploader.follow(clock.now_us())
        while (attempt := uploader.begin(time.monotonic(), clock.now_us())) is not None:
            workers.give(attempt)
        for attempt, reply in workers.take(self._pause_s(more)):
            if reply.status in (401, 403):
                targets.doubt_token()
            uploader.finished(attempt, reply, time.monotonic(), clock.now_us())
        uploader.write(time.monotonic(), clock.now_us())
        if targets.error:
            self._troubles.note("files", targets.error, clock.now_us())
        else:
            self._troubles.over("files")
        self._report(uploader, workers)

    def _pause_s(self, more: bool) -> float:
        """How long to wait for replies before the spool is looked at again."""
        now_s = time.monotonic()
        if more:
            self._grew_s = now_s
            return 0.0
        return _POLL_S if now_s - self._grew_s < _QUIET_AFTER_S else _QUIET_POLL_S

    def _report(self, uploader: Uploader, workers: Workers) -> None:
        now_s = time.monotonic()
        if not uploader.in_flight:
            self._waits += 1
        if now_s - self._reported_s < _REPORT_EVERY_S:
            return
        self._reported_s = now_s
        if not uploader.overdue(now_s):
            self._progress = self._waits + uploader.steps + workers.sent_bytes
        self._say(self._progress, uploader.url, uploader.backlog)

    def _say(self, progress: int, url: str, waiting: int) -> None:
        trouble = self._troubles.oldest()
        error, since_us = ("", 0) if trouble is None else trouble
        self._channel.report(
            Report(progress=progress, url=url, error=error, error_since_us=since_us, waiting=waiting)
        )
