"""One writer per directory: two would cut each other's entries off."""

from __future__ import annotations

import fcntl
import os

from gapless.log.disk import OsDisk
from gapless.model.errors import Unavailable


class DirectoryLock:
    """Holds ``directory/lock`` (flock) until ``close`` or the end of the process, however it ends.

    The directory is created if need be. Raises Unavailable if another process holds the lock.
    """

    def __init__(self, directory: str) -> None:
        OsDisk().make_dirs(directory)
        self._fd = os.open(f"{directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise Unavailable(
                f"another process is writing to {directory}: stop it first, or use another directory"
            ) from error

    def close(self) -> None:
        """Let others in. May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
