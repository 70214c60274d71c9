"""How much may be under way at once: over it callers are told to come back, nothing queues."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gapless.model.errors import Busy


class Budget:
    """Counts of things and bytes under way. Used from one event loop."""

    def __init__(self, what: str, *, count_max: int, bytes_max: int) -> None:
        self._what = what
        self._count_max = count_max
        self._bytes_max = bytes_max
        self.count = 0
        self.bytes = 0

    @contextmanager
    def hold(self, count: int, size_bytes: int = 0) -> Iterator[None]:
        """Take a part of the budget for as long as the block runs. Raises Busy if it is not there."""
        if self.count + count > self._count_max or self.bytes + size_bytes > self._bytes_max:
            raise Busy(f"too many {self._what} are under way: send it again in a moment")
        self.count += count
        self.bytes += size_bytes
        try:
            yield
        finally:
            self.count -= count
            self.bytes -= size_bytes
