"""Processes of the platform: each dies with the supervisor, and is started again when it dies alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence

import structlog

from gapless.model.errors import Unavailable
from gapless.process import GIVE_UP

_log = structlog.get_logger("gapless.platform")

#: What a child prints, alone, once it does its work.
READY = b"ready\n"

_PAUSE_S_MIN, _PAUSE_S_MAX = 0.1, 10.0
_STOP_S_MAX = 15.0


def say_ready() -> None:
    """Tell the supervisor that this process does its work."""
    os.write(1, READY)


class Child:
    """A process of ``module``, kept running; ``arguments`` come after the supervisor's pid."""

    def __init__(self, name: str, module: str, arguments: Sequence[str], fds: Sequence[int] = ()) -> None:
        self.name = name
        self._command = (sys.executable, "-P", "-m", module, str(os.getpid()), *arguments)
        self._fds = tuple(fds)
        self.ready = asyncio.Event()

    async def keep(self) -> None:
        """Run it for ever. Cancelling stops it cleanly. Raises Unavailable if it gives up before it was
        ever ready."""
        loop = asyncio.get_running_loop()
        pause_s = _PAUSE_S_MIN
        while True:
            started_s = loop.time()
            code = await self._run_once()
            if code == GIVE_UP and not self.ready.is_set():
                raise Unavailable(f"the {self.name} cannot start: mend what it says above, then start again")
            lived_s = loop.time() - started_s
            pause_s = _PAUSE_S_MIN if lived_s > _PAUSE_S_MAX else min(pause_s * 2, _PAUSE_S_MAX)
            _log.warning("child_ended", child=self.name, code=code, restart_in_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _run_once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=self._fds,
            start_new_session=True,  # Ctrl-C is the supervisor's: it stops its children in order
        )
        assert process.stdout is not None
        try:
            if await process.stdout.readline() == READY:
                self.ready.set()
            return await process.wait()
        finally:
            await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """End a process: asked first, killed after ``_STOP_S_MAX`` seconds."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_S_MAX)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
