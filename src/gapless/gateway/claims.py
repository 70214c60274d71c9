"""Claims from a request body to the journal: a way of their own, beside that of the batches.

Their thread, their reader and their budget are not the batches'; the journal alone is shared, and its
queue has room for them whatever the batches do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec
import structlog

from gapless.failpoint import reached
from gapless.gateway.access import forbidden
from gapless.gateway.bodies import decode_json
from gapless.gateway.bounds import check_claims
from gapless.gateway.chains import ChainKey, Chains, Fences, Newest, Statement, Verdict
from gapless.gateway.index import BatchIndex
from gapless.gateway.metrics import GatewayMetrics
from gapless.gateway.ports import Journal
from gapless.gateway.settings import GatewaySettings
from gapless.gateway.tokens import Token
from gapless.gateway.worker import Worker
from gapless.log.disk import Buffer
from gapless.log.port import EntryReader
from gapless.log.segments import Message
from gapless.model.claim import ClaimSet, StreamClaim, statement_digest
from gapless.model.entry import ClaimsEntry, Kind
from gapless.model.errors import GaplessError, Refused, Unavailable
from gapless.model.finding import Finding
from gapless.model.signing import Signed, verify
from gapless.model.stream import StreamKey

_log = structlog.get_logger("gapless.gateway")


class FencedEpoch(msgspec.Struct, frozen=True):
    """An epoch that must not go on: its agent opens a new one."""

    stream: str
    epoch: str


class ClaimsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """``losses`` are the identities of those losses of the claims that are now durable; ``fenced`` the
    epochs among the claims that forked or went back; ``not_allowed`` the streams that the token is not for,
    of which nothing was taken."""

    status: Literal["accepted"] = "accepted"
    losses: list[str]
    fenced: list[FencedEpoch]
    not_allowed: list[StreamKey] = []


class _Plan(NamedTuple):
    signed: Signed
    claims: ClaimSet
    statement: Statement
    verdict: Verdict
    findings: list[Finding]
    not_allowed: list[StreamKey]
    awaited: asyncio.Future[bool] | None

    def messages(self, now_us: int) -> list[Message]:
        """What must be durable before the answer."""
        if not self.verdict.journal:
            return []
        not_allowed = tuple(stream.id for stream in self.not_allowed)
        entry = Message(Kind.CLAIMS, msgspec.json.encode(ClaimsEntry(self.signed, now_us, not_allowed)))
        return [entry, *(Message(Kind.FINDING, msgspec.json.encode(f)) for f in self.findings)]


class ClaimsIntake:
    """Takes request bodies of claims. Used from one event loop."""

    def __init__(
        self,
        journal: Journal,
        index: BatchIndex,
        fences: Fences,
        *,
        settings: GatewaySettings,
        metrics: GatewayMetrics,
        now_us: Callable[[], int],
        worker: Worker | None = None,
    ) -> None:
        self._journal = journal
        self._fences = fences
        self._settings = settings
        self._metrics = metrics
        self._now_us = now_us
        # Each statement under way has a future: whether the journal took it.
        self._chains: Chains[asyncio.Future[bool]] = Chains(
            _JournaledChains(index, journal.reader()), chains_max=settings.chains_max
        )
        self._worker = worker or Worker("claims")

    async def accept(self, token: Token, body: Buffer) -> ClaimsAnswer:
        """Journal a set of claims; durable on return, also if the caller is cancelled.

        The newest set once more is not journaled again, nor is one that arrives after a later one.
        Raises Problem 400 for what is not JSON, Refused for claims that cannot be, Problem 403 if the token
        is not for one of their streams, and Unavailable or Busy when the journal did not take them.
        """
        return await self._worker.finish(self._accept(token, body))

    def stalled_s(self) -> float:
        """For how many seconds requests have been under way without one ending."""
        return self._worker.stalled_s()

    async def close(self) -> None:
        """Wait for what is under way."""
        await self._worker.close()

    async def _accept(self, token: Token, body: Buffer) -> ClaimsAnswer:
        now_us = self._now_us()
        taken = asyncio.get_running_loop().create_future()
        plan = await self._worker.run(self._examine, token, body, now_us, taken)
        if plan.awaited is not None and not await plan.awaited:
            raise Unavailable("the journal did not take this agent's newest claims: send the next ones")
        try:
            await self._journal.append(plan.messages(now_us))
            reached("claims", "journaled", Unavailable)
            answer = await self._worker.run(self._settle, plan)
            taken.set_result(True)
        except BaseException:
            self._worker.run_later(self._chains.give_up, plan.statement)
            taken.set_result(False)
            raise
        return answer

    def _examine(self, token: Token, body: Buffer, now_us: int, taken: asyncio.Future[bool]) -> _Plan:
        signed = decode_json(body, Signed, "a signed statement")
        try:
            claims = verify(signed, signed.key, ClaimSet)
        except RecursionError as error:
            raise Refused("the statement is nested too deep to be claims") from error
        check_claims(claims, items_max=self._settings.claim_items_max)
        named = {claim.stream for claim in claims.streams} | {loss.stream for loss in claims.losses}
        not_allowed = sorted(stream for stream in named if not token.allows_ingest(stream))
        if not_allowed and len(not_allowed) == len(named):
            raise forbidden(
                f"this token is not for table {not_allowed[0].table!r} of tenant {not_allowed[0].tenant!r}: "
                "use one that is"
            )
        statement = Statement(
            key=(claims.agent, signed.key.lower()),
            n=claims.n,
            digest=statement_digest(signed.statement),
            prev=claims.prev,
            epochs=frozenset(
                claim.opened.epoch for claim in claims.streams if claim.stream not in not_allowed
            ),
        )
        verdict = self._chains.judge(statement)
        rollbacks = self._rollbacks(claims, verdict, now_us)
        awaited = None if verdict.journal else self._chains.awaited(statement)
        if verdict.journal:
            self._chains.begin(statement, taken)
        return _Plan(signed, claims, statement, verdict, rollbacks, not_allowed, awaited)

    def _rollbacks(self, claims: ClaimSet, verdict: Verdict, now_us: int) -> list[Finding]:
        """What the journal is told of a conflict: once per epoch that both sides count in."""
        rolled_back = [claim for claim in claims.streams if claim.opened.epoch in verdict.shared]
        findings = [rollback_finding(claim, claims, now_us) for claim in rolled_back]
        return [finding for finding in findings if (finding.stream, finding.epoch) not in self._fences]

    def _settle(self, plan: _Plan) -> ClaimsAnswer:
        self._metrics.claims(plan.verdict.kind)
        self._chains.take(plan.statement)
        for finding in plan.findings:
            _log.warning("rollback", stream=finding.stream, epoch=finding.epoch, agent=finding.agent)
            self._fences.add((finding.stream, finding.epoch))
        losses = [] if plan.verdict.kind == "late" else plan.claims.losses
        return ClaimsAnswer(
            losses=[loss.id for loss in losses if loss.stream not in plan.not_allowed],
            fenced=[
                FencedEpoch(*key)
                for key in self._fences.among(
                    claim for claim in plan.claims.streams if claim.stream not in plan.not_allowed
                )
            ],
            not_allowed=plan.not_allowed,
        )


class _JournaledChains:
    """``chains.Index``: the index says where an agent's newest claims stand, the journal what they are.

    When neither can be read nothing is known, and the chain begins anew: claims are never refused for it.
    """

    def __init__(self, index: BatchIndex, reader: EntryReader) -> None:
        self._index = index
        self._reader = reader

    def newest(self, key: ChainKey) -> Newest | None:
        try:
            row = self._index.chain(key)
        except GaplessError:
            return None
        if row is None:
            return None
        frames = self._reader.read(row.position, bytes_max=1, bodies=False)
        if not frames or frames[0].kind != Kind.CLAIMS:
            return Newest(row.n, row.digest, frozenset())
        entry = msgspec.json.decode(frames[0].meta, type=ClaimsEntry)
        claims = msgspec.json.decode(entry.signed.statement, type=ClaimSet)
        return Newest(row.n, row.digest, frozenset(claim.opened.epoch for claim in claims.streams))


def rollback_finding(claim: StreamClaim, claims: ClaimSet, now_us: int) -> Finding:
    """What the journal is told of an epoch whose claims went back; its id is the same each time."""
    stream, epoch = claim.stream.id, claim.opened.epoch
    return Finding(
        id=f"rollback/{stream}/{epoch}",
        kind="rollback",
        at_us=now_us,
        state="opened",
        text=(
            f"claims number {claims.n} of agent {claims.agent} contradict those journaled before: its spool "
            "was restored, or runs twice"
        ),
        tenant=claim.stream.tenant,
        table=claim.stream.table,
        agent=claims.agent,
        stream=stream,
        epoch=epoch,
    )
