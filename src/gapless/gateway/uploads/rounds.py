"""How often each tenant's own streams are claimed. Pure: no clock, no socket, no file.

While something happens in one of them, every ``interval_s``; after ``quiet_after_s`` in which nothing did,
every ``quiet_interval_s``, and at once when something does. Each statement says how soon the next is due, so
that silence is told from quiet either way (I10). All of a tenant's streams are claimed together: were the
quiet ones promised for later, a gateway that is down would look like one that left the others out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gapless.model.claim import StreamClaim
from gapless.model.stream import EpochOpen, StreamKey


class Round(NamedTuple):
    """What is to be claimed of a tenant's streams, and for how long it holds: the next is due then."""

    streams: tuple[StreamClaim, ...]
    interval_s: float


class _Said(NamedTuple):
    stands: list[tuple[StreamKey, EpochOpen, int, bool]]
    moved_s: float
    due_s: float


class Rounds:
    """When each tenant's streams are due. Times are seconds of one monotonic clock."""

    def __init__(self, *, interval_s: float, quiet_interval_s: float, quiet_after_s: float) -> None:
        self._interval_s = interval_s
        self._quiet_interval_s = quiet_interval_s
        self._quiet_after_s = quiet_after_s
        self._said: dict[str, _Said] = {}
        self._saying: dict[str, _Said] = {}

    def due(self, claims: Mapping[str, tuple[StreamClaim, ...]], now_s: float) -> dict[str, Round]:
        """Of the ``claims`` of each tenant those that are due. They count once ``made``."""
        self._said = {tenant: said for tenant, said in self._said.items() if tenant in claims}
        self._saying = {}
        rounds = {}
        for tenant, streams in claims.items():
            said = self._said.get(tenant)
            stands = [(claim.stream, claim.opened, claim.next, claim.closed) for claim in streams]
            moved = said is None or said.stands != stands
            moved_s = now_s if said is None or moved else said.moved_s
            if said is None or moved or now_s >= said.due_s:
                quiet = now_s - moved_s >= self._quiet_after_s
                interval_s = self._quiet_interval_s if quiet else self._interval_s
                rounds[tenant] = Round(streams, interval_s)
                self._saying[tenant] = _Said(stands, moved_s, now_s + interval_s)
        return rounds

    def made(self) -> None:
        """The claims of the last call are durable."""
        self._said |= self._saying
        self._saying = {}
