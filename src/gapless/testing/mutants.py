"""The mutation gate: ``python -m gapless.testing.mutants --seeds 200``.

Simulations run with one seeded bug in the product, until a seed finds it; one that survives fails the run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import get_context
from multiprocessing.pool import Pool

import msgspec

from gapless.testing.seeded_bugs import MUTANTS
from gapless.testing.simulation import NO_DEFECT, Simulation


class Hunt(msgspec.Struct, frozen=True):
    """What became of a seeded bug. ``seeds`` is how many were run; ``check`` is what found it at the last
    one, empty if it survived."""

    bug: str
    seeds: int
    check: str

    @property
    def text(self) -> str:
        """A line about it."""
        if not self.check:
            return f"{self.bug:46} SURVIVED {self.seeds} seeds"
        return f"{self.bug:46} {self.seeds:4d} seeds, by: {self.check}"


@contextmanager
def seeded(bug: str) -> Iterator[None]:
    """The product with one bug in it, of those that ``MUTANTS`` names."""
    with ExitStack() as stack:
        MUTANTS[bug](stack)
        yield


def hunt(bug: str, seeds_max: int, first: int = 1, faults_s: float | None = None) -> Hunt:
    """Run seeds from ``first`` on until one finds a bug. An exception finds none: it may be the bug's own."""
    with seeded(bug):
        for count in range(1, seeds_max + 1):
            outcome = Simulation(first + count - 1, faults_s).run()
            if outcome.error and outcome.check != NO_DEFECT:
                return Hunt(bug, count, outcome.check)
    return Hunt(bug, seeds_max, "")


def hunts(pool: Pool, bugs: Iterable[str], seeds_max: int, first: int) -> Iterator[Hunt]:
    """Hunt several in the processes of a pool; in the order of ``bugs``."""
    return pool.imap(partial(hunt, seeds_max=seeds_max, first=first), bugs)


def main(arguments: list[str] | None = None) -> int:
    """Hunt all of them; 1 if one survived."""
    parser = argparse.ArgumentParser(prog="gapless.testing.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds one may survive")
    parser.add_argument("--from", type=int, default=1, dest="first", help="the first seed")
    parser.add_argument("--only", default="", help="those whose name contains this")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    chosen = parser.parse_args(arguments)
    bugs = [bug for bug in MUTANTS if chosen.only in bug]
    survived = 0
    with get_context("fork").Pool(chosen.jobs) as pool:
        for each in hunts(pool, bugs, chosen.seeds, chosen.first):
            print(each.text, flush=True)
            survived += not each.check
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
