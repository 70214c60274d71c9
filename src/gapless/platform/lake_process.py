"""The process that folds the journal into tables. Arguments: the supervisor's pid, the data directory.

One thread follows the journal, another compacts and expires, so that neither waits for the other.
"""

from __future__ import annotations

import signal
import sys
import threading
import time

import structlog

from gapless.lake.commits import Fenced
from gapless.lake.lake import Lake
from gapless.log.disk import OsDisk
from gapless.log.reader import LogReader
from gapless.model.errors import Corrupt, GaplessError, Misconfigured, Unavailable
from gapless.platform import logs
from gapless.platform.children import say_ready
from gapless.platform.layout import journal_directory, lake_directory
from gapless.process import GIVE_UP, die_with

_log = structlog.get_logger("gapless.lake")

_IDLE_S = 0.25
_RETRY_S = 1.0
_COMPACTION_IDLE_S = 2.0
_EXPIRY_EVERY_S = 600.0
_STOP_S_MAX = 10.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main(parent_pid: str, directory: str) -> int:
    logs.configure()
    # Blocked in every thread and asked for between steps: a signal never falls into a step.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    die_with(int(parent_pid))
    try:
        disk = OsDisk()
        lake = Lake(lake_directory(directory), LogReader(disk, journal_directory(directory)))
        say_ready()
        return _run(lake)
    except GaplessError as error:
        print(f"gapless: {error}", file=sys.stderr)
        return GIVE_UP if isinstance(error, (Misconfigured, Corrupt)) else 1


def _run(lake: Lake) -> int:
    stopping = threading.Event()
    keeper = threading.Thread(target=_keep, args=(lake, stopping), name="compaction", daemon=True)
    keeper.start()
    try:
        wait_s = 0.0
        while signal.sigtimedwait(_STOP_SIGNALS, wait_s) is None:
            wait_s = _step(lake)
    finally:
        stopping.set()
        keeper.join(_STOP_S_MAX)
    lake.close()
    return 0


def _step(lake: Lake) -> float:
    """Take in what there is; return for how many seconds to wait before the next."""
    try:
        report = lake.step(_now_us())
    except Fenced:
        raise
    except Unavailable as error:
        _log.warning("lake_waits", error=str(error))
        return _RETRY_S
    return 0.0 if report.entries else _IDLE_S


def _keep(lake: Lake, stopping: threading.Event) -> None:
    """Compact what is due, expire what is old, remove what nobody reads, until ``stopping``."""
    expire_at_s = 0.0
    while not stopping.is_set():
        try:
            compacted = lake.compact_one(_now_us()) is not None
            if time.monotonic() >= expire_at_s:
                lake.expire(_now_us())
                lake.sweep(_now_us())
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
            stopping.wait(_COMPACTION_IDLE_S)


def _now_us() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
