"""The agent's children as a simulation drives them: what they do is the agent's own, the waiting is not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from gapless.agent.acks import AckWriter
from gapless.agent.channel import Report
from gapless.agent.claim import Claiming, Response
from gapless.agent.collect import Collecting
from gapless.agent.collector import CollectorSettings
from gapless.agent.config import AgentConfig
from gapless.agent.follow import SpoolView
from gapless.agent.layout import acks_directory, spool_directory
from gapless.agent.machine import Machine
from gapless.agent.sources.port import SourceHost
from gapless.agent.spool_settings import SpoolSettings
from gapless.agent.target import Target, Targets
from gapless.agent.uploader import Attempt, Uploader
from gapless.log.disk import Disk
from gapless.model.errors import Unavailable
from gapless.testing.network import Outcome
from gapless.testing.process import Process, ProcessDisk
from gapless.testing.replies import reply_of
from gapless.testing.source_host import SourceView
from gapless.testing.tapped import TappedSpool

if TYPE_CHECKING:
    from gapless.testing.agent_host import AgentHost

_DATA_DIR = "/agent"
_RETRY_US = 1_000_000


class Child:
    """A process of the agent. ``said`` is its last report to the supervisor."""

    def __init__(self, host: AgentHost, name: str) -> None:
        self.host = host
        self.world = host.world
        self.loop = host.world.loop
        self.process = Process(f"{host.name}/{name}", self.loop, self._ended)
        self.disk = ProcessDisk(host.disk, self.process)
        self.started_s = self.loop.now_s
        self.said = Report()

    def begin(self) -> None:
        """Open what is needed; again a second later, if the disk refuses."""
        raise NotImplementedError

    @property
    def config(self) -> AgentConfig:
        return self.host.config

    def report(self, report: Report) -> None:
        """What it says to its supervisor; the trace shows what is in the way."""
        if report.error and report.error != self.said.error:
            self.world.tell(f"{self.process.name}: {report.error}")
        self.said = report

    def machine(self, files: SourceHost) -> Machine:
        """The host, as this process has it."""
        host = self.host
        return Machine(
            self.disk,
            files,
            host.clock.now_us,
            lambda: self.loop.now_s,
            host.mint,
            lambda: host.random.randbytes(32),
        )

    def step_done(self) -> None:
        """Progress, as the watchdog counts it."""
        self.said = Report(progress=self.said.progress + 1)

    def _ended(self, process: Process, why: str) -> None:
        self.world.fault("process killed at an effect", f"{process.name} {why}")


class CollectorChild(Child):
    """Sources to spool."""

    def begin(self) -> None:
        files = SourceView(self.host.sources)
        self.process.at_end(files.end)
        settings = CollectorSettings(batch_bytes_max=2_000, tick_bytes_max=64_000)
        self._collecting = Collecting(self, self.machine(files), self._spool, settings)
        self._step()

    def _step(self) -> None:
        self.process.after(int(self._collecting.step() * 1e6), self._step)

    def _spool(self, disk: Disk, directory: str, settings: SpoolSettings, **given: Any) -> TappedSpool:
        host = self.host
        return TappedSpool(
            disk,
            directory,
            settings,
            place=lambda _: host.place,
            truth=self.world.oracle,
            sources=host.sources,
            **given,
        )


class UploaderChild(Child):
    """Spool to gateway."""

    def begin(self) -> None:
        host = self.host
        self.step_done()
        try:
            view = SpoolView(self.disk, spool_directory(_DATA_DIR))
            acks = AckWriter(
                self.disk, acks_directory(_DATA_DIR), spool_first=view.first, segment_bytes_max=64 << 10
            )
        except Unavailable as error:
            self.world.tell(f"{self.process.name}: {error}")
            self.process.after(_RETRY_US, self.begin)
            return
        self._targets = Targets(self.disk, _DATA_DIR)
        self._uploader = Uploader(view, acks, host.config.upload, host.random, pin=self._targets.pin)
        self._finished: list[tuple[Attempt, Outcome]] = []
        self._turn = 0
        self._waits = 0
        self._round(0)

    def _round(self, turn: int) -> None:
        if turn != self._turn:
            return  # a reply came first
        uploader, loop, now_us = self._uploader, self.loop, self.host.clock.now_us
        config = self.host.config
        key = config.gateway.receipt_key or self._targets._read_key()
        uploader.aim(Target(config.gateway.urls, "token", key), config.upload, loop.now_s)
        more = uploader.follow(now_us())
        while (attempt := uploader.begin(loop.now_s, now_us())) is not None:
            self._send(attempt)
        finished, self._finished = self._finished, []
        for attempt, outcome in finished:
            reply = reply_of(attempt.url, outcome, batches=bool(attempt.batches))
            uploader.finished(attempt, reply, loop.now_s, now_us())
        uploader.write(loop.now_s, now_us())
        if not uploader.in_flight:
            self._waits += 1
        if not uploader.overdue(loop.now_s):
            self.said = Report(progress=self._waits + uploader.steps, waiting=uploader.backlog)
        if more or finished or uploader.backlog or uploader.in_flight or not key:
            self._next(0 if more or finished else self.host.upload_poll_us)
        else:
            self._rest()

    def _next(self, wait_us: int) -> None:
        self._turn += 1
        self.process.after(wait_us, partial(self._round, self._turn))

    def _rest(self) -> None:
        """Nothing is to be done before the spool has something new."""
        self._turn += 1
        self.process.poll(self.host.upload_poll_us, self.host.disk, partial(self._round, self._turn))

    def _send(self, attempt: Attempt) -> None:
        def done(outcome: Outcome) -> None:
            self._finished.append((attempt, outcome))
            self._next(0)

        path = "/v1/batches" if attempt.batches else "/v1/keys"
        self.world.network.request(
            self.host.name,
            attempt.url,
            path,
            b"".join(attempt.frames),
            attempt.settings.attempt_s_max,
            lambda outcome: self.process.run(partial(done, outcome)),
        )


class ClaimsChild(Child):
    """What is in the streams, said again and again over a connection of its own."""

    def begin(self) -> None:
        self._claiming = Claiming(self, self.machine(self.host.sources))
        self._claim()

    def _claim(self) -> None:
        statement = self._claiming.next()
        if statement is None:
            self._wait()
            return
        self.world.oracle.claimed(statement.signed, self.host.disk, spool_directory(_DATA_DIR))
        self.world.network.request(
            f"{self.host.name}/claims",
            statement.url,
            "/v1/claims",
            msgspec.json.encode(statement.signed),
            statement.limit_s,
            lambda outcome: self.process.run(partial(self._take, outcome)),
        )

    def _take(self, outcome: Outcome) -> None:
        answered = outcome if isinstance(outcome, str) else Response(outcome.status, outcome.data)
        self._claiming.finished(answered)
        self._wait()

    def _wait(self) -> None:
        self.process.after(int(self._claiming.wait_s() * 1e6), self._claim)


CHILDREN: dict[str, Callable[[AgentHost, str], Child]] = {
    "collector": CollectorChild,
    "uploader": UploaderChild,
    "claims": ClaimsChild,
}
