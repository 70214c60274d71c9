"""Waiting for what others do."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], object], timeout_s: float = 120.0) -> None:
    """Wait for another thread or process to make ``condition`` true. The limit is only for what hangs: far
    longer than a busy machine needs."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it never came true"
        time.sleep(0.01)
