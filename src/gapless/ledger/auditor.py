"""The auditor: looks at the books again and again, and says what changed. No clock, no file."""

from __future__ import annotations

from collections.abc import Iterable

from gapless.ledger.conditions import Surroundings, conditions
from gapless.ledger.findings import Changes, Findings
from gapless.ledger.ledger import Ledger
from gapless.ledger.states import Allowances
from gapless.model.finding import Finding


class Auditor:
    """Looks at one ledger, ``every_s`` seconds apart. Begin with ``start_from``.

    Times are the caller's: the same clock that dates the journal. After a break of ``break_s`` without a look
    whoever was to be heard gets the time allowed again, from then on.
    """

    def __init__(self, allowed: Allowances, *, every_s: float = 1.0, break_s: float = 10.0) -> None:
        self._allowed = allowed
        self._every_us = int(every_s * 1e6)
        self._break_us = int(break_s * 1e6)
        self._looked_us: int | None = None
        self._watched_us = 0
        self._lake: tuple[int, int] | None = None  # its cursor, and since when it has been behind there
        self.start_from(Ledger())

    def start_from(self, ledger: Ledger, known: Iterable[Finding] = (), last_us: int = 0) -> None:
        """Go on from books that were read anew, the findings open then, and ``last_us`` of that time."""
        self._findings = Findings(known, last_us)
        self._touched = set(ledger.streams)
        self._unbalanced: dict[tuple[str, str], list[str]] = {}

    def touched(self, streams: Iterable[str]) -> None:
        """The books of these streams changed since the last look."""
        self._touched.update(streams)

    def adopt(self, finding: Finding) -> list[Finding]:
        """A finding that the journal has and nobody here knew: see ``Findings.adopt``."""
        return self._findings.adopt(finding)

    @property
    def last_us(self) -> int:
        """The time in the newest id that was given: to be kept, and given back at the next start."""
        return self._findings.last_us

    def due(self, now_us: int) -> bool:
        """Whether it is time for a look; also when the clock was set back."""
        return self._looked_us is None or not 0 <= now_us - self._looked_us < self._every_us

    def look(self, ledger: Ledger, now_us: int, *, journal: int, lake: int | None) -> Changes:
        """Review the books as of ``now_us`` and say what changed since the last look.

        ``journal`` is the position that they are folded up to, which must be all that was durable at
        ``now_us``: books that are behind would show silence where there is none. ``lake`` is the lake's
        cursor in the journal, None while there is no lake.
        """
        if self._looked_us is None or not 0 <= now_us - self._looked_us < self._break_us:
            self._watched_us = now_us
        self._looked_us = now_us
        ledger.review(now_us)
        self._touched |= ledger.changed
        self._weigh(ledger)
        around = Surroundings(
            watched_us=self._watched_us,
            lake_stalled_us=self._lake_stalled_us(journal, lake or 0, now_us),
            lake_behind_bytes=max(0, journal - (lake or 0)),
            unbalanced=self._unbalanced,
        )
        return self._findings.step(conditions(ledger, around, now_us, self._allowed), now_us)

    def _weigh(self, ledger: Ledger) -> None:
        """Balance the books that changed: the others are as they were."""
        for stream_id in self._touched:
            for epoch, book in ledger.streams[stream_id].epochs.items():
                faults = book.balance()
                if faults:
                    self._unbalanced[stream_id, epoch] = faults
                else:
                    self._unbalanced.pop((stream_id, epoch), None)
        self._touched.clear()

    def _lake_stalled_us(self, journal: int, lake: int, now_us: int) -> int | None:
        """For how long the lake has been behind without moving; None at the first look."""
        known = self._lake
        if known is None or lake != known[0] or lake >= journal or now_us < known[1]:
            self._lake = lake, now_us
            return None if known is None else 0
        return now_us - known[1]
