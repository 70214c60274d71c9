"""The work of the lake's process, until it is told to stop.

One thread follows the journal, another compacts and expires, so that neither waits for the other. What the
supervisor is told of is the first alone: a step finished or failed, with something to do or without, and in a
long step each decoded piece. So no compaction, however long, gets it killed, and none hides that it hangs.

While the journal is ahead of the lake by more than a step, compaction is put off: the cores are better used
for records that no query sees yet. But not for long, because files that are many make queries slow.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Set
from typing import Any

import structlog

from gapless import clock
from gapless.lake.commits import Fenced
from gapless.lake.decode import Decoded, Decoder
from gapless.lake.lake import Lake
from gapless.log.disk import OsDisk
from gapless.log.reader import LogReader
from gapless.model.errors import GaplessError, Unavailable
from gapless.platform.children import say_ready, say_step
from gapless.platform.layout import journal_directory, lake_directory

_log = structlog.get_logger("gapless.lake")

_IDLE_S = 0.25
_RETRY_S = 1.0
_COMPACTION_IDLE_S = 2.0
_COMPACTION_HELD_S_MAX = 30.0  # then it goes on until nothing is due, behind or not
_EXPIRY_EVERY_S = 600.0
_STOP_S_MAX = 10.0


def follow(directory: str, stop_signals: Set[signal.Signals]) -> None:
    """Keep the lake of the data directory until one of ``stop_signals``, which every thread must block.

    Raises what the lake raises when to go on makes no sense, or when it cannot be opened."""
    reader = LogReader(OsDisk(), journal_directory(directory))
    lake = Lake(lake_directory(directory), reader, decoder=_TellingDecoder())
    say_ready()
    run(lake, stop_signals)


class _TellingDecoder:
    """Tells of every piece, decoded or not: a step over many may take longer than one may stand still.

    It is the lake's own thread that tells, but only within a step, when the follower tells nothing itself."""

    def __init__(self) -> None:
        self._decoder = Decoder()

    def decode(self, *arguments: Any, **options: Any) -> Decoded:
        try:
            return self._decoder.decode(*arguments, **options)
        finally:
            say_step()


def run(lake: Lake, stop_signals: Set[signal.Signals]) -> None:
    """Step, and keep house beside it, until told to stop."""
    stopping, behind = threading.Event(), threading.Event()
    keeper = threading.Thread(target=_keep, args=(lake, stopping, behind), name="compaction", daemon=True)
    keeper.start()
    try:
        wait_s = 0.0
        while signal.sigtimedwait(stop_signals, wait_s) is None:
            wait_s = _step(lake, behind)
            say_step()
    finally:
        stopping.set()
        keeper.join(_STOP_S_MAX)
    lake.close()


def _step(lake: Lake, behind: threading.Event) -> float:
    """Take in what there is, and tell whether there is more; return for how many seconds to wait."""
    try:
        report = lake.step(clock.now_us())
    except Fenced:
        raise
    except Unavailable as error:
        _log.warning("lake_waits", error=str(error))
        behind.clear()
        return _RETRY_S
    if report.more:
        behind.set()
    else:
        behind.clear()
    return 0.0 if report.entries else _IDLE_S


def _keep(lake: Lake, stopping: threading.Event, behind: threading.Event) -> None:
    """Compact what is due, expire what is old, remove what nobody reads, until ``stopping``; what of it can
    wait is held back while ``behind``."""
    expire_at_s = held_until_s = 0.0
    while not stopping.is_set():
        if behind.is_set() and time.monotonic() < held_until_s:
            stopping.wait(_COMPACTION_IDLE_S)
            continue
        try:
            compacted = lake.compact_one(clock.now_us()) is not None
            if time.monotonic() >= expire_at_s:
                lake.expire(clock.now_us())
                lake.sweep(clock.now_us())
                expire_at_s = time.monotonic() + _EXPIRY_EVERY_S
        except Fenced:
            return  # the other thread finds the same, and ends the process
        except GaplessError as error:
            _log.warning("compaction_waits", error=str(error))
            compacted = False
        except Exception:
            _log.exception("compaction_failed")
            compacted = False
        if not compacted:
            held_until_s = time.monotonic() + _COMPACTION_HELD_S_MAX
            stopping.wait(_COMPACTION_IDLE_S)
