"""Warm worker processes that answer queries: what a query does, or does not stop doing, stays in its process.

A query that takes too long, or that nobody waits for any more, is killed with its worker, and the worker is
replaced; one that brings its process down fails alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from types import TracebackType

import msgspec
import structlog

from gapless.model.errors import Busy, GaplessError, Unavailable
from gapless.query.engine import out_of_time
from gapless.query.frames import Answered, Failed, Ready, header, next_frame
from gapless.query.request import QueryRequest, QueryResult
from gapless.query.turns import Turn, Turns

_log = structlog.get_logger(__name__)

#: What an answer may have beside its rows.
_HEAD_BYTES_MAX = 16 << 20
_RESTART_PAUSE_S_MAX = 30.0

_answer_decoder: msgspec.json.Decoder[Answered | Failed] = msgspec.json.Decoder(Answered | Failed)


class _Worker:
    """One worker process, and the process of the query it runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        self._queries, self._answers = process.stdin, process.stdout

    @classmethod
    async def start(cls, start_s_max: float) -> _Worker:
        """A worker that is ready. Raises Unavailable if it does not become so."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "gapless.query.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=_environment(),
            cwd="/",
            start_new_session=True,
        )
        worker = cls(process)
        try:
            async with asyncio.timeout(start_s_max):
                ready = msgspec.json.decode(await next_frame(worker._answers, 1024), type=Ready)
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            await worker.stop()
            raise Unavailable("a query worker does not start: see its words on standard error") from error
        except BaseException:
            await worker.stop()
            raise
        _log.info("query_worker_ready", pid=process.pid, landlock_version=ready.landlock_version)
        return worker

    @property
    def runs(self) -> bool:
        """Whether the process has not ended; asked of the kernel, since the loop hears of it later."""
        try:
            ended = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return ended is None

    async def ask(self, request: QueryRequest) -> QueryResult | Failed:
        """Raises IncompleteReadError or ConnectionError if the worker ends before it answers."""
        frame = msgspec.json.encode(request)
        self._queries.writelines((header(frame), frame))
        await self._queries.drain()
        answer = _answer_decoder.decode(await next_frame(self._answers, _HEAD_BYTES_MAX))
        if isinstance(answer, Failed):
            return answer
        rows = await next_frame(self._answers, request.limits.result_bytes_max)
        return msgspec.structs.replace(answer.result, rows_json=msgspec.Raw(rows))

    async def stop(self) -> None:
        """Kill the worker with all that it started, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._queries.close()
        await self._process.wait()


class QueryPool:
    """``workers_max`` queries run at a time; ``waiting_max`` more wait, each up to ``waiting_s_max``.

    No tenant keeps others out (``gapless.query.turns``): when one that has no query running has waited
    ``yield_after_s``, the newest query of a tenant that has several is ended.

    A query that does not end by itself within its ``time_s_max`` is killed ``kill_grace_s`` later. Use it as
    an async context manager, or ``start`` and ``close`` it, in a loop that outlives its queries.
    """

    def __init__(
        self,
        *,
        workers_max: int = 2,
        waiting_max: int = 64,
        waiting_s_max: float = 10.0,
        yield_after_s: float = 1.0,
        kill_grace_s: float = 1.0,
        start_s_max: float = 30.0,
    ) -> None:
        self._workers_max = workers_max
        self._kill_grace_s = kill_grace_s
        self._start_s_max = start_s_max
        self._turns: Turns[_Worker] = Turns(
            waiting_max=waiting_max, waiting_s_max=waiting_s_max, yield_after_s=yield_after_s
        )
        self._alive: set[_Worker] = set()
        self._replacing: set[asyncio.Task[None]] = set()
        self._closed = True

    async def __aenter__(self) -> QueryPool:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Start all workers and wait until they are warm. Raises Unavailable if one cannot start."""
        self._closed = False
        starts = (self._add_worker() for _ in range(self._workers_max))
        try:
            failures = [f for f in await asyncio.gather(*starts, return_exceptions=True) if f is not None]
            if failures:
                raise failures[0]
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Kill all workers; queries under way fail as Unavailable."""
        self._closed = True
        for task in self._replacing:
            task.cancel()
        await asyncio.gather(*self._replacing, return_exceptions=True)
        await asyncio.gather(*(worker.stop() for worker in self._alive))
        self._alive.clear()
        self._turns.clear()

    async def run(self, request: QueryRequest, *, tenant: str = "") -> QueryResult:
        """Answer ``request`` of ``tenant``. Cancelling the call kills the query.

        Raises Refused (the text, or a limit it ran into), Busy (too many queries, or another tenant had
        none), Unavailable (the query's process ended, a file is gone: retry) and Corrupt (a data file is not
        readable).
        """
        turn, worker = await self._take_worker(tenant)
        try:
            async with asyncio.timeout(request.limits.time_s_max + self._kill_grace_s) as turn.deadline:
                answer = await worker.ask(request)
        except BaseException as error:
            self._turns.end(turn)
            self._replace(worker)
            if turn.wanted and isinstance(error, TimeoutError):
                raise Busy("another tenant needed this query's place: run it again", 1.0) from None
            raise self._explained(error, request) from None
        self._turns.end(turn)
        self._turns.offer(worker)
        if isinstance(answer, Failed):
            raise answer.error()
        return answer

    def _explained(self, error: BaseException, request: QueryRequest) -> BaseException:
        match error:
            case TimeoutError():
                return out_of_time(request)
            case asyncio.IncompleteReadError() | ConnectionError() if self._closed:
                return _not_running()
            case asyncio.IncompleteReadError() | ConnectionError() | msgspec.DecodeError():
                _log.warning("query_process_failed", error=str(error))
                return Unavailable(
                    "the query's process ended before it answered, perhaps for want of memory: "
                    "narrow --from and --to, then run it again"
                )
        return error

    async def _take_worker(self, tenant: str) -> tuple[Turn[_Worker], _Worker]:
        while True:
            if self._closed:
                raise _not_running()
            turn = await self._turns.take(tenant)
            worker = turn.place.result()
            if worker.runs:
                return turn, worker
            self._turns.end(turn)
            self._replace(worker)

    async def _add_worker(self) -> None:
        worker = await _Worker.start(self._start_s_max)
        if self._closed:
            await worker.stop()
            raise _not_running()
        self._alive.add(worker)
        self._turns.offer(worker)

    def _replace(self, worker: _Worker) -> None:
        if not self._closed:
            task = asyncio.create_task(self._replaced(worker))
            self._replacing.add(task)
            task.add_done_callback(self._replacing.discard)

    async def _replaced(self, worker: _Worker) -> None:
        await worker.stop()
        self._alive.discard(worker)
        pause_s = 0.1
        while True:
            try:
                return await self._add_worker()
            except (GaplessError, OSError) as error:
                _log.error("query_worker_does_not_start", error=str(error), retry_in_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _RESTART_PAUSE_S_MAX)


def _not_running() -> Unavailable:
    return Unavailable("the query service does not run now: run the query again when it is back")


def _environment() -> dict[str, str]:
    """A worker gets where Python's modules are, and none of the secrets that an environment may hold."""
    modules = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    # A worker forks: no library may have threads in it before.
    return {"PYTHONPATH": modules, "PYTHONUTF8": "1", "TZ": "UTC", "OPENBLAS_NUM_THREADS": "1"}
