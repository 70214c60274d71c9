"""The process that folds the journal into tables. Arguments: the supervisor's pid, the data directory."""

from __future__ import annotations

import signal
import sys

from gapless.model.errors import Corrupt, GaplessError, Misconfigured
from gapless.platform import logs
from gapless.process import GIVE_UP, die_with

_STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})


def main(parent_pid: str, directory: str) -> int:
    logs.configure()
    # Blocked in every thread and asked for between steps: a signal never falls into a step. The libraries
    # below start threads when they are imported: one from before this would take the signal, and die of it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    die_with(int(parent_pid))
    from gapless.platform.lake_follower import follow

    try:
        follow(directory, _STOP_SIGNALS)
        return 0
    except GaplessError as error:
        print(f"gapless: {error}", file=sys.stderr)
        return GIVE_UP if isinstance(error, (Misconfigured, Corrupt)) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
