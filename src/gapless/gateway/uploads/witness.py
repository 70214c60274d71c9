"""The gateway's claims about its own streams: the same signed chain that every agent makes.

The journal is where the chain stands: a statement that is in it was made, one that is not was not. So, other
than an agent, the gateway keeps no number of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from gapless.gateway.fold import ChainRow
from gapless.gateway.uploads.rounds import Round
from gapless.model.claim import ClaimSet, statement_digest
from gapless.model.signing import Signed, Signer
from gapless.model.stream import GATEWAY_AGENT


class Witness:
    """Signs statements that go on from ``last``, the newest in the journal (None: there is none)."""

    def __init__(self, signer: Signer, last: ChainRow | None) -> None:
        self._signer = signer
        self._n = 0 if last is None else last.n + 1
        self._prev = "" if last is None else last.digest
        self._signed: list[Signed] = []

    def state(self, rounds: Mapping[str, Round], at_us: int) -> list[Signed]:
        """A statement for each tenant, so that none tells of another. They count once ``journaled``; those
        of an earlier call that were not are as if they had never been made."""
        n, prev = self._n, self._prev
        self._signed = []
        for streams, interval_s in rounds.values():
            said = ClaimSet(
                agent=GATEWAY_AGENT,
                n=n,
                prev=prev,
                at_us=at_us,
                interval_s=interval_s,
                streams=streams,
            )
            signed = self._signer.sign(said)
            self._signed.append(signed)
            n, prev = n + 1, statement_digest(signed.statement)
        return self._signed

    def journaled(self) -> None:
        """The statements of the last call are durable."""
        if self._signed:
            self._n += len(self._signed)
            self._prev = statement_digest(self._signed[-1].statement)
            self._signed = []
