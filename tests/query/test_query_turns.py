"""Turns: who has the fewest places is next, and nobody keeps others out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gapless.model.errors import Busy
from gapless.query.turns import Turn, Turns


def with_turns(work: Callable[[Turns[int]], Awaitable[None]], places: int = 2, **settings: Any) -> None:
    async def main() -> None:
        turns: Turns[int] = Turns(
            **{"waiting_max": 8, "waiting_s_max": 60.0, "yield_after_s": 60.0} | settings
        )
        for place in range(places):
            turns.offer(place)
        await work(turns)

    asyncio.run(main())


def waiting(turns: Turns[int], *tenants: str) -> list[asyncio.Task[Turn[int]]]:
    return [asyncio.create_task(turns.take(tenant)) for tenant in tenants]


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_free_place_goes_to_the_tenant_with_the_fewest_then_to_the_first() -> None:
    async def work(turns: Turns[int]) -> None:
        running = [await turns.take("a"), await turns.take("a")]
        tasks = waiting(turns, "a", "b", "c", "b")
        await settled()
        order = []
        for _ in tasks:
            turn = running.pop(0)
            turns.end(turn)
            turns.offer(turn.place.result())
            await settled()
            done = next(task for task in tasks if task.done() and task not in order)
            order.append(done)
            running.append(done.result())
        assert [task.result().tenant for task in order] == ["b", "a", "c", "b"]

    with_turns(work)


def test_one_tenant_takes_half_of_the_room_to_wait() -> None:
    async def work(turns: Turns[int]) -> None:
        tasks = waiting(turns, *"aaaaa", "b", "b")
        await settled()
        said = [task.done() and isinstance(task.exception(), Busy) for task in tasks]
        assert said == [False] * 4 + [True, False, False]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    with_turns(work, places=0)


def test_a_place_that_came_as_its_query_went_is_handed_on() -> None:
    async def work(turns: Turns[int]) -> None:
        first, second = waiting(turns, "a", "b")
        await settled()
        turns.offer(7)
        first.cancel()
        assert (await second).place.result() == 7
        assert first.cancelled()

    with_turns(work, places=0)


def test_only_who_has_several_gives_one_up_and_only_to_who_has_none() -> None:
    async def work(turns: Turns[int]) -> None:
        async def run(tenant: str) -> bool:
            turn = await turns.take(tenant)
            try:
                async with asyncio.timeout(60) as turn.deadline:
                    await asyncio.Event().wait()
            except TimeoutError:
                return turn.wanted
            finally:
                turns.end(turn)
                turns.offer(turn.place.result())
            return False

        first, second, another = (asyncio.create_task(run(tenant)) for tenant in "aab")
        assert await second and not first.done() and not another.done()
        # a and b have one each: they keep it, whoever waits.
        with pytest.raises(Busy):
            await turns.take("c")
        for task in (first, another):
            task.cancel()
        await asyncio.gather(first, another, return_exceptions=True)

    with_turns(work, yield_after_s=0.001, waiting_s_max=0.1)
