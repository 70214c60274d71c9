"""What a child process owes to the one that started it."""

from __future__ import annotations

import ctypes
import os
import signal

#: A child's exit code by which it says that to start it again would not help.
GIVE_UP = 2

_PR_SET_PDEATHSIG = 1

#: mallopt(3): free memory at the top goes back beyond so many bytes, and threads share one heap.
_M_TRIM_THRESHOLD, _M_ARENA_MAX = -1, -8
_TRIM_BYTES = 256 << 10


def die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent's main thread ends, however it ends (prctl(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent_pid:  # it ended before the call
        os._exit(GIVE_UP)


def spare_memory() -> None:
    """Have the C library keep little memory that is not in use; to be called before threads begin. Without
    glibc nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
