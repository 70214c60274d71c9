"""Faults, drawn by swarm: each seed turns a random subset on, with random rates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from gapless.agent.layout import receipt_key_path
from gapless.gateway.settings import GatewaySettings
from gapless.testing.agent_children import DATA_DIR
from gapless.testing.agent_host import AgentHost
from gapless.testing.impostors import IMPOSTORS
from gapless.testing.network import Conditions
from gapless.testing.platform_host import PlatformHost
from gapless.testing.platform_parts import JOURNAL, Gone
from gapless.testing.source_host import SourceDisk
from gapless.testing.sources_at_work import Writer, put_to_work
from gapless.testing.world import World

_DAY_US = 86_400_000_000
#: How often an operator looks whether there is something to do.
_OPERATOR_US = 10_000_000
#: Each one is filled from the journal's beginning: more would be most of a simulation's work.
_LAKES_MAX = 4


class Swarm:
    """Strikes until ``heal``, if it is ``at_work``. ``classes`` are those that this seed turned on."""

    def __init__(
        self,
        world: World,
        platform: PlatformHost,
        hosts: list[AgentHost],
        writers: list[Writer],
        urls: list[str],
        *,
        at_work: bool = True,
    ) -> None:
        self._world = world
        self._random = world.random
        self._platform = platform
        self._hosts = hosts
        self._writers = writers
        self._urls = urls
        self._over = False
        self._images: dict[str, tuple[dict[str, bytes], SourceDisk]] = {}
        self._undo: list[Callable[[], None]] = []
        usual: dict[str, Callable[[], None]] = {
            "agent power": self._agent_power,
            "agent killed": self._agent_killed,
            "child at an effect": self._child_at_effect,
            "child frozen": self._child_frozen,
            "platform power": self._platform_power,
            "platform part at an effect": self._part_at_effect,
            "platform part frozen": self._part_frozen,
            "gateway refuses": self._gateway_refuses,
            "network lossy": self._lossy,
            "partition": self._partition,
            "swallow": self._swallow,
            "impostor": self._impostor,
            "endpoint moves": self._endpoint_moves,
            "agent disk errors": partial(self._disk_errors, "agent"),
            "platform disk errors": partial(self._disk_errors, "platform"),
            "agent disk fails once": partial(self._disk_fails_once, "agent"),
            "platform disk fails once": partial(self._disk_fails_once, "platform"),
            "agent disk full": partial(self._disk_full, "agent"),
            "lake lost": self._lake_lost,
            "platform disk full": partial(self._disk_full, "platform"),
            "clock": self._clock,
            "platform clock": self._platform_clock,
            "outcomes damaged": self._outcomes_damaged,
            "receipt key damaged": self._receipt_key_damaged,
            "blank configuration": self._blank,
            "long outage": self._outage,
        }
        losing: dict[str, Callable[[], None]] = {
            "spool damaged": self._spool_damaged,
            "claims damaged": self._claims_damaged,
            "agent key damaged": self._agent_key_damaged,
            "disk lost": self._disk_lost,
            "disk restored": self._disk_restored,
            "machine cloned": self._cloned,
            "machine removed": self._removed,
            "journal damaged": self._journal_damaged,
        }
        self.classes = [name for name in usual if at_work and self._random.random() < 0.35]
        if at_work and self._random.random() < 0.4:
            self.classes += [name for name in losing if self._random.random() < 0.5]
        self._at_work = at_work
        self._strikes = usual | losing
        self._whole_lines(writers)
        for name in self.classes:
            self._later(self._strikes[name], self._random.choice((10.0, 30.0, 90.0)))

    def _whole_lines(self, writers: list[Writer]) -> None:
        """Where time jumps, half a line is old at once, and a record of its own. Without faults whoever runs
        the simulation writes, too."""
        for writer in writers:
            writer.whole_lines = "clock" in self.classes or not self._at_work

    def heal(self) -> None:
        """All faults are over, and everything runs."""
        self._over = True
        while self._undo:
            self._undo.pop()()
        for conditions in self._world.network.between.values():
            _mend(conditions)
        machines: list[AgentHost | PlatformHost] = [self._platform, *self._hosts]
        for machine in machines:
            machine.troubles.rates.clear()
            machine.troubles.once.clear()
            machine.troubles.full = False
            machine.clock.set_right()
        for part in (self._platform.gateway, self._platform.lake, self._platform.ledger):
            if part is not None:
                part.process.thaw()
                part.process.spare()
        self._platform.start()
        for host in self._hosts:
            self._restore_receipt_key(host)  # a clone has the damaged one, too
            host.load(host.text)
            for child in host.children.values():
                child.process.thaw()
                child.process.spare()
            host.start()

    def _later(self, strike: Callable[[], None], every_s: float) -> None:
        def again() -> None:
            if not self._over:
                strike()
                self._later(strike, every_s)

        self._world.loop.after(int(self._random.expovariate(1 / every_s) * 1e6), again)

    def _while(self, seconds: float, undo: Callable[[], None]) -> None:
        """Undo it after so long, or when all is healed."""
        self._undo.append(undo)
        self._world.loop.after(int(seconds * 1e6), undo)

    def _host(self) -> AgentHost:
        return self._random.choice(self._hosts)

    def _some_s(self, most_s: float) -> float:
        return min(most_s, self._random.expovariate(4 / most_s))

    # -- machines and processes -------------------------------------------------------------------------

    def _agent_power(self) -> None:
        host = self._host()
        if host.running:
            self._world.fault("agent power", host.name)
            host.power_off()
            self._world.loop.after(int(self._some_s(60) * 1e6), host.start)

    def _agent_killed(self) -> None:
        host = self._host()
        if host.running:
            self._world.fault("agent killed", host.name)
            host.stop()
            self._world.loop.after(int(self._some_s(20) * 1e6), host.start)

    def _child_at_effect(self) -> None:
        host = self._host()
        if host.children:
            child = host.children[self._random.choice(sorted(host.children))]
            child.process.crash_at(self._random.randint(0, 20))

    def _child_frozen(self) -> None:
        host = self._host()
        if host.children:
            child = host.children[self._random.choice(sorted(host.children))]
            self._world.fault("child frozen", child.process.name)
            child.process.freeze()
            self._while(self._some_s(120), child.process.thaw)

    def _platform_power(self) -> None:
        self._world.fault("platform power")
        self._platform.power_off()
        self._world.loop.after(int(self._some_s(60) * 1e6), self._platform.start)

    def _lake_lost(self) -> None:
        if self._platform.lakes < _LAKES_MAX:
            self._world.fault("lake lost")
            self._platform.lose_lake()

    def _part(self) -> Any:
        return self._random.choice((self._platform.gateway, self._platform.lake, self._platform.ledger))

    def _part_at_effect(self) -> None:
        if self._platform.gateway is not None:
            self._platform.gateway.process.crash_at(self._random.randint(0, 20))

    def _part_frozen(self) -> None:
        part = self._part()
        if part is not None:
            self._world.fault("platform part frozen", part.process.name)
            part.process.freeze()
            self._while(self._some_s(60), part.process.thaw)

    def _gateway_refuses(self) -> None:
        """A bound of the gateway is set too low, and set right later: what it refused meanwhile arrives."""
        self._world.fault("gateway refuses")
        for host in self._hosts:
            self._world.oracle.excuse(host.name, "refused")
        self._platform.configure(GatewaySettings(raw_bytes_max=self._random.choice((1, 300, 5_000))))
        self._while(self._some_s(200), self._gateway_accepts)

    def _gateway_accepts(self) -> None:
        self._platform.configure(GatewaySettings())

    def _clock(self) -> None:
        host = self._host()
        self._world.fault("clock", host.name)
        match self._random.choice(("jump", "freeze", "back")):
            case "jump":
                host.clock.jump(self._random.choice((-2 * _DAY_US, 2 * _DAY_US, 30_000_000, -30_000_000)))
            case "freeze":
                host.clock.freeze()
            case _:
                pass
        self._while(self._some_s(200), host.clock.set_right)

    def _platform_clock(self) -> None:
        self._world.fault("platform clock")
        clock = self._platform.clock
        if self._random.random() < 0.3:
            clock.freeze()
        else:
            clock.jump(self._random.choice((-_DAY_US, _DAY_US, 20_000_000, -20_000_000)))
        self._while(self._some_s(100), clock.set_right)

    # -- network ----------------------------------------------------------------------------------------

    def _ways(self) -> list[Conditions]:
        """Uploads, claims, or both, of one agent, to one URL or to all."""
        host = self._host()
        clients = self._random.choice(
            ([host.name], [f"{host.name}/claims"], [host.name, f"{host.name}/claims"])
        )
        urls = self._random.choice((self._urls, self._urls[:1], self._urls[1:]))
        return [self._world.network.conditions(client, url) for client in clients for url in urls]

    def _lossy(self) -> None:
        self._world.fault("network lossy")
        random = self._random
        for way in self._ways():
            way.drop_request = random.choice((0.0, 0.1, 0.5, 0.9))
            way.drop_reply = random.choice((0.0, 0.1, 0.5, 0.9))
            way.duplicate = random.choice((0.0, 0.1, 0.5))
            way.delay_us = random.choice(((200, 2_000), (1_000, 500_000), (10_000, 20_000_000)))
            self._while(self._some_s(120), partial(_mend, way))

    def _partition(self) -> None:
        self._world.fault("partition")
        for way in self._ways():
            way.partitioned = True
            self._while(self._some_s(120), partial(_mend, way))

    def _outage(self) -> None:
        self._world.fault("long outage")
        for host in self._hosts:
            for client in (host.name, f"{host.name}/claims"):
                for url in self._urls:
                    way = self._world.network.conditions(client, url)
                    way.partitioned = True
                    self._while(self._random.uniform(100, 400), partial(_mend, way))

    def _swallow(self) -> None:
        self._world.fault("swallow")
        for way in self._ways():
            way.swallows = True
            self._while(self._some_s(120), partial(_mend, way))

    def _impostor(self) -> None:
        self._world.fault("impostor")
        says = self._random.choice(IMPOSTORS)
        for way in self._ways():
            way.says = says
            self._while(self._some_s(120), partial(_mend, way))

    def _endpoint_moves(self) -> None:
        host = self._host()
        self._world.fault("endpoint moves", host.name)
        for at in range(self._random.choice((1, 10, 50))):
            self._world.loop.after(at * 100_000, partial(self._move, host))

    def _move(self, host: AgentHost) -> None:
        urls = self._random.sample(self._urls, self._random.randint(1, len(self._urls)))
        host.move(urls)

    # -- disks and files --------------------------------------------------------------------------------

    def _machine(self, which: str) -> AgentHost | PlatformHost:
        return self._platform if which == "platform" else self._host()

    def _disk_errors(self, which: str) -> None:
        troubles = self._machine(which).troubles
        self._world.fault(f"{which} disk errors")
        for effect in self._random.sample(("sync", "write", "create", "sync_dir", "unlink", "rename"), 2):
            troubles.rates[effect] = self._random.choice((0.02, 0.2, 0.7))
        troubles.rates["sync"] = self._random.choice((0.0, 0.1, 0.5))
        self._while(self._some_s(30), troubles.rates.clear)

    def _disk_fails_once(self, which: str) -> None:
        self._world.fault(f"{which} disk fails once")
        effects = ("sync", "write", "create", "sync_dir", "unlink", "rename", "truncate")
        self._machine(which).troubles.once.add(self._random.choice(effects))

    def _disk_full(self, which: str) -> None:
        troubles = self._machine(which).troubles
        self._world.fault(f"{which} disk full")
        troubles.full = True
        self._while(self._some_s(60), partial(setattr, troubles, "full", False))

    def _blank(self) -> None:
        host = self._host()
        self._world.fault("blank configuration", host.name)
        host.load(self._random.choice(("", "\n", "[agent]\n", host.text[: len(host.text) // 2])))
        self._while(self._some_s(100), partial(host.load, host.text))

    def _spool_damaged(self) -> None:
        self._damage("spool damaged", "spool/0")

    def _outcomes_damaged(self) -> None:
        """Sent again, and no more: nobody needs an excuse for that."""
        self._damage("outcomes damaged", "acks/0", excuses=False)

    def _claims_damaged(self) -> None:
        self._damage("claims damaged", self._random.choice(("claims.json", "fenced.json")))

    def _journal_damaged(self) -> None:
        """One bit of the platform's journal turns: what its entry said is gone, unless it was read before."""
        disk, oracle = self._platform.disk, self._world.oracle
        held = {path: data for path, data in disk.durable(JOURNAL).items() if path.endswith(".log") and data}
        if held:
            path = self._random.choice(sorted(held))
            bit = self._random.randrange(8 * len(held[path]))
            if oracle.rots(int(path.rpartition("/")[2][:20]), held[path], bit // 8):
                self._world.fault("journal damaged", f"{path} bit {bit}")
                disk.flip(path, bit)

    def _agent_key_damaged(self) -> None:
        """Any 32 bytes are a key: claims go on with another."""
        self._damage("agent key damaged", "agent.key")

    def _receipt_key_damaged(self) -> None:
        """No receipt holds any more, once it is read: until people restore the file, everything waits."""
        host = self._host()
        self._damage("receipt key damaged", "receipt.key", excuses=False, host=host)
        self._while(self._some_s(100), partial(self._restore_receipt_key, host))

    def _restore_receipt_key(self, host: AgentHost) -> None:
        path = receipt_key_path(DATA_DIR)
        if path in host.disk.image():
            host.disk.put(path, self._platform.signer.public_key.encode() + b"\n")

    def _damage(self, kind: str, prefix: str, *, excuses: bool = True, host: AgentHost | None = None) -> None:
        """One bit of a file turns."""
        host = host or self._host()
        held = {p: c for p, c in host.disk.image().items() if p.startswith(f"{DATA_DIR}/{prefix}") and c}
        if held:
            path = self._random.choice(sorted(held))
            if excuses:
                self._world.oracle.excuse(host.name, kind)
            bit = self._random.randrange(8 * len(held[path]))
            self._world.fault(kind, f"{host.name} {path} bit {bit}")
            host.disk.flip(path, bit)

    def _disk_lost(self) -> None:
        host = self._host()
        self._world.oracle.excuse(host.name, "disk lost")
        self._world.fault("disk lost", host.name)
        host.lose_disk()
        self._world.loop.after(int(self._some_s(20) * 1e6), host.start)

    def _disk_restored(self) -> None:
        """An earlier image comes back; some strikes only take one."""
        host = self._host()
        image = self._images.get(host.name)
        if image is None or self._random.random() < 0.3:
            files = SourceDisk(lambda: 0)
            files.copy_from(host.sources)
            self._images[host.name] = host.disk.image(), files
            return
        self._world.oracle.excuse(host.name, "rolled back")
        self._world.fault("disk restored", host.name)
        host.stop()
        host.disk.restore(image[0])
        if self._random.random() < 0.5:  # the whole machine, its logs too
            host.sources.become(image[1])
        elif self._random.random() < 0.5:
            host.place += "'"  # on another machine, or in another directory
        self._world.loop.after(int(self._some_s(20) * 1e6), host.start)

    def _cloned(self) -> None:
        """A copy of a machine is started beside it, once; it has the same name, key and spool."""
        host = self._hosts[0]
        if any(other is not host and other.name == host.name for other in self._hosts):
            return
        self._world.oracle.excuse(host.name, "rolled back")
        self._world.fault("machine cloned", host.name)
        place = self._random.choice((host.place, f"{host.place}'"))
        twin = host.clone(f"{host.name}'", place)
        self._hosts.append(twin)
        writers = put_to_work(self._world, twin, self._random, destructive=False)
        self._whole_lines(writers)
        self._writers += writers
        twin.start()

    def _removed(self) -> None:
        """A machine is taken away, and an operator ends the streams that it had; but never the only one."""
        names = Counter(host.name for host in self._hosts)
        there = [host for host in self._hosts[1:] if names[host.name] == 1 and not host.removed]
        if not there:
            return
        host = self._random.choice(there)
        self._world.oracle.excuse(host.name, "decommissioned")
        self._world.fault("machine removed", host.name)
        host.remove()
        for writer in self._writers:
            writer.stopped = writer.stopped or writer.host is host
        self._decommission(host)

    def _decommission(self, host: AgentHost) -> None:
        """What is heard of a machine that is gone is ended, until there is nothing more."""
        for id_, stream in self._platform.store.seen().streams.items():
            if stream.key.agent == host.name and not stream.decommissioned_us and self._platform.listening():
                gone = msgspec.json.encode(Gone(id_, "its machine is gone"))
                self._platform.handle("/v1/decommissions", gone, lambda answer: None)
        self._world.loop.after(_OPERATOR_US, partial(self._decommission, host))


def _mend(way: Conditions) -> None:
    way.__init__()  # type: ignore[misc]
