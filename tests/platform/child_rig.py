"""A child of a supervisor that does what a test wants: ``python -m child_rig PARENT KIND DIRECTORY``.

It leaves a file with its pid as its name in the directory, so that a test sees which were started. What goes
wrong goes wrong with the first alone, if its kind does not say ``each``.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from gapless.model.errors import Unavailable
from gapless.platform.children import say_ready, say_step
from gapless.process import GIVE_UP, die_with

STEP_S = 0.05
STEPS = 70  # for longer than a test lets a child stand still


def frozen() -> None:
    say_ready()
    say_step()
    os.kill(os.getpid(), signal.SIGSTOP)


def frozen_each() -> None:
    frozen()


def looping() -> None:
    say_ready()
    say_step()
    while True:
        pass


def noisy() -> None:
    """Says much, and none of it is a step."""
    say_ready()
    while True:
        os.write(1, b"warning: step\n" + b"stepstep" * 500)
        time.sleep(STEP_S)


def unready() -> None:
    """Does not get to its work, and does not listen."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _for_ever()


def slow_start() -> None:
    """Needs longer to begin than it may stand still later."""
    time.sleep(STEPS * STEP_S)
    well()


def failing() -> None:
    sys.exit(3)


def hopeless() -> None:
    sys.exit(GIVE_UP)


def well() -> None:
    say_ready()
    for _ in range(STEPS):
        time.sleep(STEP_S)
        say_step()


class Lake:
    """As the lake's process drives it: ``step`` in one thread, ``compact_one`` in another."""

    def __init__(self, step: Callable[[], None], compact_one: Callable[[], None]) -> None:
        self._step = step
        self._compact_one = compact_one

    def step(self, now_us: int) -> None:
        self._step()

    def compact_one(self, now_us: int) -> bool:
        self._compact_one()
        return True

    def check(self, now_us: int) -> None: ...
    def mend(self, now_us: int) -> None: ...
    def expire(self, now_us: int) -> None: ...
    def sweep(self, now_us: int) -> None: ...
    def close(self) -> None: ...


def _as_lake(
    step: Callable[[], None], compact_one: Callable[[], None], keeper_stalled_s: float = 60.0
) -> None:
    stop_signals = {signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals)
    from gapless.platform import lake_follower, lake_keeper

    lake_follower._RETRY_S = STEP_S
    lake_follower._STOP_S_MAX = 0.0
    say_ready()
    lake = cast(Any, Lake(step, compact_one))
    lake_follower.run(lake, stop_signals, lake_keeper.Steps(keeper_stalled_s))


def frozen_lake() -> None:
    """Its follower hangs, and compaction goes on."""
    _as_lake(step=_for_ever, compact_one=lambda: time.sleep(STEP_S))


def frozen_keeper() -> None:
    """Its follower goes on, and a compaction hangs for longer than any takes."""
    _as_lake(step=_refused, compact_one=_for_ever, keeper_stalled_s=STEP_S)


def _refused() -> None:
    raise Unavailable("the disk is full: make room")


def lake_without_disk() -> None:
    """Every step fails, one compaction does not end; it is told to stop in the end."""
    left = iter(range(STEPS))

    def refused() -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGTERM)
        _refused()

    _as_lake(step=refused, compact_one=_for_ever)


def _for_ever() -> None:
    while True:
        time.sleep(60)


KINDS = (
    frozen, frozen_each, looping, noisy, unready, slow_start, failing, hopeless, well, frozen_lake,
    frozen_keeper, lake_without_disk,
)  # fmt: skip


def main(parent_pid: str, kind: str, directory: str) -> None:
    die_with(int(parent_pid))
    earlier = list(Path(directory).iterdir())
    (Path(directory) / str(os.getpid())).touch()
    if not earlier or kind.endswith("_each"):
        {each.__name__: each for each in KINDS}[kind]()
    else:
        say_ready()


if __name__ == "__main__":
    main(*sys.argv[1:])
