"""A simulated machine with an agent on it: its disks, its configuration, and its supervisor."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from gapless.agent.config import AgentConfig, parse_config
from gapless.agent.machine import Machine
from gapless.agent.reload import ConfigFile
from gapless.agent.spool_settings import SpoolSettings
from gapless.agent.watching import Watching
from gapless.log.disk import Disk
from gapless.model.errors import Misconfigured, Unavailable
from gapless.testing.agent_children import CHILDREN, DATA_DIR, Child, Held
from gapless.testing.clock import WallClock
from gapless.testing.disk import SimDisk
from gapless.testing.process import DiskTroubles, Process, ProcessDisk
from gapless.testing.source_host import SourceDisk
from gapless.testing.world import World

TOKEN_PATH = "/etc/token"
_CONFIG_PATH = "/etc/agent.toml"
_LOOK_US = 1_000_000


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
        self.spool_settings = spool
        self.clock = WallClock(world.loop)
        self.random = world.draw(f"agent {machine}")
        self.disk = SimDisk(world.draw(f"disk {machine}"))
        self.troubles = DiskTroubles(world.draw(f"troubles {machine}"))
        self.disk.before_effect = self.troubles.strike
        self.upload_poll_us = self.random.choice((250_000, 500_000, 1_000_000))
        self.sources = SourceDisk(lambda: world.loop.now_us)
        self.supervisor: Process | None = None
        self.watching: Watching | None = None
        self.down_since_s: float | None = 0.0
        self.removed = False
        self.configure(config_text)

    @property
    def running(self) -> bool:
        return self.supervisor is not None

    @property
    def children(self) -> dict[str, Child]:
        """Those that the supervisor has."""
        places = self.watching.places.items() if self.watching is not None else ()
        return {name: place.child.child for name, place in places if isinstance(place.child, Held)}

    def mint(self) -> str:
        """An identity of 32 hex digits."""
        return f"{self.random.getrandbits(128):032x}"

    def machine_of(self, disk: Disk) -> Machine:
        """This machine, as a process has it."""
        loop = self.world.loop
        return Machine(
            disk,
            self.sources,
            self.clock.now_us,
            lambda: loop.now_s,
            self.mint,
            lambda: self.random.randbytes(32),
        )

    def start(self) -> None:
        """As the service manager does, unless it runs."""
        if self.supervisor is not None or self.removed:
            return
        self.world.tell(f"{self.name}: starts")
        self.supervisor = Process(f"{self.name}/supervisor", self.world.loop, lambda process, why: None)
        self.supervisor.run(self._begin)

    def stop(self) -> None:
        """Kill all of it."""
        if self.supervisor is not None:
            self.supervisor.end()
            self.supervisor = None
        if self.down_since_s is None:
            self.down_since_s = self.world.loop.now_s
        for child in self.children.values():
            child.process.end()
        self.watching = None

    def remove(self) -> None:
        """The machine is taken away, for good."""
        self.stop()
        self.removed = True

    def power_off(self) -> None:
        """The machine stops at once; of what was not synced, any part may be gone."""
        self.stop()
        self.disk.crash()

    def lose_disk(self) -> None:
        """The agent's disk is replaced by an empty one, and the agent is set up on it."""
        self.stop()
        self.disk = SimDisk(self.disk.random)
        self.disk.before_effect = self.troubles.strike
        self.load(self.text)

    def clone(self, machine: str, place: str) -> AgentHost:
        """Another machine, with a copy of this one's disks as they are now."""
        twin = AgentHost(self.world, self.name, self.text, self.spool_settings, place=place, machine=machine)
        twin.disk.restore(self.disk.image())
        twin.sources.copy_from(self.sources)
        return twin

    def configure(self, text: str) -> None:
        """The configuration as its people want it."""
        self.text = text
        self.config = self._in_force(parse_config(text))
        self.load(text)

    def load(self, text: str) -> None:
        """The configuration file holds something else now."""
        self.disk.put(TOKEN_PATH, b"token")
        self.disk.put(_CONFIG_PATH, text.encode())

    def move(self, urls: Sequence[str]) -> None:
        """The configuration file names other URLs now."""
        self.load(re.sub(r"(?m)^urls = .*$", f"urls = {list(urls)!r}", self.text))

    def in_force(self) -> AgentConfig:
        """The newest configuration that the supervisor accepted."""
        assert self.watching is not None
        return self._in_force(self.watching.config)

    def _in_force(self, config: AgentConfig) -> AgentConfig:
        return msgspec.structs.replace(config, spool=self.spool_settings)

    # -- the supervisor ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        """What ``agent.supervisor.run`` does; where that gives up, it is started again."""
        assert self.supervisor is not None
        machine = self.machine_of(ProcessDisk(self.disk, self.supervisor))
        try:
            machine.disk.make_dirs(DATA_DIR)
            watching = Watching(ConfigFile(machine.disk, _CONFIG_PATH), machine, CHILDREN, self._child)
            watching.keep_config()
        except (Misconfigured, Unavailable, OSError) as error:
            self.world.tell(f"{self.name}: {error}")
            self.supervisor.after(_LOOK_US, self._begin)
            return
        self.watching = watching
        self.down_since_s = None
        watching.start_due()
        self.supervisor.after(_LOOK_US, self._look)

    def _look(self) -> None:
        assert self.supervisor is not None and self.watching is not None
        self.watching.reap()
        self.watching.look()
        self.watching.start_due()
        self.supervisor.after(_LOOK_US, self._look)

    def _child(self, name: str, config: AgentConfig) -> Held:
        child = CHILDREN[name](self, name, self._in_force(config))
        child.process.run(child.begin)
        return Held(child)
