"""The collector's process: sources to spool, a commit about every ``commit_interval_s``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple, Protocol

from gapless.agent.acks import AckReader
from gapless.agent.channel import Channel, Report
from gapless.agent.claims import read_chain
from gapless.agent.collector import Collector, CollectorSettings, NewSource, Source
from gapless.agent.config import AgentConfig, SourceSection, StdinSection
from gapless.agent.fenced import read_fenced
from gapless.agent.layout import acks_directory, chain_path, spool_directory
from gapless.agent.machine import Machine, Supervised, this_machine
from gapless.agent.sources import FileCursor, FileSource, KeptPipe, StdinSource
from gapless.agent.spool import Spool
from gapless.agent.spool_settings import SpoolSettings
from gapless.log.disk import Disk
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
    """The collector's main, until Stopped. A new configuration of sources or spool needs a new process."""
    process = Collecting(channel, this_machine(channel.goes_on), new_spool)
    while True:
        channel.wait(process.step())


class _Opened(NamedTuple):
    config: AgentConfig
    spool: Spool
    acks: AckReader
    collector: Collector


class Collecting:
    """The state of one process: its spool is opened once it can be, and its sources stay open whatever
    becomes of the spool: a file that has no name any more could not be opened again."""

    def __init__(
        self,
        supervised: Supervised,
        machine: Machine,
        new_spool: NewSpool = Spool,
        settings: CollectorSettings | None = None,
    ) -> None:
        self._supervised = supervised
        self._machine = machine
        self._new_spool = new_spool
        self._settings = settings or CollectorSettings()
        self._opened: _Opened | None = None
        self._looked_s = float("-inf")
        self._progress = 0
        self._error_since_us = 0
        self._files: dict[SourceSection, FileSource] = {}
        # One input, one identity: a source that is built again goes on where the pipe stands.
        self._pipe: KeptPipe | None = None

    def step(self) -> float:
        """One tick; returns the seconds until the next. What the disk refuses is reported, and tried again:
        standing in front of it is progress, nobody else would do better."""
        try:
            if self._opened is None:
                self._opened = self._open()
            return self._tick(self._opened)
        except (Unavailable, OSError) as error:
            self._say(str(error))
            if self._opened is not None:
                self._opened.acks.close()
                self._opened.spool.close()
                self._opened = None
            return _RETRY_S

    def _open(self) -> _Opened:
        config, machine = self._supervised.config, self._machine
        directory = config.agent.data_dir
        spool = self._new_spool(
            machine.disk,
            spool_directory(directory),
            config.spool,
            now_us=machine.now_us,
            mint=machine.mint,
        )
        acks = AckReader(machine.disk, acks_directory(directory))
        try:
            spool.start(config.streams(), acks.follow())
        except BaseException:
            acks.close()
            spool.close()
            raise
        factories = {key: self._factory(source) for key, source in config.streams().items()}
        self._looked_s = float("-inf")
        return _Opened(config, spool, acks, Collector(spool, factories, self._settings, machine.mint))

    def _tick(self, opened: _Opened) -> float:
        if self._machine.monotonic_s() - self._looked_s >= _LOOK_EVERY_S:
            self._looked_s = self._machine.monotonic_s()
            self._heed(opened)
        elapsed_us = int(self._machine.monotonic_s() * 1e6)
        tick = opened.collector.tick(self._machine.now_us(), elapsed_us, opened.acks.follow())
        self._say(tick.error or ("the spool is full: its sources wait" if tick.full else ""))
        if tick.raw_bytes >= self._settings.tick_bytes_max:
            return 0.0
        return _RETRY_S if tick.error else opened.config.agent.commit_interval_s

    def _heed(self, opened: _Opened) -> None:
        """Do what the platform answered to the claims."""
        config, spool, acks = opened.config, opened.spool, opened.acks
        chain = read_chain(self._machine.disk, chain_path(config.agent.data_dir))
        if chain is not None:
            spool.forget_losses(chain.answered)
        fenced = read_fenced(self._machine.disk, config.agent.data_dir)
        for stream in config.streams():
            epochs = {each.epoch for each in fenced if each.stream == stream.id}
            while epochs and spool.renumber(stream, epochs, acks.follow()):
                self._say("")

    def _say(self, error: str) -> None:
        self._progress += 1
        self._error_since_us = (self._error_since_us or self._machine.now_us()) if error else 0
        problems = tuple(
            f"{problem.path}: {problem.error}"
            for source in self._files.values()
            for problem in source.problems()
        )
        self._supervised.report(
            Report(
                progress=self._progress, error=error, error_since_us=self._error_since_us, problems=problems
            )
        )

    def _factory(self, section: SourceSection) -> NewSource:
        return partial(self._source, section)

    def _source(self, section: SourceSection, cursors: Iterable[FileCursor]) -> Source:
        mint = self._machine.mint
        if isinstance(section, StdinSection):
            if self._pipe is None:
                self._pipe = KeptPipe(StdinSource(_STDIN, mint(), line_bytes_max=section.line_bytes_max))
            return self._pipe.resume(cursors)
        source = self._files.get(section)
        if source is None:
            source = self._files[section] = FileSource(section, self._machine.files, mint, cursors)
        else:
            source.resume(cursors)
        return source
