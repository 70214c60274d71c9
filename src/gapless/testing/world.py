"""What all parts of a simulation share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from gapless.testing.clock import Loop
from gapless.testing.network import Network
from gapless.testing.oracle import Oracle


@dataclass
class World:
    """One simulation. ``faults`` counts what was done to it, by class; ``told`` is its trace."""

    seed: int
    random: Random
    loop: Loop
    network: Network
    oracle: Oracle
    faults: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, seed: int) -> World:
        """A world in which nothing happened yet. Each part draws from a sequence of its own."""
        loop = Loop(Random(f"{seed}/loop"))
        network = Network(loop, Random(f"{seed}/network"))
        return cls(seed, Random(f"{seed}/faults"), loop, network, Oracle(loop))

    def tell(self, text: str) -> None:
        """A line of the trace."""
        self.told.append(f"{self.loop.now_s:12.6f}  {text}")

    def fault(self, kind: str, text: str = "") -> None:
        """A fault strikes."""
        self.faults[kind] += 1
        self.tell(f"FAULT {kind} {text}".rstrip())

    def draw(self, name: str) -> Random:
        """A sequence of chance for one part, whatever the others draw."""
        return Random(f"{self.seed}/{name}")
