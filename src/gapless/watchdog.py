"""Whether a process gets on with its work. Pure: no clock, no process.

Liveness is progress, not a heartbeat: a process that has work and finished no step of it for
``stalled_s`` is stuck, whatever else it does.
"""

from __future__ import annotations

#: Two looks further apart than this count as this far apart: a machine that slept, or a watchdog that
#: was itself held up, is no proof against the one that is watched.
LOOK_S_MAX = 2.0


class Watch:
    """Watches one process. Look at it about every second."""

    def __init__(self, stalled_s: float) -> None:
        self.stalled_s = stalled_s
        self.begin()

    def begin(self) -> None:
        """Another process has taken the place of the one that was watched."""
        self._progress: object = None
        self._looked_s: float | None = None
        self.stood_still_s = 0.0

    def look(self, now_s: float, progress: object, *, has_work: bool) -> bool:
        """``progress`` is anything that differs once a step was finished; ``now_s`` is a monotonic clock's.
        True: it is stuck."""
        elapsed_s = 0.0 if self._looked_s is None else min(max(0.0, now_s - self._looked_s), LOOK_S_MAX)
        self._looked_s = now_s
        if not has_work or progress != self._progress:
            self._progress = progress
            self.stood_still_s = 0.0
        else:
            self.stood_still_s += elapsed_s
        return self.stood_still_s >= self.stalled_s


class Backoff:
    """How long to wait before a process that ended by itself is started again: doubled each time, until
    one lives for ``healthy_s``."""

    def __init__(self, *, min_s: float = 0.1, max_s: float = 10.0, healthy_s: float = 10.0) -> None:
        self._min_s, self._max_s, self._healthy_s = min_s, max_s, healthy_s
        self._pause_s = 0.0

    def ended(self, lived_s: float) -> float:
        """A process ended after ``lived_s``; return for how many seconds to wait."""
        again = self._pause_s > 0 and lived_s < self._healthy_s
        self._pause_s = min(self._max_s, self._pause_s * 2) if again else self._min_s
        return self._pause_s
