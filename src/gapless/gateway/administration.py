"""Changes by operators and by the auditor: each is an entry of the journal before it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from gapless.gateway.bounds import check_decommission, check_finding, check_loss
from gapless.gateway.ports import Journal
from gapless.gateway.tokens import Scope, Token, TokenStore, mint
from gapless.log.segments import Message
from gapless.model.claim import Loss
from gapless.model.entry import ConfigEntry, DecommissionEntry, Kind, LossEntry
from gapless.model.finding import Finding


class Administration:
    """Tokens, declared losses, findings and decommissions. Used from one event loop.

    Every method raises Busy or Unavailable when the journal does not take the entry.
    """

    def __init__(self, journal: Journal, tokens: TokenStore, now_us: Callable[[], int]) -> None:
        self._journal = journal
        self._tokens = tokens
        self._now_us = now_us

    async def create_token(
        self, tenant: str, tables: Sequence[str], scope: Scope, *, by: str, client: bool = False
    ) -> tuple[Token, str]:
        """A new token and its text, which nobody can ask for again; durable on return.

        The journal first: a crash after it leaves a token that is on record and that nobody has, which is
        harmless; the other way round would leave one that works and is on no record.
        """
        token, secret = mint(tenant, tuple(tables), scope, by=by, now_us=self._now_us(), client=client)
        tables_text = " ".join(token.tables) or "all"
        kind = "client" if client else "token"
        await self.config(f"{kind} {token.id} created: {scope} for tenant {tenant}, tables {tables_text}", by)
        await asyncio.to_thread(self._tokens.add, token)
        return token, secret

    async def revoke_token(self, token: Token, *, by: str) -> Token:
        """Accept a token no more; durable on return.

        The store first: it must stop working whatever the journal does. Whoever is told that the journal
        failed asks again, and then it is put on record.
        """
        revoked = await asyncio.to_thread(self._tokens.revoke, token, self._now_us())
        await self.config(f"token {token.id} revoked", by)
        return revoked

    async def config(self, change: str, by: str) -> None:
        """Put a change of the platform's own configuration on record."""
        entry = ConfigEntry(at_us=self._now_us(), by=by, change=change)
        await self._journal.append([Message(Kind.CONFIG, msgspec.json.encode(entry))])

    async def declare_loss(self, loss: Loss, *, by: str) -> None:
        """Journal a loss that an operator declared. Raises Refused for one that cannot be."""
        check_loss(loss)
        await self._journal.append([Message(Kind.LOSS, msgspec.json.encode(LossEntry(loss, by)))])

    async def post_findings(self, findings: Sequence[Finding]) -> None:
        """Journal what the auditor saw, in order, together. Raises Refused for one that cannot be."""
        for finding in findings:
            check_finding(finding)
        await self._journal.append(
            [Message(Kind.FINDING, msgspec.json.encode(finding)) for finding in findings]
        )

    async def decommission(self, stream: str, reason: str, *, by: str) -> None:
        """Journal that a stream ends for good. Raises Refused without a stream's identity or a reason."""
        entry = DecommissionEntry(at_us=self._now_us(), by=by, stream=stream, reason=reason)
        check_decommission(entry)
        await self._journal.append([Message(Kind.DECOMMISSION, msgspec.json.encode(entry))])
