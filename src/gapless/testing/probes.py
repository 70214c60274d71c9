"""How soon a failure is told, and how soon it is over: one failure in a pipeline that is well otherwise.

Agents claim and commit as often as they do by default. A failure counts from the moment it is made until
the books have a finding of one of its kinds; recovery from its end until everything is at rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from gapless.agent.config import AgentSection
from gapless.model.finding import FindingKind
from gapless.testing.impostors import forged
from gapless.testing.network import Conditions, HttpAnswer
from gapless.testing.oracle import Violation
from gapless.testing.simulation import Simulation

#: A failure that is not told in so much time is undetected.
TOLD_S_MAX = 120.0
_WELL_S = 60.0
_LOOK_US = 100_000


class Probed(msgspec.Struct, frozen=True):
    """One failure of one kind; ``error`` as in ``Outcome``."""

    kind: str
    seed: int
    told_s: float
    rest_s: float
    check: str
    error: str


class Probe(Simulation):
    """A simulation with a single failure, of a kind that ``FAILURES`` names. Its first agent has it."""

    rest_look_every_s = 0.2

    def __init__(self, kind: str, seed: int) -> None:
        super().__init__(seed, swarm=False)
        self.told_s = 0.0
        self._fail, self._kinds = FAILURES[kind]
        usual = AgentSection(name="usual", data_dir="/")
        for host in self.hosts:
            text = host.text
            for name in ("commit_interval_s", "claim_interval_s"):
                text = re.sub(f"(?m)^{name} = .*$", f"{name} = {getattr(usual, name)}", text)
            host.configure(text)
        self.host, self.writer = self.hosts[0], self.writers[0]

    def strike(self) -> None:
        self.faults_s = _WELL_S + 10 * self.world.random.random()
        super().strike()
        self._fail(self)
        self._await_finding()

    def _await_finding(self) -> None:
        world, findings = self.world, self.platform.store.findings
        known, since_us = set(findings), world.loop.now_us
        while True:
            world.loop.run_until(world.loop.now_us + _LOOK_US)
            self.told_s = (world.loop.now_us - since_us) / 1e6
            if any(each.kind in self._kinds for each in findings.values() if each.id not in known):
                return
            if self.told_s > TOLD_S_MAX:
                text = f"after {TOLD_S_MAX:.0f} s there is none of {sorted(self._kinds)}"
                raise Violation("a failure is told", text)

    def ways(self) -> list[Conditions]:
        """Those that the agent's batches take."""
        return [self.world.network.conditions(self.host.name, url) for url in self.world.network.servers]


def _stall_upload(probe: Probe) -> None:
    """Batches are accepted and never answered; claims go on."""
    for way in probe.ways():
        way.swallows = True
    probe.writer.write()


def _kill_agent(probe: Probe) -> None:
    probe.host.stop()


def _lose_batch(probe: Probe) -> None:
    """The gateway gives its receipt for one request, and loses the batches in it; the next ones arrive."""
    world = probe.world
    world.oracle.excuse(probe.host.name, "receipt without bytes")
    lost: list[bytes] = []

    def says(path: str, body: bytes) -> HttpAnswer:
        for way in probe.ways():
            way.says = None
        lost.append(body)
        return forged(probe.platform.signer, path, body)

    for way in probe.ways():
        way.says = says
    probe.writer.write()
    while not lost:
        world.loop.run_until(world.loop.now_us + _LOOK_US)
    probe.writer.write()


def _lose_spool(probe: Probe) -> None:
    """The agent's disk is replaced by an empty one, with records on it that were claimed and not sent."""
    world = probe.world
    for way in probe.ways():
        way.partitioned = True
    probe.writer.write()
    world.loop.run_until(world.loop.now_us + 4_000_000)
    world.oracle.excuse(probe.host.name, "disk lost")
    probe.host.lose_disk()
    probe.host.start()
    for way in probe.ways():
        way.partitioned = False


Failure = Callable[[Probe], None]

#: What fails, and by which findings that is told.
FAILURES: dict[str, tuple[Failure, frozenset[FindingKind]]] = {
    "stalled upload": (_stall_upload, frozenset({"upload_stalled"})),
    "dead agent": (_kill_agent, frozenset({"agent_silent"})),
    "hole in the middle": (_lose_batch, frozenset({"gap"})),
    "lost spool": (_lose_spool, frozenset({"epoch_unclosed", "gap"})),
}


def probe(kind_and_seed: tuple[str, int]) -> Probed:
    """Make one failure, and see how long it takes."""
    kind, seed = kind_and_seed
    made = Probe(kind, seed)
    outcome = made.run()
    return Probed(kind, seed, made.told_s, outcome.rest_s, outcome.check, outcome.error)
