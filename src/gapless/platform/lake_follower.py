"""The work of the lake's process, until it is told to stop.

One thread follows the journal, another keeps house (``lake_keeper``), so that neither waits for the other.
The supervisor is told of each step of the first: finished or failed, with something to do or without, and in
a long step of each decoded piece. So no compaction, however long, gets the process killed, and none hides
that the following hangs. But once the keeper has stood still for many times as long, it is not told any more.

While the journal is ahead of the lake by more than a step, compaction is put off: the cores are better used
for records that no query sees yet. But not for long, because files that are many make queries slow.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Set
from typing import Any, Protocol

import structlog

from gapless import clock
from gapless.lake.commits import Fenced
from gapless.lake.decode import Decoded, Decoder
from gapless.lake.lake import Lake
from gapless.lake.mend import MendReport
from gapless.lake.writer import StepReport
from gapless.log.disk import OsDisk
from gapless.log.reader import LogReader
from gapless.model.errors import Unavailable
from gapless.platform.auditor_reader import BooksReader
from gapless.platform.children import say_ready
from gapless.platform.lake_keeper import Steps, keep
from gapless.platform.layout import journal_directory, lake_directory, ledger_directory

_log = structlog.get_logger("gapless.lake")

IDLE_S = 0.25
_RETRY_S = 1.0
_STOP_S_MAX = 10.0


def follow(directory: str, stop_signals: Set[signal.Signals]) -> None:
    """Keep the lake of the data directory until one of ``stop_signals``, which every thread must block.

    Raises what the lake raises when to go on makes no sense, or when it cannot be opened."""
    reader = LogReader(OsDisk(), journal_directory(directory))
    steps = Steps()
    lake = Lake(lake_directory(directory), reader, decoder=_TellingDecoder(steps))
    books = BooksReader(ledger_directory(directory))

    def read_upto() -> int:
        """The ledger alone reads postings, and commits how far it has read."""
        try:
            return books.posting()
        except Unavailable:
            return 0

    say_ready()
    run(lake, stop_signals, steps, read_upto)


class _TellingDecoder:
    """Tells of every piece, decoded or not: a step over many may take longer than one may stand still.

    It is the lake's own thread that tells, but only within a step, when the follower tells nothing itself."""

    def __init__(self, steps: Steps) -> None:
        self._decoder = Decoder()
        self._steps = steps

    def decode(self, *arguments: Any, **options: Any) -> Decoded:
        try:
            return self._decoder.decode(*arguments, **options)
        finally:
            self._steps.finished()


def run(
    lake: Lake, stop_signals: Set[signal.Signals], steps: Steps, read_upto: Callable[[], int] = lambda: 0
) -> None:
    """Step, and keep house beside it, until told to stop."""
    stopping, behind = threading.Event(), threading.Event()
    house = (lake, stopping, behind, steps, read_upto)
    keeper = threading.Thread(target=keep, args=house, name="keeper", daemon=True)
    keeper.start()
    try:
        wait_s = 0.0
        while signal.sigtimedwait(stop_signals, wait_s) is None:
            wait_s = step(lake, behind, clock.now_us())
            steps.finished()
    finally:
        stopping.set()
        keeper.join(_STOP_S_MAX)
    lake.close()


class Followed(Protocol):
    """A lake that follows the journal: see ``Lake``."""

    def step(self, now_us: int) -> StepReport: ...
    def mend(self, now_us: int) -> MendReport | None: ...


def step(lake: Followed, behind: threading.Event, now_us: int) -> float:
    """Take in what there is, and tell whether there is more; make again some of what was damaged. Return for
    how many seconds to wait."""
    try:
        report = lake.step(now_us)
        mended = lake.mend(now_us)
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
    return 0.0 if report.entries or mended else IDLE_S
