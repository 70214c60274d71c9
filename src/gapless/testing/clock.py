"""Simulated time: one queue of what is to happen, and clocks that people set wrong."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

#: When every simulation begins: 2026-09-21 13:46:40 UTC.
START_US = 1_790_000_000_000_000

Action = Callable[[], None]


class Loop:
    """What is to happen, in order of time; what falls on the same microsecond, in an order that ``random``
    draws. Nothing here looks at a real clock."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._queue: list[tuple[int, float, int, Action]] = []
        self._count = 0
        self.now_us = START_US
        self.steps = 0

    @property
    def now_s(self) -> float:
        """Seconds since the beginning: a clock that never steps."""
        return (self.now_us - START_US) / 1e6

    def after(self, delay_us: int, action: Action) -> None:
        """Do ``action`` once ``delay_us`` have passed."""
        self._count += 1
        at_us = self.now_us + max(0, delay_us)
        heapq.heappush(self._queue, (at_us, self._random.random(), self._count, action))

    def run_until(self, end_us: int) -> None:
        """Do all that falls before ``end_us``; it is then that time."""
        while self._queue and self._queue[0][0] < end_us:
            self.now_us, _, _, action = heapq.heappop(self._queue)
            self.steps += 1
            action()
        self.now_us = end_us


class WallClock:
    """The time of day of one machine. It can be set to another, and it can stand still."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._offset_us = 0
        self._stands_at_us: int | None = None

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, as this machine believes."""
        return self._loop.now_us + self._offset_us if self._stands_at_us is None else self._stands_at_us

    def jump(self, by_us: int) -> None:
        """From now on it is wrong by so much more."""
        self._offset_us += by_us

    def freeze(self) -> None:
        """It stands still until ``set_right``."""
        self._stands_at_us = self.now_us()

    def set_right(self) -> None:
        """It goes, and shows the right time."""
        self._offset_us, self._stands_at_us = 0, None
