"""One simulation: agents, network and platform, faults for a while, then the time to come to rest."""

from __future__ import annotations

import gc
import logging
import traceback
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import structlog

from gapless.agent.spool_settings import SpoolSettings
from gapless.testing.agent_host import TOKEN_PATH, AgentHost
from gapless.testing.oracle import Violation
from gapless.testing.platform_host import PlatformHost
from gapless.testing.platform_parts import JOURNAL
from gapless.testing.sources_at_work import put_to_work
from gapless.testing.swarm import Swarm
from gapless.testing.verdict import Verdict
from gapless.testing.world import World

URLS = ["http://one.test", "http://two.test"]
_TENANT = "contoso"
_TABLES = ("SigninLogs", "App_CL")
_LOOK_EVERY_US = 10_000_000
#: In so much time everything is at rest after the last fault.
REST_S_MAX = 900.0
_AT_REST_S = 20.0
#: The rule that an exception which nobody expected breaks.
NO_DEFECT = "no defect"


@dataclass
class Outcome:
    """What one seed gave. ``error`` is None, or what must not be; ``check`` names the rule."""

    seed: int
    simulated_s: float = 0.0
    records: int = 0
    stored: int = 0
    filtered: int = 0
    receipts: int = 0
    unwitnessed: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    rest_s: float = 0.0
    check: str = ""
    error: str = ""
    trace: list[str] = field(default_factory=list)


class Simulation:
    """All of it, from one seed. ``faults_s``: for how long faults strike (None: the seed decides).
    ``swarm``: whether any are drawn."""

    #: How finely the time to come to rest is measured.
    rest_look_every_s = 2.0

    def __init__(self, seed: int, faults_s: float | None = None, *, swarm: bool = True) -> None:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        self.world = world = World.of(seed)
        random = world.draw("shape")
        self.faults_s = faults_s or random.choice((60.0, 200.0, 600.0))
        self.platform = PlatformHost(world, URLS[0])
        world.oracle.platform_disk = self.platform.disk
        world.oracle.journal = JOURNAL
        world.network.tap = world.oracle.answered
        for url in URLS:
            world.network.servers[url] = self.platform
        self.hosts = [_host(world, f"host-{at}", random) for at in range(random.choice((1, 1, 2)))]
        destructive = swarm and random.random() < 0.4
        self.writers = [
            writer
            for host in self.hosts
            for writer in put_to_work(world, host, random, destructive=destructive)
        ]
        self.swarm = Swarm(world, self.platform, self.hosts, self.writers, URLS, at_work=swarm)
        self.verdict = Verdict(world.oracle, self.platform, self.hosts)
        world.tell(f"faults for {self.faults_s:.0f} s: {', '.join(self.swarm.classes) or 'none'}")

    def run(self) -> Outcome:
        """To the end. Nothing is raised for what is wrong: it is in the outcome."""
        check = error = ""
        rest_s = 0.0
        collects = gc.isenabled()
        gc.disable()  # a simulation is small, and a quarter of its time went into looking for garbage
        try:
            self.strike()
            rest_s = self._rest()
        except Violation as violation:
            check, error = violation.check, str(violation)
        except Exception as defect:
            check, error = NO_DEFECT, f"{type(defect).__name__}: {defect}"
            self.world.tell(_where(defect))
        finally:
            if collects:
                gc.enable()
        world = self.world
        faults = world.faults + Counter({f"network {kind}": n for kind, n in world.network.struck.items()})
        machines: list[AgentHost | PlatformHost] = [self.platform, *self.hosts]
        faults["disk refusals"] += sum(machine.troubles.struck for machine in machines)
        if error:
            world.tell(f"FAILED {error}")
        return Outcome(
            seed=world.seed,
            simulated_s=world.loop.now_s,
            records=len(world.oracle.emitted),
            stored=sum(map(len, world.oracle.lake.values())),
            filtered=sum(ranges.total for ranges in world.oracle.filtered.values()),
            receipts=world.oracle.receipts,
            unwitnessed=self.verdict.unwitnessed,
            faults=dict(faults),
            classes=self.swarm.classes,
            rest_s=rest_s,
            check=check,
            error=error,
            trace=world.told,
        )

    def strike(self) -> None:
        """Everything starts, and whatever is to go wrong does."""
        self.verdict.sound()
        self.platform.start()
        for host in self.hosts:
            host.start()
        self.run_for(self.faults_s)

    def _rest(self) -> float:
        """Bring everything to rest, and see that it stays so; returns how many seconds that took."""
        loop = self.world.loop
        self.world.tell("the faults are over")
        self.swarm.heal()
        healed_s = loop.now_s
        for writer in self.writers:
            writer.stopped = True
        rest_s = 0.0
        while True:
            waits = self.verdict.waits_for()
            if waits is None and loop.now_s - healed_s >= rest_s + _AT_REST_S:
                break
            self.run_for(self.rest_look_every_s)
            if waits is not None:
                rest_s = loop.now_s - healed_s
                if rest_s > REST_S_MAX:
                    raise Violation(waits.check, f"after {REST_S_MAX:.0f} s: {waits.text}")
        self.verdict.final()
        return rest_s

    def run_for(self, seconds: float) -> None:
        """Let the time pass, and look now and then whether all is sound."""
        loop = self.world.loop
        end_us = loop.now_us + int(seconds * 1e6)
        while loop.now_us < end_us:
            loop.run_until(min(end_us, loop.now_us + _LOOK_EVERY_US))
            self.verdict.sound()


def _host(world: World, name: str, random: Random) -> AgentHost:
    streams = random.choice((1, 1, 2))
    commit_s, claim_s = random.choice((0.5, 1.0, 2.0)), random.choice((2.0, 5.0, 10.0))
    everything = random.random() < 0.5
    text = f"""
[agent]
name = "{name}"
data_dir = "/agent"
commit_interval_s = {commit_s}
claim_interval_s = {claim_s}
[gateway]
urls = ["{URLS[0]}", "{URLS[1]}"]
token_file = "{TOKEN_PATH}"
[upload]
in_flight_max = {random.choice((1, 2, 4))}
request_bytes_max = {random.choice((2_000, 20_000, 1 << 20))}
attempt_s_max = {random.choice((10.0, 60.0))}
"""
    for at in range(streams):
        pattern = f"/logs/s{at}/app.log*" if everything else f"/logs/s{at}/app.log"
        text += f"""
[[source]]
type = "file"
tenant = "{_TENANT}"
table = "{_TABLES[at]}"
name = "s{at}"
paths = ["{pattern}"]
rotated_quiet_s = 20.0
"""
    declares = random.random() < 0.15
    settings = SpoolSettings(
        size_bytes_max=random.choice((120_000, 1 << 20)),
        when_full="declare" if declares else "block",
        free_bytes_min=0,
        segment_bytes_max=random.choice((2_000, 16_000)),
    )
    if declares:
        world.oracle.excuse(name, "spool declared")
    return AgentHost(world, name, text, settings, place=f"place of {name}", machine=name)


def _where(error: Exception) -> str:
    return "".join(traceback.format_exception(error))
