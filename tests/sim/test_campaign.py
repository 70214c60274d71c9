"""The figures: what is counted, and that what fails shows in them."""

from __future__ import annotations

import json
from unittest.mock import patch

import pytest

from gapless.testing import campaign, mutants
from gapless.testing.oracle import Violation
from gapless.testing.probes import FAILURES, Probe, probe
from gapless.testing.simulation import Outcome
from gapless.testing.tally import FALSE_ALARMS, UNDETECTED, Tally, Times


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_told_and_over_in_bounded_time(kind: str) -> None:
    seen = probe((kind, 5))
    assert not seen.error
    assert 0 < seen.told_s < 30
    assert seen.rest_s < 60


def test_a_failure_that_nobody_tells_is_an_undetected_loss() -> None:
    with patch.dict(FAILURES, {"nothing at all": (lambda probe: None, frozenset({"gap"}))}):
        seen = probe(("nothing at all", 1))
    assert seen.check == "a failure is told"
    assert seen.check in UNDETECTED


def test_times_are_ranked() -> None:
    assert Times.of([]) == Times(0, 0.0, 0.0, 0.0)
    assert Times.of([float(n) for n in range(100, 0, -1)]) == Times(100, 51.0, 100.0, 100.0)


def test_a_tally_adds_up_and_names_what_failed() -> None:
    tally = Tally()
    tally.add(Outcome(seed=1, simulated_s=3600.0, records=5, stored=4, filtered=1, faults={"a": 2}), 2.0)
    tally.add(Outcome(seed=2, faults={"a": 1}, check="receipt is durable", error="x"), 1.0)
    tally.add(Outcome(seed=3, check="no false alarm", error="x"), 1.0)
    assert (tally.records, tally.stored, tally.filtered, tally.faults) == (5, 4, 1, {"a": 3})
    assert tally.failed_seeds == [2, 3]
    assert (tally.breaches(UNDETECTED), tally.breaches(FALSE_ALARMS)) == (1, 1)
    assert "900 times real time" in tally.text()


def test_a_campaign_goes_on_until_it_has_its_hours_too() -> None:
    with patch.object(campaign, "run", lambda seed: (Outcome(seed=seed, simulated_s=10.0), 0.1)):
        tally = campaign._simulate(_InTurn(), 1, 150, 0.5, print)  # type: ignore[arg-type]
    assert (tally.seeds, tally.simulated_s) == (250, 2500.0)


class _InTurn:
    """A pool that has no processes."""

    imap_unordered = staticmethod(map)


def test_a_campaign_prints_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    few = {"0 of 0 complete": mutants.MUTANTS["0 of 0 complete"]}
    size = ["--seeds", "2", "--probes", "1", "--from", "3"]
    with patch.object(campaign, "MUTANTS", few):
        assert campaign.main([*size, "--jobs", "1"]) == 0
        assert "seeded bugs killed 1 of 1" in capsys.readouterr().out
        with patch.object(Probe, "strike", side_effect=Violation("a failure is told", "it was not")):
            assert campaign.main([*size, "--format", "json"]) == 1
    figures = json.loads(capsys.readouterr().out)
    assert figures["tally"]["seeds"] == 2
    assert len(figures["failed_probes"]) == len(FAILURES)
