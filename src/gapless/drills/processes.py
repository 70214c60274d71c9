"""Processes of a drill: each ends with the drill, however that ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from pathlib import Path

from gapless.model.errors import Unavailable

_STOP_S_MAX = 10.0


class Process:
    """``python -m MODULE DRILL_PID ARGUMENTS``; what it says goes to the file ``log``."""

    def __init__(self, name: str, module: str, *arguments: str, log: Path) -> None:
        self.name = name
        self._command = (sys.executable, "-P", "-m", module, str(os.getpid()), *arguments)
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, timeout_s: float) -> str:
        """Start it; return the line with which it says that it is ready. Raises Unavailable if none comes."""
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the drill's: it stops its processes in order
            )
        self._process = process
        assert process.stdout is not None
        try:
            async with asyncio.timeout(timeout_s):
                line = await process.stdout.readline()
        except TimeoutError:
            raise Unavailable(f"{self.name} was not ready within {timeout_s:.0f} s{self._words()}") from None
        if not line:
            raise Unavailable(f"{self.name} ended before it was ready{self._words()}")
        return line.decode().strip()

    def check(self) -> None:
        """Raises Unavailable if it ended by itself."""
        if self._process is not None and self._process.returncode is not None:
            raise Unavailable(f"{self.name} ended with code {self._process.returncode}{self._words()}")

    def hang_up(self) -> None:
        """SIGHUP: read the configuration again."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        """End it: asked first, killed after ``_STOP_S_MAX`` seconds."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        except asyncio.CancelledError:
            process.kill()
            raise

    def _words(self) -> str:
        """The last that it said, for the message of an error."""
        with self._log.open(errors="replace") as log:
            last = deque(log, maxlen=3)
        return f"; its last words: {' / '.join(line.strip() for line in last)}" if last else ""
