"""The time left until the spool is full."""

from __future__ import annotations

import pytest

from gapless.agent.claims import Filling


def test_what_grows_fills_at_its_rate() -> None:
    filling = Filling()
    assert filling.full_in_s(0, 0, 1000) is None
    assert filling.full_in_s(2_000_000, 100, 900) == pytest.approx(18)
    assert filling.full_in_s(4_000_000, 100, 900) == pytest.approx(36)


def test_what_shrinks_or_stands_does_not_fill() -> None:
    filling = Filling()
    filling.full_in_s(0, 100, 900)
    assert filling.full_in_s(2_000_000, 100, 900) is None
    assert filling.full_in_s(4_000_000, 50, 950) is None


def test_what_is_a_year_away_is_not_filling() -> None:
    filling = Filling()
    filling.full_in_s(0, 0, 10**12)
    assert filling.full_in_s(2_000_000, 100, 10**12) is None


def test_only_the_last_half_minute_counts() -> None:
    filling = Filling(window_s=30)
    for second in range(0, 62, 2):
        left = filling.full_in_s(second * 1_000_000, 1000 if second else 0, 500)
    assert left is None


def test_a_full_spool_is_full_now_and_a_clock_that_steps_back_begins_anew() -> None:
    filling = Filling()
    filling.full_in_s(10_000_000, 0, 100)
    assert filling.full_in_s(12_000_000, 100, 0) == 0
    assert filling.full_in_s(1_000_000, 200, 0) is None
