"""What is in a process's way, and since when. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Trouble(NamedTuple):
    """One thing that is in the way; ``since_us`` is when it began."""

    text: str
    since_us: int


class Troubles:
    """At most one trouble of each kind."""

    def __init__(self) -> None:
        self._troubles: dict[str, Trouble] = {}

    def note(self, kind: str, text: str, now_us: int) -> None:
        """It is so (still, perhaps with other words)."""
        known = self._troubles.get(kind)
        self._troubles[kind] = Trouble(text, now_us if known is None else known.since_us)

    def over(self, kind: str) -> None:
        self._troubles.pop(kind, None)

    def oldest(self) -> Trouble | None:
        """What has been in the way for longest; None if nothing is."""
        return min(self._troubles.values(), key=lambda trouble: trouble.since_us, default=None)
