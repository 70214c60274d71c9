"""Recorded answers of another engine, where they are at hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = ROOT.parent / "shared" / "kql"


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference answers are not beside this checkout")
def test_recorded_answers() -> None:
    sys.path.insert(0, str(ROOT))
    from bench.kql import Tally, _attempt, _count, cases, compare_recorded

    tally = Tally()
    recorded = [case for case in cases(REFERENCE / "emulator_cases.jsonl") if case["Outcome"] == "Result"]
    for case in recorded[::10]:
        found = _attempt(tally, case["Kql"])
        if found is not None:
            _count(tally, case["Kql"], compare_recorded(case, found))
    assert tally.wrong == []
    assert tally.equal >= 0.85 * tally.total
