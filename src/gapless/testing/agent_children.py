"""The agent's children as a simulation drives them: the cores are the agent's own, the waiting is not.

Each mirrors the loop of its process (``collect``, ``upload``, ``claim``), which waits on real sockets and
clocks; what is done in between is the same calls in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from gapless.agent.acks import AckReader, AckWriter
from gapless.agent.channel import Report
from gapless.agent.claim import _Answer as ClaimsAnswer
from gapless.agent.claims import Claimant, Witnessed, read_chain
from gapless.agent.collector import Collector, CollectorSettings, Source
from gapless.agent.config import FileSection
from gapless.agent.fenced import FencedEpoch, read_fenced
from gapless.agent.follow import SpoolView
from gapless.agent.layout import acks_directory, agent_key_path, chain_path, fenced_path, spool_directory
from gapless.agent.sources import FileCursor, FileSource, observe
from gapless.agent.target import Target, Targets
from gapless.agent.uploader import Attempt, Uploader
from gapless.log.disk import read_small, write_atomically
from gapless.model.errors import GaplessError, Unavailable
from gapless.model.signing import Signer
from gapless.testing.network import Outcome
from gapless.testing.process import Process, ProcessDisk
from gapless.testing.replies import reply_of
from gapless.testing.source_host import SourceView
from gapless.testing.tapped import TappedSpool

if TYPE_CHECKING:
    from gapless.testing.agent_host import AgentHost

_DATA_DIR = "/agent"
_RETRY_US = 1_000_000
_LOOK_EVERY_S = 1.0


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

    def step_done(self) -> None:
        """Progress, as the watchdog counts it."""
        self.said = Report(progress=self.said.progress + 1)

    def _ended(self, process: Process, why: str) -> None:
        self.world.fault("process killed at an effect", f"{process.name} {why}")


class CollectorChild(Child):
    """Sources to spool."""

    def begin(self) -> None:
        host = self.host
        self._view = SourceView(host.sources)
        self.process.at_end(self._view.end)
        self.step_done()
        try:
            self._spool = TappedSpool(
                self.disk,
                spool_directory(_DATA_DIR),
                host.config.spool,
                now_us=host.clock.now_us,
                mint=host.mint,
                place=lambda _: host.place,
            )
            self._spool.truth = self.world.oracle
            self._acks = AckReader(self.disk, acks_directory(_DATA_DIR))
            self._spool.start(host.config.streams(), self._acks.follow())
        except (Unavailable, OSError) as error:
            self._again(str(error))
            return
        factories = {
            key: partial(self._source, section)
            for key, section in host.config.streams().items()
            if isinstance(section, FileSection)
        }
        settings = CollectorSettings(batch_bytes_max=2_000, tick_bytes_max=64_000)
        self._collector = Collector(self._spool, factories, settings, host.mint)
        self._looked_s = float("-inf")
        self.world.oracle.committed(self._spool, ())
        self._round()

    def _source(self, section: FileSection, cursors: Iterable[FileCursor]) -> Source:
        return FileSource(section, self._view, self.host.mint, cursors)

    def _round(self) -> None:
        try:
            if self.loop.now_s - self._looked_s >= _LOOK_EVERY_S:
                self._looked_s = self.loop.now_s
                self._heed()
            tick = self._collector.tick(self.host.clock.now_us(), self._acks.follow())
        except (Unavailable, OSError) as error:
            self._collector.close()
            self._again(str(error))
            return
        self.step_done()
        self.world.oracle.cursors_kept(self.host.sources, self._spool)
        if tick.error:
            self.world.tell(f"{self.process.name}: {tick.error}")
        wait_us = _RETRY_US if tick.error else int(self.host.config.agent.commit_interval_s * 1e6)
        self.process.after(0 if tick.raw_bytes >= 64_000 else wait_us, self._round)

    def _heed(self) -> None:
        """What the platform answered to the claims."""
        chain = read_chain(self.disk, chain_path(_DATA_DIR))
        if chain is not None:
            self._spool.forget_losses(chain.answered)
        fenced = read_fenced(self.disk, _DATA_DIR)
        for stream in self.host.config.streams():
            epochs = {each.epoch for each in fenced if each.stream == stream.id}
            while epochs and self._spool.renumber(stream, epochs, self._acks.follow()):
                self.step_done()

    def _again(self, error: str) -> None:
        self.world.tell(f"{self.process.name}: {error}")
        self._view.end()
        self.process.after(_RETRY_US, self.begin)


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
        host = self.host
        self.step_done()
        self._at = 0
        self._due_s = self.loop.now_s
        self._view = SpoolView(self.disk, spool_directory(_DATA_DIR))
        self._acks = AckReader(self.disk, acks_directory(_DATA_DIR))
        try:
            new = read_chain(self.disk, chain_path(_DATA_DIR)) is None
            self._claimant = Claimant(self.disk, chain_path(_DATA_DIR), host.name, Signer(self._key(new=new)))
        except (Unavailable, OSError) as error:
            self.world.tell(f"{self.process.name}: {error}")
            self.process.after(_RETRY_US, self.begin)
            return
        self._claim()

    def _key(self, *, new: bool) -> bytes:
        """A key signs one chain, and is made together with it."""
        path = agent_key_path(_DATA_DIR)
        key = None if new else read_small(self.disk, path)
        if key is None or len(key) != 32:
            key = self.host.random.randbytes(32)
            write_atomically(self.disk, path, key)
        return key

    def _claim(self) -> None:
        config = self.host.config
        self._claimant.interval_s = config.agent.claim_interval_s
        try:
            signed = self._claimant.state(self.host.clock.now_us(), self._view, self._acks, self._witnessed())
        except GaplessError as error:
            self._answered(str(error))
            return
        self.world.oracle.claimed(signed, self.host.disk, spool_directory(_DATA_DIR))
        urls = config.gateway.urls
        self.world.network.request(
            f"{self.host.name}/claims",
            urls[self._at % len(urls)],
            "/v1/claims",
            msgspec.json.encode(signed),
            max(2.0, config.agent.claim_interval_s),
            lambda outcome: self.process.run(partial(self._take, outcome)),
        )

    def _witnessed(self) -> Witnessed:
        host = self.host
        return Witnessed(
            unread_bytes={
                stream: observe(section, self._cursors(stream), host.sources)[1]
                for stream, section in host.config.streams().items()
                if isinstance(section, FileSection)
            },
            restarts=host.restarts,
            spool_limit_bytes=host.config.spool.size_bytes_max,
        )

    def _cursors(self, stream: object) -> tuple[FileCursor, ...]:
        state = self._view.state.get(stream)  # type: ignore[arg-type]
        return () if state is None else state.cursors

    def _take(self, outcome: Outcome) -> None:
        if isinstance(outcome, str) or outcome.status != 200:
            self._at += 1
            self._answered(outcome if isinstance(outcome, str) else f"HTTP {outcome.status}")
            return
        try:
            answer = msgspec.json.decode(outcome.data, type=ClaimsAnswer)
            self._fence(answer.fenced)
            self._claimant.accepted(answer.losses)
        except (GaplessError, OSError, msgspec.MsgspecError) as error:
            self._answered(str(error))
            return
        self._answered("")

    def _fence(self, fenced: tuple[FencedEpoch, ...]) -> None:
        known = read_fenced(self.disk, _DATA_DIR)
        if new := [each for each in fenced if each not in known]:
            write_atomically(self.disk, fenced_path(_DATA_DIR), msgspec.json.encode((*known, *new)))

    def _answered(self, error: str) -> None:
        if error:
            self.world.tell(f"{self.process.name}: {error}")
        self.step_done()
        interval_s = self.host.config.agent.claim_interval_s
        self._due_s = max(self._due_s + interval_s, self.loop.now_s)
        self.process.after(int((self._due_s - self.loop.now_s) * 1e6), self._claim)


CHILDREN: dict[str, Callable[[AgentHost, str], Child]] = {
    "collector": CollectorChild,
    "uploader": UploaderChild,
    "claims": ClaimsChild,
}
