"""What many simulations gave, added up."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from gapless.testing.simulation import Outcome, Simulation

#: The rules whose breach is a loss that nobody tells of, and those whose breach is an alarm that is not true.
UNDETECTED = frozenset(
    {
        "every record has an account",
        "receipt is durable",
        "complete means complete",
        "silence is not complete",
        "0 of 0 is not complete",
        "a failure is told",
    }
)
FALSE_ALARMS = frozenset(
    {
        "no false alarm",
        "no loss without cause",
        "loss is exact",
        "what is missing is nowhere",
        "the verdict is right",
        "findings end",
    }
)
_TRACE_LINES = 60


def run(seed: int, whole_trace: bool = False) -> tuple[Outcome, float]:
    """One simulation, and the seconds of processor time it took. Without ``whole_trace``, only the end of one
    that failed is kept."""
    began_s = time.process_time()
    outcome = Simulation(seed).run()
    if not whole_trace:
        del outcome.trace[: -_TRACE_LINES if outcome.error else None]
    return outcome, time.process_time() - began_s


class Times(msgspec.Struct, frozen=True):
    """How long something took, of ``n`` times; seconds of simulated time."""

    n: int
    p50_s: float
    p99_s: float
    max_s: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Times:
        """All zero where there are none."""
        ranked = sorted(seconds) or [0.0]

        def rank(share: float) -> float:
            return round(ranked[min(len(ranked) - 1, int(share * len(ranked)))], 1)

        return cls(len(seconds), rank(0.5), rank(0.99), round(ranked[-1], 1))


class Tally(msgspec.Struct):
    """Of simulations that were run. ``records`` were written by sources; ``stored`` are rows of tables and
    quarantine, ``filtered`` were kept out by a rule; ``unwitnessed`` were destroyed before anybody could know
    of them. ``broken`` counts failed seeds by the rule."""

    seeds: int = 0
    simulated_s: float = 0.0
    cpu_s: float = 0.0
    records: int = 0
    stored: int = 0
    filtered: int = 0
    unwitnessed: int = 0
    receipts: int = 0
    faults: dict[str, int] = msgspec.field(default_factory=dict)
    broken: dict[str, int] = msgspec.field(default_factory=dict)
    failed_seeds: list[int] = msgspec.field(default_factory=list)
    rest_s: list[float] = msgspec.field(default_factory=list)

    def add(self, outcome: Outcome, cpu_s: float) -> None:
        """Count one."""
        self.seeds += 1
        self.simulated_s += outcome.simulated_s
        self.cpu_s += cpu_s
        self.records += outcome.records
        self.stored += outcome.stored
        self.filtered += outcome.filtered
        self.unwitnessed += outcome.unwitnessed
        self.receipts += outcome.receipts
        for kind, count in outcome.faults.items():
            self.faults[kind] = self.faults.get(kind, 0) + count
        if outcome.error:
            self.broken[outcome.check] = self.broken.get(outcome.check, 0) + 1
            self.failed_seeds.append(outcome.seed)
        else:
            self.rest_s.append(outcome.rest_s)

    def breaches(self, rules: frozenset[str]) -> int:
        """How many seeds broke one of these rules."""
        return sum(count for rule, count in self.broken.items() if rule in rules)

    def text(self) -> str:
        """All of it, a line each."""
        hours, rate = self.simulated_s / 3600, self.simulated_s / max(self.cpu_s, 1e-9)
        rest = Times.of(self.rest_s)
        lines = [
            f"seeds              {self.seeds}, {len(self.failed_seeds)} failed",
            f"simulated          {hours:.1f} h in {self.cpu_s:.0f} s of one core: {rate:.0f} times real time",
            f"records            {self.records} written, {self.stored} stored, {self.filtered} filtered, "
            f"{self.unwitnessed} destroyed before anybody could know of them",
            f"receipts           {self.receipts}",
            f"undetected losses  {self.breaches(UNDETECTED)}",
            f"false alarms       {self.breaches(FALSE_ALARMS)}",
            f"at rest after      p50 {rest.p50_s:.0f} s, p99 {rest.p99_s:.0f} s, at most {rest.max_s:.0f} s",
            f"faults             {sum(self.faults.values())}",
            *(f"  {count:9d}  {kind}" for kind, count in sorted(self.faults.items())),
            *(f"FAILED {count:11d}  {rule}" for rule, count in sorted(self.broken.items())),
        ]
        return "\n".join(lines)


def failure(outcome: Outcome) -> str:
    """What was seen of a seed that failed, and how to see it again."""
    return "\n".join(
        [
            *outcome.trace,
            f"seed {outcome.seed} failed: {outcome.error}",
            f"replay: python -m gapless.testing.sim --seeds 1 --from {outcome.seed} --trace",
        ]
    )
