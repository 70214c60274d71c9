"""The mutation gate in short: each seeded bug is found. The whole of it is ``make mutants``."""

from __future__ import annotations

from contextlib import ExitStack
from unittest.mock import patch

import pytest

from gapless.testing import mutants
from gapless.testing.mutants import MUTANTS, hunt

SEEDS_MAX = 150
#: The seed that found it when this was written, so that it takes little time; later ones do, too.
FIRST = {
    "free on the gateway's word without a receipt": 18,
    "cursor before spool": 10,
    "epoch reused after a lost spool": 25,
    "dedupe by id alone": 102,
    "silent stream left out of the watermark": 8,
    "fsync retried after it failed": 36,
    "blank config drops all": 18,
}
#: An agent must be silent for longer than short simulations last.
LONG = {"silent stream left out of the watermark": 200.0}
REACHED = [name for name, mutation in MUTANTS.items() if mutation is not None]


@pytest.mark.case("mezmo-2022-06")
@pytest.mark.parametrize("name", REACHED)
def test_a_seeded_bug_is_found(name: str) -> None:
    assert hunt(name, SEEDS_MAX, FIRST.get(name, 1), LONG.get(name, 60.0)) is not None


def test_a_bug_that_changes_nothing_survives() -> None:
    def harmless(stack: ExitStack) -> None:
        """No bug at all."""

    with patch.dict(mutants.MUTANTS, {"none": harmless}):
        assert hunt("none", 1, faults_s=60.0) is None


def test_every_bug_of_the_specification_is_named() -> None:
    assert len(MUTANTS) == 16 + 1  # a range's edge and a segment's edge are two of one kind
    assert [name for name in MUTANTS if name not in REACHED] == [
        "filtered counted as delivered",
        "backfill posted twice",
    ]
