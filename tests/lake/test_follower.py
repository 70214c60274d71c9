"""When the lake's process compacts, and when it lets the journal go first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gapless.lake.writer import StepReport
from gapless.model.errors import Unavailable
from gapless.platform import lake_follower, lake_keeper

HELD_S = int(lake_keeper._HELD_S_MAX)


class House:
    """A lake that keeps house on a clock of its own, which runs while nothing is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, due: Callable[[float], bool], until_s: float) -> None:
        self.now_s = 0.0
        self.looked_s: list[float] = []
        self._due = due
        self._until_s = until_s
        clock = SimpleNamespace(monotonic=lambda: self.now_s, time_ns=lambda: int(self.now_s * 1e9))
        monkeypatch.setattr(lake_keeper, "time", clock)

    def compact_one(self, now_us: int) -> object | None:
        self.looked_s.append(self.now_s)
        self.now_s += 1.0
        return object() if self._due(self.now_s) else None

    def check(self, now_us: int) -> None: ...
    def expire(self, now_us: int) -> None: ...
    def sweep(self, now_us: int) -> None: ...

    def is_set(self) -> bool:
        return self.now_s >= self._until_s

    def wait(self, wait_s: float) -> None:
        self.now_s += wait_s

    def keep(self, behind: threading.Event) -> None:
        lake_keeper.keep(cast(Any, self), cast(Any, self), behind, lake_keeper.Steps())


@pytest.fixture
def behind() -> threading.Event:
    return threading.Event()


def test_compaction_goes_on_while_the_lake_keeps_up(
    monkeypatch: pytest.MonkeyPatch, behind: threading.Event
) -> None:
    house = House(monkeypatch, lambda now_s: True, until_s=20)
    house.keep(behind)
    assert house.looked_s == list(range(20))


def test_while_the_lake_is_behind_compaction_waits_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, behind: threading.Event
) -> None:
    """Nothing is due at first; then always. Once it went on it is not held back before nothing is due."""
    behind.set()
    house = House(monkeypatch, lambda now_s: now_s > 1, until_s=100)
    house.keep(behind)
    first, second, *others = house.looked_s
    assert first == 0 and HELD_S <= second <= HELD_S + 4
    assert others == [second + number for number in range(1, len(others) + 1)] and others[-1] == 99


def test_nothing_due_lets_the_journal_go_first_again(
    monkeypatch: pytest.MonkeyPatch, behind: threading.Event
) -> None:
    behind.set()
    house = House(monkeypatch, lambda now_s: False, until_s=4 * HELD_S)
    house.keep(behind)
    assert 3 <= len(house.looked_s) <= 4


def test_the_follower_tells_whether_it_is_behind(behind: threading.Event) -> None:
    answers = iter([StepReport(9, entries=1, more=True), StepReport(9, entries=1), StepReport(9)])
    lake = cast(Any, SimpleNamespace(step=lambda now_us: next(answers), mend=lambda now_us: None))
    assert lake_follower.step(lake, behind, 0) == 0.0 and behind.is_set()
    assert lake_follower.step(lake, behind, 0) == 0.0 and not behind.is_set()
    behind.set()
    assert lake_follower.step(lake, behind, 0) > 0.0 and not behind.is_set()


def test_a_lake_that_cannot_go_on_holds_no_compaction_back(behind: threading.Event) -> None:
    """It may be for want of room, which compaction makes."""

    def refuse(now_us: int) -> StepReport:
        raise Unavailable("the disk is full: make room")

    behind.set()
    assert lake_follower.step(cast(Any, SimpleNamespace(step=refuse)), behind, 0) > 0.0
    assert not behind.is_set()


def test_a_check_that_is_refused_keeps_no_compaction_from_being_done(
    monkeypatch: pytest.MonkeyPatch, behind: threading.Event
) -> None:
    house = House(monkeypatch, lambda now_s: True, until_s=9)

    def refuse(now_us: int) -> None:
        raise Unavailable("a file may not be read: see to its permissions")

    monkeypatch.setattr(house, "check", refuse)
    house.keep(behind)
    assert house.looked_s == list(range(9))
