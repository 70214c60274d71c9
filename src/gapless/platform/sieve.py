"""The transforms of data collection rules, in a process of their own (``gapless.platform.sieve_process``).

A record that is kept goes on as its client sent it; one that is not is journaled, and counted as filtered. So
nothing is lost by a transform, whatever it does. One that fails, or takes too long, keeps all records: they
are in the table, and the log says why.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from threading import Timer

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray

from gapless.model.errors import GaplessError, Refused, Unavailable
from gapless.model.rule import Effect, RuleStream
from gapless.model.stream import StreamKey
from gapless.platform.sieve_engine import SieveAnswer, SieveRequest
from gapless.query.frames import header, read_frame

_log = structlog.get_logger("gapless.platform")


class SieveProcess:
    """``gapless.gateway.ports.Sieve``. Used from one thread, which must outlive it.

    A transform that has no answer within ``answer_s_max`` is killed with the process, and is not run again
    for the records of that key for ``pause_s``: so one rule holds up the others for so long at the most, and
    not all the time.
    """

    def __init__(
        self, *, answer_s_max: float = 3.0, start_s_max: float = 30.0, pause_s: float = 60.0
    ) -> None:
        self._answer_s_max = answer_s_max
        self._start_s_max = start_s_max
        self._pause_s = pause_s
        self._process: subprocess.Popen[bytes] | None = None
        self._paused_until_s: dict[StreamKey, float] = {}

    def check(self, stream: RuleStream) -> Effect:
        """What a transform does. Raises Refused for one that is no KQL or not supported, and Unavailable if
        that cannot be found out now."""
        return self._ask(SieveRequest(stream, b"", time.time_ns() // 1000)).effect

    def kept(self, key: StreamKey, stream: RuleStream, lines: bytes, received_us: int) -> NDArray[np.bool_]:
        """Which of the records the transform keeps: all that are no rows, and all of them if it fails."""
        count = lines.count(b"\n")
        now_s = time.monotonic()
        self._paused_until_s = {each: at_s for each, at_s in self._paused_until_s.items() if at_s > now_s}
        if key not in self._paused_until_s:
            try:
                answer = self._ask(SieveRequest(stream, lines, received_us))
                return np.unpackbits(np.frombuffer(answer.kept, np.uint8), count=count).astype(np.bool_)
            except GaplessError as error:
                _log.warning("transform_failed", tenant=key.tenant, source=key.source, error=str(error))
                if isinstance(error, Unavailable):
                    self._paused_until_s[key] = time.monotonic() + self._pause_s
        return np.ones(count, np.bool_)

    def close(self) -> None:
        """End the process. It is started again when it is asked."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _ask(self, request: SieveRequest) -> SieveAnswer:
        process = self._running()
        payload = msgspec.msgpack.encode(request)
        with self._killing(process, self._answer_s_max):
            assert process.stdin is not None
            process.stdin.write(header(payload) + payload)
            process.stdin.flush()
            answer = msgspec.msgpack.decode(_answered(process), type=SieveAnswer)
        if answer.refused:
            raise Refused(answer.refused)
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            process = self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "gapless.platform.sieve_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={"PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path if path)},
                cwd="/",
            )
            with self._killing(process, self._start_s_max):
                _answered(process)
        return self._process

    @contextlib.contextmanager
    def _killing(self, process: subprocess.Popen[bytes], after_s: float) -> Iterator[None]:
        """Kill the process if the block takes longer. Raises Unavailable if it ended, of that or by
        itself."""
        timer = Timer(after_s, process.kill)
        timer.start()
        try:
            yield
        except (OSError, EOFError, ValueError, msgspec.MsgspecError) as error:
            self.close()
            raise Unavailable(
                f"the transform was not run: it took longer than {after_s:g} s or too much memory"
            ) from error
        finally:
            timer.cancel()


def _answered(process: subprocess.Popen[bytes]) -> bytes:
    """Raises EOFError if the process ended."""
    assert process.stdout is not None
    frame = read_frame(process.stdout)
    if frame is None:
        raise EOFError
    return frame
