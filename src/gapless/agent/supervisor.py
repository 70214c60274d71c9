"""The agent's supervisor: starts the collector, the uploader and the claims, and replaces the one that is
stuck or dead.

It reads the two logs itself, so that whether there is work is not asked of the one that should do it. All
that it writes can be lost: the state of the agent is in the spool.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import structlog

from gapless import clock
from gapless.agent.child import Child, Main
from gapless.agent.claim import claim
from gapless.agent.collect import collect
from gapless.agent.config import AgentConfig, StdinSection, load_config
from gapless.agent.layout import config_path, status_path
from gapless.agent.reload import ConfigFile
from gapless.agent.restarts import RESTARTS_MAX, read_restarts, write_restarts
from gapless.agent.status import ChildStatus, Running, write_status
from gapless.agent.upload import upload
from gapless.agent.waking import Signals
from gapless.agent.work import Work
from gapless.log.disk import OsDisk, write_atomically
from gapless.log.lock import DirectoryLock
from gapless.model.claim import Restart
from gapless.model.errors import Unavailable
from gapless.watchdog import Backoff, Watch

_log = structlog.get_logger("gapless.agent")

_LOOK_EVERY_S = 0.5
_STOP_S_MAX = 5.0


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
    config = load_config(path)
    try:
        OsDisk().make_dirs(config.agent.data_dir)
        lock = DirectoryLock(config.agent.data_dir)
    except OSError as error:
        raise Unavailable(
            f"{config.agent.data_dir} cannot be used ({error.strerror}): name another agent.data_dir"
        ) from error
    try:
        _Supervisor(path, config, parts).run(announce)
    finally:
        lock.close()


class _Place:
    """One child's place: the process that is in it, and what watches it."""

    def __init__(self, main: Main, stalled_s: float) -> None:
        self.main = main
        self.child: Child | None = None
        self.watch = Watch(stalled_s)
        self.backoff = Backoff()
        self.due_s = 0.0
        self.restarts = 0
        self.replaced_why = ""  # set when the supervisor ended it on purpose
        self.kill_at_s: float | None = None


