"""How an agent's statement stands to those that the journal had before it (I5).

Requests that waited, in a gateway that stood still or on their way, are journaled in any order; and an agent
whose chain was lost begins another, with another key, while statements of the old one are still on their way.
None of that is a contradiction.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from gapless.model.claim import CLAIMS_LATE_MAX as LATE_MAX
from gapless.model.claim import ClaimSet, Restart

_REPLACED_MAX = 8  # keys kept of one agent

#: ``next``: it says what holds from now on. ``late``: the newest of its chain says it better. ``outdated``:
#: another chain took the place of its own. ``contradicts``: it and what is known cannot be of one agent.
Standing = Literal["next", "late", "outdated", "contradicts"]


class Chain(msgspec.Struct, kw_only=True):
    """``n`` is the newest number; ``digests`` are those of the newest statements, as far as any told."""

    n: int
    digests: dict[int, str] = {}

    def contradicts(self, claims: ClaimSet, digest: str) -> bool:
        """Whether a statement and those before it cannot both be of one agent."""
        said = self.digests.get(claims.n, digest), self.digests.get(claims.n - 1, claims.prev)
        return said != (digest, claims.prev)

    def has(self, claims: ClaimSet, digest: str) -> bool:
        """Whether a statement is one of the chain, or follows one of it, whoever signed it."""
        follows = claims.prev != "" and self.digests.get(claims.n - 1) == claims.prev
        return follows or self.digests.get(claims.n) == digest

    def learned(self, claims: ClaimSet, digest: str) -> dict[int, str]:
        """``digests`` after a statement; what was known first stays."""
        learned = {claims.n: digest, claims.n - 1: claims.prev} | self.digests
        return {n: of for n, of in learned.items() if n >= max(learned) - LATE_MAX}


class AgentBook(msgspec.Struct, kw_only=True):
    """What one agent says of itself, for one tenant: the chain of its claims, and those that this one took
    the place of, by their keys."""

    key: str
    chain: Chain
    last_claim_us: int
    restarts: tuple[Restart, ...] = ()  # those known already: claims repeat them
    replaced: dict[str, Chain] = {}
    #: Of the last statements, how long after their own time they were received.
    delays_us: tuple[int, ...] = ()

    @property
    def behind_us(self) -> int:
        """How far the agent's clock is behind ours, at most: a delay is that and the time that a statement
        waited, and this the least of as many as may wait at once. With none known, the clock is right."""
        return min(self.delays_us, default=0)

    def timed(self, delay_us: int) -> None:
        """A statement was received so long after its own time."""
        self.delays_us = (*self.delays_us, delay_us)[-LATE_MAX:]

    def standing(self, key: str, claims: ClaimSet, digest: str, *, goes_back: bool) -> Standing:
        """How a statement, signed with ``key``, stands to what is known. ``goes_back``: it says less than was
        said. A chain that nobody heard of is not believed that: of one that was lost, its last statement may
        be the first to arrive, late. If it was set back it goes on, and is believed then."""
        of = self._chain_key(key, claims, digest)
        if of is None:
            return "outdated" if goes_back else "next"
        chain = self.chain if of == self.key else self.replaced[of]
        if chain.contradicts(claims, digest) or claims.n < chain.n - LATE_MAX:
            return "contradicts"
        if of == self.key:
            return "late" if claims.n < chain.n else "next"
        # A chain may go on for as long after another took its place.
        return "outdated" if claims.n <= chain.n + LATE_MAX else "next"

    def take(self, key: str, claims: ClaimSet, digest: str, standing: Standing) -> None:
        """Go on with a statement's chain. One that is late or outdated leaves its own where it stands: who
        goes on with a replaced one for long is in use again."""
        of = self._chain_key(key, claims, digest) or key
        if standing == "outdated":
            old = self.replaced.get(of, Chain(n=claims.n))
            self._replace(of, Chain(n=old.n, digests=old.learned(claims, digest)))
        elif key == self.key or standing == "late":
            self.chain = Chain(n=max(self.chain.n, claims.n), digests=self.chain.learned(claims, digest))
        else:
            chain = self.replaced.pop(key, Chain(n=claims.n))
            self._replace(self.key, self.chain)
            self.key = key
            self.chain = Chain(n=claims.n, digests=chain.learned(claims, digest))

    def _replace(self, key: str, chain: Chain) -> None:
        self.replaced[key] = chain
        for oldest in list(self.replaced)[:-_REPLACED_MAX]:
            del self.replaced[oldest]

    def _chain_key(self, key: str, claims: ClaimSet, digest: str) -> str | None:
        """The key by which the chain of a statement is known here; None: nobody heard of it. A key that was
        damaged is replaced and its chain goes on, so it may be another than the statement's."""
        known = {self.key: self.chain} | self.replaced
        return key if key in known else next((of for of in known if known[of].has(claims, digest)), None)
