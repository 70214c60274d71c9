"""The process that folds the journal and the lake's postings into the books, and audits them.

One thread folds, another posts what the auditor tells, so that a gateway that hangs stops no audit.
Arguments: the supervisor's pid, the data directory, the gateway's URL at an address of this machine.
"""

from __future__ import annotations

import signal
import sys
import time

import structlog

from gapless import clock
from gapless.lake.catalog import Catalog
from gapless.log.disk import OsDisk
from gapless.log.reader import LogReader
from gapless.model.errors import Corrupt, GaplessError, Misconfigured, Unavailable
from gapless.platform import logs
from gapless.platform.auditor_poster import Poster
from gapless.platform.auditor_posting import Posting
from gapless.platform.auditor_store import LedgerStore
from gapless.platform.books import Bookkeeper
from gapless.platform.children import say_ready, say_step
from gapless.platform.layout import journal_directory, lake_directory, ledger_directory
from gapless.process import GIVE_UP, die_with

_log = structlog.get_logger("gapless.ledger")

_IDLE_S = 0.25
_RETRY_S = 1.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main(parent_pid: str, directory: str, url: str) -> int:
    logs.configure()
    # Blocked and asked for between steps: a signal never falls into a step.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    die_with(int(parent_pid))
    try:
        catalog = Catalog(lake_directory(directory))
        reader = LogReader(OsDisk(), journal_directory(directory))
        bookkeeper = Bookkeeper(LedgerStore(ledger_directory(directory)), reader, catalog)
        poster = Poster(directory, url)
        say_ready()
        _run(bookkeeper, poster)
        return 0
    except GaplessError as error:
        print(f"gapless: {error}", file=sys.stderr)
        return GIVE_UP if isinstance(error, (Misconfigured, Corrupt)) else 1


def _run(bookkeeper: Bookkeeper, poster: Poster) -> None:
    """Step until told to stop."""
    poster.start()
    try:
        wait_s = 0.0
        while signal.sigtimedwait(_STOP_SIGNALS, wait_s) is None:
            wait_s = step(bookkeeper, poster.posting, clock.now_us(), time.monotonic())
            say_step()
    finally:
        poster.stop()
    bookkeeper.close()


def step(bookkeeper: Bookkeeper, posting: Posting, now_us: int, now_s: float) -> float:
    """Fold what there is, as of ``now_us`` and ``now_s`` (monotonic); return for how many seconds to wait
    before the next."""
    try:
        taken = bookkeeper.step(now_us)
    except Unavailable as error:
        _log.warning("ledger_waits", error=str(error))
        return _RETRY_S
    if bookkeeper.caught_up:
        posting.caught_up(now_s)
    return 0.0 if taken else _IDLE_S


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