class _Supervisor:
    def __init__(self, path: str, config: AgentConfig, parts: Parts) -> None:
        self._config = config
        self._watched = parts.watched
        self._file = ConfigFile(path)
        self._started_us = clock.now_us()
        mains = {"collector": parts.collect, "uploader": parts.upload}
        if parts.claim is not None:
            mains["claims"] = parts.claim
        self._places = {name: _Place(main, config.agent.stalled_s) for name, main in mains.items()}
        self._disk = OsDisk()
        self._work = Work(self._disk, config.agent.data_dir)
        self._restarts = read_restarts(self._disk, config.agent.data_dir)
        self._selector = selectors.DefaultSelector()
        self._signals: set[int] = set()

    def run(self, announce: Callable[[], None]) -> None:
        self._keep_config()
        with Signals(self._signals) as woken:
            self._selector.register(woken, selectors.EVENT_READ)
            gc.collect()
            gc.freeze()  # what children share with us stays shared
            self._start_due()
            announce()
            looked_s = 0.0
            while not self._signals & {signal.SIGTERM, signal.SIGINT}:
                self._wait(woken)
                self._reap()
                if time.monotonic() - looked_s >= _LOOK_EVERY_S or signal.SIGHUP in self._signals:
                    looked_s = time.monotonic()
                    self._reload()
                    self._watch()
                self._start_due()
            self._stop_all()

    # -- one round --------------------------------------------------------------------------------------

    def _wait(self, woken: socket.socket) -> None:
        """Until somebody says something, or it is time to look."""
        for key, _ in self._selector.select(_LOOK_EVERY_S / 2):
            if key.fileobj is woken:
                with suppress(BlockingIOError):
                    woken.recv(4096)
            elif isinstance(key.data, Child) and not key.data.take_reports():
                self._selector.unregister(key.data)

    def _reap(self) -> None:
        for name, place in self._places.items():
            child = place.child
            if child is None:
                continue
            if place.kill_at_s is not None and time.monotonic() >= place.kill_at_s:
                child.kill()
            if (how := child.ended()) is None:
                continue
            self._forget(place, child)
            if place.replaced_why == "":  # by itself
                place.due_s = time.monotonic() + place.backoff.ended(time.monotonic() - child.started_s)
                said = f": {child.report.error}" if child.report.error else ""
                self._note_restart(name, f"{how}{said}")
            else:
                place.due_s = 0.0
                if place.replaced_why != _RECONFIGURED:
                    self._note_restart(name, place.replaced_why)
            place.replaced_why, place.kill_at_s = "", None

    def _start_due(self) -> None:
        for name, place in self._places.items():
            if place.child is None and time.monotonic() >= place.due_s:
                piped = any(isinstance(source, StdinSection) for source in self._config.sources)
                place.child = Child(name, place.main, self._config, keeps_stdin=piped and name == "collector")
                place.watch.begin()
                self._selector.register(place.child, selectors.EVENT_READ, place.child)

    def _watch(self) -> None:
        try:
            self._work.look()
        except Unavailable as error:
            _log.warning("logs_cannot_be_read", error=str(error))
        for name, place in self._places.items():
            child = place.child
            if child is None or place.kill_at_s is not None:
                continue
            # The uploader may have nothing to do; the others always have.
            has_work = self._work.unsent > 0 if name == "uploader" else True
            progress = (child.report.progress, self._work.settled if name == "uploader" else 0)
            if place.watch.look(time.monotonic(), progress, has_work=has_work) and self._watched:
                place.replaced_why = f"it finished nothing for {place.watch.stood_still_s:.0f} s"
                if name == "uploader":
                    place.replaced_why += f" with {self._work.unsent} batches to send"
                _log.error("replacing_stuck_child", child=name, pid=child.pid, why=place.replaced_why)
                place.kill_at_s = time.monotonic()
                child.kill()
        self._tell_status()

    # -- configuration ----------------------------------------------------------------------------------

    def _reload(self) -> None:
        forced = signal.SIGHUP in self._signals
        self._signals.discard(signal.SIGHUP)
        new = self._file.changed(self._config, forced=forced)
        if new is None:
            return
        old, self._config = self._config, new
        try:
            self._keep_config()
        except Unavailable as error:
            _log.error("configuration_not_kept", error=str(error))
            self._config = old
            self._file.look_again()
            return
        _log.info("configuration_in_force")
        for name, place in self._places.items():
            place.watch.stalled_s = new.agent.stalled_s  # what it saw so far still counts
            if place.child is None:
                continue
            if name == "collector" and (old.spool, old.sources, old.agent) != (
                new.spool,
                new.sources,
                new.agent,
            ):
                place.replaced_why = _RECONFIGURED
                place.kill_at_s = time.monotonic() + _STOP_S_MAX
                place.child.tell("stop")
            else:
                place.child.tell("config")

    def _keep_config(self) -> None:
        """Children read it from here: it is always whole, and without a fault."""
        path = config_path(self._config.agent.data_dir)
        try:
            write_atomically(self._disk, path, self._config.text.encode())
        except OSError as error:
            raise Unavailable(f"{path} was not written ({error.strerror}): make room") from error

    # -- what is told -----------------------------------------------------------------------------------

    def _note_restart(self, name: str, why: str) -> None:
        self._places[name].restarts += 1
        _log.warning("child_replaced", child=name, why=why)
        self._restarts = (*self._restarts, Restart(name, clock.now_us(), why))[-RESTARTS_MAX:]
        try:
            write_restarts(self._disk, self._config.agent.data_dir, self._restarts)
        except OSError as error:
            _log.warning("restart_not_kept", error=str(error))

    def _tell_status(self) -> None:
        children = {
            name: ChildStatus(
                pid=place.child.pid if place.child else None,
                restarts=place.restarts,
                report=place.child.report if place.child else None,
            )
            for name, place in self._places.items()
        }
        running = Running(
            pid=os.getpid(),
            started_us=self._started_us,
            at_us=clock.now_us(),
            children=children,
            last_restarts=self._restarts[-5:],
            config_faults=tuple(self._file.faults),
        )
        write_status(status_path(self._config.agent.data_dir), running)

    # -- the end ----------------------------------------------------------------------------------------

    def _stop_all(self) -> None:
        children = [place.child for place in self._places.values() if place.child is not None]
        for child in children:
            child.tell("stop")
        end_s = time.monotonic() + _STOP_S_MAX
        for child in children:
            while child.ended() is None:
                if time.monotonic() >= end_s:
                    child.kill()
                time.sleep(0.01)
            child.close()
        with suppress(OSError):
            os.unlink(status_path(self._config.agent.data_dir))

    def _forget(self, place: _Place, child: Child) -> None:
        child.take_reports()
        with suppress(KeyError):
            self._selector.unregister(child)
        child.close()
        place.child = None


_RECONFIGURED = "its configuration changed"
