"""Whose query runs next: places are few, and no tenant keeps another from having one.

A place that is free goes to the tenant that has the fewest, then to who waits the longest. A tenant may have
all places, for as long as nobody else wants one: then the query that it began last is ended, so that nobody
waits behind what one tenant does. No I/O.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from gapless.model.errors import Busy

P = TypeVar("P")


class Turn(Generic[P]):
    """A query's time in a place. What is to end with it runs within ``deadline``, from which TimeoutError
    comes early if the place is ``wanted`` by another tenant."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.place: asyncio.Future[P] = asyncio.get_running_loop().create_future()
        self.deadline: asyncio.Timeout | None = None
        self.wanted = False


class Turns(Generic[P]):
    """Hands out places. ``waiting_max`` queries wait, each up to ``waiting_s_max``; those of one tenant take
    no more room than they leave to others. A tenant that has no place waits ``yield_after_s``, then one that
    has several must give one up. Used from one event loop."""

    def __init__(self, *, waiting_max: int, waiting_s_max: float, yield_after_s: float) -> None:
        self._waiting_max = waiting_max
        self._waiting_s_max = waiting_s_max
        self._yield_after_s = yield_after_s
        self._free: deque[P] = deque()
        self._waiting: list[Turn[P]] = []
        self._running: list[Turn[P]] = []

    def offer(self, place: P) -> None:
        """A place is free."""
        self._free.append(place)
        self._hand_out()

    def clear(self) -> None:
        """There are no places any more."""
        self._free.clear()

    async def take(self, tenant: str) -> Turn[P]:
        """A turn, whose place is there. Raises Busy if there is none in time, or no room to wait."""
        if sum(turn.tenant == tenant for turn in self._waiting) >= self._waiting_max - len(self._waiting):
            raise _busy()
        turn: Turn[P] = Turn(tenant)
        self._waiting.append(turn)
        self._hand_out()
        wanting = asyncio.get_running_loop().call_later(self._yield_after_s, self._want, turn)
        try:
            async with asyncio.timeout(self._waiting_s_max):
                await turn.place
        except BaseException as error:
            self._give_back(turn)
            if isinstance(error, TimeoutError):
                raise _busy() from None
            raise
        finally:
            wanting.cancel()
        return turn

    def end(self, turn: Turn[P]) -> None:
        """A turn is over; its place is free only when it is offered again."""
        self._running.remove(turn)

    def _hand_out(self) -> None:
        while self._free:
            waiting = [turn for turn in self._waiting if not turn.place.done()]  # done: it is being cancelled
            if not waiting:
                return
            turn = min(waiting, key=lambda each: self._count(each.tenant))
            self._waiting.remove(turn)
            self._running.append(turn)
            turn.place.set_result(self._free.popleft())

    def _give_back(self, turn: Turn[P]) -> None:
        """Nobody waits for the turn any more, which perhaps got its place just now."""
        if turn in self._waiting:
            self._waiting.remove(turn)
        else:
            self.end(turn)
            self.offer(turn.place.result())

    def _want(self, turn: Turn[P]) -> None:
        """Have a tenant with several places give one up, if the turn's has none."""
        if turn not in self._waiting or self._count(turn.tenant):
            return
        over = [each for each in self._running if each.deadline and self._count(each.tenant) > 1]
        if over:
            newest = max(reversed(over), key=lambda each: self._count(each.tenant))
            assert newest.deadline is not None
            newest.wanted = True
            newest.deadline.reschedule(asyncio.get_running_loop().time())

    def _count(self, tenant: str) -> int:
        """The places that a tenant has and will keep."""
        return sum(turn.tenant == tenant and not turn.wanted for turn in self._running)


def _busy() -> Busy:
    return Busy("other queries run and wait: try again soon", retry_after_s=1.0)
