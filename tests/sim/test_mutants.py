"""The mutation gate in short: each seeded bug is found. The whole of it is ``make mutants``."""

from __future__ import annotations

import random
import secrets
from contextlib import ExitStack
from unittest.mock import patch

import pytest

from gapless.agent.spool import Spool
from gapless.testing import mutants
from gapless.testing.mutants import MUTANTS, hunt

SEEDS_MAX = 100
#: What must last for longer than the shortest simulations do: an agent's silence; how a spool grows after
#: an image of it was taken, and until that comes back; somebody who forges receipts, until the spool lets go.
LONG = dict.fromkeys(
    (
        "silent stream left out of the watermark",
        "dedupe by id alone",
        "free on the gateway's word without a receipt",
    ),
    200.0,
)


@pytest.mark.case("T44", "mezmo-2022-06")
@pytest.mark.parametrize("bug", MUTANTS)
def test_a_seeded_bug_is_found(bug: str) -> None:
    found = hunt(bug, SEEDS_MAX, 1, LONG.get(bug, 60.0))
    assert found.check, found.text


def test_some_seeded_bugs_are_found_by_seeds_that_nobody_has_run_before() -> None:
    first = 10_000 + secrets.randbelow(1 << 40)
    bugs = random.Random(first).sample(sorted(MUTANTS), 2)
    print(f"fresh seeds from {first} for {bugs}")
    for bug in bugs:
        found = hunt(bug, 2 * SEEDS_MAX, first, LONG.get(bug, 60.0))
        assert found.check, f"{found.text}, from {first} on"


def test_a_bug_that_changes_nothing_survives() -> None:
    def harmless(stack: ExitStack) -> None:
        """No bug at all."""

    with patch.dict(mutants.MUTANTS, {"none": harmless}):
        survived = hunt("none", 1, faults_s=60.0)
    assert (survived.seeds, survived.check) == (1, "")
    assert "SURVIVED" in survived.text


def test_a_bug_that_only_raises_is_not_found() -> None:
    def raising(stack: ExitStack) -> None:
        stack.enter_context(patch.object(Spool, "commit", side_effect=ZeroDivisionError))

    with patch.dict(mutants.MUTANTS, {"raises": raising}):
        assert not hunt("raises", 1, faults_s=60.0).check


def test_every_bug_of_the_specification_can_be_seeded() -> None:
    assert len(MUTANTS) == 16 + 1 + 1  # a range's edge and a segment's edge are two of one kind; one is ours


def test_the_gate_fails_if_one_survives(capsys: pytest.CaptureFixture[str]) -> None:
    assert mutants.main(["--seeds", "1", "--only", "0 of 0"]) == 0
    with patch.dict(mutants.MUTANTS, {"0 of 0 complete": lambda stack: None}):
        assert mutants.main(["--seeds", "1", "--only", "0 of 0"]) == 1
    assert "1 seeds, by: 0 of 0 is not complete" in capsys.readouterr().out
