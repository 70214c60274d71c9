"""Named points at which tests end a process, freeze it, or have its write fail.

Off unless ``GAPLESS_TEST_FAILPOINTS`` names a directory when the process starts; and even then a point does
nothing before a file of its name (``spool:synced``) is put there. The file holds one word:

    kill    SIGKILL, here
    stop    SIGSTOP, here
    fail    the error that the caller means to handle, raised here: before a write it fails and is not kept,
            after it it fails and is kept

A file strikes once, whichever process comes by first: it is renamed to ``spool:synced.struck`` before.
All points, and what a crash at each leaves: docs/internals/crashes.md.
"""

from __future__ import annotations

import errno
import os
import signal

VARIABLE = "GAPLESS_TEST_FAILPOINTS"

_directory = os.environ.get(VARIABLE, "")


def reached(what: str, where: str, error: type[Exception] = OSError) -> None:
    """This process is at the point ``what:where``. ``error`` is what its caller takes for a failed write."""
    if _directory:
        _strike(f"{what}:{where}", error)


def _strike(name: str, error: type[Exception]) -> None:
    armed = f"{_directory}/{name}"
    try:
        os.rename(armed, f"{armed}.struck")
    except FileNotFoundError:
        return
    with open(f"{armed}.struck") as file:
        order = file.read().strip()
    if order == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif order == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif order == "fail":
        raise OSError(errno.EIO, f"failpoint {name}") if error is OSError else error(f"failpoint {name}")
    else:
        raise ValueError(f"{armed} holds {order!r}: write kill, stop or fail")
