"""What the supervisor decides: which child is started, told, replaced, and by which configuration.

It reads the two logs itself, so that whether there is work is not asked of the one that should do it. All
that it writes can be lost: the state of the agent is in the spool.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from gapless.agent.channel import Order, Report
from gapless.agent.config import AgentConfig
from gapless.agent.layout import config_path
from gapless.agent.machine import Machine
from gapless.agent.reload import ConfigFile
from gapless.agent.restarts import RESTARTS_MAX, read_restarts, write_restarts
from gapless.agent.work import Work
from gapless.log.disk import write_atomically
from gapless.model.claim import Restart
from gapless.model.errors import Unavailable
from gapless.watchdog import Backoff, Watch

_log = structlog.get_logger("gapless.agent")

#: How long a child that was told to stop may take.
STOP_S_MAX = 5.0
_RECONFIGURED = "its configuration changed"


class Running(Protocol):
    """A child process: see ``Child``."""

    pid: int
    started_s: float

    @property
    def report(self) -> Report: ...
    def ended(self) -> str | None: ...
    def tell(self, order: Order) -> None: ...
    def kill(self) -> None: ...
    def close(self) -> None: ...


Start = Callable[[str, AgentConfig], Running]


class Place:
    """One child's place: the process that is in it, and what watches it."""

    def __init__(self, stalled_s: float) -> None:
        self.child: Running | None = None
        self.watch = Watch(stalled_s)
        self.backoff = Backoff()
        self.due_s = 0.0
        self.restarts = 0
        self.replaced_why = ""  # set when the supervisor ended it on purpose
        self.kill_at_s: float | None = None


class Watching:
    """Keeps a child of each of ``names`` running by the configuration of ``file``. ``watched`` False: nobody
    replaces the stuck. Raises Misconfigured for a configuration that has faults at the start."""

    def __init__(
        self, file: ConfigFile, machine: Machine, names: Iterable[str], start: Start, *, watched: bool = True
    ) -> None:
        self.file = file
        self.config = config = file.load()
        self._machine = machine
        self._start = start
        self._watched = watched
        self.places = {name: Place(config.agent.stalled_s) for name in names}
        self._work = Work(machine.disk, config.agent.data_dir)
        self.restarts = read_restarts(machine.disk, config.agent.data_dir)

    def keep_config(self) -> None:
        """Children read it from here: it is always whole, and without a fault. Raises Unavailable if the disk
        refuses."""
        path = config_path(self.config.agent.data_dir)
        try:
            write_atomically(self._machine.disk, path, self.config.text.encode())
        except OSError as error:
            raise Unavailable(f"{path} was not written ({error.strerror}): make room") from error

    def reap(self) -> None:
        """See which children have ended."""
        now_s = self._machine.monotonic_s()
        for name, place in self.places.items():
            child = place.child
            if child is None:
                continue
            if place.kill_at_s is not None and now_s >= place.kill_at_s:
                child.kill()
            if (how := child.ended()) is None:
                continue
            child.close()
            place.child = None
            if place.replaced_why == "":  # by itself
                place.due_s = now_s + place.backoff.ended(now_s - child.started_s)
                said = f": {child.report.error}" if child.report.error else ""
                self._note_restart(name, f"{how}{said}")
            else:
                place.due_s = 0.0
                if place.replaced_why != _RECONFIGURED:
                    self._note_restart(name, place.replaced_why)
            place.replaced_why, place.kill_at_s = "", None

    def start_due(self) -> None:
        """Start the children that do not run, unless they ended too soon before."""
        for name, place in self.places.items():
            if place.child is None and self._machine.monotonic_s() >= place.due_s:
                place.watch.begin()
                place.child = self._start(name, self.config)

    def look(self, *, forced: bool = False) -> None:
        """Look at the configuration (see ``ConfigFile.changed``) and at the children. To be called about
        every second, or more often."""
        self._reload(forced=forced)
        try:
            self._work.look()
        except Unavailable as error:
            _log.warning("logs_cannot_be_read", error=str(error))
        for name, place in self.places.items():
            if place.child is not None and place.kill_at_s is None:
                self._watch(name, place, place.child)

    def _watch(self, name: str, place: Place, child: Running) -> None:
        now_s, uploads = self._machine.monotonic_s(), name == "uploader"
        # The uploader may have nothing to do; the others always have.
        has_work = self._work.unsent > 0 if uploads else True
        progress = (child.report.progress, self._work.settled if uploads else 0)
        if place.watch.look(now_s, progress, has_work=has_work) and self._watched:
            place.replaced_why = f"it finished nothing for {place.watch.stood_still_s:.0f} s"
            if uploads:
                place.replaced_why += f" with {self._work.unsent} batches to send"
            _log.error("replacing_stuck_child", child=name, pid=child.pid, why=place.replaced_why)
            place.kill_at_s = now_s
            child.kill()

    def _reload(self, *, forced: bool) -> None:
        new = self.file.changed(self.config, forced=forced)
        if new is None:
            return
        old, self.config = self.config, new
        try:
            self.keep_config()
        except Unavailable as error:
            _log.error("configuration_not_kept", error=str(error))
            self.config = old
            self.file.look_again()
            return
        _log.info("configuration_in_force")
        anew = (old.spool, old.sources, old.agent) != (new.spool, new.sources, new.agent)
        for name, place in self.places.items():
            place.watch.stalled_s = new.agent.stalled_s  # what it saw so far still counts
            if place.child is None:
                continue
            if name == "collector" and anew:
                place.replaced_why = _RECONFIGURED
                place.kill_at_s = self._machine.monotonic_s() + STOP_S_MAX
                place.child.tell("stop")
            else:
                place.child.tell("config")

    def _note_restart(self, name: str, why: str) -> None:
        self.places[name].restarts += 1
        _log.warning("child_replaced", child=name, why=why)
        self.restarts = (*self.restarts, Restart(name, self._machine.now_us(), why))[-RESTARTS_MAX:]
        try:
            write_restarts(self._machine.disk, self.config.agent.data_dir, self.restarts)
        except OSError as error:
            _log.warning("restart_not_kept", error=str(error))
