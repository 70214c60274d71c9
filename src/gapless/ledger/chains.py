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

    def standing(self, key: str, claims: ClaimSet, digest: str) -> Standing:
        """How a statement, signed with ``key``, stands to what is known."""
        chain = self.chain if key == self.key else self.replaced.get(key)
        if chain is None:
            return "next"
        if chain.contradicts(claims, digest) or claims.n < chain.n - LATE_MAX:
            return "contradicts"
        if key == self.key:
            return "late" if claims.n < chain.n else "next"
        # A chain may go on for as long after another took its place.
        return "outdated" if claims.n <= chain.n + LATE_MAX else "next"

    def take(self, key: str, claims: ClaimSet, digest: str, standing: Standing) -> None:
        """Go on with a statement's chain. One that is outdated leaves its own where it was replaced: who goes
        on with it for long is in use again."""
        if standing == "outdated":
            old = self.replaced[key]
            self.replaced[key] = Chain(n=old.n, digests=old.learned(claims, digest))
            return
        if key != self.key:
            chain = self.replaced.pop(key, Chain(n=claims.n))
            self.replaced[self.key] = self.chain
            for oldest in list(self.replaced)[:-_REPLACED_MAX]:
                del self.replaced[oldest]
            self.key = key
            self.chain = Chain(n=claims.n, digests=chain.learned(claims, digest))
            return
        n = max(self.chain.n, claims.n)
        self.chain = Chain(n=n, digests=self.chain.learned(claims, digest))
