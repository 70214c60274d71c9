"""Running a drill: a directory for its files, and an orderly end however it comes."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from gapless.drills.catalogue import Drill
from gapless.drills.outcome import DrillOutcome
from gapless.drills.progress import Progress
from gapless.model.errors import Refused


def run(drill: Drill, console: Console, keep: str | None = None) -> DrillOutcome:
    """Play ``drill``, showing on ``console`` what happens. Its files are removed, unless ``keep`` names a
    directory for them, which must be empty or not be there yet.

    Raises Refused for one that is not, Unavailable for a drill that could not be played to its end,
    KeyboardInterrupt when it was interrupted (SIGINT, SIGTERM) and everything was cleaned up.
    """
    with _directory(keep) as directory, Progress(console) as progress:
        return asyncio.run(_interruptible(drill, directory, progress))


async def _interruptible(drill: Drill, directory: Path, progress: Progress) -> DrillOutcome:
    playing = asyncio.ensure_future(drill.run(directory, progress))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel)
    try:
        return await playing
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


@contextmanager
def _directory(keep: str | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="gapless-drill-", ignore_cleanup_errors=True) as directory:
            yield Path(directory).resolve()
        return
    kept = Path(keep).resolve()
    kept.mkdir(parents=True, exist_ok=True)
    if any(kept.iterdir()):
        raise Refused(f"--keep {keep} is not empty: name a directory that is not there yet")
    yield kept
