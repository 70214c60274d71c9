"""The mutation gate: ``python -m gapless.testing.mutants --seeds 200``.

Simulations run with one seeded bug in the product, until a seed finds it; one that survives fails the run.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from gapless.testing.seeded_bugs import MUTANTS
from gapless.testing.simulation import Simulation


@contextmanager
def seeded(name: str) -> Iterator[None]:
    """The product with one bug in it. Raises KeyError for a bug that cannot be seeded here."""
    mutation = MUTANTS[name]
    if mutation is None:
        raise KeyError(name)
    with ExitStack() as stack:
        mutation(stack)
        yield


def hunt(name: str, seeds: int, first: int = 1, faults_s: float | None = None) -> tuple[int, str] | None:
    """How many seeds it took to find a bug, and which check found it; None if it survived."""
    with seeded(name):
        for count in range(1, seeds + 1):
            outcome = Simulation(first + count - 1, faults_s).run()
            if outcome.error:
                return count, outcome.check
    return None


def main(arguments: list[str] | None = None) -> int:
    """Hunt all of them; 1 if one survived."""
    parser = argparse.ArgumentParser(prog="gapless.testing.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds one may survive")
    parser.add_argument("--from", type=int, default=1, dest="first", help="the first seed")
    parser.add_argument("--only", default="", help="those whose name contains this")
    chosen = parser.parse_args(arguments)
    survived = 0
    for name, mutation in MUTANTS.items():
        if chosen.only not in name:
            continue
        if mutation is None:
            print(f"{name:46} not reached: what it concerns is not simulated", flush=True)
            continue
        began_s = time.monotonic()
        found = hunt(name, chosen.seeds, chosen.first)
        took_s = time.monotonic() - began_s
        if found is None:
            survived += 1
            print(f"{name:46} SURVIVED {chosen.seeds} seeds ({took_s:.0f} s)", flush=True)
        else:
            print(f"{name:46} {found[0]:4d} seeds, by: {found[1]} ({took_s:.0f} s)", flush=True)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
