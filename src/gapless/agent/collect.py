"""The collector's process: sources to spool, a commit about every ``commit_interval_s``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol
from uuid import uuid4

from gapless import clock
from gapless.agent.acks import AckReader
from gapless.agent.channel import Channel, Report
from gapless.agent.claims import read_chain
from gapless.agent.collector import Collector, CollectorSettings, NewSource, Source
from gapless.agent.config import AgentConfig, SourceSection, StdinSection
from gapless.agent.fenced import read_fenced
from gapless.agent.layout import acks_directory, chain_path, spool_directory
from gapless.agent.sources import FileCursor, FileSource, KeptPipe, OsHost, StdinSource
from gapless.agent.spool import Spool
from gapless.agent.spool_settings import SpoolSettings
from gapless.log.disk import Disk, OsDisk
from gapless.model.errors import Unavailable

_RETRY_S = 1.0
#: How often the little files of the claims process are looked at.
_LOOK_EVERY_S = 1.0
_STDIN = 0


class NewSpool(Protocol):
    """Opens a spool."""

    def __call__(
        self,
        disk: Disk,
        directory: str,
        settings: SpoolSettings,
        *,
        now_us: Callable[[], int],
        mint: Callable[[], str],
    ) -> Spool: ...


def collect(channel: Channel, new_spool: NewSpool = Spool) -> None:
    """The collector's main. A new configuration of sources or spool needs a new process."""
    process = _Collecting(channel, new_spool)
    while True:
        try:
            process.run()
        except (Unavailable, OSError) as error:
            process.trouble(str(error))
            channel.wait(_RETRY_S)


class _Collecting:
    """The state of one process: its spool is opened once it can be."""

    def __init__(self, channel: Channel, new_spool: NewSpool) -> None:
        self._channel = channel
        self._new_spool = new_spool
        self._disk = OsDisk()
        self._progress = 0
        self._error_since_us = 0
        self._files: dict[SourceSection, FileSource] = {}
        # One input, one identity: a source that is built again goes on where the pipe stands.
        self._pipe: KeptPipe | None = None

    def run(self) -> None:
        """Open the spool, and collect until Stopped. Raises Unavailable if it cannot be opened."""
        config = self._channel.config
        directory = config.agent.data_dir
        spool = self._new_spool(
            self._disk, spool_directory(directory), config.spool, now_us=clock.now_us, mint=_mint
        )
        acks = AckReader(self._disk, acks_directory(directory))
        try:
            spool.start(config.streams(), acks.follow())
            self._loop(config, spool, acks)
        finally:
            acks.close()
            spool.close()

    def trouble(self, error: str) -> None:
        """Say what is in the way, and since when. Standing in front of it is progress: nobody else would
        do better."""
        self._say(error)

    def _loop(self, config: AgentConfig, spool: Spool, acks: AckReader) -> None:
        looked_s = 0.0
        settings = CollectorSettings()
        factories = {key: self._factory(source) for key, source in config.streams().items()}
        collector = Collector(spool, factories, settings, _mint)
        try:
            while True:
                if time.monotonic() - looked_s >= _LOOK_EVERY_S:
                    looked_s = time.monotonic()
                    self._heed(config, spool, acks)
                tick = collector.tick(clock.now_us(), acks.follow())
                self._say(tick.error or ("the spool is full: its sources wait" if tick.full else ""))
                more = tick.raw_bytes >= settings.tick_bytes_max
                self._channel.wait(0 if more else _RETRY_S if tick.error else config.agent.commit_interval_s)
        finally:
            collector.close()

    def _heed(self, config: AgentConfig, spool: Spool, acks: AckReader) -> None:
        """Do what the platform answered to the claims."""
        chain = read_chain(self._disk, chain_path(config.agent.data_dir))
        if chain is not None:
            spool.forget_losses(chain.answered)
        fenced = read_fenced(self._disk, config.agent.data_dir)
        for stream in config.streams():
            epochs = {each.epoch for each in fenced if each.stream == stream.id}
            while epochs and spool.renumber(stream, epochs, acks.follow()):
                self._say("")

    def _say(self, error: str) -> None:
        self._progress += 1
        self._error_since_us = (self._error_since_us or clock.now_us()) if error else 0
        problems = tuple(
            f"{problem.path}: {problem.error}"
            for source in self._files.values()
            for problem in source.problems()
        )
        self._channel.report(
            Report(
                progress=self._progress, error=error, error_since_us=self._error_since_us, problems=problems
            )
        )

    def _factory(self, section: SourceSection) -> NewSource:
        return partial(self._source, section)

    def _source(self, section: SourceSection, cursors: Iterable[FileCursor]) -> Source:
        if isinstance(section, StdinSection):
            if self._pipe is None:
                source = StdinSource(_STDIN, _mint(), line_bytes_max=section.line_bytes_max)
                self._pipe = KeptPipe(source)
            return self._pipe.resume(cursors)
        self._files[section] = FileSource(section, OsHost(), _mint, cursors)
        return self._files[section]


def _mint() -> str:
    return uuid4().hex
