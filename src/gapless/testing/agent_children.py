"""The agent's children as a simulation drives them: what they do is the agent's own, the waiting is not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from gapless.agent.channel import Order, Report
from gapless.agent.claim import Claiming
from gapless.agent.claim import Response as ClaimsResponse
from gapless.agent.collect import Collecting
from gapless.agent.collector import CollectorSettings
from gapless.agent.config import AgentConfig
from gapless.agent.layout import spool_directory
from gapless.agent.machine import Machine
from gapless.agent.spool_settings import SpoolSettings
from gapless.agent.transport import Reply, Response, batches_reply, key_reply, unanswered, unreachable
from gapless.agent.upload import Uploading
from gapless.agent.uploader import Attempt
from gapless.log.disk import Disk
from gapless.testing.network import Outcome
from gapless.testing.process import Process, ProcessDisk
from gapless.testing.source_host import SourceView
from gapless.testing.tapped import TappedSpool

if TYPE_CHECKING:
    from gapless.testing.agent_host import AgentHost

DATA_DIR = "/agent"


class Child:
    """A process of the agent. ``said`` is its last report to the supervisor."""

    def __init__(self, host: AgentHost, name: str, config: AgentConfig) -> None:
        self.host = host
        self.world = host.world
        self.loop = host.world.loop
        self.config = config
        self.process = Process(f"{host.name}/{name}", self.loop, self._ended)
        self.machine: Machine = host.machine_of(ProcessDisk(host.disk, self.process))
        self.said = Report()

    def begin(self) -> None:
        """Do its work until its end."""
        raise NotImplementedError

    def report(self, report: Report) -> None:
        """What it says to its supervisor; the trace shows what is in the way."""
        if report.error and report.error != self.said.error:
            self.world.tell(f"{self.process.name}: {report.error}")
        self.said = report

    def _ended(self, process: Process, why: str) -> None:
        self.world.fault("process killed at an effect", f"{process.name} {why}")


class Held:
    """A child as its supervisor has it: ``gapless.agent.watching.Running``."""

    pid = 0

    def __init__(self, child: Child) -> None:
        self.child = child
        self.started_s = child.loop.now_s

    @property
    def report(self) -> Report:
        return self.child.said

    def ended(self) -> str | None:
        return None if self.child.process.alive else "was ended"

    def tell(self, order: Order) -> None:
        child = self.child
        if order == "stop":
            child.process.run(child.process.end)
        else:
            config = child.host.in_force()
            child.process.run(partial(setattr, child, "config", config))

    def kill(self) -> None:
        child = self.child
        if child.process.alive:
            child.world.tell(f"{child.process.name}: is replaced")
            child.world.faults["replaced by the watchdog"] += 1
            child.process.end()

    def close(self) -> None: ...


class CollectorChild(Child):
    """Sources to spool."""

    def begin(self) -> None:
        files = SourceView(self.host.sources)
        self.process.at_end(files.end)
        settings = CollectorSettings(batch_bytes_max=2_000, tick_bytes_max=64_000)
        self._collecting = Collecting(self, self.machine._replace(files=files), self._spool, settings)
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
    """Spool to gateway. It carries out its attempts itself: ``gapless.agent.upload.Carrier``."""

    sent_bytes = 0

    def begin(self) -> None:
        self._uploading = Uploading(
            self, self.machine, self, self.host.random, acks_segment_bytes_max=64 << 10
        )
        self._finished: list[tuple[Attempt, Reply]] = []
        self._turn = 0
        self._begin()

    def _begin(self) -> None:
        pause_s = self._uploading.begin()
        self._turn += 1
        finish = partial(self._finish, self._turn)
        if pause_s and self._uploading.idle and not self._finished:
            self.process.poll(self.host.upload_poll_us, self.host.disk, finish)
        else:
            self.process.after(self.host.upload_poll_us if pause_s and not self._finished else 0, finish)

    def _finish(self, turn: int) -> None:
        if turn != self._turn:
            return  # a reply came first
        finished, self._finished = self._finished, []
        self._uploading.finished(finished)
        self._begin()

    def give(self, attempt: Attempt) -> None:
        """Send it."""
        self.world.network.request(
            self.host.name,
            attempt.url,
            "/v1/batches" if attempt.batches else "/v1/keys",
            b"".join(attempt.frames),
            attempt.settings.attempt_s_max,
            lambda outcome: self.process.run(partial(self._take, attempt, outcome)),
        )

    def _take(self, attempt: Attempt, outcome: Outcome) -> None:
        self._finished.append((attempt, _reply(attempt, outcome)))
        self._finish(self._turn)


class ClaimsChild(Child):
    """What is in the streams, said again and again over a connection of its own."""

    def begin(self) -> None:
        self._claiming = Claiming(self, self.machine)
        self._claim()

    def _claim(self) -> None:
        statement = self._claiming.next()
        if statement is None:
            self._wait()
            return
        self.world.oracle.claimed(statement.signed, self.host.disk, spool_directory(DATA_DIR))
        self.world.network.request(
            f"{self.host.name}/claims",
            statement.url,
            "/v1/claims",
            msgspec.json.encode(statement.signed),
            statement.limit_s,
            lambda outcome: self.process.run(partial(self._take, outcome)),
        )

    def _take(self, outcome: Outcome) -> None:
        answered = outcome if isinstance(outcome, str) else ClaimsResponse(outcome.status, outcome.data)
        self._claiming.finished(answered)
        self._wait()

    def _wait(self) -> None:
        self.process.after(int(self._claiming.wait_s() * 1e6), self._claim)


def _reply(attempt: Attempt, outcome: Outcome) -> Reply:
    """What the network brought, as the uploader's transport says it."""
    if outcome == "unreachable":
        return unreachable(attempt.url, "nobody listens")
    if isinstance(outcome, str):
        return unanswered(attempt.url, outcome)
    response = Response(outcome.status, outcome.headers.get("Retry-After", ""), outcome.data)
    return (batches_reply if attempt.batches else key_reply)(attempt.url, response)


CHILDREN: dict[str, Callable[[AgentHost, str, AgentConfig], Child]] = {
    "collector": CollectorChild,
    "uploader": UploaderChild,
    "claims": ClaimsChild,
}
