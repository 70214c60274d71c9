"""The time of day, for the thin shells: cores are told it."""

from __future__ import annotations

import time


def now_us() -> int:
    """Microseconds since the Unix epoch, UTC. It may step; what is waited for goes by ``time.monotonic``."""
    return time.time_ns() // 1000
