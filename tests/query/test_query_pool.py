"""Queries in processes of their own: killed in time, alone in their failures, gone when nobody waits."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from query_lake import ALERTS, SECRET

from gapless.model.errors import Busy, Refused, Unavailable
from gapless.query.pool import QueryPool
from gapless.query.request import QueryRequest, TableFiles

RequestFor = Callable[..., QueryRequest]

#: One step of the engine's that takes minutes, and does not look at the clock or at an interruption.
ENDLESS = "SELECT levenshtein(repeat('a', 400000), repeat('b', 400000))"

_WAIT_S_MAX = 20.0


def with_pool(work: Callable[[QueryPool], Awaitable[None]], **settings: Any) -> None:
    """Run ``work`` with a pool of one worker, and see that nothing of it stays behind."""

    async def main() -> None:
        async with QueryPool(**{"workers_max": 1} | settings) as pool:
            sessions = {worker for worker, _ in workers()}
            await work(pool)
            sessions |= {worker for worker, _ in workers()}
        assert sessions
        await until(lambda: gone(sessions))

    asyncio.run(main())


def processes() -> Iterator[tuple[int, int, int]]:
    """All running processes: pid, parent's pid, session."""
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                status = (directory / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            state, parent, _, session, *_ = status.rpartition(")")[2].split()
            if state != "Z":
                yield int(directory.name), int(parent), int(session)


def gone(sessions: set[int]) -> bool:
    """Whether no process of these workers, nor of their queries, is left."""
    return not [pid for pid, _, session in processes() if session in sessions]


def workers(parent: int | None = None) -> list[tuple[int, list[int]]]:
    """The worker processes of ``parent`` (this process by default), and the query processes of each."""
    everything = list(processes())
    found = [pid for pid, above, session in everything if above == (parent or os.getpid()) and session == pid]
    return [(worker, [pid for pid, above, _ in everything if above == worker]) for worker in found]


async def until(condition: Callable[[], Any]) -> Any:
    """Wait until ``condition`` holds, and return what it said."""
    deadline = time.monotonic() + _WAIT_S_MAX
    while not (met := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)
    return met


async def query_process() -> int:
    """The process of the query that runs."""
    ((query,),) = await until(lambda: [queries for _, queries in workers() if queries])
    return int(query)


def test_queries_are_answered(request_for: RequestFor) -> None:
    async def work(pool: QueryPool) -> None:
        answer = await pool.run(request_for("SELECT count(*), max(TimeGenerated) FROM Events"))
        assert answer.rows == [[300, "2024-09-01T00:04:59.000000Z"]]
        assert answer.scanned_files == 3
        with pytest.raises(Refused, match="there is no table"):
            await pool.run(request_for("SELECT * FROM '/etc/passwd'"))
        assert (await pool.run(request_for("SELECT * FROM Alerts"))).rows == []

    with_pool(work)


def test_queries_run_beside_each_other(request_for: RequestFor) -> None:
    async def work(pool: QueryPool) -> None:
        requests = [request_for(f"SELECT {number} + count(*) FROM Events") for number in range(12)]
        answers = await asyncio.gather(*map(pool.run, requests))
        assert [answer.rows for answer in answers] == [[[300 + number]] for number in range(12)]

    with_pool(work, workers_max=2)


def test_each_query_has_a_process_and_chance_of_its_own(request_for: RequestFor) -> None:
    async def work(pool: QueryPool) -> None:
        request = request_for("SELECT random(), uuid()")
        drawn = [(await pool.run(request)).rows[0] for _ in range(3)]
        assert len({number for number, _ in drawn}) == len({name for _, name in drawn}) == 3

    with_pool(work)


@pytest.mark.parametrize(
    "text",
    [ENDLESS, "WITH RECURSIVE b(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM b) SELECT count(*) FROM b"],
)
def test_a_query_that_takes_too_long_is_stopped(request_for: RequestFor, text: str) -> None:
    async def work(pool: QueryPool) -> None:
        with pytest.raises(Refused, match=r"longer than 0\.2 s"):
            await pool.run(request_for(text, time_s_max=0.2))
        assert (await pool.run(request_for("SELECT 1"))).rows == [[1]]

    with_pool(work, kill_grace_s=0.2)


def test_cancelling_kills_the_query(request_for: RequestFor) -> None:
    async def work(pool: QueryPool) -> None:
        running = asyncio.create_task(pool.run(request_for(ENDLESS)))
        query = await query_process()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: query not in {pid for pid, _, _ in processes()})
        assert (await pool.run(request_for("SELECT 1"))).rows == [[1]]

    with_pool(work)


@pytest.mark.parametrize("by", [signal.SIGSEGV, signal.SIGKILL])
def test_a_query_that_crashes_fails_alone(request_for: RequestFor, by: signal.Signals) -> None:
    async def work(pool: QueryPool) -> None:
        running = asyncio.create_task(pool.run(request_for(ENDLESS)))
        waiting = [asyncio.create_task(pool.run(request_for("SELECT 1"))) for _ in range(3)]
        os.kill(await query_process(), by)
        with pytest.raises(Unavailable, match="ended before it answered"):
            await running
        assert [(await answer).rows for answer in waiting] == [[[1]]] * 3

    with_pool(work)


