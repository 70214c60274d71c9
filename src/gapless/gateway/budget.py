"""How much may be under way at once: over it callers are told to come back, nothing queues.

A client that sends slowly holds its place for as long as it may. So that nobody keeps all others out, what is
of one tenant takes half of a budget at most, and what is of one token a quarter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from gapless.model.errors import Busy


class _Held(NamedTuple):
    things: int = 0
    size_bytes: int = 0


class Budget:
    """Counts of things and bytes under way. Used from one event loop."""

    def __init__(self, what: str, *, count_max: int, bytes_max: int) -> None:
        self._what = what
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._shares: dict[str, _Held] = {}
        self.count = 0
        self.bytes = 0

    @contextmanager
    def hold(self, count: int, size_bytes: int = 0, *, by: Sequence[str] = ()) -> Iterator[None]:
        """Take a part of the budget for as long as the block runs. ``by`` says whose it is, the widest first:
        what is held by the first is half of the budget at most, by the second a quarter, and so on; each may
        have one thing under way. Raises Busy if it is not there."""
        if self.count + count > self._count_max or self.bytes + size_bytes > self._bytes_max:
            raise Busy(f"too many {self._what} are under way: send it again in a moment")
        for halvings, name in enumerate(by, start=1):
            self._check_share(name, halvings, count, size_bytes)
        self._add(by, count, size_bytes)
        try:
            yield
        finally:
            self._add(by, -count, -size_bytes)

    def _check_share(self, name: str, halvings: int, count: int, size_bytes: int) -> None:
        held = self._shares.get(name)
        if held is None:
            return
        too_many = held.things + count > self._count_max >> halvings
        if too_many or held.size_bytes + size_bytes > self._bytes_max >> halvings:
            raise Busy(f"too many {self._what} of this {name.split()[0]} are under way: send it again later")

    def _add(self, by: Sequence[str], count: int, size_bytes: int) -> None:
        self.count += count
        self.bytes += size_bytes
        for name in by:
            before = self._shares.get(name, _Held())
            held = _Held(before.things + count, before.size_bytes + size_bytes)
            if held.things:
                self._shares[name] = held
            else:
                del self._shares[name]
