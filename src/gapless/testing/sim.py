"""Run simulations: ``python -m gapless.testing.sim --seeds 100 --from 1``."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from gapless.testing.simulation import Outcome, Simulation

_TRACE_LINES = 60


def main(arguments: list[str] | None = None) -> int:
    """Run seeds one after the other; 1 if any failed."""
    parser = argparse.ArgumentParser(prog="gapless.testing.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--from", type=int, default=1, dest="first", help="the first seed")
    parser.add_argument("--trace", action="store_true", help="print everything that happened")
    chosen = parser.parse_args(arguments)
    began_s = time.process_time()
    outcomes = []
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        outcome = Simulation(seed).run()
        outcomes.append(outcome)
        if chosen.trace:
            print("\n".join(outcome.trace))
        if outcome.error:
            print(_failure(outcome), flush=True)
        outcome.trace.clear()
    print(summary(outcomes, time.process_time() - began_s))
    return 1 if any(outcome.error for outcome in outcomes) else 0


def _failure(outcome: Outcome) -> str:
    last = "\n".join(outcome.trace[-_TRACE_LINES:])
    return (
        f"{last}\nseed {outcome.seed} failed: {outcome.error}\n"
        f"replay: python -m gapless.testing.sim --seeds 1 --from {outcome.seed} --trace"
    )


def summary(outcomes: list[Outcome], cpu_s: float) -> str:
    """What was run, what was done to it, and what came of it."""
    simulated_s = sum(outcome.simulated_s for outcome in outcomes)
    faults: Counter[str] = Counter()
    checks: Counter[str] = Counter()
    for outcome in outcomes:
        faults.update(outcome.faults)
        if outcome.error:
            checks[outcome.check] += 1
    rests = sorted(outcome.rest_s for outcome in outcomes if not outcome.error) or [0.0]
    lines = [
        f"seeds           {len(outcomes)}, {sum(checks.values())} failed",
        f"simulated       {simulated_s / 3600:.1f} h in {cpu_s:.0f} s of one core: "
        f"{simulated_s / cpu_s:.0f} times real time",
        f"records         {sum(o.records for o in outcomes)} written, {sum(o.stored for o in outcomes)} "
        f"stored, {sum(o.unwitnessed for o in outcomes)} destroyed before anybody could know of them",
        f"receipts        {sum(o.receipts for o in outcomes)}",
        f"at rest after   {rests[len(rests) // 2]:.0f} s (median), {rests[-1]:.0f} s (longest)",
        *(f"  fault         {count:7d}  {name}" for name, count in sorted(faults.items())),
        *(f"  FAILED        {count:7d}  {check}" for check, count in checks.most_common()),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
