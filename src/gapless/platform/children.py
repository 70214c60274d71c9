"""Processes of the platform: each dies with the supervisor, is started again when it dies alone, and is
killed and replaced when it stands still.

Liveness is progress: a child says on its standard output when it does its work, and then each time that it
finished a step. What a step is, and when a child that has nothing to do says it too, is the child's to know.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
from collections.abc import Sequence
from typing import NamedTuple

import structlog

from gapless.model.errors import Unavailable
from gapless.process import GIVE_UP
from gapless.watchdog import Backoff, Watch

_log = structlog.get_logger("gapless.platform")

#: After how long without a finished step a child is replaced.
STALLED_S = 15.0

_READY, _STEP = b"ready", b"step"
_STDOUT = 1
_READ_BYTES = 4096
_LINE_BYTES_MAX = 16
_LOOK_EVERY_S = 0.5
_STOP_S_MAX = 15.0
#: Opening a large journal or its books takes time: how many times as long a child has until it is ready.
_STARTING = 20
#: Who stands still again so soon after having been replaced may only be slow, and a watchdog must not keep
#: it from ever finishing a step: each time it is given twice as long, up to so many times as long.
_AGAIN_S, _PATIENCE_MAX = 600.0, 8


def say_ready() -> None:
    """Tell the supervisor that this process does its work."""
    _say(_READY)


def say_step() -> None:
    """Tell the supervisor that a step was finished; one that failed and is tried again counts too. Not to be
    called from two threads at once."""
    _say(_STEP)


def _say(word: bytes) -> None:
    """Never waits for the supervisor: a word that does not fit into the pipe is lost."""
    # Asked rather than made non-blocking: that would hold for a terminal too, and for whoever shares it.
    poll = select.poll()
    poll.register(_STDOUT, select.POLLOUT)
    if any(event & select.POLLOUT for _, event in poll.poll(0)):
        with contextlib.suppress(OSError):  # it is gone, and the kernel ends us
            os.write(_STDOUT, word + b"\n")


class _Heard:
    """What a child said so far. Lines that are none of ours count as nothing, however long they are."""

    def __init__(self) -> None:
        self.ready = False
        self.steps = 0
        self._rest = b""

    def hear(self, said: bytes) -> None:
        *lines, rest = (self._rest + said).split(b"\n")
        self._rest = rest[:_LINE_BYTES_MAX]
        self.ready = self.ready or _READY in lines
        self.steps += lines.count(_STEP)


class _End(NamedTuple):
    """How a process ended: its exit code, and whether it was killed because it stood still."""

    code: int
    stalled: bool


class Child:
    """A process of ``module``, kept running; ``arguments`` come after the supervisor's pid. It is replaced
    when it finished no step for ``stalled_s``; until it is ready, it has ``_STARTING`` times as long."""

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        fds: Sequence[int] = (),
        *,
        stalled_s: float = STALLED_S,
    ) -> None:
        self.name = name
        self._command = (sys.executable, "-P", "-m", module, str(os.getpid()), *arguments)
        self._fds = tuple(fds)
        self._stalled_s = stalled_s
        self.ready = asyncio.Event()

    async def keep(self) -> None:
        """Run it for ever. Cancelling stops it cleanly. Raises Unavailable if it gives up before it was
        ever ready."""
        loop = asyncio.get_running_loop()
        pauses = Backoff()
        patience = Backoff(min_s=self._stalled_s, max_s=_PATIENCE_MAX * self._stalled_s, healthy_s=_AGAIN_S)
        allowed_s = self._stalled_s
        while True:
            started_s = loop.time()
            end = await self._run_once(allowed_s)
            if end.code == GIVE_UP and not self.ready.is_set():
                raise Unavailable(f"the {self.name} cannot start: mend what it says above, then start again")
            lived_s = loop.time() - started_s
            allowed_s = patience.ended(lived_s) if end.stalled else self._stalled_s
            pause_s = pauses.ended(lived_s)
            _log.warning("child_ended", child=self.name, code=end.code, restart_in_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _run_once(self, allowed_s: float) -> _End:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=self._fds,
            start_new_session=True,  # Ctrl-C is the supervisor's: it stops its children in order
        )
        assert process.stdout is not None
        heard = _Heard()
        listening = asyncio.create_task(self._listen(process.stdout, heard))
        ended = asyncio.create_task(process.wait())
        try:
            stalled = await self._watch(process.pid, heard, ended, allowed_s)
            if stalled:
                process.kill()  # also one that is stopped; the kernel ends it as soon as its disk lets go
            return _End(await ended, stalled)
        finally:
            await _stop(process)
            listening.cancel()
            await asyncio.gather(listening, ended, return_exceptions=True)

    async def _listen(self, stdout: asyncio.StreamReader, heard: _Heard) -> None:
        """Take in what it says until its end."""
        while said := await stdout.read(_READ_BYTES):
            heard.hear(said)
            if heard.ready:
                self.ready.set()

    async def _watch(self, pid: int, heard: _Heard, ended: asyncio.Task[int], allowed_s: float) -> bool:
        """Until it ended, or stands still (True)."""
        loop = asyncio.get_running_loop()
        was_ready = False
        watch = Watch(_STARTING * allowed_s)
        while not ended.done():
            if heard.ready and not was_ready:
                was_ready = True
                watch = Watch(allowed_s)
            if watch.look(loop.time(), heard.steps, has_work=True):
                what = "finished nothing" if was_ready else "did not become ready"
                why = f"it {what} for {watch.stood_still_s:.0f} s"
                _log.error("child_stalled", child=self.name, pid=pid, why=why)
                return True
            await asyncio.wait((ended,), timeout=_LOOK_EVERY_S)
        return False


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