def test_a_worker_that_dies_idle_harms_no_query(request_for: RequestFor) -> None:
    async def work(pool: QueryPool) -> None:
        ((worker, _),) = workers()
        os.kill(worker, signal.SIGKILL)
        await until(lambda: worker not in {pid for pid, _, _ in processes()})
        assert (await pool.run(request_for("SELECT 1"))).rows == [[1]]

    with_pool(work)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT repeat('x', 2000000000)",
        "SELECT list_sum(list_transform(range(300000000), lambda x: x * 2))",
        "SELECT string_agg(repeat('x', 1000000), '') FROM range(100000)",
        "SELECT list(range) FROM range(1000000000)",
    ],
)
def test_a_query_that_takes_too_much_memory_is_refused(request_for: RequestFor, text: str) -> None:
    async def work(pool: QueryPool) -> None:
        with pytest.raises((Refused, Unavailable), match="memory"):
            await pool.run(request_for(text, memory_bytes_max=64 << 20))
        assert (await pool.run(request_for("SELECT 1"))).rows == [[1]]

    with_pool(work)


def test_large_answers_come_whole(request_for: RequestFor) -> None:
    async def work(pool: QueryPool) -> None:
        text = "SELECT repeat('x', 10000) FROM range(3000)"
        answer = await pool.run(request_for(text, memory_bytes_max=128 << 20))
        assert (len(answer.rows), answer.truncated) == (3000, False)
        cut = await pool.run(
            request_for("SELECT repeat('x', 10000) FROM range(500)", result_bytes_max=99_999)
        )
        assert (len(cut.rows), cut.truncated) == (9, True)

    with_pool(work)


def test_beyond_the_waiting_room_queries_are_turned_away(request_for: RequestFor) -> None:
    async def work(pool: QueryPool) -> None:
        running = asyncio.create_task(pool.run(request_for(ENDLESS)))
        await query_process()
        waiting = asyncio.create_task(pool.run(request_for("SELECT 1")))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await pool.run(request_for("SELECT 2"))
        running.cancel()
        assert (await waiting).rows == [[1]]

    with_pool(work, waiting_max=1)


def test_a_query_waits_for_so_long_and_no_longer(request_for: RequestFor) -> None:
    async def work(pool: QueryPool) -> None:
        running = asyncio.create_task(pool.run(request_for(ENDLESS)))
        await query_process()
        with pytest.raises(Busy):
            await pool.run(request_for("SELECT 2"))
        running.cancel()

    with_pool(work, waiting_s_max=0.05)


def test_a_tenant_that_has_all_workers_gives_one_up_to_another(request_for: RequestFor) -> None:
    async def work(pool: QueryPool) -> None:
        first = asyncio.create_task(pool.run(request_for(ENDLESS), tenant="contoso"))
        await query_process()
        second = asyncio.create_task(pool.run(request_for(ENDLESS), tenant="contoso"))
        await until(lambda: all(queries for _, queries in workers()))
        queued = asyncio.create_task(pool.run(request_for("SELECT 1"), tenant="contoso"))
        answer = await pool.run(request_for("SELECT 2"), tenant="fabrikam")
        assert answer.rows == [[2]]
        with pytest.raises(Busy, match="another tenant"):
            await second
        assert not first.done()
        assert (await queued).rows == [[1]]  # nobody else wants the worker now
        first.cancel()

    with_pool(work, workers_max=2, waiting_s_max=_WAIT_S_MAX, yield_after_s=0.05)


def test_closing_ends_what_runs(request_for: RequestFor) -> None:
    async def work(pool: QueryPool) -> None:
        running = asyncio.create_task(pool.run(request_for(ENDLESS)))
        await query_process()
        await pool.close()
        with pytest.raises(Unavailable, match="does not run now"):
            await running
        with pytest.raises(Unavailable, match="does not run now"):
            await pool.run(request_for("SELECT 1"))

    with_pool(work)


def test_a_file_that_is_gone_means_to_try_again(request_for: RequestFor, tmp_path: Path) -> None:
    async def work(pool: QueryPool) -> None:
        gone = (TableFiles(ALERTS, (str(tmp_path / "gone.parquet"),)),)
        with pytest.raises(Unavailable, match="run it again"):
            await pool.run(request_for("SELECT * FROM Alerts", tables=gone))

    with_pool(work)


def test_workers_know_nothing_of_the_environment(
    request_for: RequestFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAPLESS_TOKEN", SECRET)

    async def work(pool: QueryPool) -> None:
        ((worker, _),) = workers()
        assert SECRET.encode() not in Path(f"/proc/{worker}/environ").read_bytes()

    with_pool(work)


def test_workers_and_queries_die_with_their_parent(tables: tuple[TableFiles, ...]) -> None:
    script = f"""
        import asyncio
        from gapless.query.pool import QueryPool
        from gapless.query.request import QueryRequest
        async def main():
            async with QueryPool(workers_max=2) as pool:
                await pool.run(QueryRequest(text={ENDLESS!r}, language="sql", tables=()))
        asyncio.run(main())
    """

    async def main() -> None:
        parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.DEVNULL)
        try:
            await until(lambda: [queries for _, queries in workers(parent.pid) if queries])
            sessions = {worker for worker, _ in workers(parent.pid)}
        finally:
            parent.kill()
            parent.wait()
        await until(lambda: gone(sessions))

    asyncio.run(main())
