"""What may be under way at once, and that nobody takes all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gapless.gateway.budget import Budget
from gapless.gateway.settings import GatewaySettings
from gapless.model.errors import Busy
from waiting import until

from .support import STREAM, Agent, batch, body, platform

holders = st.sampled_from([(), ("tenant a", "token 1"), ("tenant a", "token 2"), ("tenant b", "token 3")])


@given(st.lists(st.tuples(holders, st.integers(1, 60)), max_size=30))
def test_nobody_holds_more_than_its_share_and_all_of_it_is_given_back(
    wanted: list[tuple[tuple[str, ...], int]],
) -> None:
    budget = Budget("things", count_max=8, bytes_max=100)
    with ExitStack() as holding:
        held: list[tuple[tuple[str, ...], int]] = []
        for by, size in wanted:
            try:
                holding.enter_context(budget.hold(1, size, by=by))
                held.append((by, size))
            except Busy:
                pass
            for name, most in (("tenant a", 2), ("token 1", 4), ("token 2", 4), ("token 3", 4)):
                mine = [size for by, size in held if name in by]
                assert len(mine) <= 1 or (len(mine) <= 8 // most and sum(mine) <= 100 // most)
        assert budget.count == len(held) <= 8 and budget.bytes == sum(size for _, size in held) <= 100
    assert (budget.count, budget.bytes, budget._shares) == (0, 0, {})


def test_who_sends_slowly_keeps_neither_other_tokens_nor_other_tenants_out(tmp_path: Path) -> None:
    """A body that is announced and does not come holds its place until its time is over."""
    bounds = GatewaySettings(requests_in_flight_max=8, claims_in_flight_max=8)
    forever = asyncio.Event()
    with platform(tmp_path, settings=bounds) as running:
        slow, sibling = running.token("contoso", "ingest"), running.token("contoso", "ingest")

        async def slowly() -> AsyncIterator[bytes]:
            await forever.wait()
            yield b""

        paths = 2 * ["/v1/batches", "/v1/claims"]
        stuck = [running.start("POST", path, content=slowly(), headers=slow) for path in paths]
        until(lambda: running.gateway.batches_budget.count == running.gateway.claims_budget.count == 2)
        sent = running.post("/v1/batches", content=body(batch(0, 1)), headers=slow)
        assert sent.status_code == 429 and "of this token" in sent.json()["error"]["text"]
        assert running.post("/v1/batches", content=body(batch(0, 1)), headers=sibling).status_code == 200
        assert running.claim(Agent().claims("0" * 32, stream=STREAM), sibling).status_code == 200
        running.portal.call(forever.set)
        assert [each.result(30).status_code for each in stuck] == 2 * [200, 400]
