"""Run simulations: ``python -m gapless.testing.sim --seeds 100 --from 1``."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from multiprocessing import get_context

from gapless.testing.tally import Tally, failure, run


def main(arguments: list[str] | None = None) -> int:
    """Run seeds; 1 if any failed."""
    parser = argparse.ArgumentParser(prog="gapless.testing.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--from", type=int, default=1, dest="first", help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--trace", action="store_true", help="print everything that happened, seed by seed")
    chosen = parser.parse_args(arguments)
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    tally = Tally()
    with get_context("fork").Pool(chosen.jobs) as pool:
        for outcome, cpu_s in pool.imap_unordered(partial(run, whole_trace=chosen.trace), seeds):
            tally.add(outcome, cpu_s)
            if outcome.error:
                print(failure(outcome), flush=True)
            elif chosen.trace:
                print("\n".join(outcome.trace))
    print(tally.text())
    return 1 if tally.failed_seeds else 0


if __name__ == "__main__":
    sys.exit(main())
