"""A simulated machine with the platform on it."""

from __future__ import annotations

from collections.abc import Callable

from gapless.gateway.settings import GatewaySettings
from gapless.ledger.audit import Audit, audit
from gapless.ledger.ledger import Ledger
from gapless.ledger.states import Allowances
from gapless.model.signing import Signer
from gapless.testing.clock import WallClock
from gapless.testing.disk import SimDisk
from gapless.testing.network import HttpAnswer
from gapless.testing.platform_parts import GatewayProcess, LakeProcess, LedgerProcess
from gapless.testing.platform_stores import (
    MemoryCatalog,
    MemoryIndex,
    MemoryLedgerStore,
)
from gapless.testing.process import DiskTroubles
from gapless.testing.world import World


class PlatformHost:
    """One machine. ``sync_us``: how long the journal takes to become durable, at least and at most.
    ``step_us``: how often index, lake and ledger look whether there is more."""

    def __init__(self, world: World, url: str) -> None:
        self.world = world
        self.url = url
        self.clock = WallClock(world.loop)
        self.random = world.draw("platform")
        self.disk = SimDisk(world.draw("platform disk"))
        self.disk.make_dirs("/platform")
        self.troubles = DiskTroubles(world.draw("platform troubles"))
        self.disk.before_effect = self.troubles.strike
        self.signer = Signer(b"platform".ljust(32, b"."))
        self.index = MemoryIndex()
        self.lakes = 1
        self.catalog = MemoryCatalog(world.oracle, self.lakes)
        self.store = MemoryLedgerStore()
        self.allowed = Allowances()
        self.settings = GatewaySettings()
        self.sync_us = (500, 5_000)
        self.step_us = self.random.choice((250_000, 1_000_000))
        self.gateway: GatewayProcess | None = None
        self.lake: LakeProcess | None = None
        self.ledger: LedgerProcess | None = None

    def start(self) -> None:
        """Start what does not run."""
        if self.gateway is None or not self.gateway.process.alive:
            self.gateway = GatewayProcess(self)
            self.gateway.process.run(self.gateway.begin)
        if self.lake is None or not self.lake.process.alive:
            self.lake = LakeProcess(self)
            self.lake.process.run(self.lake.begin)
        if self.ledger is None or not self.ledger.process.alive:
            self.ledger = LedgerProcess(self)
            self.ledger.process.run(self.ledger.begin)

    def stop(self) -> None:
        """Kill all of it."""
        for part in (self.gateway, self.lake, self.ledger):
            if part is not None:
                part.process.end()

    def power_off(self) -> None:
        self.stop()
        self.disk.crash()

    def configure(self, settings: GatewaySettings) -> None:
        """The gateway is started again with these settings."""
        self.settings = settings
        if self.gateway is not None:
            self.gateway.process.end()
        self.start()

    def lose_lake(self) -> None:
        """The lake is removed: its process begins another one, and the ledger follows that."""
        for part in (self.lake, self.ledger):
            if part is not None:
                part.process.end()
        self.lakes += 1
        self.catalog = MemoryCatalog(self.world.oracle, self.lakes)
        self.world.oracle.lake_lost()
        self.start()

    def audit(self, ledger: Ledger, tenant: str | None = None) -> Audit:
        """What books that were kept say now, as ``gapless audit`` would."""
        now_us = self.clock.now_us()
        audited_us = self.store.audited_us
        return audit(ledger, now_us, tenant=tenant, audited_us=audited_us, allowed=self.allowed)

    # The network's Server.

    def listening(self) -> bool:
        return self.gateway is not None and self.gateway.serves and self.gateway.process.alive

    def handle(self, path: str, body: bytes, answer: Callable[[HttpAnswer], None]) -> None:
        gateway = self.gateway
        if gateway is not None:
            gateway.process.run(lambda: gateway.handle(path, body, answer))
