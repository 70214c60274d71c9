"""How often each peer may ask: over it callers are told to come back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from gapless.model.errors import Busy

#: Peers that are remembered; the one that was quiet for longest is forgotten first.
_PEERS_MAX = 10_000


class Rate:
    """``per_s_max`` requests a second of each peer, twice as many at once. Used from one event loop."""

    def __init__(self, per_s_max: float, monotonic_s: Callable[[], float]) -> None:
        self._per_s = per_s_max
        self._burst = 2 * per_s_max
        self._monotonic_s = monotonic_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, peer: str) -> None:
        """Count one request. Raises Busy if it is too many."""
        now_s = self._monotonic_s()
        left, since_s = self._left.pop(peer, (self._burst, now_s))
        left = min(self._burst, left + (now_s - since_s) * self._per_s)
        self._left[peer] = (left - 1 if left >= 1 else left, now_s)
        if len(self._left) > _PEERS_MAX:
            self._left.popitem(last=False)
        if left < 1:
            raise Busy(
                f"more than {self._per_s:g} requests a second: wait a moment", (1 - left) / self._per_s
            )
