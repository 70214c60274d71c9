"""The agent's supervisor: starts the collector, the uploader and the claims, and replaces the one that is
stuck or dead. What it decides is in ``watching``; here are the processes, signals and sockets.
"""

from __future__ import annotations

import gc
import os
import resource
import selectors
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from gapless import clock
from gapless.agent.child import Child, Main
from gapless.agent.claim import claim
from gapless.agent.collect import collect
from gapless.agent.config import AgentConfig, StdinSection
from gapless.agent.layout import status_path
from gapless.agent.machine import Machine, this_machine
from gapless.agent.reload import ConfigFile
from gapless.agent.status import ChildStatus, Running, write_status
from gapless.agent.upload import upload
from gapless.agent.waking import Signals
from gapless.agent.watching import STOP_S_MAX, Watching
from gapless.log.lock import DirectoryLock
from gapless.model.errors import Unavailable

_LOOK_EVERY_S = 0.5


class Parts(NamedTuple):
    """What the children run. ``claim`` None: no claims; ``watched`` False: nobody replaces the stuck.
    Both are for drills."""

    collect: Main = collect
    upload: Main = upload
    claim: Main | None = claim
    watched: bool = True


PARTS = Parts()


def run(path: str, parts: Parts = PARTS, announce: Callable[[], None] = lambda: None) -> None:
    """Run an agent until SIGTERM or SIGINT. ``announce`` is called once its children run.

    SIGHUP, or a change of the file, brings a new configuration into force; one with faults is refused with
    all of them, and the last good one stays. Raises Misconfigured for a configuration that has faults at
    the start, Unavailable if another agent uses the data directory or the disk refuses.
    """
    _take_descriptors()
    machine = this_machine()
    file = ConfigFile(machine.disk, path)
    directory = file.load().agent.data_dir
    try:
        machine.disk.make_dirs(directory)
        lock = DirectoryLock(directory)
    except OSError as error:
        raise Unavailable(
            f"{directory} cannot be used ({error.strerror}): name another agent.data_dir"
        ) from error
    try:
        _Supervisor(file, machine, parts).run(announce)
    finally:
        lock.close()


def _take_descriptors() -> None:
    """As many open files as the system lets us have: the usual 1,024 are fewer than ``open_files_max``."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # then it is the ones we have
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class _Supervisor:
    def __init__(self, file: ConfigFile, machine: Machine, parts: Parts) -> None:
        self._mains: dict[str, Main] = {"collector": parts.collect, "uploader": parts.upload}
        if parts.claim is not None:
            self._mains["claims"] = parts.claim
        self._watching = Watching(file, machine, self._mains, self._start, watched=parts.watched)
        self._started_us = clock.now_us()
        self._selector = selectors.DefaultSelector()
        self._signals: set[int] = set()

    def run(self, announce: Callable[[], None]) -> None:
        watching = self._watching
        watching.keep_config()
        with Signals(self._signals) as woken:
            self._selector.register(woken, selectors.EVENT_READ)
            gc.collect()
            gc.freeze()  # what children share with us stays shared
            watching.start_due()
            announce()
            looked_s = 0.0
            while not self._signals & {signal.SIGTERM, signal.SIGINT}:
                self._wait(woken)
                watching.reap()
                forced = signal.SIGHUP in self._signals
                if forced or time.monotonic() - looked_s >= _LOOK_EVERY_S:
                    looked_s = time.monotonic()
                    self._signals.discard(signal.SIGHUP)
                    watching.look(forced=forced)
                    self._tell_status()
                watching.start_due()
            self._stop_all()

    def _start(self, name: str, config: AgentConfig) -> Child:
        piped = any(isinstance(source, StdinSection) for source in config.sources)
        keeps_stdin = piped and name == "collector"
        return Child(name, self._mains[name], config, self._selector, keeps_stdin=keeps_stdin)

    def _wait(self, woken: socket.socket) -> None:
        """Until somebody says something, or it is time to look."""
        for key, _ in self._selector.select(_LOOK_EVERY_S / 2):
            if key.fileobj is woken:
                with suppress(BlockingIOError):
                    woken.recv(4096)
            elif isinstance(key.data, Child):
                key.data.take_reports()

    def _tell_status(self) -> None:
        watching = self._watching
        children = {
            name: ChildStatus(
                pid=place.child.pid if place.child else None,
                restarts=place.restarts,
                report=place.child.report if place.child else None,
            )
            for name, place in watching.places.items()
        }
        running = Running(
            pid=os.getpid(),
            started_us=self._started_us,
            at_us=clock.now_us(),
            children=children,
            last_restarts=watching.restarts[-5:],
            config_faults=tuple(watching.file.faults),
        )
        write_status(status_path(watching.config.agent.data_dir), running)

    def _stop_all(self) -> None:
        children = [place.child for place in self._watching.places.values() if place.child is not None]
        for child in children:
            child.tell("stop")
        end_s = time.monotonic() + STOP_S_MAX
        for child in children:
            while child.ended() is None:
                if time.monotonic() >= end_s:
                    child.kill()
                time.sleep(0.01)
            child.close()
        with suppress(OSError):
            os.unlink(status_path(self._watching.config.agent.data_dir))
