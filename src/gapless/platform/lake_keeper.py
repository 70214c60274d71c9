"""Keeping the lake's house: checks of files, compaction, expiry, removal of what nobody reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from gapless import clock
from gapless.lake.commits import Fenced
from gapless.lake.lake import Lake
from gapless.model.errors import GaplessError
from gapless.platform.children import say_step
from gapless.watchdog import Watch

_log = structlog.get_logger("gapless.lake")

_IDLE_S = 2.0
_HELD_S_MAX = 30.0  # then it goes on until nothing is due, behind or not
_EXPIRY_EVERY_S = 600.0
#: One compaction may take long, and the keeper gets on with nothing else meanwhile: longer than the longest.
STALLED_S = 300.0


class Steps:
    """Tells the supervisor of the follower's steps, as long as the keeper gets on too."""

    def __init__(self, keeper_stalled_s: float = STALLED_S) -> None:
        self._watch = Watch(keeper_stalled_s)
        self._kept = 0

    def kept(self) -> None:
        """The keeper finished something. Called in its thread."""
        self._kept += 1

    def finished(self) -> None:
        """The follower did. Called from one thread at a time, about every second or more often."""
        if not self._watch.look(time.monotonic(), self._kept, has_work=True):
            say_step()


def keep(
    lake: Lake,
    stopping: threading.Event,
    behind: threading.Event,
    steps: Steps,
    read_upto: Callable[[], int] = lambda: 0,
) -> None:
    """Check files, compact what is due, expire what is old, remove what nobody reads, fold the postings that
    everybody has read (up to the id that ``read_upto`` says), until ``stopping``; what of it can wait is held
    back while ``behind``."""
    expire_at_s = held_until_s = 0.0
    while not stopping.is_set():
        compacted = False
        try:
            if not behind.is_set() or time.monotonic() >= held_until_s:
                compacted = lake.compact_one(clock.now_us()) is not None
                if time.monotonic() >= expire_at_s:
                    lake.expire(clock.now_us())
                    lake.sweep(clock.now_us())
                    _fold(lake, read_upto(), stopping, steps)
                    expire_at_s = time.monotonic() + _EXPIRY_EVERY_S
                if not compacted:
                    held_until_s = time.monotonic() + _HELD_S_MAX
            lake.check(clock.now_us())  # last: what it cannot look at keeps nothing else from being done
        except Fenced:
            return  # the other thread finds the same, and ends the process
        except GaplessError as error:
            _log.warning("keeping_waits", error=str(error))
        except Exception:
            _log.exception("keeping_failed")
        steps.kept()
        if not compacted:
            stopping.wait(_IDLE_S)


def _fold(lake: Lake, upto_id: int, stopping: threading.Event, steps: Steps) -> None:
    """A part at a time, with a pause after each as long as it took: the follower waits for none but one."""
    while upto_id and not stopping.is_set():
        began_s = time.monotonic()
        if not lake.fold_postings(upto_id):
            return
        steps.kept()
        stopping.wait(time.monotonic() - began_s)
