"""The command: what it prints, and how it ends."""

from __future__ import annotations

import pytest

from gapless.testing import sim
from gapless.testing.mutants import seeded


def test_a_good_run_prints_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert sim.main(["--seeds", "1", "--from", "3"]) == 0
    said = capsys.readouterr().out
    assert "seeds              1, 0 failed" in said
    assert "times real time" in said
    assert "faults  " in said


def test_a_failed_seed_is_named_with_its_trace_and_how_to_replay_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with seeded("acknowledge before fsync"):
        assert sim.main(["--seeds", "1", "--from", "3"]) == 1
    said = capsys.readouterr().out
    assert "host-0: starts" in said
    assert "seed 3 failed: receipt is durable" in said
    assert "python -m gapless.testing.sim --seeds 1 --from 3 --trace" in said
