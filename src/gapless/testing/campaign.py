"""The figures of the simulator: ``python -m gapless.testing.campaign``, or ``make faults``.

Simulations under drawn faults, single failures whose detection and recovery are timed, and the mutation gate.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.pool import Pool

import msgspec

from gapless.testing.mutants import Hunt, hunts
from gapless.testing.probes import FAILURES, Probed, probe
from gapless.testing.seeded_bugs import MUTANTS
from gapless.testing.tally import Tally, Times, failure, run

#: Seeds between two looks whether there were enough.
_ROUND = 100
_MUTANT_SEEDS_MAX = 200

Say = Callable[[str], None]


class Figures(msgspec.Struct):
    """All that is published. ``told`` and ``over`` are by kind of failure."""

    tally: Tally
    told: dict[str, Times]
    over: dict[str, Times]
    failed_probes: list[Probed]
    hunts: list[Hunt]
    wall_s: float

    @property
    def good(self) -> bool:
        """Nothing failed, and no seeded bug survived."""
        failed = self.tally.failed_seeds or self.failed_probes
        return not failed and all(each.check for each in self.hunts)

    def text(self) -> str:
        """For people."""
        lines = [self.tally.text(), "", f"{'failure':20}    n   told after p50, p99   at rest after p50, p99"]
        for kind, told in self.told.items():
            over = self.over[kind]
            lines.append(
                f"{kind:20} {told.n:4d} {told.p50_s:9.1f} s {told.p99_s:6.1f} s"
                f" {over.p50_s:13.1f} s {over.p99_s:6.1f} s"
            )
        lines += [f"FAILED {each.kind}, seed {each.seed}: {each.error}" for each in self.failed_probes]
        killed = sum(bool(each.check) for each in self.hunts)
        lines += ["", f"seeded bugs killed {killed} of {len(self.hunts)}"]
        lines += [f"  {each.text}" for each in self.hunts]
        return "\n".join([*lines, "", f"{self.wall_s / 60:.0f} minutes"])


def _simulate(pool: Pool, first: int, seeds: int, hours: float, say: Say) -> Tally:
    """At least so many seeds, and at least so many simulated hours."""
    tally = Tally()
    while tally.seeds < seeds or tally.simulated_s < 3600 * hours:
        begin, left = first + tally.seeds, seeds - tally.seeds
        count = min(_ROUND, left) if left > 0 else _ROUND
        for outcome, cpu_s in pool.imap_unordered(run, range(begin, begin + count)):
            tally.add(outcome, cpu_s)
            if outcome.error:
                say(failure(outcome))
        failed = len(tally.failed_seeds)
        say(f"{tally.seeds} seeds, {tally.simulated_s / 3600:.1f} simulated hours, {failed} failed")
    return tally


def figures(first: int, seeds: int, hours: float, probes: int, jobs: int, say: Say) -> Figures:
    """Run all of it. ``say`` is told of progress."""
    began_s = time.monotonic()
    with get_context("fork").Pool(jobs) as pool:
        tally = _simulate(pool, first, seeds, hours, say)
        wanted = [(kind, seed) for kind in FAILURES for seed in range(first, first + probes)]
        probed = list(pool.imap(probe, wanted))
        say(f"{len(probed)} single failures, {sum(bool(each.error) for each in probed)} failed")
        hunted = []
        for each in hunts(pool, MUTANTS, _MUTANT_SEEDS_MAX, first):
            hunted.append(each)
            say(each.text)
    good = {kind: [each for each in probed if each.kind == kind and not each.error] for kind in FAILURES}
    return Figures(
        tally,
        {kind: Times.of([each.told_s for each in of_kind]) for kind, of_kind in good.items()},
        {kind: Times.of([each.rest_s for each in of_kind]) for kind, of_kind in good.items()},
        [each for each in probed if each.error],
        hunted,
        time.monotonic() - began_s,
    )


def main(arguments: list[str] | None = None) -> int:
    """Print the figures; 1 if anything failed, or a seeded bug survived."""
    parser = argparse.ArgumentParser(prog="gapless.testing.campaign", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many simulations, at least")
    parser.add_argument("--hours", type=float, default=0.0, help="how many simulated hours, at least")
    parser.add_argument("--probes", type=int, default=100, help="how many single failures of each kind")
    parser.add_argument("--from", type=int, default=1, dest="first", help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="how many processes")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    chosen = parser.parse_args(arguments)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    made = figures(chosen.first, chosen.seeds, chosen.hours, chosen.probes, chosen.jobs, say)
    print(msgspec.json.encode(made).decode() if chosen.format == "json" else made.text())
    return 0 if made.good else 1


if __name__ == "__main__":
    sys.exit(main())
