"""A simulated machine with an agent on it: the supervisor, and when its children are started anew."""

from __future__ import annotations

from typing import Any

import msgspec

from gapless.agent.config import AgentConfig, parse_config
from gapless.agent.layout import restarts_path
from gapless.agent.spool_settings import SpoolSettings
from gapless.agent.work import Work
from gapless.log.disk import write_atomically
from gapless.model.claim import Restart
from gapless.model.errors import Misconfigured, Unavailable
from gapless.testing.agent_children import CHILDREN, Child
from gapless.testing.clock import WallClock
from gapless.testing.disk import SimDisk
from gapless.testing.process import DiskTroubles, Process, ProcessDisk
from gapless.testing.source_host import SourceDisk
from gapless.testing.world import World
from gapless.watchdog import Backoff, Watch

DATA_DIR = "/agent"
_LOOK_US = 1_000_000
_RESTARTS_MAX = 100


class AgentHost:
    """``spool`` overrides the configuration's, whose least size is too large for a simulation. ``place``
    tells this machine's spool from a copy on another; ``machine`` tells machines of one name apart."""

    def __init__(
        self,
        world: World,
        name: str,
        config_text: str,
        spool: SpoolSettings,
        *,
        place: str,
        machine: str,
    ) -> None:
        self.world = world
        self.name = name
        self.machine = machine
        self.place = place
        self.text = config_text
        self.spool_settings = spool
        self.config = self._parsed(config_text)
        self.clock = WallClock(world.loop)
        self.random = world.draw(f"agent {machine}")
        self.disk = SimDisk(world.draw(f"disk {machine}"))
        self.disk.make_dirs(DATA_DIR)
        self.troubles = DiskTroubles(world.draw(f"troubles {machine}"))
        self.disk.before_effect = self.troubles.strike
        self.upload_poll_us = self.random.choice((250_000, 500_000, 1_000_000))
        self.sources = SourceDisk(lambda: world.loop.now_us)
        self.children: dict[str, Child] = {}
        self.supervisor: Process | None = None
        self.restarts: tuple[Restart, ...] = ()
        self.down_since_s: float | None = 0.0

    @property
    def running(self) -> bool:
        return self.supervisor is not None

    def mint(self) -> str:
        """An identity of 32 hex digits."""
        return f"{self.random.getrandbits(128):032x}"

    def start(self) -> None:
        """As the service manager does, unless it runs."""
        if self.supervisor is not None:
            return
        self.down_since_s = None
        self.world.tell(f"{self.name}: starts")
        self.supervisor = Process(f"{self.name}/supervisor", self.world.loop, lambda process, why: None)
        self.supervisor.run(_Supervisor(self, self.supervisor).begin)

    def stop(self) -> None:
        """Kill all of it."""
        if self.supervisor is not None:
            self.down_since_s = self.world.loop.now_s
            self.supervisor.end()
            self.supervisor = None
        for child in self.children.values():
            child.process.end()
        self.children.clear()

    def power_off(self) -> None:
        """The machine stops at once; of what was not synced, any part may be gone."""
        self.stop()
        self.disk.crash()

    def lose_disk(self) -> None:
        """The agent's disk is replaced by an empty one."""
        self.stop()
        self.disk = SimDisk(self.disk.random)
        self.disk.make_dirs(DATA_DIR)
        self.disk.before_effect = self.troubles.strike

    def clone(self, machine: str, place: str) -> AgentHost:
        """Another machine, with a copy of this one's disks as they are now."""
        twin = AgentHost(self.world, self.name, self.text, self.spool_settings, place=place, machine=machine)
        twin.disk.restore(self.disk.image())
        twin.sources.copy_from(self.sources)
        return twin

    def load(self, text: str) -> None:
        """The configuration file holds something else now: taken if it is good, as the agent does."""
        try:
            new = self._parsed(text)
        except Misconfigured:
            return
        if new.text == self.config.text:
            return
        self.config = new
        if (child := self.children.get("collector")) is not None:
            child.process.end()
            self.children["collector"] = self._child("collector")

    def _parsed(self, text: str) -> AgentConfig:
        return msgspec.structs.replace(parse_config(text), spool=self.spool_settings)

    def _child(self, name: str) -> Child:
        child = CHILDREN[name](self, name)
        child.process.run(child.begin)
        return child


class _Place:
    """One child's place, as in the agent's supervisor."""

    def __init__(self, stalled_s: float) -> None:
        self.watch = Watch(stalled_s)
        self.backoff = Backoff()
        self.due_s = 0.0


class _Supervisor:
    """When the children are started, and replaced: watchdog and backoff are the agent's own."""

    def __init__(self, host: AgentHost, process: Process) -> None:
        self._host = host
        self._process = process
        self._loop = host.world.loop
        self._disk = ProcessDisk(host.disk, process)
        self._work = Work(self._disk, DATA_DIR)
        self._places = {name: _Place(host.config.agent.stalled_s) for name in CHILDREN}

    def begin(self) -> None:
        """As the agent's own."""
        self._look()

    def _look(self) -> None:
        try:
            self._work.look()
        except Unavailable:
            pass
        for name, place in self._places.items():
            child = self._host.children.get(name)
            if child is None:
                if self._loop.now_s >= place.due_s:
                    place.watch.begin()
                    self._host.children[name] = self._host._child(name)
            elif not child.process.alive:
                del self._host.children[name]
                place.due_s = self._loop.now_s + place.backoff.ended(self._loop.now_s - child.started_s)
                self._note(name, "ended by itself")
            else:
                self._watch(name, place, child)
        self._process.after(_LOOK_US, self._look)

    def _watch(self, name: str, place: _Place, child: Child) -> None:
        has_work = self._work.unsent > 0 if name == "uploader" else True
        progress: Any = (child.said.progress, self._work.settled if name == "uploader" else 0)
        if place.watch.look(self._loop.now_s, progress, has_work=has_work):
            self._host.world.tell(f"{self._host.name}: replaces its stuck {name}")
            self._host.world.faults["replaced by the watchdog"] += 1
            child.process.end()
            del self._host.children[name]
            self._note(name, f"it finished nothing for {place.watch.stood_still_s:.0f} s")

    def _note(self, name: str, why: str) -> None:
        host = self._host
        host.restarts = (*host.restarts, Restart(name, host.clock.now_us(), why))[-_RESTARTS_MAX:]
        try:
            write_atomically(self._disk, restarts_path(DATA_DIR), msgspec.json.encode(host.restarts))
        except OSError:
            pass  # it is told when the next one is
